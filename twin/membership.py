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
        self._blanks = merge.blanks(KINDS[kind])
        self._aliases = merge.aliases(KINDS[kind])
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


class Batch:
    """What some frames, one behind the other, changed of one kind: a position for each twin of each
    frame, in the order of the frames.
    """

    def __init__(self, kind: str, some: Sequence[Taken]) -> None:
        self.kind = kind
        sizes = [one.whole.size for one in some]
        self._starts = np.cumsum([0, *sizes])
        self._some = some
        self.rows = _joined([one.touched.rows for one in some])
        self.told: Bits = _joined([one.touched.told for one in some])
        self.offset = _joined([one.touched.offset for one in some])
        self.end = np.repeat(np.array([one.end for one in some], np.int64), sizes)
        self.whole = _joined([one.whole for one in some])

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
    def before(self) -> NDArray[np.int64]:
        """Return for each position the one before it of the same row, or -1."""
        return self._course[0]

    @cached_property
    def by(self) -> NDArray[np.int64]:
        """Return for each position where its row was judged last: it, one before it, or -1."""
        return self._course[1]

    @cached_property
    def last(self) -> NDArray[np.int64]:
        """Return the last position of each row."""
        return self._course[2]

    @cached_property
    def _course(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        n = self.rows.size
        order = np.argsort(self.rows, kind="stable")
        inorder = self.rows[order]
        first = np.ones(n, np.bool_)
        first[1:] = inorder[1:] != inorder[:-1]
        before, by = np.full(n, -1), np.full(n, -1)
        before[order[1:]] = np.where(first[1:], -1, order[:-1])
        place = np.arange(n)
        begins = np.maximum.accumulate(np.where(first, place, 0))
        judged = np.maximum.accumulate(np.where(self.whole[order], place, -1))
        known = judged >= begins
        by[order[known]] = order[judged[known]]
        last = np.ones(n, np.bool_)
        last[:-1] = first[1:]
        return before, by, order[last]

    def view(self, held: Held, tenant: str, now_us: int) -> View:
        """Return the positions as the rows of a view."""
        table = cast(TableSnapshot, self.table)  # which is read the same way
        names = cast(dict[str, Texts], _Names(held.names, self.rows))
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
    holds = np.zeros(batch.rows.size, np.bool_)
    if batch.judged.size == batch.rows.size:
        holds = filter_.mask(view)
    elif batch.judged.size:
        holds[batch.judged] = filter_.mask(view._replace(only=batch.judged))
    was = members.has(batch.rows)
    now = np.where(batch.by >= 0, holds[batch.by], was)
    before = np.where(batch.before >= 0, now[batch.before], was)
    last = batch.last
    changed = last[now[last] != was[last]]
    members.put(batch.rows[changed[now[changed]]], batch.rows[changed[~now[changed]]])
    stays = now & before & ((batch.told & np.uint32(shows)) != 0)
    return Verdict(
        np.flatnonzero(now & ~before), np.flatnonzero(stays), np.flatnonzero(before & ~now)
    )


def _joined(parts: Sequence[Column]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
