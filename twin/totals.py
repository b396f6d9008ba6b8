"""Totals: what the values of groups come to, every column read once and in one pass.

Only known values count; they are added in the order of their rows, so equal rows give equal sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.fields import Column, Mask
from twin.gather import add_up, reach, tally
from twin.query import View
from twin.terms import DURATION, Term

Sums = NDArray[np.float64]


class Totals:
    """Groups of some rows of a view, as it returned them: `which` of `size` groups each is in."""

    def __init__(self, view: View, rows: Column, which: NDArray[np.int64], size: int) -> None:
        self._view = view.chosen(rows)
        self._which, self._size = which, size
        self._columns: dict[Term, tuple[Column, Mask]] = {}
        self._added: dict[Term, tuple[Sums, Sums]] = {}

    def count(self) -> Sums:
        """Return how many rows each group has (size,)."""
        counts = np.zeros(self._size)
        tally(self._which, counts)
        return counts

    def known(self, term: Term) -> Sums:
        """Return how many rows of each group know a value."""
        return self._add(term)[0]

    def sum(self, term: Term) -> Sums:
        """Return the sum of what is known in each group, of durations in seconds; 0 of nothing."""
        return self._add(term)[1]

    def extreme(self, term: Term, *, least: bool) -> Sums:
        """Return the least or the greatest value of each group; NaN where none is known."""
        column, known = self._read(term)
        found = np.full(self._size, np.nan)
        reach(self._which, column, known, least, found)
        return found

    def _add(self, term: Term) -> tuple[Sums, Sums]:
        if (added := self._added.get(term)) is None:
            column, known = self._read(term)
            added = np.zeros(self._size), np.zeros(self._size)
            add_up(self._which, column, known, *added)
            self._added[term] = added
        return added

    def _read(self, term: Term) -> tuple[Column, Mask]:
        if (read := self._columns.get(term)) is None:
            column, known = term.read(self._view)
            read = self._columns[term] = (column / 1e6 if term.sort == DURATION else column), known
        return read
