"""Segments: the files of a journal, their names, and where each epoch of it ends.

Frames that were acknowledged never change, whoever writes behind them: so they can be read
beside their writer, and carried elsewhere piece by piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.disk import Disk
from twin import frames
from twin.errors import JournalCorrupt

SUFFIX = ".twj"
FLOOR = "floor"  # a file: the first offset that is still on this disk
AHEAD = ".ahead"  # a segment that is prepared, and not begun
Place = tuple[int, int, int, int]  # first offset, the one behind the last, start, end in the file


class Seal(msgspec.Struct, frozen=True):
    """Where an epoch ends: in which segment, at which byte, and the offset that comes next."""

    epoch: int
    segment: str
    length: int
    next: int
    torn_bytes: int


class Part(NamedTuple):
    """A segment that counts, and the byte behind its last frame (-1: as far as there are any)."""

    epoch: int
    name: str
    end: int


class Piece(NamedTuple):
    """Whole frames of one epoch, one behind the other: the offsets from `first` to `next`."""

    epoch: int
    first: int
    next: int
    raw: bytes


def name_of(first: int) -> str:
    return f"seg-{first:020d}{SUFFIX}"


def first_of(name: str) -> int:
    return int(name[4:24])


def names(disk: Disk, folder: Path, epoch: int) -> list[str]:
    """Return the segments of an epoch, oldest first."""
    return sorted(n for n in disk.names(folder / f"e{epoch}") if n.endswith(SUFFIX))


def seals(disk: Disk, folder: Path, below: int) -> list[Seal]:
    """Return the seals of the epochs before `below`, in order. Raises JournalCorrupt."""
    known = {f"seal-{epoch}": epoch for epoch in range(1, below)}
    there = known.keys() & set(disk.names(folder))
    return [unpack(disk.read(folder / name), name) for name in known if name in there]


def parts(disk: Disk, folder: Path, epoch: int) -> list[Part]:
    """Return the segments that count for the writer of `epoch`, oldest first."""
    found = []
    for seal in seals(disk, folder, epoch):
        for name in names(disk, folder, seal.epoch):
            if name <= seal.segment:
                found.append(Part(seal.epoch, name, seal.length if name == seal.segment else -1))
    return found + [Part(epoch, name, -1) for name in names(disk, folder, epoch)]


def piece(disk: Disk, folder: Path, epoch: int, at: int, stop: int, most: int) -> Piece | None:
    """Return frames of one epoch from offset `at` on, before `stop`; of `most` bytes, or one frame.

    `epoch`: of the writer that has acknowledged everything before `stop`. None: there are none.
    Empty frames come with the event behind them. Raises JournalCorrupt if `at` is not there.
    """
    found = parts(disk, folder, epoch)
    behind = [first_of(part.name) for part in found[1:]] + [stop]
    taken: list[bytes] = []
    empty: list[bytes] = []  # frames since the last event
    following, size_, owner = at, 0, 0
    for part, after in zip(found, behind, strict=False):
        if after < at or first_of(part.name) >= stop:
            continue
        if part.epoch != owner:
            if taken:
                break
            owner, empty = part.epoch, []
        content = disk.read(folder / f"e{part.epoch}" / part.name)
        end = part.end if part.end >= 0 else len(content)
        for first, size, begins, ends in frames.places(memoryview(content)[:end]):
            if not size:
                empty.append(content[begins:ends])
                continue
            if first + size <= at:
                empty = []
                continue
            if first >= stop or (taken and size_ + ends - begins > most):
                return Piece(owner, at, following, b"".join(taken)) if taken else None
            if first != following:
                raise JournalCorrupt(f"{part.name}: offset {following} is missing at byte {begins}")
            taken += [*empty, content[begins:ends]]
            size_ += ends - begins
            following, empty = first + size, []
    return Piece(owner, at, following, b"".join(taken)) if taken else None


def whole(content: bytes) -> Iterator[frames.Found]:
    """Yield the frames of a piece. Raises JournalCorrupt if one of its bytes is wrong."""
    end = 0
    for found in frames.scan(memoryview(content)):
        end = found.end
        yield found
    if end != len(content):
        raise JournalCorrupt(f"the frame at byte {end} of {len(content)} is damaged")


def index(content: memoryview) -> list[Place]:
    """Return where the frames with events lie."""
    places = frames.places(content)
    return [(first, first + size, start, end) for first, size, start, end in places if size]


def last(content: memoryview) -> frames.Found | None:
    """Return the last good frame before the first place where there is none."""
    newest = None
    for found in frames.scan(content):
        newest = found
    return newest


def floor(disk: Disk, folder: Path) -> int:
    """Return the first offset that is still on this disk. Raises JournalCorrupt."""
    path = folder / FLOOR
    if not disk.exists(path):
        return 0
    body, _, check = disk.read(path).partition(b"\n")
    if check != b"%08x\n" % zlib.crc32(body):
        raise JournalCorrupt(f"{FLOOR} fails its checksum; `twin journal restore` makes it anew")
    return int(body)


def raise_floor(disk: Disk, folder: Path, offset: int) -> None:
    """Say durably that everything before `offset` is in the archive alone."""
    body = b"%d" % offset
    disk.replace(folder / FLOOR, body + b"\n%08x\n" % zlib.crc32(body))


def pack(seal: Seal) -> bytes:
    body = msgspec.json.encode(seal)
    return body + b"\n%08x\n" % zlib.crc32(body)


def unpack(raw: bytes, name: str) -> Seal:
    body, _, check = raw.partition(b"\n")
    if check != b"%08x\n" % zlib.crc32(body):
        raise JournalCorrupt(f"{name} fails its checksum; `twin journal restore` repairs it")
    return msgspec.json.decode(body, type=Seal)
