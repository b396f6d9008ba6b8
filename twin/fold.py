"""Folding: what events say, into the columns of one kind, each group by its merge rule.

Any order of the same events, and any cut of them into batches, leads to the same columns: so the
live path, replay, and what was true at an earlier moment are folded here, and nowhere else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import level, merge
from twin.chunks import Table
from twin.columns import Told, speakers, touched
from twin.contracts import COUNTED, MOVED
from twin.frames import Frame
from twin.keys import Keys
from twin.kinds import ABSENT, Group, Kind, Merge
from twin.merge import Decision, Facts, Held

Column = NDArray[Any]


class KindState:
    """All twins of one kind in a shard: their rows, their keys, their levels."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.table = Table(
            merge.blanks(kind), merge.blocks(kind), merge.sparse(kind), merge.aliases(kind)
        )
        self.keys = Keys()
        self.levels: dict[int, level.Level] = {}
        self.as_of_columns = {f"{group.name}.as_of": ABSENT for group in kind.groups}
        self.source_columns = [f"{group.name}.source" for group in kind.groups]


def fold(
    held: KindState,
    frame: Frame,
    at: Column,
    ranks: Column,
    seen: Held,
    row: Column | None = None,
) -> NDArray[np.bool_]:
    """Decide and commit the events at `at` of a frame; say which of them changed anything.

    `ranks`: rank of each source code. `row`: of each event, if not the one that the frame says.
    """
    columns = frame.columns
    applied = np.zeros(at.size, np.bool_)
    if row is None:
        row = columns["row"][at].astype(np.int64)
    told = Told(frame)
    contract = columns["contract"][at]
    for group in touched(held.kind, contract):
        mine = speakers(held.kind, group, contract)
        about = at[mine]
        if group.merge is Merge.LATEST:
            won, place, flat = merge.settle(held.table, group, frame, about, row[mine], ranks, seen)
            for name, values in told.values(group, about[won]).items():
                flat[name][place[won]] = values
            applied[mine] |= won
            continue
        facts = _facts(frame, told.values(group, about), about, row[mine], ranks)
        if group.merge is Merge.LEVEL:
            decision = _levels(held, group, facts)
        else:
            decision = merge.decide(held.table, group, facts, ranks, seen)
        merge.commit(held.table, decision)
        applied[mine] |= decision.applied
    return applied


def _facts(
    frame: Frame, values: dict[str, Column], at: Column, row: Column, ranks: Column
) -> Facts:
    columns = frame.columns
    source = columns["source"][at]
    return Facts(
        row,
        values,
        columns["time"][at],
        ranks[source],
        columns["hash"][at, 0],
        frame.first + at,
        source,
        columns["confidence"][at],
    )


def _levels(held: KindState, group: Group, facts: Facts) -> Decision:
    """Fold counts and movements into levels, one by one: they are few."""
    applied = np.zeros(facts.row.size, np.bool_)
    changed: dict[int, level.Level] = {}
    for i, row in enumerate(facts.row.tolist()):
        known = changed.get(row) or held.levels.get(row, level.UNKNOWN)
        quantity, delta = int(facts.values[COUNTED][i]), int(facts.values[MOVED][i])
        counts = quantity != ABSENT
        entry = level.Entry(
            int(facts.as_of[i]),
            int(facts.rank[i]),
            int(facts.tie[i]),
            quantity if counts else delta,
            int(facts.offset[i]),
            int(facts.source[i]),
            float(facts.confidence[i]),
        )
        after = level.count(known, entry) if counts else level.move(known, entry)
        if after is not None:
            changed[row] = after
            applied[i] = True
    held.levels |= changed
    rows = sorted(changed)
    newest = [changed[row].newest for row in rows]
    winners = Facts(
        np.array(rows, np.int64),
        {group.fields[0].name: np.array([changed[row].on_hand for row in rows], np.int64)},
        np.array([entry.time for entry in newest], np.int64),
        np.array([entry.rank for entry in newest], np.int64),
        np.array([entry.tie for entry in newest], np.uint64),
        np.array([entry.offset for entry in newest], np.int64),
        np.array([entry.source for entry in newest], np.int32),
        np.array([entry.confidence for entry in newest], np.float32),
    )
    return Decision(group, winners, applied)
