"""The archiver: copies what a shard acknowledged to its archive, beside the writer.

Frames first, then a look for a newer writer, then rows; checkpoints once the events before them
are there. A segment leaves the disk only when its copy was read back and two checkpoints are
beyond it. Whatever fails is counted, shown and tried again: ingest never waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from actors import checkpoints, rows, segments
from actors.archive import Archive, Archived, Part
from actors.disk import Disk
from actors.segments import Piece
from twin.errors import Fenced, JournalCorrupt
from twin.transition import Snapshot

log = logging.getLogger(__name__)
MICROS = 1_000_000
MOST = 8 << 20  # bytes of a part: in memory some times over, while its rows are made
CHECKPOINT_STEPS = 10  # a checkpoint may be as large as all parts of a day: not in every step
KEPT = 2  # checkpoints in the archive
LONGEST_S = 60.0  # between two attempts, while the storage does not answer
REST = 2.0  # a third of the time of one core at most, so that the writer has the rest
GRACE_S = 5.0  # for a step that is under way when the shard ends


class Writer(Protocol):
    """What is archived: a shard."""

    @property
    def next(self) -> int: ...

    @property
    def epoch(self) -> int: ...

    def snapshot(self) -> Snapshot: ...


class Journal(Protocol):
    floor: int
    overtaken: bool


class Kept(Protocol):
    def good(self) -> list[int]: ...


class Archiver:
    """Archives one shard, step by step; `start` does so in a thread of its own."""

    def __init__(
        self,
        shard: Writer,
        journal: Journal,
        kept: Kept,
        archive: Archive,
        *,
        disk: Disk,
        folder: Path,
        region: str,
        clock: Callable[[], int],
        keep_us: int = 0,
    ) -> None:
        """`keep_us`: how long a segment stays on the disk once it is archived; 0: for ever."""
        self._shard, self._journal, self._kept = shard, journal, kept
        self._archive, self._disk, self._folder = archive, disk, folder
        self._region, self._clock, self._keep_us = region, clock, keep_us
        self._offset = self._recorded = self._failures = self._steps = 0
        self._error = ""
        self._checkpoints: list[str] | None = None  # in the archive, once it was looked at
        self._ending = threading.Event()
        self._rest = 0.0  # times what a part took, before the next
        self._thread: threading.Thread | None = None

    def status(self) -> Archived:
        return Archived(
            self._archive.url,
            self._offset,
            self._recorded,
            self._failures,
            self._error,
            self._journal.floor,
            self._keep_us / MICROS,
        )

    def step(self) -> None:
        """Archive everything acknowledged. Raises Fenced, StorageAway, JournalCorrupt."""
        if self._archive.overtaken(self._shard.epoch):
            self._give_up()
        if self._checkpoints is None:
            self._checkpoints = self._begin()
        stop = self._shard.next  # committed: on the disk, and found not fenced after that
        while piece := self._piece(stop):
            began = time.perf_counter()
            part = self._archive.add(piece)
            if self._archive.overtaken(self._shard.epoch):
                self._give_up()  # a successor may have looked before this part was there
            self._tell(piece)
            self._archive.counts(part)
            self._offset = piece.next
            self._ending.wait(self._rest * (time.perf_counter() - began))
        self._carry_checkpoint(self._checkpoints)
        if self._keep_us:
            self.retain()

    def retain(self) -> None:
        """Remove the segments that are old enough, and safe elsewhere. Raises JournalCorrupt."""
        found = segments.parts(self._disk, self._folder, self._shard.epoch)
        good: list[int] | None = None
        for part, after in zip(found, found[1:], strict=False):
            path = self._folder / f"e{part.epoch}" / part.name
            start, end = segments.first_of(part.name), segments.first_of(after.name)
            if end > self._journal.floor:
                if end > self._offset:
                    return
                good = self._kept.good() if good is None else good
                if len(good) < KEPT or good[-KEPT] < end or not self._removable(path, start, end):
                    return
                segments.raise_floor(self._disk, self._folder, end)
                self._journal.floor = end
            self._disk.remove(path)

    def start(self, every_s: float) -> None:
        """Step every `every_s` seconds, later while the storage does not answer."""
        self._rest = REST

        def run() -> None:
            wait = every_s
            while not self._ending.wait(wait):
                wait = every_s if self.attempt() else min(2 * wait, max(LONGEST_S, every_s))

        self._thread = threading.Thread(target=run, name="archiver", daemon=True)
        self._thread.start()

    def attempt(self) -> bool:
        """Step; say whether it succeeded. What went wrong is counted and kept for Status."""
        try:
            self.step()
        except Fenced:
            self._ending.set()
            return False
        except Exception as e:
            log.warning("archiving failed; it is tried again", exc_info=True)
            self._failures += 1
            self._error = str(e)
            self._checkpoints = None  # look again: a put may have taken effect
            return False
        self._error = ""
        return True

    def finish(self) -> None:
        """Stop, with a last step: nothing more is acknowledged."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(GRACE_S)
        self.attempt()

    def _begin(self) -> list[str]:
        """Go on where an archive ends; return the checkpoints in it."""
        known = self._archive.look()
        for part in known.bare:  # whoever put it died before its rows
            if part.epoch > self._shard.epoch:
                self._give_up()  # its twins are not known here
            raw = self._archive.read(f"{part.name}.twj")
            self._tell(Piece(part.epoch, part.first, part.next, raw))
        self._offset = known.next
        return known.checkpoints

    def _piece(self, stop: int) -> Piece | None:
        epoch = self._shard.epoch
        return segments.piece(self._disk, self._folder, epoch, self._offset, stop, MOST)

    def _tell(self, piece: Piece) -> None:
        """Put the rows of a piece beside its frames."""
        found = [one.frame for one in segments.whole(piece.raw)]
        name = f"{Part(piece.epoch, piece.first, piece.next).name}.parquet"
        content = rows.parquet(found, piece.raw, self._shard.snapshot(), self._region)
        if not self._archive.put(name, content):
            rows.verify(self._archive.read(name), piece.raw, range(piece.first, piece.next))
        self._recorded = max(self._recorded, found[-1].ingest_time)

    def _carry_checkpoint(self, names: list[str]) -> None:
        """Put the newest checkpoint that the archived events reach, every few steps."""
        turn = self._steps % CHECKPOINT_STEPS == 0
        reached = [offset for offset in self._kept.good() if offset <= self._offset] if turn else []
        self._steps += 1
        if reached and (name := checkpoints.name_of(reached[-1])) not in names:
            self._archive.put(name, self._disk.read(self._folder / name))
            names.append(name)
            while len(names) > KEPT:
                self._archive.remove(names.pop(0))

    def _removable(self, path: Path, start: int, end: int) -> bool:
        """Say whether a segment is old enough. Raises JournalCorrupt if its copy is not whole."""
        content = self._disk.read(path)
        found = [one for one in segments.whole(_used(content)) if one.frame.size]
        if found and found[-1].frame.ingest_time > self._clock() - self._keep_us:
            return False
        here = b"".join(content[one.start : one.end] for one in found if one.frame.first < end)
        if self._archive.raw(start, end) != here:
            raise JournalCorrupt(f"the archived copy of {path.name} differs; it stays on the disk")
        return True

    def _give_up(self) -> None:
        """The disk of this shard is no longer the one that counts: acknowledge nothing more."""
        self._journal.overtaken = True
        raise Fenced("a newer epoch is announced in the archive", 0.5)


def _used(content: bytes) -> bytes:
    """Return the frames of a segment without what is behind the last whole one."""
    last = segments.last(memoryview(content))
    return content[: last.end] if last else b""
