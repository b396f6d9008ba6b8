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

from twin.gather import WORDS, enter, put_back, put_whole
from twin.kernels import I64

Column = NDArray[Any]


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
        end = None if self._end is None else self._end()
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
        end = None if self._end is None else self._end()
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

    def mend(self, name: str, at: Column, values: Column) -> bool:
        """Put back into `values`, just read at some places, what was overwritten; say if any was.

        The columns must have been read before this is called.
        """
        if self._step.following is not None:
            self._follow()
        if not self._at.size:
            return False
        held = np.concatenate([step.held[name] for step in self._found])
        word = WORDS[held.dtype.itemsize]
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
    chunk = _chunks(steps, bits, pages)
    word = WORDS[whole.dtype.itemsize]
    for one in reversed(steps):  # what is oldest stands
        put_whole(bits, chunk, one.at, one.held[name].view(word), whole.view(word))


def touched(step: Step, of: object, bits: int, pages: I64) -> I64:
    """Return the rows of some chunks that were written on since a step, each once or more."""
    steps = list(since(step, of))
    if not steps:
        return np.empty(0, np.int64)
    at = np.concatenate([one.at for one in steps])
    mine = _chunks(steps, bits, pages)[at >> bits]
    rows: I64 = ((mine << bits) + (at & ((1 << bits) - 1)))[mine >= 0]
    return rows


def _chunks(steps: list[Step], bits: int, pages: I64) -> I64:
    """Return which chunk lies at each place that was written on, or -1."""
    last = max((int(one.at.max(initial=0)) for one in steps), default=0)
    chunk = np.full((last >> bits) + 1, -1, np.int64)
    near = np.flatnonzero(pages < chunk.size)
    chunk[pages[near]] = near
    return chunk
