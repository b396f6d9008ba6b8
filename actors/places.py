"""Places: where the frames of a segment lie, by offset and by ingest time.

Only heads are read, and of each stretch of the file one is remembered: so the first look at a
segment reads a little of it, and the next one hardly more than the frame it is after. What a mark
says was walked to from the beginning of the segment; no bytes within a frame are taken for one.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from actors.disk import Disk
from twin.frames import HEAD_SIZE, head

STRETCH = 64 << 10  # bytes between two marks
SMALL, LARGE = 4 << 10, 64 << 10  # bytes read at once: where frames are large, where small


class Mark(NamedTuple):
    """A frame: its first offset, the ingest time of its events, and where it begins."""

    first: int
    ingest_time: int
    start: int


class Place(NamedTuple):
    """A frame with events: the offsets in it, their ingest time, and its bytes in the file."""

    first: int
    next: int
    ingest_time: int
    start: int
    end: int


class Places:
    """One segment's. A writer adds what it appends; of older segments readers walk the heads."""

    def __init__(self, disk: Disk, path: Path, end: int) -> None:
        """`end`: the byte behind the last frame that counts."""
        self._disk = disk
        self._path = path
        self._end = end
        self._marks: list[Mark] = []
        self._walked = 0  # the byte up to which frames are known
        self._next = -1  # and the offset there
        self._own = False  # its writer tells of every frame
        self.earliest: int | None = None  # event time; None: nobody read all of it yet
        self._lock = threading.Lock()

    def add(self, place: Place, earliest: int) -> None:
        """Take in a frame that was appended just now: each of them, in order, by their writer.

        `earliest`: the least event time in it.
        """
        known = self.earliest
        self.earliest = earliest if known is None else min(known, earliest)
        self._own, self._end = True, place.end
        self._remember(place)

    def at(self, offset: int) -> Place | None:
        """Return the frame that holds an offset, or None if none of this segment does."""
        if offset < self._next:
            i = bisect.bisect_right(self._marks, offset, key=lambda mark: mark.first) - 1
            places = self._walk(self._marks[i].start) if i >= 0 else iter(())
            return _holding(places, offset)
        with self._lock:
            return _holding(self._walk(self._walked), offset)

    def first(self) -> Place | None:
        """Return the first frame with events."""
        with self._lock:
            return next(self._walk(0), None)

    def cut(self, known_at: int) -> int | None:
        """Return the first offset that was ingested after a time; None: all were by then."""
        with self._lock:
            marks = self._marks[:]
            i = bisect.bisect_right(marks, known_at, key=lambda mark: mark.ingest_time)
            places = self._walk(marks[i - 1].start if i else 0)
            return next((p.first for p in places if p.ingest_time > known_at), None)

    def _walk(self, start: int) -> Iterator[Place]:
        """Yield the frames with events from byte `start` on, and remember those met first."""
        at, held, begin = start, b"", start  # `held`: bytes of the file from `begin` on
        read = LARGE
        while at < self._end:
            if at + HEAD_SIZE > begin + len(held):
                begin, held = at, self._disk.read(self._path, at, min(read, self._end - at))
            found = head(memoryview(held), at - begin)
            if found is None:
                return
            end = at + found.length
            read = SMALL if found.length > LARGE else LARGE
            place = Place(found.first, found.first + found.size, found.ingest_time, at, end)
            if not self._own and end > self._walked:
                self._remember(place)
            at = end
            if found.size:
                yield place

    def _remember(self, place: Place) -> None:
        if place.next > place.first and (
            not self._marks or place.start >= self._marks[-1].start + STRETCH
        ):
            self._marks.append(Mark(place.first, place.ingest_time, place.start))
        self._walked, self._next = place.end, max(self._next, place.next)


def _holding(places: Iterator[Place], offset: int) -> Place | None:
    for place in places:
        if place.first <= offset < place.next:
            return place
        if place.first > offset:
            return None
    return None
