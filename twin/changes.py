"""Changes: what one frame changed of the twins of a shard, taken right after it was committed.

The unit is the frame, that is one commit: a twin that several of its events are about is as the
last one left it. The live path takes changes from the state that is written on, and replay from a
private one, by this same code, so both tell the same. A change is a matter of facts, not of
values: a group is told of a row when an event of the frame decided it, also if its value is what
it was before. `touched` alone says which rows and groups; `taken` adds the values that a listener
needs, so that nobody reads the state again when it has gone on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin import merge
from twin.contracts import CONTRACTS
from twin.events import NOTHING
from twin.fields import reads
from twin.filters import Filter
from twin.fold import KindState
from twin.frames import Frame
from twin.kinds import KINDS, Kind, Merge
from twin.merge import TENANT
from twin.outcomes import Outcome, Reason
from twin.slots import number_rows, room

Column = NDArray[Any]
Bits = NDArray[np.uint32]
EVERY = 0xFFFFFFFF  # the bit of every group
PROVENANCE = ("as_of", "source", "confidence", "offset")
_OF_KIND = {
    kind: np.array([c.kind == kind for c in CONTRACTS] + [False])  # -1, of no contract, is last
    for kind in KINDS
}


def _by_contract(kind: Kind, merges: set[Merge]) -> Bits:
    """Return for each contract the groups of some merge rules that it sets, as bits; 0 the last."""
    return np.array(
        [
            sum(
                1 << i
                for i, group in enumerate(kind.groups)
                if c.kind == kind.name and group.name in c.sets and group.merge in merges
            )
            for c in CONTRACTS
        ]
        + [0],
        np.uint32,
    )


# Groups that move between events, so that what decided last says little.
_MOVES = {name: _by_contract(kind, {Merge.SUM, Merge.LEVEL}) for name, kind in KINDS.items()}
_DECIDES = {
    name: _by_contract(kind, {Merge.LATEST, Merge.MAX, Merge.MIN}) for name, kind in KINDS.items()
}


class Touched(NamedTuple):
    """The twins of one kind that a frame is about and changed, in order of their first event."""

    rows: NDArray[np.int64]  # each once
    told: Bits  # bit i: the kind's group i; of a new twin, or after a retraction, all


class Events(NamedTuple):
    """What the events of a frame were about, and what became of them."""

    first: int  # offset of the first one
    row: NDArray[np.int32]
    contract: Column
    outcome: NDArray[np.int8]
    reason: Column
    first_new: int  # the row of the first twin of the kind that is new with the frame

    def newest(self, kind: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for some rows the offset of the newest event that changed them."""
        about = self.outcome == Outcome.APPLIED
        about |= (self.row >= self.first_new) & (self.reason == Reason.NONE)
        at = np.flatnonzero(about & _OF_KIND[kind].take(self.contract, mode="wrap"))
        order = np.argsort(rows)
        inorder, row = rows[order], self.row.take(at).astype(np.int64)
        place = np.minimum(np.searchsorted(inorder, row), rows.size - 1)
        mine = inorder[place] == row
        newest = np.full(rows.size, -1)
        newest[order[place[mine]]] = self.first + at[mine]  # ascending: the last one stands
        return newest


class Needs(NamedTuple):
    """What listeners need of a kind, as bits of groups."""

    reads: int = 0  # groups by which a filter decides
    shows: int = 0  # groups whose values are told
    columns: frozenset[str] = frozenset()  # of all these groups

    def __or__(self, other: Needs) -> Needs:
        both = self.columns | other.columns
        return Needs(self.reads | other.reads, self.shows | other.shows, both)


class Taken(NamedTuple):
    """What a frame changed of one kind, with values as it left them.

    `whole`: rows of which every needed group is taken, told or not, since a filter may judge them
    anew; of the others, those that were told. `groups`: which of the rows, and their columns.
    """

    end: int  # the offset behind the frame
    events: Events
    touched: Touched
    whole: NDArray[np.bool_]
    groups: Mapping[str, tuple[Column, Mapping[str, Column]]]

    @property
    def bytes(self) -> int:
        held = [at.nbytes + sum(c.nbytes for c in each.values()) for at, each in self._parts()]
        return 400 + 13 * self.whole.size + 7 * self.events.row.size + sum(held)

    def _parts(self) -> list[tuple[Column, Mapping[str, Column]]]:
        return list(self.groups.values())


def touched(
    held: KindState,
    frame: Frame,
    outcome: NDArray[np.int8],
    first_new: int,
    groups: int = EVERY,
) -> Touched | None:
    """Return what `frame`, just committed, changed of a kind; None if nothing.

    `first_new`: the row of the first twin that is new with it. `groups`: bits of those that
    matter: of others it is not said whether they were told.
    """
    kind, contract = held.kind.name, frame.columns["contract"]
    does = "does" in frame.columns  # what stood before stands again: any group may be another
    concerns = _concerns(kind, EVERY if does else groups).take(contract, mode="wrap")
    at = np.flatnonzero(concerns & (outcome == Outcome.APPLIED))
    if first_new < held.keys.size:  # a new twin is there, whatever became of what was said of it
        about = frame.columns["row"] >= first_new
        fresh = _OF_KIND[kind].take(contract, mode="wrap") & about
        fresh &= frame.columns["reason"] == Reason.NONE
        at = np.union1d(at, np.flatnonzero(fresh))
    if not at.size:
        return None
    row = frame.columns["row"].take(at).astype(np.int64)
    number = np.empty(at.size, np.int32)
    count = number_rows(room(at.size), row, number)
    rows = np.empty(count, np.int64)
    rows[number] = row
    told = _told(held, frame, at, number, rows, groups)
    if first_new < held.keys.size:
        told[rows >= first_new] = EVERY
    if does:
        told[number[frame.columns["does"].take(at) != NOTHING]] = EVERY
    return Touched(rows, told)


def _told(
    held: KindState, frame: Frame, at: Column, number: Column, rows: Column, groups: int
) -> Bits:
    kind, contract = held.kind.name, frame.columns["contract"].take(at)
    told = np.zeros(rows.size, np.uint32)
    moves = decides = 0
    for one in np.flatnonzero(np.bincount(contract)).tolist():  # all that are applied have one
        moves |= int(_MOVES[kind][one])
        decides |= int(_DECIDES[kind][one])
    if moves:
        np.bitwise_or.at(told, number, _MOVES[kind].take(contract))
    for i, group in enumerate(held.kind.groups):
        if decides & groups & (bit := 1 << i):
            decided = held.table.take(f"{group.name}.offset", rows) >= frame.first
            told |= decided * np.uint32(bit)
    return told


@cache
def _concerns(kind: str, groups: int) -> NDArray[np.bool_]:
    """Say of each contract whether it sets one of some groups; -1, of no contract, is last."""
    sets = (_MOVES[kind] | _DECIDES[kind]) & np.uint32(groups & EVERY)
    return np.asarray(_OF_KIND[kind] if groups == EVERY else sets != 0, np.bool_)


def taken(held: KindState, needs: Needs, frame: Frame, outcome: NDArray[np.int8]) -> Taken | None:
    """Return what `frame`, just committed, changed of a kind, with the values that are needed."""
    names = frame.names.get(held.kind.name)
    first_new = held.keys.size - (names.size if names else 0)
    found = touched(held, frame, outcome, first_new, needs.reads | needs.shows)
    if found is None:
        return None
    told = found.told
    whole = ((told & np.uint32(needs.reads)) != 0) | (told == EVERY)
    groups: dict[str, tuple[Column, Mapping[str, Column]]] = {}
    for i, group, names_of in _places(held.kind.name, needs.columns):
        if names_of:
            at = np.flatnonzero(whole | ((told >> np.uint32(i)) & np.uint32(1)).astype(np.bool_))
            if at.size:
                groups[group] = at, held.table.takes(names_of, found.rows[at])
    if (judged := np.flatnonzero(whole)).size:
        tenant = {TENANT: held.table.take(TENANT, found.rows[judged])}
        groups[TENANT] = judged, tenant
    said = frame.columns
    events = Events(frame.first, said["row"], said["contract"], outcome, said["reason"], first_new)
    return Taken(frame.first + frame.size, events, found, whole, groups)


def needs_of(kind: str, filter_: Filter, fields: Sequence[str]) -> Needs:
    """Return what it takes to judge by a filter, and to tell some fields."""
    columns = {*filter_.fields, *(f"{group}.{p}" for group in filter_.groups for p in PROVENANCE)}
    shows = 0
    for name in fields:
        read, _ = reads(kind, name)
        columns |= read
        shows |= bits_of(kind, name)
    groups = KINDS[kind].groups
    told = [group for i, group in enumerate(groups) if shows >> i & 1]
    columns |= {f"{group.name}.{part}" for group in told for part in PROVENANCE}
    return Needs(bits(kind, filter_.fields, filter_.groups), shows, frozenset(columns))


@cache
def _places(kind: str, columns: frozenset[str]) -> list[tuple[int, str, dict[str, str]]]:
    """Return the number of each group, its name, and which of some columns are in it."""
    other, of = merge.aliases(KINDS[kind]), merge.blocks(KINDS[kind])
    real = {other.get(name, name) for name in columns} & of.keys()
    return [
        (i, group.name, {name: name for name in sorted(real) if of[name] == group.name})
        for i, group in enumerate(KINDS[kind].groups)
    ]


@cache
def bits_of(kind: str, name: str) -> int:
    """Return the groups that a name of `kind` is read from; 0 of `id` and `region`."""
    fields, groups = reads(kind, name)
    return bits(kind, fields, groups)


def bits(kind: str, fields: frozenset[str], groups: frozenset[str]) -> int:
    """Return the groups of some fields, and some groups by their names, as bits."""
    return sum(
        1 << i
        for i, group in enumerate(KINDS[kind].groups)
        if group.name in groups or any(field.name in fields for field in group.fields)
    )
