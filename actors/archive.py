"""The archive: a shard's journal in object storage, so that it outlives the disk of the shard.

    epoch-000002   claim-000002   ckpt-00000000000000000120.twc
    part-000001-00000000000000000000-00000000000000000120.twj, and .parquet beside it

A part is whole frames of one epoch, byte for byte; its name says which offsets, so whoever makes
it makes the same object. Writers are told apart as on a disk: a successor makes its marker, only
then looks what is there, and claims where each older epoch ends. What came later does not count.
"""

from __future__ import annotations

import bisect
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec

from actors import segments
from actors.marker import RETRY_AFTER_S
from actors.segments import Piece
from actors.store import Store
from twin import frames
from twin.errors import Compacted, Fenced, JournalCorrupt, StorageAway
from twin.frames import Frame

_PART = re.compile(r"part-(\d{6})-(\d{20})-(\d{20})\.twj")
AGAIN_S = 5.0
HELD = 2  # parts in memory, for reads of single frames


class Part(NamedTuple):
    """An object that holds the offsets from `first` to `next` of one epoch."""

    epoch: int
    first: int
    next: int

    @property
    def name(self) -> str:
        return f"part-{self.epoch:06d}-{self.first:020d}-{self.next:020d}"


class Claim(msgspec.Struct, frozen=True):
    """What the writer of an epoch goes on from: the offset behind each epoch before it."""

    epoch: int
    ends: list[int]


class Known(NamedTuple):
    """What an archive held when it was looked at."""

    newest: int  # the greatest epoch that anyone has announced
    claimed: int  # the greatest one that says what it goes on from
    ends: list[int]
    chain: list[Part]  # the journal as far as it is here, without gap
    bare: list[Part]  # of these, what has no rows beside it yet
    checkpoints: list[str]

    @property
    def next(self) -> int:
        return self.chain[-1].next if self.chain else 0

    @property
    def missing(self) -> int:
        """How many offsets of sealed epochs the last writer knew, and are not here."""
        return max(0, max(self.ends, default=0) - self.next)


class Archived(NamedTuple):
    """How far an archive is. What was acknowledged from `offset` on is on this disk alone."""

    url: str
    offset: int
    recorded: int  # ingest_time of the newest event in it, 0 if this process put none
    failures: int
    error: str  # of the latest attempt; empty if it succeeded
    floor: int  # the first offset that is still on the disk
    keep_s: float  # how long the disk keeps what is archived, by the twin's clock; 0: for ever


class Archive:
    """One shard's place in a store. Raises StorageAway when the store does not answer."""

    def __init__(self, store: Store, place: str) -> None:
        self.url = store.url
        self._store = store
        self._place = place
        self._chain: list[Part] = []
        self._held: OrderedDict[Part, bytes] = OrderedDict()
        self._lock = threading.Lock()  # of what is held: several threads read

    def look(self) -> Known:
        """Return what is here now."""
        names = self._names()
        newest = max((int(n[6:]) for n in names if n.startswith("epoch-")), default=0)
        claimed = max((int(n[6:]) for n in names if n.startswith("claim-")), default=0)
        ends = self._claim(claimed).ends if claimed else []
        parts = [Part(*map(int, m.groups())) for n in names if (m := _PART.fullmatch(n))]
        self._chain = chain(parts, ends)
        kept = sorted(n for n in names if n.startswith("ckpt-"))
        told = set(names)
        bare = [part for part in self._chain if f"{part.name}.parquet" not in told]
        return Known(newest, claimed, ends, self._chain, bare, kept)

    def announce(self, epoch: int, owner: str) -> None:
        """Make the marker of `epoch`, which follows the newest one. Raises Fenced otherwise."""
        name, said = f"epoch-{epoch:06d}", owner.encode()
        newest = max((int(n[6:]) for n in self._names() if n.startswith("epoch-")), default=0)
        for older in range(newest + 1, epoch):  # of a disk that had no archive then
            self.put(f"epoch-{older:06d}", b"before the archive")
        if newest >= epoch or not (self.put(name, said) or self.read(name) == said):
            raise Fenced(f"epoch {epoch} does not follow {newest}, or is taken", RETRY_AFTER_S)

    def claim(self, epoch: int, ends: list[int]) -> None:
        """Say what the announced writer of `epoch` goes on from, unless it was overtaken."""
        self.put(f"claim-{epoch:06d}", msgspec.json.encode(Claim(epoch, ends)))
        if self.overtaken(epoch):
            raise Fenced(f"epoch {epoch} is over", RETRY_AFTER_S)

    def overtaken(self, epoch: int) -> bool:
        """Say whether a newer epoch was announced. They have no gaps: one look is enough."""
        try:
            self._store.read(f"{self._place}/epoch-{epoch + 1:06d}")
        except FileNotFoundError:
            return False
        except OSError as e:
            raise StorageAway(f"nobody knows whether epoch {epoch} is over: {e}", AGAIN_S) from e
        return True

    def add(self, piece: Piece) -> Part:
        """Put a piece of the journal. Raises JournalCorrupt if something else has its name."""
        part = Part(piece.epoch, piece.first, piece.next)
        name = f"{part.name}.twj"
        if not self.put(name, piece.raw) and self.read(name) != piece.raw:
            raise JournalCorrupt(f"the archive has other bytes as {name}; compare it with the disk")
        return part

    def counts(self, part: Part) -> None:
        """Take a part as archived: it is whole, and nobody was announced before it was."""
        if part not in self._chain:
            self._chain = [*self._chain, part]

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield the frames that reach beyond `start` and begin before `stop`.

        Raises Compacted if they are not here.
        """
        following = start
        for part in self._chain:
            if part.next <= start or part.first >= stop:
                continue
            for found in segments.whole(self._raw(part)):
                frame = found.frame
                if frame.first + frame.size > start and frame.first < stop:
                    yield frame
                    following = frame.first + frame.size
        if following < stop:
            raise self._gone(following)

    def at(self, offset: int) -> Frame:
        """Return the frame that holds `offset`. Raises Compacted."""
        i = bisect.bisect_right(self._chain, offset, key=lambda part: part.first) - 1
        if i < 0 or self._chain[i].next <= offset:
            raise self._gone(offset)
        raw = memoryview(self._raw(self._chain[i]))
        for first, size, start, _ in frames.places(raw):
            if first <= offset < first + size and (found := frames.read(raw, start)):
                return found.frame
        raise JournalCorrupt(f"{self._chain[i].name} of the archive is damaged at {offset}")

    def raw(self, start: int, stop: int, *, empty: bool = False) -> bytes:
        """Return the archived frames of the offsets from `start` to `stop`, read anew.

        `start` and `stop` lie between frames. `empty`: with those that hold no event. Raises
        Compacted, JournalCorrupt.
        """
        pieces: list[bytes] = []
        following = start
        for part in self._chain:
            if part.next <= start or part.first >= stop:
                continue
            content = self.read(f"{part.name}.twj")
            for found in segments.whole(content):
                frame = found.frame
                if (frame.size or empty) and start <= frame.first < stop:
                    pieces.append(content[found.start : found.end])
                    following = frame.first + frame.size
        if following != stop:
            raise self._gone(following)
        return b"".join(pieces)

    def put(self, name: str, content: bytes) -> bool:
        try:
            return self._store.create(f"{self._place}/{name}", content)
        except OSError as e:
            raise StorageAway(f"{name} was not archived: {e}", AGAIN_S) from e

    def read(self, name: str) -> bytes:
        try:
            return self._store.read(f"{self._place}/{name}")
        except OSError as e:
            raise StorageAway(f"{name} was not read from the archive: {e}", AGAIN_S) from e

    def remove(self, name: str) -> None:
        try:
            self._store.remove(f"{self._place}/{name}")
        except OSError as e:
            raise StorageAway(f"{name} was not removed from the archive: {e}", AGAIN_S) from e

    def _names(self) -> list[str]:
        try:
            return self._store.names(self._place)
        except OSError as e:
            raise StorageAway(f"the archive was not listed: {e}", AGAIN_S) from e

    def _claim(self, epoch: int) -> Claim:
        return msgspec.json.decode(self.read(f"claim-{epoch:06d}"), type=Claim)

    def _raw(self, part: Part) -> bytes:
        with self._lock:
            if part not in self._held:
                self._held[part] = self.read(f"{part.name}.twj")
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
            return self._held[part]

    def _gone(self, offset: int) -> Compacted:
        return Compacted(f"offset {offset} is neither on the disk nor in the archive", AGAIN_S)


def chain(parts: list[Part], ends: list[int]) -> list[Part]:
    """Return the parts that make up the journal, one behind the other, as far as there are any.

    `ends`: behind each epoch that was claimed to be over; what reaches beyond does not count.
    """
    found: list[Part] = []
    at = 0
    for epoch in range(1, max([len(ends), *(part.epoch for part in parts)]) + 1):
        end = ends[epoch - 1] if epoch <= len(ends) else 1 << 62
        hops = _hops([part for part in parts if part.epoch == epoch and part.next <= end])
        while at in hops:
            found.append(hops[at])
            at = hops[at].next
        if epoch <= len(ends) and at < end:
            break  # a gap: what follows was made by a writer that knew more
    assert all(one.next == other.first for one, other in pairwise(found))
    return found


def _hops(parts: list[Part]) -> dict[int, Part]:
    """Return for each offset at which parts begin the one that leads farthest on.

    Parts may overlap: a writer that was overtaken may have put one more.
    """
    hops: dict[int, Part] = {}
    reach: dict[int, int] = {}
    for part in sorted(parts, key=lambda part: part.first, reverse=True):
        farthest = reach.get(part.next, part.next)
        if farthest > reach.get(part.first, -1):
            hops[part.first], reach[part.first] = part, farthest
    return hops
