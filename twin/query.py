"""Queries: one kind of a snapshot as one tenant sees it. The language of filters: docs/filters.md.

A comparison with something absent is never true, nor is its denial. Whatever evaluates a filter
takes a View, and reads the rows that the view is of and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from twin.fields import Column, Scope, Values
from twin.filters import compile_filter
from twin.kinds import KINDS
from twin.texts import Texts


class View(Scope):
    """One kind of a snapshot, as one tenant sees it at `now_us`; `only` some rows, if given."""

    __slots__ = ()

    def rows(self, where: str = "") -> NDArray[np.int64]:
        """Return the rows that match `where`, in the order of `only`.

        Raises UnknownField or BadRequest (see twin.filters.compile_filter).
        """
        at = compile_filter(self.kind, where).rows(self)
        return at if self.only is None else self.only[at]

    def told(self, sets: Mapping[str, Sequence[str]]) -> View:
        """Return the same, with what sub-queries found by their keys (see twin.filters.Filter)."""
        return self._replace(sets=sets) if sets else self

    def ids(self, rows: Column) -> list[str]:
        """Return the ids of some rows, without their tenant."""
        names = self.snapshot.names[self.kind].take(rows).list()
        return [name.partition("/")[2] for name in names]

    def matching(self, where: str = "") -> View:
        """Return the same, restricted to the rows that match: whole, where all do.

        Raises as `rows` does.
        """
        found = compile_filter(self.kind, where).mask(self)
        if np.count_nonzero(found) == self.size:
            return self
        at = np.flatnonzero(found)
        return self._replace(only=at if self.only is None else self.only[at])

    def names(self, rows: NDArray[np.int64]) -> Texts:
        """Return the same as `ids`, as texts. All rows must be of the tenant."""
        skip = len(self.tenant.encode()) + 1
        return self.snapshot.names[self.kind].take(rows, skip)

    def of(self, name: str, rows: NDArray[np.int64]) -> Values:
        """Return one field, or what else has a name, of some rows only."""
        if rows.size * 2 > self.snapshot.tables[self.kind].size and KINDS[self.kind].field(name):
            whole = self.within(None).values(name)
            return Values(whole.column[rows], whole.known[rows], whole.dtype, whole.group)
        return self.within(rows).values(name)
