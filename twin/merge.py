"""Merging: which event decides the values of a twin, whatever order events arrive in.

`latest`: of each group, the event with the greatest (event_time, source rank, event id) wins.
`max` and `min`: the greatest or least value wins, and among equal values the greatest such key.
`sum`: every event's changes count once, and the event with the greatest such key gives the
provenance. The offset, that is arrival, decides nothing; live traffic, replay and what-if runs
use these same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twin.chunks import Table
from twin.frames import Frame
from twin.kernels import compete, decide_latest
from twin.kinds import ABSENT, Group, Kind, Merge
from twin.slots import number_rows, room

Column = NDArray[Any]
# What a group keeps about the event that decided it: column suffix -> blank.
PROVENANCE: dict[str, np.generic] = {
    "as_of": np.int64(ABSENT),
    "tie": np.uint64(0),  # half of the hash of (source, id): breaks ties of time and rank; kept
    # where sums and levels move between events, else dedup knows it by the offset
    "offset": np.int64(-1),
    "source": np.int32(-1),
    "confidence": np.float32(np.nan),
}
HEAD = "head"  # the newest event of the twin: where its chain starts
TENANT = "tenant"  # code of the tenant the twin belongs to


class Held(Protocol):
    """What a tie of time and rank is broken by: what dedup remembers of the event at an offset."""

    def ties(self, offset: Column) -> NDArray[np.uint64]: ...

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]: ...


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
        columns |= {field.name: field.blank for field in group.fields if not field.is_as_of}
        columns |= {f"{group.name}.{name}": PROVENANCE[name] for name in provenance(group)}
    return columns


def provenance(group: Group) -> list[str]:
    """Return what a group keeps about the event that decided it."""
    keeps_tie = group.merge in {Merge.SUM, Merge.LEVEL}
    return [name for name in PROVENANCE if name != "tie" or keeps_tie]


def aliases(kind: Kind) -> dict[str, str]:
    """Return the fields that are kept as another column."""
    fields = [(group, field) for group in kind.groups for field in group.fields]
    return {field.name: f"{group.name}.as_of" for group, field in fields if field.is_as_of}


def blocks(kind: Kind) -> dict[str, str]:
    """Return for each column of a kind's table the block it belongs to: its group."""
    of = {HEAD: HEAD, TENANT: TENANT}
    for group in kind.groups:
        of |= dict.fromkeys((f.name for f in group.fields if not f.is_as_of), group.name)
        of |= {f"{group.name}.{name}": group.name for name in provenance(group)}
    return of


def sparse(kind: Kind) -> set[str]:
    """Return the blocks of a kind's table in which few twins ever have a value."""
    return {group.name for group in kind.groups if group.sparse}


def decide(table: Table, group: Group, facts: Facts, ranks: Column, seen: Held) -> Decision:
    """Return what `facts` do to `group`, without changing it. `ranks`: rank of each source code."""
    n = facts.row.size
    number = np.empty(n, np.int32)
    rows = number_rows(room(n), facts.row, number)
    keys = _keys(group, facts)
    held, held_tie = _held(table, group, facts.row, keys, ranks, seen)
    winner, applied = np.full(rows, -1, np.int32), np.zeros(n, np.bool_)
    decide_latest(number, keys, facts.tie, held, held_tie, winner, applied)
    if group.merge is Merge.SUM:
        return Decision(
            group, _summed(table, group, facts, number, winner), ~np.zeros_like(applied)
        )
    return Decision(group, facts.take(np.sort(winner[winner >= 0])), applied)


def settle(
    table: Table, group: Group, frame: Frame, at: Column, row: Column, ranks: Column, seen: Held
) -> tuple[NDArray[np.bool_], NDArray[np.int64], dict[str, Column]]:
    """Let the events at `at` of a frame compete for a `latest` group, and write down who won.

    Return which won, where each row lies, and the flat columns of the group: the values of the
    winners are for the caller to put there, in order.
    """
    columns = frame.columns
    place, flat = table.opened(group.name, row)
    won = np.empty(at.size, np.bool_)
    compete(
        at,
        place,
        frame.first,
        columns["time"],
        columns["source"],
        columns["hash"],
        columns["confidence"],
        ranks,
        *seen.places(),
        *(flat[f"{group.name}.{name}"] for name in ("as_of", "offset", "source", "confidence")),
        won,
    )
    return won, place, flat


def commit(table: Table, decision: Decision) -> None:
    """Write the winners into their rows."""
    group, won = decision.group, decision.winners
    if not won.row.size:
        return
    told = {f"{group.name}.{name}": getattr(won, name) for name in provenance(group)}
    table.puts({**won.values, **told}, won.row)


def _summed(table: Table, group: Group, facts: Facts, number: Column, winner: Column) -> Facts:
    """Return the new sums, and the provenance of the newest event of each. A sum of nothing is 0.

    Integers wrap far beyond what contracts allow, so no order of events can change a sum.
    """
    some = np.empty(winner.size, np.int64)  # any event of each row
    some[number] = np.arange(number.size)
    row = facts.row[some]
    values: dict[str, Column] = {}
    for field in group.fields:
        held, given = table.take(field.name, row), facts.values[field.name]
        total = np.where(held == ABSENT, 0, held)
        np.add.at(total, number, np.where(given == ABSENT, 0, given))
        values[field.name] = total
    newest = facts.take(np.where(winner >= 0, winner, some))
    before = table.takes({name: f"{group.name}.{name}" for name in PROVENANCE}, row)
    told = {name: np.where(winner >= 0, getattr(newest, name), before[name]) for name in before}
    return newest._replace(row=row, values=values, **told)


def _held(
    table: Table, group: Group, row: Column, keys: Column, ranks: Column, seen: Held
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return what holds each row: (value, event_time, rank), and its tie if it ties with `keys`."""
    names = {name: f"{group.name}.{name}" for name in ("as_of", "offset", "source")}
    held = table.takes(names | {"value": group.fields[0].name}, row)
    key = np.empty((row.size, 3), np.int64)
    key[:, 0] = _order(group, held["value"])
    key[:, 1] = held["as_of"]
    key[:, 2] = -1
    known = held["source"] >= 0
    key[known, 2] = ranks[held["source"][known]]
    tie = np.zeros(row.size, np.uint64)
    ties = (known & (key == keys).all(axis=1)).nonzero()[0]
    if "tie" in provenance(group):
        tie = table.take(f"{group.name}.tie", row)
    elif ties.size:
        tie[ties] = seen.ties(held["offset"][ties])
    return key, tie


def _keys(group: Group, facts: Facts) -> NDArray[np.int64]:
    key = np.empty((facts.row.size, 3), np.int64)
    key[:, 0] = _order(group, facts.values[group.fields[0].name])
    key[:, 1] = facts.as_of
    key[:, 2] = facts.rank
    return key


def _order(group: Group, values: Column) -> Any:
    """Return what competes before time does. An absent integer is the least either way."""
    if group.merge is Merge.MAX:
        return values
    return -values if group.merge is Merge.MIN else 0
