"""Waiting: which effects of which rows have not arrived, since which offset, and in what order.

Memory is for what waits: a row that nothing waits of takes none once nothing waits at all.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.arena import untouched
from twin.derived import EFFECTS

Column = NDArray[Any]
BITS = np.array([1 << effect for effect in range(len(EFFECTS))])  # of each effect
ALL = int(BITS.sum())
_WIDTH = len(EFFECTS)
_SPAN = 1 << 32 - _WIDTH  # offsets that four bytes tell apart
_PIECE = 4096  # rows in a piece: what has to be unpacked to get a few


class Marks:
    """For each row a bit of each effect that waits, and the offset that decided it last."""

    def __init__(self) -> None:
        self._held = untouched(0, np.uint32)  # offset - base, then the bits; 0: nothing waits
        self._base = 0

    def bits(self, rows: Column) -> NDArray[np.int64]:
        return self._held[rows].astype(np.int64) & ALL

    def offsets(self, rows: Column) -> NDArray[np.int64]:
        return (self._held[rows].astype(np.int64) >> _WIDTH) + self._base

    def rows(self) -> NDArray[np.int64]:
        """Return where anything waits."""
        return np.flatnonzero(self._held)

    def least(self) -> int | None:
        """Return the least offset of what waits, None if nothing does."""
        held = self._held[self._held > 0]
        return int(held.min() >> _WIDTH) + self._base if held.size else None

    def put(self, rows: Column, offsets: Column, bits: Column) -> None:
        """Have `bits` (not 0) wait of each row; a row comes once."""
        if rows.size:
            self._fit(int(offsets.min()), int(offsets.max()))
            self._held[rows] = (offsets - self._base) << _WIDTH | bits

    def clear(self, rows: Column, effects: Column) -> None:
        """Forget effects that wait; each (row, effect) comes once."""
        np.subtract.at(self._held, rows, BITS[effects].astype(self._held.dtype))
        self._held[rows[(self._held[rows] & ALL) == 0]] = 0

    def drop(self, rows: Column) -> None:
        self._held[rows] = 0

    def empty(self) -> None:
        """Give the memory back: nothing waits."""
        self._held, self._base = untouched(self._held.size, np.uint32), 0

    def bytes(self) -> int:
        """Return the memory taken; rows that nothing waits of may take less."""
        return self._held.nbytes if self._held.any() else 0

    def reserve(self, size: int) -> None:
        """Have room for that many rows."""
        held = self._held
        if size > held.size:
            self._held = untouched(max(size, held.size + held.size // 4), held.dtype)
            some = np.flatnonzero(held)
            self._held[some] = held[some]

    def _fit(self, least: int, most: int) -> None:
        """Have offsets from `least` to `most` told apart, beside those that are held."""
        fits = self._base <= least and most - self._base < _SPAN
        if fits or self._held.itemsize > 4:
            return
        rows = self.rows()
        offsets, bits = self.offsets(rows), self.bits(rows)
        self._base = min([least, *offsets.tolist()])
        if max([most, *offsets.tolist()]) - self._base >= _SPAN:
            self._held, self._base = untouched(self._held.size, np.int64), 0
        self._held[rows] = (offsets - self._base) << _WIDTH | bits


class Line:
    """Rows in the order they came in; a row may come twice."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, Column]] = deque()  # first row, and the steps between

    def add(self, rows: Column) -> None:
        rows = np.sort(rows)  # close to each other, they take a byte or two
        for at in range(0, rows.size, _PIECE):
            piece = rows[at : at + _PIECE]
            steps = np.diff(piece, prepend=piece[0])
            self._pieces.append((int(piece[0]), steps.astype(np.min_scalar_type(steps.max()))))

    def take(self, most: int) -> NDArray[np.int64]:
        """Take at most so many out; return each row once, ascending."""
        found = [np.zeros(0, np.int64)]
        while self._pieces and most > 0:
            first, steps = self._pieces.popleft()
            rows = first + np.cumsum(steps, dtype=np.int64)
            if rows.size > most:
                left = steps[most:].copy()
                left[0] = 0
                self._pieces.appendleft((int(rows[most]), left))
                rows = rows[:most]
            found.append(rows)
            most -= rows.size
        return np.unique(np.concatenate(found))

    def clear(self) -> None:
        self._pieces.clear()

    def bytes(self) -> int:
        return sum(steps.nbytes for _, steps in self._pieces)
