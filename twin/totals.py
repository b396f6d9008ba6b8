"""Totals: what the values of groups come to, every column read once and in one pass.

Only known values count; they are added in the order of their rows, so equal rows give equal sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.fields import Column, least_of
from twin.kernels import I32, I64
from twin.kinds import ABSENT
from twin.pages import BITS
from twin.query import View
from twin.tallies import FLAT, ONE, add_up, lowest, reach, tally
from twin.terms import DURATION, Name, Term

Sums = NDArray[np.float64]


class Totals:
    """Groups of the rows of a view: `which` of `size` groups each is in."""

    def __init__(self, part: View, which: I32, size: int) -> None:
        self._part, self._which, self._size = part, which, size
        self._columns: dict[Term, tuple[Column, float]] = {}
        self._added: dict[Term, tuple[I64, Sums]] = {}

    def count(self) -> I64:
        """Return how many rows each group has (size,)."""
        for counts, _ in self._added.values():
            if counts.sum() == self._which.size:  # all rows know that value
                return counts
        counts = np.zeros(self._size, np.int64)
        tally(self._which, counts)
        return counts

    def known(self, term: Term) -> I64:
        """Return how many rows of each group know a value."""
        return self._add(term)[0]

    def sum(self, term: Term) -> Sums:
        """Return the sum of what is known in each group, of durations in seconds; 0 of nothing."""
        return self._add(term)[1]

    def extreme(self, term: Term, *, least: bool) -> Sums:
        """Return the least or the greatest value of each group; NaN where none is known."""
        column, known_from = self._read(term)
        found = np.full(self._size, np.nan)
        reach(self._which, column, known_from, least, found)
        return found

    def _add(self, term: Term) -> tuple[I64, Sums]:
        if (added := self._added.get(term)) is None:
            added = np.zeros(self._size, np.int64), np.zeros(self._size)
            add_up(self._which, *self._read(term), *added)
            self._added[term] = added
        return added

    def _read(self, term: Term) -> tuple[Column, float]:
        """Return the values of every row, and the least that is known: less is absent, or NaN."""
        if (read := self._columns.get(term)) is None:
            if isinstance(term, Name) and term.plain:
                read = self._part.column(term.label), least_of(self._part.dtype(term.label))
            else:
                column, known = term.read(self._part)
                values = column / 1e6 if term.sort == DURATION else column.astype(np.float64)
                values[~known] = np.nan
                read = values, -np.inf
            self._columns[term] = read
        return read


def earliest(part: View, name: str) -> int:
    """Return the least of the known times in a column among the rows of a view, or ABSENT.

    The column is not copied: where the least is of a row that was not written on since, it stands
    against what the others held.
    """
    held = part.snapshot.tables[part.kind]
    if part.only is None and not held.sparse(name):
        row, time = lowest(BITS, *held.lying(name), ABSENT + 1, held.size)
        rows = held.touched(name)
        if not rows.size or (row >= 0 and not (rows == row).any()):
            both = (int(time) if row >= 0 else ABSENT, _low(held.take(name, rows)))
            return min((time for time in both if time != ABSENT), default=ABSENT)
    return _low(part.column(name))


def _low(times: Column) -> int:
    row, time = lowest(FLAT, ONE, times, ABSENT + 1, times.size)
    return int(time) if row >= 0 else ABSENT
