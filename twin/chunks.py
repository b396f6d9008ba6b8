"""Chunks: columns in pieces of fixed size, so that a snapshot costs next to nothing.

Columns that change together form a block. All chunks of a block lie in one arena per column, and
a page table says which place holds which chunk; place 0 is blank for ever, and stands for every
chunk that was never written. A snapshot holds page tables, and writes that follow note what they
overwrite for as long as anybody reads it (twin.trail). Where more was noted than the block holds,
its places are frozen instead: a write to a frozen chunk copies it to a free place first. When an
arena is full the chunks in use move to a new one, and whoever holds a snapshot keeps the old.

A sparse block has a slot only for rows that ever got a value; slot 0 is blank, and every other
row's. Which slot a row has is a column of a block too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.arena import untouched
from twin.kernels import places
from twin.pages import BITS, CHUNK, ROWS, SLOT, Pages, TableSnapshot, places_of
from twin.slots import number_rows, room
from twin.trail import Trail

Column = NDArray[Any]
SMALLEST = 4  # places in a new arena; what is not given out takes no memory


class _Block:
    """Columns that are written together: they share a page table."""

    def __init__(self, blanks: Mapping[str, np.generic]) -> None:
        self.blanks = dict(blanks)
        self.arenas = {n: np.empty((SMALLEST, CHUNK), b.dtype) for n, b in blanks.items()}
        for name, blank in blanks.items():
            self.arenas[name][0] = blank
        self.pages = np.empty(0, np.int64)
        self.frozen = np.empty(0, np.bool_)
        self._used = 1  # places given out
        self.written = False  # whether anything ever was
        self._trail = Trail()
        self._of = object()  # names the arenas there are now

    def grow(self, chunks: int) -> None:
        """Have at least this many chunks, the new ones blank."""
        more = chunks - self.pages.size
        if more > 0:
            self.pages = np.concatenate([self.pages, np.zeros(more, np.int64)])
            self.frozen = np.concatenate([self.frozen, np.ones(more, np.bool_)])

    def at(self, rows: Column) -> NDArray[np.int64]:
        """Return where `rows` lie in the flat arenas."""
        return places_of(self.pages, rows)

    def cell(self, row: int) -> int:
        """Return where one row lies in the flat arenas; below CHUNK: never written."""
        return self.pages.item(row >> BITS) << BITS | row & (CHUNK - 1)

    def own(self, rows: Column) -> NDArray[np.int64]:
        """Return where `rows` lie in the flat arenas, their chunks free to be written."""
        if self._trail.noted > self.frozen.size << BITS:
            self.freeze()
        where, met = np.empty(rows.size, np.int64), np.zeros(self.frozen.size, np.bool_)
        if places(BITS, self.pages, self.frozen, rows, where, met):
            self._thaw(met)
            where = places_of(self.pages, rows)
        self._trail.note(self._of, where, self.arenas)
        return where

    def _thaw(self, met: NDArray[np.bool_]) -> None:
        """Have the frozen chunks among those that are met copied to places of their own."""
        held = met.nonzero()[0]
        self._room(held.size)
        held = held[self.frozen[held]]  # those that moved are free to be written
        self.written = True
        free = np.arange(self._used, self._used + held.size)
        self._used += held.size
        for arena in self.arenas.values():
            arena[free] = arena[self.pages[held]]
        self.pages[held] = free
        self.frozen[held] = False

    def freeze(self) -> None:
        """Write no chunk again where it is: whoever reads it needs no notes from now on."""
        self.frozen[:] = True
        self._trail.leave()

    def snapshot(self) -> Pages:
        step = self._trail.join()
        return Pages(dict(self.arenas), self.pages.copy(), self._of, step, written=self.written)

    def live(self) -> Pages:
        return Pages(self.arenas, self.pages, self._of, None, written=self.written)

    def bytes(self) -> int:
        return sum(arena[0].nbytes * self._used for arena in self.arenas.values())

    def _room(self, n: int) -> None:
        """Have `n` free places; move to a larger arena when there are too few."""
        if self._used + n <= next(iter(self.arenas.values())).shape[0]:
            return
        self._of = object()
        written = self.pages.nonzero()[0]
        live = 1 + written.size
        for name, blank in self.blanks.items():
            arena = untouched((2 * (live + n), CHUNK), blank.dtype)
            arena[0] = blank
            arena[1:live] = self.arenas[name][self.pages[written]]
            self.arenas[name] = arena
        self.pages[written] = np.arange(1, live)
        self.frozen[written] = False
        self._used = live


class _Sparse:
    """A block that has slots only for rows that ever got a value."""

    def __init__(self, blanks: Mapping[str, np.generic]) -> None:
        self._slots = _Block({SLOT: np.int32(0)})
        self._values = _Block(blanks)
        self._values.grow(1)
        self._used = 1  # slots given out
        self._rows = np.full(SMALLEST, -1, np.int32)
        self.blanks = self._values.blanks

    @property
    def arenas(self) -> dict[str, Column]:
        return self._values.arenas

    @property
    def written(self) -> bool:
        return self._values.written

    def grow(self, chunks: int) -> None:
        self._slots.grow(chunks)

    def at(self, rows: Column) -> NDArray[np.int64]:
        return self._values.at(self._slot(rows))

    def cell(self, row: int) -> int:
        at = self._slots.cell(row)
        slot = self._slots.arenas[SLOT].item(at) if at >= CHUNK else 0
        return self._values.cell(slot) if slot else 0

    def own(self, rows: Column) -> NDArray[np.int64]:
        slot = self._slot(rows)
        new = slot == 0
        if new.any():
            which = np.empty(int(new.sum()), np.int32)
            some = rows[new]
            fresh = np.empty(number_rows(room(some.size), some, which), np.int64)
            fresh[which] = some
            slots = np.arange(self._used, self._used + fresh.size)
            self._used += fresh.size
            if self._used > self._rows.size:  # what snapshots hold is never written again
                more = np.empty(2 * self._used - self._rows.size, np.int32)
                self._rows = np.concatenate([self._rows, more])
            self._rows[slots] = fresh
            self._values.grow(-(-self._used >> BITS))
            at = self._slots.own(fresh)
            self._slots.arenas[SLOT].reshape(-1)[at] = slots
            slot[new] = slots[which]
        return self._values.own(slot)

    def snapshot(self) -> Pages:
        slots, rows = self._slots.snapshot(), self._rows[: self._used]
        return self._values.snapshot()._replace(slots=slots, rows=rows)

    def live(self) -> Pages:
        slots, rows = self._slots.live(), self._rows[: self._used]
        return self._values.live()._replace(slots=slots, rows=rows)

    def bytes(self) -> int:
        return self._slots.bytes() + self._values.bytes() + 4 * self._used

    def _slot(self, rows: Column) -> Column:
        """Return a copy of the slots of `rows`, 0 where they have none."""
        return self._slots.arenas[SLOT].reshape(-1)[self._slots.at(rows)]


class Table:
    """Columns with one writer. A row never written is blank.

    `blocks`: column -> the name of its block; one block for all if it is not given. `sparse`:
    the blocks in which few rows ever get a value. `aliases`: other names by which columns are read.
    """

    def __init__(
        self,
        blanks: Mapping[str, np.generic],
        blocks: Mapping[str, str] | None = None,
        sparse: Collection[str] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.blanks = dict(blanks)
        self.aliases = dict(aliases or {})
        self.size = 0
        self._names = dict(blocks or dict.fromkeys(blanks, ""))
        members: dict[str, dict[str, np.generic]] = {}
        for name, blank in blanks.items():
            members.setdefault(self._names[name], {})[name] = blank
        self._blocks: dict[str, _Block | _Sparse] = {
            block: _Sparse(columns) if block in sparse else _Block(columns)
            for block, columns in members.items()
        }
        self._of = {name: self._blocks[self._names[name]] for name in blanks}

    def grow(self, size: int) -> None:
        """Have at least `size` rows."""
        if size > self.size:
            for block in self._blocks.values():
                block.grow(-(-size >> BITS))
            self.size = size

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of `rows` in one column."""
        name = self.aliases.get(name, name)
        block = self._of[name]
        return block.arenas[name].reshape(-1)[block.at(rows)]

    def takes(self, names: Mapping[str, str], rows: Column) -> dict[str, Column]:
        """Return label -> values of `rows`, for columns (label -> name) of one block."""
        block = self._of[next(iter(names.values()))]
        at = block.at(rows)
        return {label: block.arenas[name].reshape(-1)[at] for label, name in names.items()}

    def cell(self, name: str, row: int) -> Any:
        """Return one value as a Python number."""
        name = self.aliases.get(name, name)
        block = self._of[name]
        return block.arenas[name].item(block.cell(row))

    def cells(self, row: int, known: Mapping[str, int]) -> dict[str, Any]:
        """Return the values of a row in the blocks of these columns, each unless it holds that."""
        found: dict[str, Any] = {}
        for name, blank in known.items():
            block = self._of[name]
            if not block.written or (at := block.cell(row)) < CHUNK:
                continue
            arenas = block.arenas
            if arenas[name].item(at) != blank:
                for other, arena in arenas.items():
                    found[other] = arena.item(at)
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

    def opened(self, block: str, rows: Column) -> tuple[NDArray[np.int64], dict[str, Column]]:
        """Return where `rows` lie in the flat columns of a block, and those, free to be written."""
        held = self._blocks[block]
        at = held.own(rows)
        return at, {name: arena.reshape(-1) for name, arena in held.arenas.items()}

    def snapshot(self) -> TableSnapshot:
        pages = {name: block.snapshot() for name, block in self._blocks.items()}
        return TableSnapshot(self.size, pages, self._names, self.blanks, self.aliases)

    def live(self) -> TableSnapshot:
        """Return what the table holds, nothing frozen: to be read before it is written again."""
        pages = {name: block.live() for name, block in self._blocks.items()}
        return TableSnapshot(self.size, pages, self._names, self.blanks, self.aliases)

    def load(self, columns: Mapping[str, Column], size: int) -> None:
        """Fill an empty table of `size` rows from a dump; what is missing there stays blank.

        A column of a sparse block may be whole: then rows that are blank in all get no slot.
        """
        self.grow(size)
        every = np.arange(size)
        for name, block in self._blocks.items():
            held = {column: columns[column] for column in block.blanks if column in columns}
            rows = columns.get(f"{name}{ROWS}", every)
            if isinstance(block, _Sparse) and rows is every:
                told = [_told(values, block.blanks[one]) for one, values in held.items()]
                rows = np.logical_or.reduce(told).nonzero()[0] if told else every[:0]
                held = {column: values[rows] for column, values in held.items()}
            if held:
                self.puts(held, rows)

    def bytes(self) -> int:
        """Return how much memory the places given out take."""
        return sum(block.bytes() for block in self._blocks.values())


def _told(values: Column, blank: np.generic) -> NDArray[np.bool_]:
    """Say where a column holds anything but its blank, which may be NaN."""
    nothing = np.isnan(values) if blank != blank else values == blank  # noqa: PLR0124
    return np.asarray(~nothing, np.bool_)
