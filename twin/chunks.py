"""Chunks: columns in pieces of fixed size, so that a snapshot costs next to nothing.

Each chunk belongs to the generation that made it. A snapshot starts a new generation, and a
write to a chunk of an older one copies that chunk first: so a snapshot never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
CHUNK = 4096  # rows: a copy moves 32 KiB of an 8-byte column


class TableSnapshot(NamedTuple):
    """What a table held at one moment. Immutable."""

    size: int
    chunks: Mapping[str, tuple[Column, ...]]
    blanks: Mapping[str, np.generic]

    def column(self, name: str) -> Column:
        """Return one column (size,), gathered."""
        blank = np.empty(0, self.blanks[name].dtype)
        return np.concatenate([*self.chunks[name], blank])[: self.size]

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of some rows of one column."""
        if rows.size * 8 > self.size:
            return self.column(name)[rows]
        out = np.full(rows.size, self.blanks[name])
        pieces = self.chunks[name]
        for number in np.unique(rows // CHUNK).tolist():
            here = rows // CHUNK == number
            out[here] = pieces[number][rows[here] % CHUNK]
        return out


class Table:
    """Columns with one writer. A row never written is blank."""

    def __init__(self, blanks: Mapping[str, np.generic]) -> None:
        self.blanks = dict(blanks)
        self.size = 0
        self._chunks: dict[str, list[Column]] = {name: [] for name in blanks}
        self._born: dict[str, list[int]] = {name: [] for name in blanks}
        self._generation = 0

    def grow(self, size: int) -> None:
        """Have at least `size` rows."""
        if size <= self.size:
            return
        for name, chunks in self._chunks.items():
            while len(chunks) * CHUNK < size:
                chunks.append(np.full(CHUNK, self.blanks[name]))
                self._born[name].append(self._generation)
        self.size = size

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of `rows` in one column."""
        out = np.empty(rows.size, self.blanks[name].dtype)
        chunks = self._chunks[name]
        for number, part in pieces(rows):
            out[part] = chunks[number][rows[part] % CHUNK]
        return out

    def cell(self, name: str, row: int) -> Any:
        """Return one value as a Python number."""
        return self._chunks[name][row // CHUNK][row % CHUNK].item()

    def put(self, name: str, rows: Column, values: Column) -> None:
        """Write `values` into `rows` of one column; the last one stands where a row repeats."""
        for number, part in pieces(rows):
            self._own(name, number)[rows[part] % CHUNK] = values[part]

    def snapshot(self) -> TableSnapshot:
        self._generation += 1
        return TableSnapshot(
            self.size, {name: tuple(chunks) for name, chunks in self._chunks.items()}, self.blanks
        )

    def load(self, columns: Mapping[str, Column], size: int) -> None:
        """Fill an empty table from whole columns (size,)."""
        self.grow(size)
        rows = np.arange(size)
        for name, values in columns.items():
            self.put(name, rows, values)

    def _own(self, name: str, number: int) -> Column:
        if self._born[name][number] != self._generation:
            self._chunks[name][number] = self._chunks[name][number].copy()
            self._born[name][number] = self._generation
        return self._chunks[name][number]


def pieces(rows: Column) -> Iterator[tuple[int, Any]]:
    """Yield each chunk that `rows` touch, and an index of where in `rows` they do."""
    numbers = rows // CHUNK
    if rows.size and numbers[0] == numbers[-1] and (numbers == numbers[0]).all():
        yield int(numbers[0]), slice(None)
        return
    for number in np.unique(numbers).tolist():
        yield number, np.flatnonzero(numbers == number)
