"""Pages: what a table held at one moment, read out of columns that may be written on meanwhile.

Values are copied first, and what was overwritten since that moment is put back then (twin.trail):
so a reader waits for no writer, and what it was given never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.gather import KINDS, TOGETHER, at_least, held_at, meet, sift, told
from twin.trail import Step, Undo, mend_whole, touched

Column = NDArray[Any]
Mask = NDArray[np.bool_]
BITS = 12
CHUNK = 1 << BITS  # rows: a copy moves 32 KiB of an 8-byte column
SLOT = "slot"
SIFTED = 1 << 15  # rows that are found without looking for more room
ROWS = ".rows"  # in a dump: which rows the columns of a sparse block are of


class Pages(NamedTuple):
    """The chunks of one block at one moment, and the step from which on writes are noted.

    Without a step, they are read between two writes.
    """

    arenas: Mapping[str, Column]  # column -> (places, CHUNK)
    pages: NDArray[np.int64]  # place of each chunk
    of: object  # names the arenas in the trail
    step: Step | None
    slots: Pages | None = None  # of a sparse block: which slot each row has
    rows: NDArray[np.int32] | None = None  # and which row each slot is of; -1 of slot 0
    written: bool = True  # False while nothing ever was

    def column(self, name: str, size: int) -> Column:
        """Return one column (size,), not to be written."""
        if self.rows is None:
            return self._whole(name, size)
        whole = np.full(size, self.arenas[name][0, 0])
        whole[self.rows[1:]] = self._whole(name, self.rows.size)[1:]
        return whole

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of some rows."""
        at = self.places(rows)
        values: Column = self.arenas[name].reshape(-1).take(at)
        if self.step is not None:
            Undo(self.step, self.of).mend(name, at, values)
        return values

    def spread(self, found: Mask, blank: bool, size: int) -> Mask:
        """Return what is said of each row (size,), where `found` says it of each slot."""
        if self.rows is None:
            return found
        whole = np.full(size, blank)
        whole[self.rows[1:]] = found[1:]
        return whole

    def places(self, rows: Column) -> NDArray[np.int64]:
        """Return where `rows` lie in the flat arenas."""
        if self.slots is not None:
            rows = self.slots.take(SLOT, rows)
        return places_of(self.pages, rows)

    def _whole(self, name: str, size: int) -> Column:
        arena, chunks = self.arenas[name], -(-size >> BITS)
        first = self.pages[0] if self.pages.size else 0
        if (self.pages == np.arange(first, first + self.pages.size)).all():
            whole = arena[first : first + chunks].reshape(-1)[:size]
            whole = whole if self.step is None else whole.copy()
        else:
            whole = arena[self.pages[:chunks]].reshape(-1)[:size]
        if self.step is not None:
            mend_whole(self.step, self.of, BITS, self.pages, name, whole)
        return whole


class Gathered:
    """Some rows of one block of a snapshot: where they lie."""

    def __init__(self, block: Pages, aliases: Mapping[str, str], at: NDArray[np.uint64]) -> None:
        self._arenas, self._aliases, self._at = block.arenas, aliases, at
        self._undo = None if block.step is None else Undo(block.step, block.of)

    def read(self, name: str) -> Column:
        """Return their values of one column."""
        return self.known(name, 0)[0]

    def known(self, name: str, least: float) -> tuple[Column, int]:
        """Return their values of one column, and how many are `least` or more."""
        name = self._aliases.get(name, name)
        held = self._arenas[name].reshape(-1)
        values = np.empty(self._at.size, held.dtype)
        count: int = held_at(self._at, held, least, values)
        return values, self.mended(name, values, least, count)

    def mended(self, name: str, values: Column, least: float, count: int) -> int:
        """Put back what was overwritten; return how many are `least` or more, `count` before."""
        if self._undo is not None and self._undo.mend(name, self._at, values):
            count = at_least(values, least)
        return count


class TableSnapshot(NamedTuple):
    """What a table held at one moment. Immutable."""

    size: int
    blocks: Mapping[str, Pages]
    of: Mapping[str, str]  # column -> its block
    blanks: Mapping[str, np.generic]
    aliases: Mapping[str, str]  # name -> the column that it is another name of

    def column(self, name: str) -> Column:
        """Return one column (size,), read-only."""
        name = self.aliases.get(name, name)
        whole = self.blocks[self.of[name]].column(name, self.size)
        whole.flags.writeable = False
        return whole

    def take(self, name: str, rows: Column) -> Column:
        """Return the values of some rows of one column."""
        name = self.aliases.get(name, name)
        return self.blocks[self.of[name]].take(name, rows)

    def between(self, name: str, least: Any, most: Any) -> Mask:
        """Say of each row (size,) whether its value is `least` to `most`, both included."""
        return self.meet([(name, (least, most))])

    def meet(self, spans: Sequence[tuple[str, tuple[Any, Any]]]) -> Mask:
        """Say of each row (size,) whether all columns named are within their spans (twin.spans).

        Ends are numbers that the column can hold; NaN is in no span. No column is copied.
        """
        found: Mask | None = None
        dense: list[tuple[str, tuple[Any, Any]]] = []
        for name, (least, most) in spans:
            name = self.aliases.get(name, name)
            block = self.blocks[self.of[name]]
            if block.rows is None:
                dense.append((name, (least, most)))
                continue
            of = _Judge(self.blocks, self.of, [(name, (least, most))]).mask(block.rows.size)
            mine = block.spread(of, bool(least <= block.arenas[name][0, 0] <= most), self.size)
            found = mine if found is None else found & mine
        for at in range(0, len(dense), TOGETHER):
            mine = _Judge(self.blocks, self.of, dense[at : at + TOGETHER]).mask(self.size)
            found = mine if found is None else found & mine
        return np.ones(self.size, np.bool_) if found is None else found

    def sparse(self, name: str) -> bool:
        """Say whether a column lies by slots, not by rows."""
        return self.blocks[self.of[self.aliases.get(name, name)]].rows is not None

    def lying(self, name: str) -> tuple[NDArray[np.int64], Column]:
        """Return the pages of a column that is not sparse, and the flat arena that it lies in.

        What is read there may be too new: `touched` says of which rows, once it was read.
        """
        name = self.aliases.get(name, name)
        block = self.blocks[self.of[name]]
        return block.pages, block.arenas[name].reshape(-1)

    def touched(self, name: str) -> NDArray[np.int64]:
        """Return the rows of a column's block that were written on since, each once or more."""
        block = self.blocks[self.of[self.aliases.get(name, name)]]
        if block.step is None:
            return np.empty(0, np.int64)
        rows = touched(block.step, block.of, BITS, block.pages)
        return rows[rows < self.size]

    def sift(self, spans: Sequence[tuple[str, tuple[Any, Any]]]) -> NDArray[np.int64]:
        """Return the rows of which `meet` is true. A few columns are judged without a mask."""
        named = [(self.aliases.get(name, name), ends) for name, ends in spans]
        if not 0 < len(named) <= TOGETHER or any(self.sparse(name) for name, _ in named):
            return np.flatnonzero(self.meet(spans))
        judge = _Judge(self.blocks, self.of, named)
        found = judge.rows(self.size)
        again = judge.again(self.size)
        if again is None:
            return found
        rows, at = np.unique(again[0], return_index=True)
        right = rows[again[1][at]]
        place = np.searchsorted(found, rows)
        near = np.append(found, -1).take(place)
        found = np.delete(found, place[near == rows])
        return np.insert(found, np.searchsorted(found, right), right)

    def dtype(self, name: str) -> np.dtype[Any]:
        name = self.aliases.get(name, name)
        return self.blocks[self.of[name]].arenas[name].dtype

    def blank(self, name: str) -> bool:
        """Say whether nothing was ever written into the block of a column."""
        return not self.blocks[self.of[self.aliases.get(name, name)]].written

    def gather(self, name: str, rows: Column, least: int) -> tuple[Gathered, Column, int]:
        """Return what reads `rows` of any column of a block, and of one its values.

        The last: how many of these are `least` or more.
        """
        name = self.aliases.get(name, name)
        block = self.blocks[self.of[name]]
        if block.slots is not None:
            rows = block.slots.take(SLOT, rows)
        held = block.arenas[name].reshape(-1)
        at, values = np.empty(rows.size, np.uint64), np.empty(rows.size, held.dtype)
        count = told(BITS, block.pages, rows, held, least, at, values)
        found = Gathered(block, self.aliases, at)
        return found, values, found.mended(name, values, least, count)

    def dump(self) -> dict[str, Column]:
        """Return every column: whole, or of a sparse block's rows, which `BLOCK.rows` names."""
        columns: dict[str, Column] = {}
        for name, block in self.of.items():
            held = self.blocks[block].rows
            if held is None:
                columns[name] = self.column(name)
            else:
                rows = columns.setdefault(f"{block}{ROWS}", np.sort(held[1:]).astype(np.int64))
                columns[name] = self.take(name, rows)
        return columns


def places_of(pages: NDArray[np.int64], rows: Column) -> NDArray[np.int64]:
    """Return where `rows` lie in the flat arenas."""
    where: NDArray[np.int64] = pages.take(rows >> BITS)
    where <<= BITS
    where += rows & (CHUNK - 1)
    return where


class _Judge:
    """A few columns and the spans that they are to be in: of each row, or of each slot."""

    def __init__(
        self,
        blocks: Mapping[str, Pages],
        of: Mapping[str, str],
        spans: Sequence[tuple[str, tuple[Any, Any]]],
    ) -> None:
        self._parts = [blocks[of[name]]._replace(slots=None) for name, _ in spans]
        both = list(zip(self._parts, spans, strict=True))
        arenas = [part.arenas[name] for part, (name, _) in both]
        self._spans = [
            (name, arena.dtype.type(least), arena.dtype.type(most))
            for arena, (name, (least, most)) in zip(arenas, spans, strict=True)
        ]
        words = np.array([_word(end) for _, *ends in self._spans for end in ends], np.int64)
        self._given = (
            tuple(part.pages for part in self._parts),
            tuple(arena.reshape(-1).view(np.uint8) for arena in arenas),
            np.array([KINDS[arena.dtype.char] for arena in arenas], np.int64),
            words[::2].copy(),
            words[1::2].copy(),
        )

    def mask(self, size: int) -> Mask:
        """Say of each whether all are within their spans, by what they are or were."""
        found = np.empty(size, np.bool_)
        meet(BITS, *self._given, found)
        if (again := self.again(size)) is not None:
            found[again[0]] = again[1]
        return found

    def rows(self, size: int) -> NDArray[np.int64]:
        """Return those of which all are, in order, by what they are now."""
        found, count, chunk = np.empty(min(size, SIFTED), np.int64), 0, 0
        while True:
            count, chunk = sift(BITS, *self._given, (count, chunk, size), found)
            if chunk << BITS >= size:
                return found[:count]
            more = np.empty(min(size, 8 * found.size), np.int64)
            more[:count] = found[:count]
            found = more

    def again(self, size: int) -> tuple[NDArray[np.int64], Mask] | None:
        """Return those that were written on since, and what is right of them; None if none was."""
        held: list[NDArray[np.int64]] = []
        for part in {id(part.of): part for part in self._parts}.values():
            if part.step is not None:
                held.append(touched(part.step, part.of, BITS, part.pages))
        rows = np.concatenate(held) if held else np.empty(0, np.int64)
        rows = rows[rows < size]
        if not rows.size:
            return None
        holds = np.ones(rows.size, np.bool_)
        for part, (name, least, most) in zip(self._parts, self._spans, strict=True):
            values = part.take(name, rows)
            holds &= (values >= least) & (values <= most)
        return rows, holds


def _word(end: Any) -> int:
    """Return one end of a span as the kernel takes it."""
    return int(np.float64(end).view(np.int64)) if end.dtype.kind == "f" else int(end)
