"""Trails: what writes overwrote, noted for as long as somebody reads what was there before.

A snapshot freezes nothing: it reads the columns that are written on, and then puts back whatever
was overwritten since it was taken. A value is noted before it is overwritten, so a reader who
looks at the trail after it read the columns finds there all that it may have read too late.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.kernels import I32, I64, jit

Column = NDArray[Any]
_WORDS = {1: np.int8, 4: np.int32, 8: np.int64}  # values are put back as words of their size


class Step:
    """What one write overwrote, once there was one: the places, and what was there."""

    __slots__ = ("__weakref__", "at", "following", "held", "of")

    def __init__(self) -> None:
        self.of: object = None  # the arenas that were written on
        self.at: NDArray[np.int64] = np.empty(0, np.int64)
        self.held: Mapping[str, Column] = {}
        self.following: Step | None = None


class Trail:
    """The writer's end of a trail. Whoever follows it holds a step; behind the last, none does."""

    def __init__(self) -> None:
        self._end: weakref.ref[Step] | None = None
        self.noted = 0  # values of a column, since somebody follows

    def join(self) -> Step:
        """Return the step that the next write will fill."""
        end = self._end and self._end()
        if end is None:
            end = Step()
            self._end, self.noted = weakref.ref(end), 0
        return end

    @property
    def followed(self) -> bool:
        return self._end is not None and self._end() is not None

    def note(self, of: object, at: NDArray[np.int64], arenas: Mapping[str, Column]) -> None:
        """Keep what is at some places of `arenas`, which `of` is a name of: they are written next.

        Does nothing where nobody follows.
        """
        end = self._end and self._end()
        if end is None:
            self._end = None
            return
        end.of, end.at = of, at
        end.held = {name: arena.reshape(-1).take(at) for name, arena in arenas.items()}
        after = Step()
        self._end, self.noted = weakref.ref(after), self.noted + at.size
        end.following = after

    def leave(self) -> None:
        """Note nothing any more for those who follow: what they read is not written again."""
        self._end = None


def since(step: Step, of: object) -> Iterator[Step]:
    """Yield what was overwritten in the arenas `of` since a step, oldest first."""
    while (after := step.following) is not None:
        if step.of is of:
            yield step
        step = after


class Undo:
    """What stood at places when a step was joined: found as far as the trail goes by now."""

    def __init__(self, step: Step, of: object) -> None:
        self._step, self._of = step, of
        self._found: list[Step] = []
        self._at = np.empty(0, np.int64)
        self._slots = np.empty(0, np.int32)

    def mend(self, name: str, at: NDArray[np.uint64], values: Column) -> bool:
        """Put back into `values`, just read at some places, what was overwritten; say if any was.

        The columns must have been read before this is called.
        """
        self._follow()
        if not self._at.size:
            return False
        held = np.concatenate([step.held[name] for step in self._found])
        word = _WORDS[held.dtype.itemsize]
        return bool(put_back(self._slots, self._at, held.view(word), at, values.view(word)))

    def _follow(self) -> None:
        step, known = self._step, self._at.size
        while (after := step.following) is not None:
            if step.of is self._of:
                self._found.append(step)
            step = after
        self._step = step
        size = sum(step.at.size for step in self._found)
        if size == known:
            return
        self._at = np.concatenate([step.at for step in self._found])
        if 2 * size > self._slots.size:
            self._slots = np.full(1 << (4 * size).bit_length(), -1, np.int32)
            known = 0
        enter(self._slots, self._at, known)


def mend_whole(step: Step, of: object, bits: int, pages: I64, name: str, whole: Column) -> None:
    """Put back into a whole column, just read, what was overwritten since a step."""
    steps = list(since(step, of))
    if not steps:
        return
    chunk = np.full(int(max(one.at.max(initial=0) for one in steps) >> bits) + 1, -1, np.int64)
    near = np.flatnonzero(pages < chunk.size)
    chunk[pages[near]] = near
    word = _WORDS[whole.dtype.itemsize]
    for one in reversed(steps):  # what is oldest stands
        put_whole(bits, chunk, one.at, one.held[name].view(word), whole.view(word))


@jit
def enter(slots: I32, at: I64, first: int) -> None:
    """Enter the positions of `at` from `first` on; where a place repeats, the first stands."""
    mask = np.uint64(slots.size - 1)
    for i in range(first, at.size):
        slot = (np.uint64(at[i]) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while slots[slot] >= 0 and at[slots[slot]] != at[i]:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i


@jit
def put_back(slots: I32, noted: I64, held: Any, at: Any, values: Any) -> int:
    """Replace the values whose places are noted by what was held there; return how many."""
    mask = np.uint64(slots.size - 1)
    count = 0
    for i in range(at.size):
        place = np.int64(at[i])
        slot = (np.uint64(place) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while slots[slot] >= 0 and noted[slots[slot]] != place:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] >= 0:
            values[i] = held[slots[slot]]
            count += 1
    return count


@jit
def put_whole(bits: int, chunk: I64, at: I64, held: Any, whole: Any) -> None:
    """Put what was held at places into a whole column, where their chunks are among its own."""
    for i in range(at.size):
        mine = chunk[at[i] >> bits]
        row = (mine << bits) + (at[i] & ((1 << bits) - 1))
        if mine >= 0 and row < whole.size:
            whole[row] = held[i]


def warm() -> None:
    """Compile every kernel here for what shards hold, or load it."""
    slots, at = np.full(8, -1, np.int32), np.zeros(1, np.int64)
    enter(slots, at, 0)
    for word in _WORDS.values():
        one = np.zeros(1, word)
        for places in (at, at.astype(np.uint64)):
            put_back(slots, at, one, places, one.copy())
        put_whole(0, at, at, one, one.copy())
