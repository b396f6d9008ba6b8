"""Membership: which twins match a filter, carried from frame to frame by what changed.

A twin enters when it matches and did not, leaves when it matches no more, and is told of as
changed when it matched, matches, and something of it was told. Many frames are judged at once,
and come out as if each had been judged by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from twin import merge
from twin.changes import Bits, Taken
from twin.fields import Mask
from twin.filters import Filter
from twin.kinds import KINDS
from twin.lexicon import Lexicon
from twin.pages import TableSnapshot
from twin.query import View
from twin.spans import Span
from twin.texts import Texts
from twin.transition import Snapshot

Column = NDArray[Any]


class Members:
    """The rows that match, as bits."""

    def __init__(self, rows: NDArray[np.int64] | None = None) -> None:
        self._bits = np.zeros(0, np.uint8)
        if rows is not None:
            self.put(rows, rows[:0])

    def has(self, rows: NDArray[np.int64]) -> Mask:
        """Say of each row whether it matches."""
        self._grow(rows)
        found: Mask = (self._bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(np.bool_)
        return found

    def put(self, entered: NDArray[np.int64], left: NDArray[np.int64]) -> None:
        """Have some rows match, and others match no more; none is in both."""
        self._grow(entered)
        one = np.uint8(1)
        np.bitwise_or.at(self._bits, entered >> 3, one << (entered & 7).astype(np.uint8))
        np.bitwise_and.at(self._bits, left >> 3, ~(one << (left & 7).astype(np.uint8)))

    def rows(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.unpackbits(self._bits, bitorder="little"))

    @property
    def bytes(self) -> int:
        return self._bits.nbytes

    def _grow(self, rows: NDArray[np.int64]) -> None:
        if rows.size and (need := (int(rows.max()) >> 3) + 1) > self._bits.size:
            grown = np.zeros(need + need // 4 + 64, np.uint8)
            grown[: self._bits.size] = self._bits
            self._bits = grown


_COLUMNS = {name: (merge.blanks(kind), merge.aliases(kind)) for name, kind in KINDS.items()}


class Verdict(NamedTuple):
    """Positions of a batch, in its order."""

    entered: NDArray[np.int64]
    changed: NDArray[np.int64]
    left: NDArray[np.int64]


class Rows:
    """Rows as frames left them, as a table that a View can read: blank where nothing was taken."""

    def __init__(self, kind: str, size: int, parts: Mapping[str, tuple[Column, Column]]) -> None:
        self.size = size
        self._parts = parts
        self._blanks, self._aliases = _COLUMNS[kind]
        self._whole: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        name = self._aliases.get(name, name)
        if (whole := self._whole.get(name)) is None:
            whole = self._whole[name] = np.full(self.size, self._blanks[name])
            if (part := self._parts.get(name)) is not None:
                at, values = part
                whole[at] = values
        return whole

    def take(self, name: str, rows: Column) -> Column:
        return self.column(name)[rows]

    def meet(self, spans: Sequence[tuple[str, Span]]) -> Mask:
        found = np.ones(self.size, np.bool_)
        for name, (least, most) in spans:
            column = self.column(name)
            found &= (column >= least) & (column <= most)
        return found

    def dtype(self, name: str) -> np.dtype[Any]:
        return self._blanks[self._aliases.get(name, name)].dtype

    def blank(self, name: str) -> bool:
        return self._aliases.get(name, name) not in self._parts


class Course(NamedTuple):
    """The positions of a batch row by row. `rows`: each once, ascending; the others: `order` long.

    `starts`: where a row begins in `order`, one more for the end.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    order: NDArray[np.int64]  # positions by row, those of a row in their order
    row: NDArray[np.int64]  # which of `rows` each position has, by position
    whole: NDArray[np.bool_]


class Batch:
    """What some frames, one behind the other, changed of one kind: a position for each twin of each
    frame, in the order of the frames.
    """

    def __init__(self, kind: str, some: Sequence[Taken]) -> None:
        self.kind = kind
        sizes = [one.whole.size for one in some]
        self._starts = np.cumsum([0, *sizes])
        self._some = some
        self._names: _Names | None = None
        self.rows = _joined([one.touched.rows for one in some])
        self.told: Bits = _joined([one.touched.told for one in some])
        self.end = np.repeat(np.array([one.end for one in some], np.int64), sizes)
        self.whole = _joined([one.whole for one in some])

    @cached_property
    def offset(self) -> NDArray[np.int64]:
        """Return for each position the newest event behind it."""
        found = [one.events.newest(self.kind, one.touched.rows) for one in self._some]
        return cast(NDArray[np.int64], _joined(found))

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Return the positions that a filter judges; the others are what they were."""
        return np.flatnonzero(self.whole)

    @cached_property
    def table(self) -> Rows:
        parts: dict[str, list[tuple[Column, Column]]] = {}
        for one, start in zip(self._some, self._starts.tolist(), strict=False):
            for at, columns in one.groups.values():
                for name, values in columns.items():
                    parts.setdefault(name, []).append((at + start, values))
        joined = {
            name: (_joined([at for at, _ in found]), _joined([values for _, values in found]))
            for name, found in parts.items()
        }
        return Rows(self.kind, self.rows.size, joined)

    @cached_property
    def course(self) -> Course:
        return _course(self.rows, self.whole)

    def view(self, held: Held, tenant: str, now_us: int) -> View:
        """Return the positions as the rows of a view."""
        table = cast(TableSnapshot, self.table)  # which is read the same way
        if self._names is None:
            self._names = _Names(held.names, self.rows)
        names = cast(dict[str, Texts], self._names)
        shot = Snapshot(int(self.end[-1]), now_us, {self.kind: table}, names, held.lexicon)
        return View(shot, self.kind, tenant, held.region, now_us)


class Held(NamedTuple):
    """What no change changes: how rows are called, what codes mean, and where all this is."""

    names: Mapping[str, Texts]
    lexicon: Lexicon
    region: str


class _Names(dict[str, Texts]):
    """Names by position, looked up when they are first asked for."""

    def __init__(self, names: Mapping[str, Texts], rows: NDArray[np.int64]) -> None:
        super().__init__()
        self._all, self._rows = names, rows

    def __missing__(self, kind: str) -> Texts:
        found = self[kind] = self._all[kind].take(self._rows)
        return found


def judge(batch: Batch, view: View, filter_: Filter, members: Members, shows: int) -> Verdict:
    """Return who entered, changed and left in a batch; `members` are then those behind it.

    `view`: the batch's, for the tenant. `shows`: bits of the groups of which something is told.
    """
    if batch.judged.size == batch.rows.size:
        found = np.flatnonzero(filter_.mask(view))
    elif batch.judged.size:
        found = batch.judged[filter_.mask(view._replace(only=batch.judged))]
    else:
        found = batch.judged
    course = batch.course
    was = members.has(course.rows)
    concerned = was.copy()
    concerned[course.row[found]] = True
    some = np.flatnonzero(concerned)
    if not some.size:
        return Verdict(*[np.empty(0, np.int64)] * 3)
    holds = np.zeros(batch.rows.size, np.bool_)
    holds[found] = True
    sizes = course.starts[some + 1] - course.starts[some]
    ends = np.cumsum(sizes)
    first = ends - sizes  # of each row, among the places of those concerned
    at = np.arange(ends[-1]) + np.repeat(course.starts[some] - first, sizes)
    position = course.order[at]
    place = np.arange(at.size)
    judged = np.maximum.accumulate(np.where(course.whole[at], place, -1))
    known = judged >= np.repeat(first, sizes)  # judged in this batch, here or before
    now = np.where(known, holds[position[judged]], np.repeat(was[some], sizes))
    before = np.empty_like(now)
    before[1:] = now[:-1]
    before[first] = was[some]
    last = now[ends - 1]
    rows = course.rows[some]
    members.put(rows[last & ~was[some]], rows[~last & was[some]])
    stays = now & before & ((batch.told[position] & np.uint32(shows)) != 0)
    return Verdict(position[now & ~before], position[stays], position[before & ~now])


def _course(rows: NDArray[np.int64], whole: NDArray[np.bool_]) -> Course:
    order = np.argsort(rows, kind="stable")
    inorder = rows[order]
    new = np.ones(rows.size, np.bool_)
    new[1:] = inorder[1:] != inorder[:-1]
    starts = np.flatnonzero(new)
    row = np.empty(rows.size, np.int64)
    row[order] = np.cumsum(new) - 1
    return Course(inorder[starts], np.append(starts, rows.size), order, row, whole[order])


def _joined(parts: Sequence[Column]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
