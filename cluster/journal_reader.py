"""The journal reader: a second reading of a shard's files, by their format alone.

Shares no code with the writer, so what it finds is evidence about it. It only reads, offline or
beside a running twin, never skips a bad byte in silence, and names the file and byte of each.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.archive import Archive, Part
from twin.errors import JournalNewer

Column = NDArray[Any]
MAGIC, VERSION = b"TWJF", 1
HEAD = struct.Struct("<4sHHqqqqqqII")  # ... both CRCs, of the body and of the 60 bytes before it
HEAD_CRC_AT = HEAD.size - 4
WITNESS = struct.Struct("<qI")
NAMES = "names/"
FLOOR = "floor"


class Bad(Exception):
    """Raised where no good frame starts; its text says why."""


class Damage(NamedTuple):
    """What is wrong, and where."""

    file: str
    byte: int
    what: str


class Batch(NamedTuple):
    """One frame: the events of one commit, as columns, and the bytes they lie in."""

    file: Path
    start: int
    end: int
    epoch: int
    first: int
    size: int
    witness: int
    ingest_time: int
    words: list[str]
    names: dict[str, list[str]]  # kind -> tenant/id of twins met for the first time
    contracts: list[str]
    columns: dict[str, Column]

    def ids(self) -> list[str]:
        return texts(self.columns, "id")


class Seal(NamedTuple):
    """Where an epoch ends, as its successor found."""

    segment: str
    length: int
    next: int
    torn_bytes: int


@dataclass
class Epoch:
    """One writer's time: its files, and what was counted in them while they were read."""

    number: int
    owner: str  # node:pid, as its marker says
    state: str  # "sealed"; "open": the newest; "unsealed": left by successors that died
    seal: Seal | None
    segments: list[Path]
    fenced_segments: int  # written by a writer that had been replaced; no part of the journal
    first: int = -1
    next: int = -1
    frames: int = 0
    empty_frames: int = 0  # they only bear witness
    events: int = 0
    parked: int = 0
    bytes: int = 0
    allocated: int = 0
    torn: int = 0  # bytes behind the last whole frame that are not zero


@dataclass
class JournalReader:
    """Reads one shard's journal from its first frame on. `batches` may be run once."""

    folder: Path
    damage: list[Damage] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # the lexicon so far
    names: dict[str, list[str]] = field(default_factory=dict)  # kind -> tenant/id by row, so far
    witness: int = -1  # everything before it was acknowledged; -1: nothing says so
    archive: Archive | None = None  # where what retention removed is read
    floor: int = 0  # the first offset that is on this disk

    def batches(self, since: int = 1) -> Iterator[Batch]:
        """Yield every good frame in order, what is damaged told in `damage`.

        `since`: the first epoch that is read; words and names are whole only from 1 on.
        """
        self.witness = read_witness(self.folder)  # before the frames: they may only be ahead of it
        self.epochs = [epoch for epoch in self._epochs() if epoch.number >= since]
        self.floor = self._floor()
        chain = self.archive.look().chain if self.archive and self.floor else []
        if self.floor and not chain:
            self.spoilt(self.folder / FLOOR, 0, f"{self.floor} offsets are in an archive alone")
        for epoch in self.epochs:
            for part in chain:
                if part.epoch == epoch.number and part.first < self.floor:
                    yield from self._part(epoch, part, 0, self.floor)
            epoch.segments = [path for path in epoch.segments if int(path.name[4:24]) >= self.floor]
            for path in epoch.segments:
                try:
                    content = path.read_bytes()
                except FileNotFoundError:
                    yield from self._moved(epoch, path)
                    continue
                epoch.allocated += len(content)
                yield from self._segment(epoch, path, content)
            if epoch.seal and epoch.seal.segment and epoch.seal.next > self.floor:
                wanted = self.folder / f"e{epoch.number}" / epoch.seal.segment
                if wanted not in epoch.segments:
                    self.spoilt(wanted, 0, "the segment in which its epoch ends is missing")

    def _moved(self, epoch: Epoch, path: Path) -> Iterator[Batch]:
        """Yield what retention moved to the archive since its segment was listed."""
        start, floor = int(path.name[4:24]), self._floor()
        if self.archive is None or start >= floor:
            self.spoilt(path, 0, "the segment is missing")
            return
        behind = [int(other.name[4:24]) for other in epoch.segments if other.name > path.name]
        for part in self.archive.look().chain:
            if part.epoch == epoch.number and part.next > start:
                yield from self._part(epoch, part, start, min([floor, *behind]))

    def _part(self, epoch: Epoch, part: Part, start: int, stop: int) -> Iterator[Batch]:
        """Yield the frames of an archived part that begin before `stop`, from `start` on."""
        assert self.archive is not None
        file = Path(self.archive.url) / f"e{epoch.number}" / part.name
        content = memoryview(self.archive.read(f"{part.name}.twj"))
        at = 0
        while at < len(content):
            try:
                batch = parse(content, at, file)
            except Bad as e:
                self.spoilt(file, at, str(e))
                return
            if start <= batch.first < stop:
                self._count(epoch, batch)
                yield batch
            at = batch.end

    def _floor(self) -> int:
        path = self.folder / FLOOR
        if not path.exists():
            return 0
        body, _, check = path.read_bytes().partition(b"\n")
        if check != b"%08x\n" % zlib.crc32(body):
            self.spoilt(path, 0, "the floor fails its CRC")
            return 0
        return int(body)

    def spoilt(self, file: Path, byte: int, what: str) -> None:
        self.damage.append(Damage(str(file), byte, what))

    def word(self, code: int) -> str:
        """Return a text by its code; "?" for one whose frame is damaged."""
        if code < 0:
            return ""
        return self.words[code] if code < len(self.words) else "?"

    def _segment(self, epoch: Epoch, path: Path, raw: bytes) -> Iterator[Batch]:
        content = memoryview(raw)
        sealed = epoch.seal is not None and path.name == epoch.seal.segment
        limit = epoch.seal.length if epoch.seal and sealed else len(content)
        if limit > len(content):
            self.spoilt(path, len(content), f"the file ends here, its seal says at {limit}")
            limit = len(content)
        at, again = 0, True
        while at < limit:
            try:
                batch = parse(content[:limit], at, path)
            except Bad as e:
                behind = whole_behind(content[:limit], at, path)
                if behind < 0 and not sealed:
                    break
                if again and epoch.state == "open":  # it may have been read while it was written
                    content, again = memoryview(path.read_bytes()), False
                    continue
                self.spoilt(path, at, f"{e}; {_behind(behind)}")
                if behind < 0:
                    break
                at = behind
                continue
            self._count(epoch, batch)
            yield batch
            at = batch.end
        torn = len(bytes(content[limit if sealed else at :]).rstrip(b"\0"))
        if torn and not sealed and path != epoch.segments[-1]:
            self.spoilt(path, at, "no whole frame, nor zeroes, in a segment that was followed")
        epoch.torn += torn

    def _count(self, epoch: Epoch, batch: Batch) -> None:
        self.words += batch.words
        for kind, names in batch.names.items():
            self.names.setdefault(kind, []).extend(names)
        epoch.frames += 1
        epoch.empty_frames += batch.size == 0
        epoch.events += batch.size
        epoch.bytes += batch.end - batch.start
        if batch.size:
            epoch.parked += int((batch.columns["reason"] != 0).sum())
        epoch.first = batch.first if epoch.first < 0 else epoch.first
        epoch.next = batch.first + batch.size

    def _epochs(self) -> list[Epoch]:
        there = {entry.name for entry in self.folder.iterdir()}
        numbers = sorted(int(name[6:]) for name in there if name.startswith("epoch-"))
        found = []
        for number in numbers:
            seal = self._seal(number) if f"seal-{number}" in there else None
            state = "sealed" if seal else "open" if number == numbers[-1] else "unsealed"
            home = self.folder / f"e{number}"
            paths = sorted(home.glob("seg-*.twj")) if home.exists() else []
            counted = [path for path in paths if seal is None or path.name <= seal.segment]
            owner = (self.folder / f"epoch-{number}").read_text(errors="replace")
            fenced = len(paths) - len(counted)
            found.append(Epoch(number, owner, state, seal, counted, fenced))
        for number in sorted(set(range(1, len(numbers) + 1)) - set(numbers)):
            self.spoilt(self.folder / f"epoch-{number}", 0, "the marker is missing")
        return found

    def _seal(self, number: int) -> Seal | None:
        path = self.folder / f"seal-{number}"
        body, _, check = path.read_bytes().partition(b"\n")
        if check != b"%08x\n" % zlib.crc32(body):
            self.spoilt(path, 0, "the seal fails its CRC")
            return None
        said = msgspec.json.decode(body)
        if said["epoch"] != number:
            self.spoilt(path, 0, f"the seal is of epoch {said['epoch']}")
        return Seal(said["segment"], said["length"], said["next"], said["torn_bytes"])


def parse(content: memoryview, start: int, file: Path) -> Batch:
    """Return the frame that starts at byte `start`. Raises Bad, or JournalNewer."""
    if len(content) - start < HEAD.size:
        raise Bad("the file ends within the head of a frame")
    fields = HEAD.unpack_from(content, start)
    magic, version, _, epoch, first, size, witness, ingest_time, length, crc, head_crc = fields
    if magic != MAGIC:
        raise Bad("no frame starts here")
    if zlib.crc32(content[start : start + HEAD_CRC_AT]) != head_crc:
        raise Bad("the head of the frame fails its CRC")
    if version != VERSION:
        raise JournalNewer(
            f"a frame has format {version}, this version reads {VERSION}; "
            "install the version that wrote it, or a later one"
        )
    body = content[start + HEAD.size : start + HEAD.size + length]
    if len(body) < length:
        raise Bad(f"the frame needs {length} bytes, {len(body)} are left")
    if zlib.crc32(body) != crc:
        raise Bad("the body of the frame fails its CRC")
    (index_size,) = struct.unpack_from("<I", body)
    words, kinds, contracts, index = msgspec.msgpack.decode(body[4 : 4 + index_size])
    columns: dict[str, Column] = {}
    at = _eighth(4 + index_size)
    for name, dtype, shape in index:
        column = np.frombuffer(body, dtype, int(np.prod(shape)), at).reshape(shape)
        columns[name] = column
        at = _eighth(at + column.nbytes)
    names = {kind: texts(columns, f"{NAMES}{kind}") for kind in kinds}
    end = _eighth(start + HEAD.size + length)
    return Batch(
        file, start, end, epoch, first, size, witness, ingest_time, words, names, contracts, columns
    )


def whole_behind(content: memoryview, start: int, file: Path) -> int:
    """Return where the next good frame lies behind a bad one at `start`, or -1."""
    raw = bytes(content[start + 1 :])
    at = raw.find(MAGIC)
    while at >= 0:
        place = start + 1 + at
        if place % 8 == 0:
            try:
                parse(content, place, file)
            except Bad:
                pass
            else:
                return place
        at = raw.find(MAGIC, at + 1)
    return -1


def tail(content: Any) -> int:
    """Return where the next frame will start, going by heads alone. `content`: bytes, a map."""
    at = 0
    while (length := body_length(content, at)) >= 0:
        at = _eighth(at + HEAD.size + length)
    return at


def body_length(content: Any, at: int) -> int:
    """Return how long the body of the frame at `at` is to be, or -1 if no head stands there."""
    head = bytes(content[at : at + HEAD.size])
    if len(head) < HEAD.size or head[:4] != MAGIC:
        return -1
    fields = HEAD.unpack(head)
    return int(fields[8]) if zlib.crc32(head[:HEAD_CRC_AT]) == fields[-1] else -1


def read_witness(folder: Path) -> int:
    """Return up to which offset everything was acknowledged, or -1 if nothing says so."""
    try:
        raw = (folder / "witness").read_bytes()[: WITNESS.size]
    except FileNotFoundError:
        return -1
    if len(raw) < WITNESS.size:
        return -1
    offset, check = WITNESS.unpack(raw)
    return int(offset) if zlib.crc32(raw[:8]) == check else -1


def texts(columns: dict[str, Column], name: str) -> list[str]:
    """Return a text column of a frame."""
    ends = columns[f"{name}.offsets"].tolist()
    raw = columns[f"{name}.content"].tobytes()
    return [raw[a:b].decode(errors="replace") for a, b in zip(ends, ends[1:], strict=False)]


def shards(folder: Path) -> dict[str, Path]:
    """Return the journals below a data directory, by shard: kind/region/number."""
    homes = sorted((folder / "journal").glob("*/*/*/"))
    found = {}
    for home in homes:
        region, kind, number = home.relative_to(folder / "journal").parts
        if number.isdigit():
            found[f"{kind}/{region}/{number}"] = home
    return found


def drafts(folder: Path) -> list[str]:
    """Return files that somebody began and died over."""
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("."))


def checkpoints(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("ckpt-*.twc"))


def _behind(place: int) -> str:
    return f"the next whole frame is at byte {place}" if place >= 0 else "none is whole behind it"


def _eighth(at: int) -> int:
    return at + -at % 8
