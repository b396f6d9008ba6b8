"""The journal port: an append-only, totally ordered, durable record of one shard's events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from twin.errors import JournalCorrupt
from twin.frames import Frame


class Journal(Protocol):
    @property
    def epoch(self) -> int:
        """The number of the writer that holds this journal."""

    @property
    def next(self) -> int:
        """The offset of the next event, once claimed."""

    def claim(self) -> None:
        """Announce the epoch for all to see, then seal what older ones wrote. Or Fenced."""

    def scan(self, offset: int = 0, by: int = 2**62) -> Iterator[Frame]:
        """Yield the frames up to the seals that reach beyond `offset`, in order.

        Some that hold only events of event times after `by` may be left out.
        """

    def append(self, frame: Frame) -> None:
        """Make a frame durable. Raises DiskFull before, JournalFailed after it touched the disk."""

    def at(self, offset: int) -> Frame | None:
        """Return the frame that holds `offset`, of this epoch or an older one."""

    def cut(self, known_at: int) -> int:
        """Return the offset behind all that was ingested by a time."""

    @property
    def bytes(self) -> int:
        """How much was appended in this epoch."""

    @property
    def took_s(self) -> Sequence[float]:
        """How long the latest appends took, sync included."""

    def witness(self, offset: int) -> None:
        """Note, cheaply, that everything before `offset` was acknowledged. Never raises."""

    def fenced(self) -> bool:
        """Say whether a newer epoch has been announced."""


def read_frame(journal: Journal, offset: int) -> Frame:
    """Return the journaled frame that holds `offset`. Raises JournalCorrupt if there is none."""
    frame = journal.at(offset)
    if frame is None:
        raise JournalCorrupt(f"offset {offset} is missing from the journal; restore the journal")
    return frame
