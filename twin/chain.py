"""The chain: from the newest event of a twin to the one before it, back to the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twin.frames import Frame

Read = Callable[[int], Frame]  # offset -> the frame that holds it, from the journal


def walk(head: int, read: Read) -> Iterator[int]:
    """Yield the offsets of a twin's events, newest first, starting at its head."""
    offset = head
    while offset >= 0:
        yield offset
        frame = read(offset)
        offset = int(frame.columns["prev"][offset - frame.first])
