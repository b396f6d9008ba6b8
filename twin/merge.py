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
from twin.kernels import decide_latest, number_rows, room
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
    """The winners of one group, each row once; and which events changed it, in their order."""

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


def blocks(kind: Kind) -> dict[str, str]:
    """Return for each column of a kind's table the block it belongs to: its group."""
    of = {HEAD: HEAD, TENANT: HEAD}
    for group in kind.groups:
        of |= dict.fromkeys((field.name for field in group.fields), group.name)
        of |= {f"{group.name}.{name}": group.name for name in PROVENANCE}
    return of


def decide(table: Table, group: Group, facts: Facts, ranks: Column) -> Decision:
    """Return what `facts` do to `group`, without changing it. `ranks`: rank of each source code."""
    n = facts.row.size
    number = np.empty(n, np.int32)
    rows = number_rows(room(n), facts.row, number)
    held, held_tie = _held(table, group, facts.row, ranks)
    winner, applied = np.full(rows, -1, np.int32), np.zeros(n, np.bool_)
    decide_latest(number, _keys(group, facts), facts.tie, held, held_tie, winner, applied)
    return Decision(group, facts.take(np.sort(winner[winner >= 0])), applied)


def commit(table: Table, decision: Decision) -> None:
    """Write the winners into their rows."""
    group, won = decision.group, decision.winners
    if not won.row.size:
        return
    provenance = {f"{group.name}.{name}": getattr(won, name) for name in PROVENANCE}
    table.puts({**won.values, **provenance}, won.row)


def _held(
    table: Table, group: Group, row: Column, ranks: Column
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return what holds each row: (value, event_time, rank) and the tie."""
    names = {name: f"{group.name}.{name}" for name in ("as_of", "tie", "source")}
    held = table.takes(names | {"value": group.fields[0].name}, row)
    key = np.empty((row.size, 3), np.int64)
    key[:, 0] = held["value"] if group.merge is Merge.MAX else 0
    key[:, 1] = held["as_of"]
    key[:, 2] = -1
    known = held["source"] >= 0
    key[known, 2] = ranks[held["source"][known]]
    return key, held["tie"]


def _keys(group: Group, facts: Facts) -> NDArray[np.int64]:
    key = np.empty((facts.row.size, 3), np.int64)
    key[:, 0] = facts.values[group.fields[0].name] if group.merge is Merge.MAX else 0
    key[:, 1] = facts.as_of
    key[:, 2] = facts.rank
    return key
