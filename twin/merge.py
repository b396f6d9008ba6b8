"""Merging: which event decides the values of a twin, whatever order events arrive in.

`latest`: of each group, the event with the greatest (event_time, source rank, event id) wins.
`max`: the greatest value wins, and among equal values the greatest such key. The offset, that
is arrival, decides nothing; live traffic, replay and what-if runs use these same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.chunks import Table
from twin.kinds import ABSENT, Group, Kind, Merge

Column = NDArray[Any]
# What every group keeps about the event that decided it: column suffix -> blank.
PROVENANCE: dict[str, np.generic] = {
    "as_of": np.int64(ABSENT),
    "tie": np.uint64(0),  # half of the hash of (source, id): breaks ties of time and rank
    "offset": np.int64(-1),
    "source": np.int32(-1),
    "confidence": np.float32(np.nan),
}
HEAD = "head"  # the newest event of the twin: where its chain starts
TENANT = "tenant"  # code of the tenant the twin belongs to


class Facts(NamedTuple):
    """What n events say about one group: a row and values for each, in order of arrival."""

    row: Column
    values: Mapping[str, Column]  # field -> (n,)
    as_of: Column
    rank: Column  # of the source
    tie: Column
    offset: Column
    source: Column
    confidence: Column

    def take(self, at: Column) -> Facts:
        values = {name: column[at] for name, column in self.values.items()}
        return Facts(self.row[at], values, *(column[at] for column in self[2:]))


class Decision(NamedTuple):
    """The winners of one group, rows ascending and each once; and which events changed it."""

    group: Group
    winners: Facts
    applied: NDArray[np.bool_]


def blanks(kind: Kind) -> dict[str, np.generic]:
    """Return the columns of a kind's table, and what each holds before anything is known."""
    columns: dict[str, np.generic] = {HEAD: np.int64(-1), TENANT: np.int32(-1)}
    for group in kind.groups:
        columns |= {field.name: field.blank for field in group.fields}
        columns |= {f"{group.name}.{name}": blank for name, blank in PROVENANCE.items()}
    return columns


def decide(table: Table, group: Group, facts: Facts, ranks: Column) -> Decision:
    """Return what `facts` do to `group`, without changing it. `ranks`: rank of each source code."""
    held = _held(table, group, facts.row, ranks)
    keys = _keys(group, facts)
    beats = _later(keys, held)
    order = np.lexsort((*reversed(keys), facts.row))
    row = facts.row[order]
    ends = np.ones(row.size, np.bool_)
    ends[:-1] = row[1:] != row[:-1]
    winners = facts.take(order[ends & beats[order]])

    # An event changed the state if it beat both the state and every earlier one of its twin.
    standing = np.empty(row.size, np.int64)
    standing[order] = np.arange(row.size)
    arrival = np.argsort(facts.row, kind="stable")
    record = np.maximum.accumulate(standing[arrival]) == standing[arrival]
    applied = np.zeros(row.size, np.bool_)
    applied[arrival] = record & beats[arrival]
    return Decision(group, winners, applied)


def commit(table: Table, decision: Decision) -> None:
    """Write the winners into their rows."""
    group, won = decision.group, decision.winners
    if not won.row.size:
        return
    for name, column in won.values.items():
        table.put(name, won.row, column)
    for name in PROVENANCE:
        table.put(f"{group.name}.{name}", won.row, getattr(won, name))


def _held(table: Table, group: Group, row: Column, ranks: Column) -> tuple[Column, ...]:
    held = {name: table.take(f"{group.name}.{name}", row) for name in ("as_of", "tie", "source")}
    rank = np.where(held["source"] >= 0, ranks[held["source"]], -1)
    key = (held["as_of"], rank, held["tie"])
    return (table.take(group.fields[0].name, row), *key) if group.merge is Merge.MAX else key


def _keys(group: Group, facts: Facts) -> tuple[Column, ...]:
    key = (facts.as_of, facts.rank, facts.tie)
    return (facts.values[group.fields[0].name], *key) if group.merge is Merge.MAX else key


def _later(new: tuple[Column, ...], old: tuple[Column, ...]) -> NDArray[np.bool_]:
    beats = np.zeros(new[0].size, np.bool_)
    tied = ~beats
    for mine, theirs in zip(new, old, strict=True):
        beats |= tied & (mine > theirs)
        tied &= mine == theirs
    return beats
