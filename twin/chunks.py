"""Chunks: columns in pieces of fixed size, so that a snapshot costs next to nothing.

Columns that change together form a block. All chunks of a block lie in one arena per column, and
a page table says which place holds which chunk. A snapshot freezes the places in use: a write to
a frozen chunk copies it to a free place first, so a snapshot never changes. When an arena is full
the chunks in use move to a new one, and whoever holds a snapshot keeps the old.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
BITS = 12
CHUNK = 1 << BITS  # rows: a copy moves 32 KiB of an 8-byte column
SMALLEST = 8  # chunks in a new arena


class TableSnapshot(NamedTuple):
    """What a table held at one moment. Immutable."""

    size: int
    arenas: Mapping[str, Column]  # column -> (places, CHUNK)
    pages: Mapping[str, NDArray[np.int64]]  # column -> place of each chunk
    blanks: Mapping[str, np.generic]

    def column(self, name: str) -> Column:
        """Return one column (size,), read-only; not copied if its chunks lie in order."""
        arena, pages = self.arenas[name], self.pages[name]
        if (pages == np.arange(pages.size)).all():
            whole = arena[: pages.size].reshape(-1)[: self.size]
        else:
            whole = arena[pages].reshape(-1)[: self.size]
        whole.flags.writeable = False
        return whole

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of some rows of one column."""
        return self.arenas[name].reshape(-1)[_at(self.pages[name], rows)]


class _Block:
    """Columns that are written together: they share a page table."""

    def __init__(self, blanks: Mapping[str, np.generic]) -> None:
        self.blanks = dict(blanks)
        self.arenas = {n: np.full((SMALLEST, CHUNK), blank) for n, blank in blanks.items()}
        self.pages = np.empty(0, np.int64)
        self.frozen = np.empty(0, np.bool_)
        self._used = 0  # places given out

    def grow(self, chunks: int) -> None:
        """Have at least this many chunks, the new ones blank."""
        more = chunks - self.pages.size
        if more <= 0:
            return
        places = self._places(more)
        self.pages = np.concatenate([self.pages, places])
        self.frozen = np.concatenate([self.frozen, np.zeros(more, np.bool_)])

    def own(self, rows: Column) -> NDArray[np.int64]:
        """Return where `rows` lie in the flat arenas, their chunks free to be written."""
        if self.frozen.any():
            touched = np.unique(rows >> BITS)
            held = touched[self.frozen[touched]]
            if held.size:
                places = self._places(held.size)  # may move every chunk, frozen ones too
                for arena in self.arenas.values():
                    arena[places] = arena[self.pages[held]]
                self.pages[held] = places
                self.frozen[held] = False
        return _at(self.pages, rows)

    def snapshot(self) -> NDArray[np.int64]:
        self.frozen[:] = True
        return self.pages.copy()

    def _places(self, n: int) -> NDArray[np.int64]:
        """Return `n` free places, blank; moves to a larger arena when there are too few."""
        room = next(iter(self.arenas.values())).shape[0]
        if self._used + n > room:
            live = self.pages.size
            room = max(SMALLEST, 2 * (live + n))
            for name, blank in self.blanks.items():
                arena = np.empty((room, CHUNK), blank.dtype)
                arena[:live] = self.arenas[name][self.pages]
                arena[live : live + n] = blank
                self.arenas[name] = arena
            self.pages = np.arange(live)
            self.frozen = np.zeros(live, np.bool_)
            self._used = live
        else:
            for name, blank in self.blanks.items():
                self.arenas[name][self._used : self._used + n] = blank
        places = np.arange(self._used, self._used + n)
        self._used += n
        return places


class Table:
    """Columns with one writer. A row never written is blank.

    `blocks`: column -> the name of its block; one block for all if it is not given.
    """

    def __init__(
        self, blanks: Mapping[str, np.generic], blocks: Mapping[str, str] | None = None
    ) -> None:
        self.blanks = dict(blanks)
        self.size = 0
        names = blocks or dict.fromkeys(blanks, "")
        members: dict[str, dict[str, np.generic]] = {}
        for name, blank in blanks.items():
            members.setdefault(names[name], {})[name] = blank
        blocks_of = {block: _Block(columns) for block, columns in members.items()}
        self._blocks = list(blocks_of.values())
        self._of = {name: blocks_of[names[name]] for name in blanks}

    def grow(self, size: int) -> None:
        """Have at least `size` rows."""
        if size > self.size:
            for block in self._blocks:
                block.grow(-(-size >> BITS))
            self.size = size

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of `rows` in one column."""
        block = self._of[name]
        return block.arenas[name].reshape(-1)[_at(block.pages, rows)]

    def takes(self, names: Mapping[str, str], rows: Column) -> dict[str, Column]:
        """Return label -> values of `rows`, for columns (label -> name) of one block."""
        block = self._of[next(iter(names.values()))]
        at = _at(block.pages, rows)
        return {label: block.arenas[name].reshape(-1)[at] for label, name in names.items()}

    def cell(self, name: str, row: int) -> Any:
        """Return one value as a Python number."""
        block = self._of[name]
        return block.arenas[name][block.pages[row >> BITS], row & (CHUNK - 1)].item()

    def cells(self, row: int, known: Mapping[str, int]) -> dict[str, Any]:
        """Return the values of a row in the blocks of these columns, each unless it holds that."""
        found: dict[str, Any] = {}
        at, within = row >> BITS, row & (CHUNK - 1)
        for name, blank in known.items():
            block = self._of[name]
            place = block.pages[at]
            if block.arenas[name][place, within] != blank:
                for other, arena in block.arenas.items():
                    found[other] = arena[place, within].item()
        return found

    def put(self, name: str, rows: Column, values: Column) -> None:
        """Write `values` into `rows` of one column; the last one stands where a row repeats."""
        self.puts({name: values}, rows)

    def puts(self, columns: Mapping[str, Column], rows: Column) -> None:
        """Write several columns of one block into `rows`."""
        if not rows.size:
            return
        block = self._of[next(iter(columns))]
        at = block.own(rows)
        for name, values in columns.items():
            block.arenas[name].reshape(-1)[at] = values

    def snapshot(self) -> TableSnapshot:
        pages = {id(block): block.snapshot() for block in self._blocks}
        return TableSnapshot(
            self.size,
            {name: block.arenas[name] for name, block in self._of.items()},
            {name: pages[id(block)] for name, block in self._of.items()},
            self.blanks,
        )

    def load(self, columns: Mapping[str, Column], size: int) -> None:
        """Fill an empty table from whole columns (size,)."""
        self.grow(size)
        rows = np.arange(size)
        for name, values in columns.items():
            self.put(name, rows, values)

    def bytes(self) -> int:
        """Return how much memory the places given out take."""
        return sum(
            arena.nbytes // arena.shape[0] * block._used
            for block in self._blocks
            for arena in block.arenas.values()
        )


def _at(pages: NDArray[np.int64], rows: Column) -> NDArray[np.int64]:
    where: NDArray[np.int64] = (pages[rows >> BITS] << BITS) + (rows & (CHUNK - 1))
    return where
