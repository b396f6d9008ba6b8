"""The past: twins as they were at one moment, folded from their chains by the rules of today.

Two moments say which. What was known: events of offsets below a cut, retractions and revisions
among them, since to withdraw or to restate a fact is to know better. What was true: of those, the
facts whose event_time is not after `at`. A twin is there if any of its events is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin import merge
from twin.chain import END, Chain, withdrawn
from twin.chunks import Table
from twin.columns import of_kind
from twin.fold import KindState, fold
from twin.frames import Frame
from twin.kinds import ABSENT, KINDS
from twin.merge import HEAD, TENANT
from twin.pages import TableSnapshot
from twin.retraction import Withdrawal
from twin.revisions import Revisions

Column = NDArray[Any]
NOBODY = -2  # the tenant of a row whose twin was not there: no code is that


class Moment(NamedTuple):
    """As of when: facts up to `at`, of what was journaled by `known_at`; END: no bound."""

    at: int = END
    known_at: int = END


class Ties(NamedTuple):
    """What breaks ties of time and rank: half of the hash of the event at each offset."""

    offset: NDArray[np.int64]  # ascending
    high: NDArray[np.uint64]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        return self.offset, self.high

    def ties(self, offset: Column) -> NDArray[np.uint64]:
        if not self.offset.size:
            return np.zeros(offset.size, np.uint64)
        at = np.minimum(np.searchsorted(self.offset, offset), self.offset.size - 1)
        return np.where(offset >= 0, self.high[at], np.uint64(0))


class Restated(NamedTuple):
    """What a cause of derived events would say of a twin; `said`: time and amounts, or nothing."""

    cause: int
    said: tuple[int, int, int] | None


def refold(
    kind: str,
    chain: Chain,
    rows: Column,
    ranks: Column,
    at: int = END,
    *,
    extra: Iterable[Withdrawal] = (),
    restated: Iterable[Restated] = (),
) -> KindState:
    """Return twins of whole chains as they were: row i of the state is rows[i] of the shard's.

    `rows` ascend. HEAD is the newest event that counts, and TENANT is NOBODY where none does.
    `extra` retractions are taken for known, and of the first twin what causes say is `restated`.
    """
    held = KindState(KINDS[kind])
    held.table.grow(rows.size)
    frame = chain.frame
    row = np.searchsorted(rows, chain.column("row")).astype(np.int64)
    there = chain.column("time") <= at
    speaks = withdrawn(chain, ranks, extra).speaks(frame)
    ties = Ties(np.arange(chain.size), np.ascontiguousarray(chain.column("hash")[:, 0]))
    counts = np.flatnonzero(there & speaks)
    if counts.size:
        fold(held, frame, counts, ranks, ties, row[counts])
    revisions = Revisions()
    said = np.flatnonzero(speaks)
    revisions.learn(kind, frame, said, row[said])
    for cause, told in restated:
        revisions.restate(kind, 0, cause, told)
    revisions.tell(kind, held, ranks, at)
    _place(held, chain)
    _head(held.table, rows.size, row[there], chain.offset[there], chain.column("tenant")[there])
    return held


def after(table: TableSnapshot, kind: str, at: int) -> NDArray[np.int64]:
    """Return the rows that facts after `at` may have decided, or of which no fact decides anything.

    Every other row is as it was: what won over all facts won over those up to `at` as well.
    """
    late = np.zeros(table.size, np.bool_)
    known = np.zeros(table.size, np.bool_)
    for group in KINDS[kind].groups:
        as_of = table.column(f"{group.name}.as_of")
        late |= as_of > at
        known |= as_of != ABSENT
    return np.flatnonzero((late | ~known) & (table.column(TENANT) >= 0))


def thawed(table: TableSnapshot, kind: str) -> KindState:
    """Return a state of one kind that holds what a snapshot of its table does, to be changed."""
    held = KindState(KINDS[kind])
    held.table.load(table.dump(), table.size)
    return held


def patch(kind: str, table: Table, rows: Column, fresh: Table) -> None:
    """Put row i of `fresh` in the place of rows[i] of a kind's table."""
    every = np.arange(rows.size)
    for names in _blocks(kind).values():
        told = {name: fresh.take(name, every) for name in names}
        old = {name: table.take(name, rows) for name in names}
        differs = np.zeros(rows.size, np.bool_)
        for name, values in told.items():
            differs |= _unlike(values, old[name])
        at = np.flatnonzero(differs)  # a sparse block has no place for what stays blank
        table.puts({name: values[at] for name, values in told.items()}, rows[at])


def clear(kind: str, table: Table, rows: Column) -> None:
    """Make everything about some rows unknown, their tenant too."""
    blank = KindState(KINDS[kind]).table
    blank.grow(rows.size)
    patch(kind, table, rows, blank)
    table.put(TENANT, rows, np.full(rows.size, NOBODY, np.int32))


class Sweep:
    """Folds whole stretches of a journal into tables, oldest first, where many rows change.

    Rows that any retraction concerns are for `refold`, and not `wanted` here.
    """

    def __init__(
        self,
        kinds: Mapping[str, KindState],
        wanted: Mapping[str, NDArray[np.bool_]],
        ranks: Column,
        ties: Ties,
        at: int = END,
        revisions: Revisions | None = None,
    ) -> None:
        """`wanted`: by row. `revisions`: of the tables as they are; or they are told at the end."""
        self.kinds = kinds
        self.wanted = dict(wanted)
        self._ranks = ranks
        self._ties = ties
        self._at = at
        self._live = revisions
        self._learnt = {kind: Revisions() for kind in kinds}

    def take(self, frame: Frame) -> None:
        """Fold the events of a frame, or of frames that were joined."""
        columns = frame.columns
        stands = columns["reason"] == 0
        for kind, held in self.kinds.items():
            at = np.flatnonzero(stands & of_kind(frame, held.kind))
            if not at.size:
                continue
            row = columns["row"][at].astype(np.int64)
            mine = self.wanted[kind][row]
            at, row = at[mine], row[mine]
            there = columns["time"][at] <= self._at
            counts = at[there]
            if counts.size:
                fold(held, frame, counts, self._ranks, self._ties, row[there])
                tenant = columns["tenant"][counts]
                held.table.put(HEAD, row[there], frame.first + counts)
                held.table.put(TENANT, row[there], tenant)
            if self._live is None:
                self._learnt[kind].learn(kind, frame, at, row)
        if self._live is not None:
            self._live.apply(frame, stands, self.kinds, self._ranks)

    def end(self) -> None:
        """Tell the tables what derived events came to."""
        if self._live is None:
            for kind, held in self.kinds.items():
                self._learnt[kind].tell(kind, held, self._ranks, self._at)


def _place(held: KindState, chain: Chain) -> None:
    """Name deciding events by their offsets in the journal, not in the chain."""
    rows = np.arange(held.table.size)
    for group in held.kind.groups:
        name = f"{group.name}.offset"
        at = held.table.take(name, rows)
        known = np.flatnonzero(at >= 0)
        if known.size:
            held.table.put(name, known, chain.offset[at[known]])


def _head(table: Table, size: int, row: Column, offset: Column, tenant: Column) -> None:
    head, whose = np.full(size, -1), np.full(size, NOBODY, np.int32)
    head[row], whose[row] = offset, tenant  # ascending: the last one stays
    table.put(HEAD, np.arange(size), head)
    table.put(TENANT, np.arange(size), whose)


@cache
def _blocks(kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, block in merge.blocks(KINDS[kind]).items():
        found.setdefault(block, []).append(name)
    return found


def _unlike(one: Column, other: Column) -> NDArray[np.bool_]:
    same = one == other
    if one.dtype.kind == "f":
        same |= np.isnan(one) & np.isnan(other)
    return np.asarray(~same, np.bool_)
