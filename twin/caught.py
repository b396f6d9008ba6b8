"""Caught rows: what a commit changed of the twins that rules are about, event by event.

A twin that several events of one frame changed is caught as each of them left it: of ten readings
that come at once, none is lost because the last one is fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.chunks import Table
from twin.columns import Told
from twin.contracts import CONTRACTS
from twin.crossings import Sight
from twin.events import NOTHING
from twin.frames import Frame
from twin.kinds import KINDS, Group, Merge
from twin.merge import aliases, blocks
from twin.outcomes import Outcome
from twin.picked import picked
from twin.rules import Ready
from twin.transition import Snapshot, State

Column = NDArray[Any]
# By number of the contract, -1 the last: whether it says anything about a group.
_SETS = {
    (kind.name, group.name): np.array(
        [c.kind == kind.name and group.name in c.sets for c in CONTRACTS] + [False]
    )
    for kind in KINDS.values()
    for group in kind.groups
}


class Caught(NamedTuple):
    """Rows of one kind as a frame left them."""

    kind: str
    reads: tuple[str, ...]  # the groups that the rules it was caught for read
    first: int  # offset of the frame
    rows: NDArray[np.int64]
    offset: NDArray[np.int64]
    seen: int
    columns: dict[str, Column]


class Plan(NamedTuple):
    """What to catch for some rules of one kind: which contracts concern them, which columns."""

    kind: str
    reads: tuple[str, ...]  # the groups that each of its rules reads
    concerns: NDArray[np.bool_]  # by number of the contract, -1 the last
    columns: tuple[str, ...]
    blocks: tuple[dict[str, str], ...]  # the same by where they lie: name -> column
    groups: tuple[Group, ...]  # whose values an event may tell by itself
    rules: tuple[Ready, ...]


def sight(
    kind: str,
    state: State,
    columns: dict[str, Column],
    where: tuple[Column, Column, Column],
    judged: int,
    *,
    named: bool,
) -> Sight:
    """Return picked rows to be judged. `where`: their rows, offsets, and when each was so.

    `named`: with their ids, which takes longer than all else.
    """
    rows, offset, seen = where
    held = state.kinds[kind]
    table = picked(columns, rows.size, held.table.aliases)
    now_us = int(seen[-1])
    names = {kind: held.keys.names().take(rows)} if named else {}
    snapshot = Snapshot(judged, now_us, {kind: table}, names, state.lexicon)
    return Sight(snapshot, kind, state.rule.region, rows, offset, seen, judged, now_us)


def joined(plan: Plan, some: Sequence[Caught], state: State) -> Sight | None:
    """Return what was caught of one kind as one sight, in order.

    None if some of it was caught for other rules, so that columns are missing.
    """
    if any(set(plan.columns) - one.columns.keys() for one in some):
        return None
    columns = {n: np.concatenate([one.columns[n] for one in some]) for n in plan.columns}
    rows = np.concatenate([one.rows for one in some])
    offset = np.concatenate([one.offset for one in some])
    seen = np.concatenate([np.full(one.rows.size, one.seen) for one in some])
    named = any(one.of_ids for one in plan.rules)
    return sight(plan.kind, state, columns, (rows, offset, seen), 0, named=named)


def piece(
    kind: str, names: Sequence[str], start: int, most: int, live: Snapshot
) -> tuple[dict[str, Column], Column]:
    """Return copies of some columns of the rows from `start` on, `most` at most; and those rows."""
    table = live.tables[kind]
    rows = np.arange(start, min(start + most, table.size))
    return {name: table.take(name, rows) for name in names}, rows


def plans_of(rules: Sequence[Ready]) -> tuple[Plan, ...]:
    """Return what to catch for rules that facts decide: rules that read the same go together.

    So a reading is caught with what rules about readings look at, and nothing else.
    """
    seats: dict[tuple[str, tuple[str, ...]], list[Ready]] = {}
    for one in rules:
        if not one.timed:
            seats.setdefault((one.rule.kind, one.groups), []).append(one)
    return tuple(_plan(kind, reads, some) for (kind, reads), some in seats.items())


def _plan(kind: str, reads: tuple[str, ...], rules: Sequence[Ready]) -> Plan:
    concerns = [c.kind == kind and not c.sets.keys().isdisjoint(reads) for c in CONTRACTS]
    columns = tuple(dict.fromkeys(name for one in rules for name in one.columns))
    told = [
        group
        for group in KINDS[kind].groups
        if group.name in reads and group.merge in {Merge.LATEST, Merge.MAX, Merge.MIN}
    ]
    other, of = aliases(KINDS[kind]), blocks(KINDS[kind])
    lie: dict[str, dict[str, str]] = {}
    for name in columns:
        column = other.get(name, name)
        lie.setdefault(of[column], {})[name] = column
    mine = np.array([*concerns, False])
    return Plan(kind, reads, mine, columns, tuple(lie.values()), tuple(told), tuple(rules))


def caught_of(
    plans: Sequence[Plan],
    frame: Frame,
    outcome: NDArray[np.int8],
    state: State,
    *,
    late: bool = False,
) -> list[Caught]:
    """Return what a frame that was just committed changed, event by event.

    `late`: it was some time ago; what its events did not tell themselves is as it is now.
    """
    contract, applied = frame.columns["contract"], outcome == Outcome.APPLIED
    found: list[Caught] = []
    for plan in plans:
        at = np.flatnonzero(plan.concerns.take(contract, mode="wrap") & applied)
        if at.size:
            found.append(_caught(state.kinds[plan.kind].table, plan, frame, at, late))
    return found


def _caught(table: Table, plan: Plan, frame: Frame, at: Column, late: bool) -> Caught:
    """Return rows as each event left them: what it told itself, the rest as it stands now."""
    rows = frame.columns["row"].take(at).astype(np.int64)
    columns: dict[str, Column] = {}
    for names in plan.blocks:
        columns |= table.takes(names, rows)
    if late or (at.size > 1 and _repeat(rows)):  # else the last word on each row is its own
        speaks = frame.columns["does"][at] == NOTHING if "does" in frame.columns else None
        _retell(columns, plan, frame, at, speaks)
    return Caught(
        plan.kind, plan.reads, frame.first, rows, frame.first + at, frame.ingest_time, columns
    )


def _repeat(rows: Column) -> bool:
    inorder = np.sort(rows)
    return bool((inorder[1:] == inorder[:-1]).any())


def _retell(columns: dict[str, Column], plan: Plan, frame: Frame, at: Column, speaks: Any) -> None:
    """Put what each event told where the row has what the last one did."""
    told, contract = Told(frame), frame.columns["contract"][at]
    for group in plan.groups:
        mine = np.flatnonzero(_SETS[plan.kind, group.name].take(contract, mode="wrap"))
        if speaks is not None:
            mine = mine[speaks[mine]]
        if not mine.size:
            continue
        for name, values in told.values(group, at[mine]).items():
            if name in columns:
                columns[name][mine] = values
        times = frame.columns["time"][at[mine]]
        for name in (f"{group.name}.as_of", *(f.name for f in group.fields if f.is_as_of)):
            if name in columns:
                columns[name][mine] = times
