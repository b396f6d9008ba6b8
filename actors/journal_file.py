"""A journal in files: per epoch a folder of segments, zeroes written ahead, read up to its seal.

    epoch-3  seal-2  witness  e3/seg-00000000000000005733.twj

A seal is made once, by a successor, behind the last whole frame; what a fenced writer appends
after that is not part of the journal. A torn tail is cut and counted; a bad frame with a good one
behind it, or a journal that ends before what was acknowledged, is corruption and never skipped.
"""

from __future__ import annotations

import bisect
import logging
import struct
import time
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from actors import marker
from actors.disk import Disk, File
from twin import frames
from twin.errors import DiskFull, Fenced, JournalCorrupt, JournalFailed
from twin.frames import Found, Frame

log = logging.getLogger(__name__)
SMALLEST, LARGEST = 1 << 20, 64 << 20  # bytes of a segment; each is twice the one before
WITNESS = struct.Struct("<qI")


Place = tuple[int, int, int, int]  # first offset, the one behind the last, start, end in the file


class Seal(msgspec.Struct, frozen=True):
    """Where an epoch ends: in which segment, at which byte, and the offset that comes next."""

    epoch: int
    segment: str
    length: int
    next: int
    torn_bytes: int


class FileJournal:
    """Opens nothing until it is claimed. One thread at a time."""

    def __init__(self, disk: Disk, folder: Path, epoch: int, owner: str = "") -> None:
        self.epoch = epoch
        self.torn_bytes = 0  # cut from tails when this epoch began
        self.next = 0  # offset of the next event, once claimed
        self.bytes = 0  # appended in this epoch
        self.took_s: deque[float] = deque(maxlen=1000)  # the latest appends, sync included
        self._disk = disk
        self._folder = folder
        self._owner = owner
        self._successor = marker.following(folder, epoch)
        self._file: File | None = None
        self._at = 0
        self._size = 0
        self._largest = SMALLEST
        self._failed = False
        self._places: dict[Path, list[Place]] = {}

    def claim(self) -> None:
        self._disk.make_folder(self._folder)
        marker.claim(self._disk, self._folder, self.epoch, self._owner)
        sealed = {seal.epoch: seal for seal in self._seals()}
        ends = []
        for epoch in range(1, self.epoch):
            ends.append(sealed.get(epoch) or self._end(epoch, self.next))
            self.next = max(self.next, ends[-1].next)
        self._check_witness()  # before any seal is made: what is restored must not be cut off
        for seal in ends:
            if seal.epoch not in sealed:
                self._disk.create(self._folder / f"seal-{seal.epoch}", _pack(seal))
        self.next = max((seal.next for seal in self._seals()), default=0)  # whoever made them
        self._disk.make_folder(self._folder / f"e{self.epoch}")

    def scan(self, offset: int = 0) -> Iterator[Frame]:
        for seal in self._seals():
            names = self._segments(seal.epoch)
            for name, after in zip(names, [*names, ""][1:], strict=True):
                if name > seal.segment or (after and _first(after) <= offset):
                    continue
                content = memoryview(self._disk.read(self._folder / f"e{seal.epoch}" / name))
                end = seal.length if name == seal.segment else len(content)
                for found in frames.scan(content[:end]):
                    if found.frame.first + found.frame.size > offset:
                        yield found.frame
        yield from self._own(offset)

    def _own(self, offset: int) -> Iterator[Frame]:
        """Yield this epoch's frames that reach beyond `offset`, as far as they are written."""
        names = self._segments(self.epoch)
        for name, after in zip(names, [*names, ""][1:], strict=True):
            if after and _first(after) <= offset:
                continue
            content = memoryview(self._disk.read(self._folder / f"e{self.epoch}" / name))
            for found in frames.scan(content):
                if found.frame.first + found.frame.size > offset:
                    yield found.frame

    def at(self, offset: int) -> Frame | None:
        if not 0 <= offset < self.next:
            return None
        for epoch, name, end in reversed(self._parts()):
            if _first(name) > offset:
                continue
            path = self._folder / f"e{epoch}" / name
            index = self._places.get(path)
            if index is None or index[-1:] == [] or index[-1][1] < min(offset + 1, self.next):
                index = _index(memoryview(self._disk.read(path))[:end])
                self._places[path] = index
            at = bisect.bisect_right(index, offset, key=lambda place: place[0]) - 1
            if at < 0 or index[at][1] <= offset:
                continue
            _, _, start, stop = index[at]
            found = frames.read(memoryview(self._disk.read(path, start, stop - start)), 0)
            return found.frame if found else None
        return None

    def _parts(self) -> list[tuple[int, str, int]]:
        """Return (epoch, segment, where it ends) of every segment that counts, oldest first."""
        parts = []
        for seal in self._seals():
            for name in self._segments(seal.epoch):
                if name <= seal.segment:
                    parts.append((seal.epoch, name, seal.length if name == seal.segment else -1))
        names = self._segments(self.epoch)
        parts += [(self.epoch, name, self._at if name == names[-1] else -1) for name in names]
        return [(epoch, name, end if end >= 0 else 1 << 62) for epoch, name, end in parts]

    def append(self, frame: Frame) -> None:
        if self._failed:
            raise JournalFailed("an append failed before; end this process, recovery reads again")
        raw = frames.encode(frame)
        if self._file is None or self._at + len(raw) > self._size:
            if not frame.size:
                return  # no segment is made only to bear witness: its name is the next frame's
            self._roll(frame.first, len(raw))
        assert self._file is not None
        start = time.perf_counter()
        try:
            self._file.write(self._at, raw)
            self._file.sync()
        except OSError as e:
            self._failed = True  # never retried on this file: a failed sync may have lost pages
            raise JournalFailed(f"offset {frame.first} did not reach the disk: {e}") from e
        self.took_s.append(time.perf_counter() - start)
        self._at += len(raw)
        self.bytes += len(raw)
        self.next = frame.first + frame.size

    def fenced(self) -> bool:
        return self._disk.exists(self._successor)

    def witness(self, offset: int) -> None:
        """Note that everything before `offset` was acknowledged; not synced, so it may lag."""
        packed = struct.pack("<q", offset)
        try:
            self._disk.note(
                self._folder / "witness", packed + struct.pack("<I", zlib.crc32(packed))
            )
        except OSError:
            log.warning("the witness of offset %d was not written", offset, exc_info=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _roll(self, first: int, needed: int) -> None:
        if self.fenced():
            raise Fenced(f"epoch {self.epoch} is over", marker.RETRY_AFTER_S)
        self.close()
        size = max(self._largest, needed)
        path = self._folder / f"e{self.epoch}" / f"seg-{first:020d}.twj"
        try:
            self._file = self._disk.allocate(path, size)
        except DiskFull:
            raise
        except OSError as e:
            raise JournalFailed(f"no new segment could be made: {e}") from e
        self._at, self._size = 0, size
        self._largest = min(2 * size, LARGEST)

    def _end(self, epoch: int, first: int) -> Seal:
        """Return where an unsealed epoch ends. `first`: the offset that it began with."""
        names = self._segments(epoch)
        if not names:
            return Seal(epoch, "", 0, first, 0)
        for name in names[:-1]:
            self._whole(epoch, name)
        path = self._folder / f"e{epoch}" / names[-1]
        content = memoryview(self._disk.read(path))
        last = _last(content)
        end = last.end if last else 0
        if last:  # its writer may never have synced it; those before it were, or it would not be
            self._disk.rewrite(path, last.start, bytes(content[last.start : end]))
        if (good := frames.later(content, end)) >= 0:
            raise JournalCorrupt(
                f"{path.name}: the frame at byte {end} is damaged, one at {good} is whole; "
                "restore the segment from its archive"
            )
        torn = len(bytes(content[end:]).rstrip(b"\0"))
        following = last.frame.first + last.frame.size if last else _first(names[-1])
        self.torn_bytes += torn
        return Seal(epoch, names[-1], end, following, torn)

    def _whole(self, epoch: int, name: str) -> None:
        """Check that a segment before the last one ends in zeroes behind its last frame."""
        content = memoryview(self._disk.read(self._folder / f"e{epoch}" / name))
        last = _last(content)
        end = last.end if last else 0
        if any(bytes(content[end:])):
            raise JournalCorrupt(f"{name}: the frame at byte {end} is damaged; restore the segment")

    def _seals(self) -> list[Seal]:
        """Return the seals of older epochs, in order."""
        names = {f"seal-{epoch}": epoch for epoch in range(1, self.epoch)}
        there = names.keys() & set(self._disk.names(self._folder))
        return [
            _unpack(self._disk.read(self._folder / name), name) for name in names if name in there
        ]

    def _segments(self, epoch: int) -> list[str]:
        return sorted(n for n in self._disk.names(self._folder / f"e{epoch}") if n.endswith(".twj"))

    def _check_witness(self) -> None:
        """Raise JournalCorrupt if the journal ends before what is known to be acknowledged."""
        path = self._folder / "witness"
        if not self._disk.exists(path):
            return
        raw = self._disk.read(path)[: WITNESS.size]
        if len(raw) < WITNESS.size:
            return
        offset, check = WITNESS.unpack(raw)
        if check == zlib.crc32(raw[:8]) and offset > self.next:
            raise JournalCorrupt(
                f"the journal ends at {self.next}, but {offset} was acknowledged; restore the disk"
            )


def _index(content: memoryview) -> list[Place]:
    places = frames.places(content)
    return [(first, first + size, start, end) for first, size, start, end in places if size]


def _last(content: memoryview) -> Found | None:
    last = None
    for found in frames.scan(content):
        last = found
    return last


def _first(name: str) -> int:
    return int(name[4:24])


def _pack(seal: Seal) -> bytes:
    body = msgspec.json.encode(seal)
    return body + b"\n%08x\n" % zlib.crc32(body)


def _unpack(raw: bytes, name: str) -> Seal:
    body, _, check = raw.partition(b"\n")
    if check != b"%08x\n" % zlib.crc32(body):
        raise JournalCorrupt(f"{name} fails its checksum; restore it from its archive")
    return msgspec.json.decode(body, type=Seal)
