"""Fetching: a journal brought home from its archive, to a disk that lacks it or has it damaged.

Nothing that is on a disk is deleted: what the archive contradicts is set aside, what is damaged
is kept beside its repair. Markers come last, so a fetch that died is begun again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from actors import checkpoints, marker, segments
from actors.archive import Archive, Known, Part
from actors.disk import Disk
from actors.journal_file import LARGEST
from actors.segments import Seal
from twin import frames
from twin.errors import JournalCorrupt


class Fetched(NamedTuple):
    """What was brought home: everything before `next`, and nothing behind it."""

    next: int
    recorded: int  # ingest_time of the newest event in it; 0 if there is none
    missing: int  # offsets that the last writer knew to be journaled, and the archive lacks
    aside: str  # where the folder was moved that others had gone on without


class Repaired(NamedTuple):
    """A segment that was made anew: how many events came from the archive, and stood behind."""

    name: str
    length: int
    archived: int
    kept: int


def fetch(archive: Archive, disk: Disk, home: Path, *, whole: bool = True) -> Fetched | None:
    """Bring a journal to `home`, unless the one there is the newest that anybody claimed.

    `whole`: every event; else those that recovery needs, and the rest is read in the archive.
    Raises StorageAway, JournalCorrupt.
    """
    known = archive.look()
    local = marker.newest(disk, home)
    if not known.newest:
        return None
    if known.claimed <= local:
        _markers(disk, home, local, known.newest)  # of writers that died before they began
        return None
    aside = _set_aside(disk, home, local) if local else ""
    disk.make_folder(home)
    for name in known.checkpoints:
        disk.replace(home / name, archive.read(name))
    since = 0
    reached = [offset for name in known.checkpoints if (offset := checkpoints.offset_of(name))]
    if not whole and reached:
        firsts = [part.first for part in known.chain if part.first <= reached[0]]
        since = max(firsts, default=0)
    recorded = _segments(archive, disk, home, known, since)
    if since:
        segments.raise_floor(disk, home, since)
    _markers(disk, home, 0, known.newest)
    return Fetched(known.next, recorded, known.missing, aside)


def restore(archive: Archive, disk: Disk, home: Path) -> list[Repaired]:
    """Repair the segments of `home` that are damaged or missing, from what is archived.

    Nobody may write there. Raises JournalCorrupt if something damaged is not archived.
    """
    known = archive.look()
    if marker.newest(disk, home) < known.claimed:
        raise JournalCorrupt("the archive is of a newer writer; start the twin, it is fetched")
    floor = _floor(disk, home, known)
    _seals(disk, home, known)
    repaired = []
    newest = marker.newest(disk, home)
    for epoch in range(1, newest + 1):
        mine = [part for part in known.chain if part.epoch == epoch and part.next > floor]
        names = set(segments.names(disk, home, epoch))
        covered = [segments.first_of(name) for name in sorted(names)]
        if mine and (not covered or covered[0] > max(floor, mine[0].first)):
            names.add(segments.name_of(max(floor, mine[0].first)))
        ordered = sorted(names)
        for name, after in zip(ordered, [*ordered[1:], ""], strict=False):
            end = segments.first_of(after) if after else -1
            if one := _repair(archive, disk, home / f"e{epoch}" / name, mine, end):
                _lengthen(disk, home / f"seal-{epoch}", one)
                repaired.append(one)
    return repaired


def _segments(archive: Archive, disk: Disk, home: Path, known: Known, since: int) -> int:
    """Write parts as segments, each behind the one before, and seal every epoch."""
    recorded = at = 0
    for epoch in range(1, known.newest + 1):
        folder = home / f"e{epoch}"
        name, content = "", b""
        disk.make_folder(folder)
        for old in segments.names(disk, home, epoch):  # of a fetch that died
            disk.remove(folder / old)
        for part in (part for part in known.chain if part.epoch == epoch):
            at = part.next
            if part.next <= since:
                continue
            raw = archive.read(f"{part.name}.twj")
            recorded = max(recorded, _newest(raw, part))
            if name and len(content) + len(raw) > LARGEST:
                disk.replace(folder / name, content)
                name, content = "", b""
            name = name or segments.name_of(part.first)
            content += raw
        if name:
            disk.replace(folder / name, content)
        seal = Seal(epoch, name, len(content), at, 0)
        disk.replace(home / f"seal-{epoch}", segments.pack(seal))
    return recorded


def _newest(raw: bytes, part: Part) -> int:
    """Return the newest ingest_time in a part. Raises JournalCorrupt if a byte of it is wrong."""
    found = [one.frame for one in segments.whole(raw) if one.frame.size]
    gaps = [b.first for a, b in pairwise(found) if a.first + a.size != b.first]
    ends = (found[0].first, found[-1].first + found[-1].size) if found else (-1, -1)
    if gaps or ends != (part.first, part.next):
        raise JournalCorrupt(f"{part.name} of the archive does not hold what its name says")
    return found[-1].ingest_time


def _markers(disk: Disk, home: Path, since: int, newest: int) -> None:
    for epoch in range(since + 1, newest + 1):
        disk.create(home / f"{marker.PREFIX}{epoch}", b"archive")


def _set_aside(disk: Disk, home: Path, epoch: int) -> str:
    """Move a journal away that others went on without. Its last events may be nowhere else."""
    number = 1
    while disk.exists(aside := home.with_name(f"{home.name}.aside-{epoch}-{number}")):
        number += 1
    disk.rename(home, aside)
    return str(aside)


def _floor(disk: Disk, home: Path, known: Known) -> int:
    """Return the floor; one that is damaged is made anew, below everything on the disk."""
    try:
        return segments.floor(disk, home)
    except JournalCorrupt:
        held = [
            segments.first_of(name)
            for epoch in range(1, marker.newest(disk, home) + 1)
            for name in segments.names(disk, home, epoch)
        ]
        floor = min(min(held, default=known.next), known.next)
        segments.raise_floor(disk, home, floor)
        return floor


def _seals(disk: Disk, home: Path, known: Known) -> None:
    """Have every seal whole: the claim says where its epoch ends, its frames at which byte."""
    for epoch in range(1, marker.newest(disk, home)):
        path = home / f"seal-{epoch}"
        if not disk.exists(path):
            continue
        try:
            segments.unpack(disk.read(path), path.name)
        except JournalCorrupt:
            if epoch > len(known.ends):
                disk.rename(path, path.with_name(f".{path.name}.damaged"))
                continue  # its epoch is sealed again at the next start
            names = segments.names(disk, home, epoch)
            end = known.ends[epoch - 1]
            while names and segments.first_of(names[-1]) >= end:
                names.pop()
            content = disk.read(home / f"e{epoch}" / names[-1]) if names else b""
            ends = [place[3] for place in segments.index(memoryview(content)) if place[1] <= end]
            seal = Seal(epoch, names[-1] if names else "", ends[-1] if ends else 0, end, 0)
            disk.replace(path, segments.pack(seal))


def _repair(
    archive: Archive, disk: Disk, path: Path, mine: list[Part], end: int
) -> Repaired | None:
    """Make one segment anew if it is damaged. `end`: the first offset of the one behind it, -1."""
    content = disk.read(path) if disk.exists(path) else b""
    last = segments.last(memoryview(content))
    used = last.end if last else 0
    reached = _ends(last) if last else segments.first_of(path.name)
    archived = mine[-1].next if mine else 0
    pieces, brought, kept = [content[:used]], 0, 0

    def bring(until: int) -> None:
        nonlocal brought
        if until > archived:
            what = f"the offsets from {reached} to {until} are damaged, and not archived"
            raise JournalCorrupt(f"{path.name}: {what}; what is whole was left as it is")
        pieces.append(archive.raw(reached, until, empty=True))
        brought += until - reached

    for one in _behind(content, used):
        if one.frame.first < reached:
            continue
        if one.frame.first > reached:
            bring(one.frame.first)
        pieces.append(content[one.start : one.end])
        reached, kept = _ends(one), kept + one.frame.size
    if reached < (wanted := end if end >= 0 else archived):
        bring(wanted)
    torn = end >= 0 and any(content[used:])  # behind the last segment recovery cuts it
    if len(pieces) == 1 and not torn:
        return None
    if disk.exists(path):
        disk.rename(path, path.with_name(f".{path.name}.damaged"))
    joined = b"".join(pieces)
    disk.replace(path, joined)
    return Repaired(path.name, len(joined), brought, kept)


def _lengthen(disk: Disk, path: Path, repaired: Repaired) -> None:
    """Have the seal of an epoch end where its repaired segment does."""
    if not disk.exists(path):
        return
    seal = segments.unpack(disk.read(path), path.name)
    if seal.segment == repaired.name:
        longer = Seal(seal.epoch, seal.segment, repaired.length, seal.next, seal.torn_bytes)
        disk.replace(path, segments.pack(longer))


def _behind(content: bytes, start: int) -> Iterator[frames.Found]:
    """Yield the good frames behind damage, in order."""
    view = memoryview(content)
    at = frames.later(view, start)
    while at >= 0:
        found = frames.read(view, at)
        if found is None:
            at = frames.later(view, at + 8)
            continue
        yield found
        at = found.end if frames.read(view, found.end) else frames.later(view, found.end)


def _ends(one: frames.Found) -> int:
    return one.frame.first + one.frame.size
