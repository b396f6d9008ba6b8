"""Changes: what one frame changed of the twins of a shard, taken right after it was committed.

The unit is the frame, that is one commit: a twin that several of its events are about is as the
last one left it. The live path takes changes from the state that is written on, and replay from a
private one, by this same code, so both tell the same. A change is a matter of facts, not of
values: a group is told of a row when an event of the frame decided it, also if its value is what
it was before. `touched` alone says which rows and groups; `taken` adds the values that a listener
needs, so that nobody reads the state again when it has gone on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import CONTRACTS
from twin.events import NOTHING
from twin.fields import reads
from twin.fold import KindState
from twin.frames import Frame
from twin.kinds import KINDS, Merge
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
# Groups that move between events, so that what decided last says little: bits by contract.
_MOVES = {
    name: np.array(
        [
            sum(
                1 << i
                for i, group in enumerate(kind.groups)
                if c.kind == name
                and group.name in c.sets
                and group.merge in {Merge.SUM, Merge.LEVEL}
            )
            for c in CONTRACTS
        ]
        + [0],
        np.uint32,
    )
    for name, kind in KINDS.items()
}
_DECIDES = {
    name: [
        (
            i,
            f"{group.name}.offset",
            np.array([c.kind == name and group.name in c.sets for c in CONTRACTS] + [False]),
        )
        for i, group in enumerate(kind.groups)
        if group.merge not in {Merge.SUM, Merge.LEVEL}
    ]
    for name, kind in KINDS.items()
}


class Touched(NamedTuple):
    """The twins of one kind that a frame is about and changed, in order of their first event."""

    rows: NDArray[np.int64]  # each once
    told: Bits  # bit i: the kind's group i; of a new twin, or after a retraction, all
    offset: NDArray[np.int64]  # of the newest event that changed the twin


class Needs(NamedTuple):
    """What listeners need of a kind, as bits of groups."""

    reads: int = 0  # groups by which a filter decides
    shows: int = 0  # groups whose values are told

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.reads | other.reads, self.shows | other.shows)


class Taken(NamedTuple):
    """What a frame changed of one kind, with values as it left them.

    `whole`: rows of which every needed group is taken, told or not, since a filter may judge them
    anew; of the others, those that were told. `groups`: which of the rows, and their columns.
    """

    end: int  # the offset behind the frame
    touched: Touched
    whole: NDArray[np.bool_]
    groups: Mapping[str, tuple[Column, Mapping[str, Column]]]

    @property
    def bytes(self) -> int:
        held = [at.nbytes + sum(c.nbytes for c in each.values()) for at, each in self._parts()]
        return 400 + 21 * self.whole.size + sum(held)

    def _parts(self) -> list[tuple[Column, Mapping[str, Column]]]:
        return list(self.groups.values())


def touched(
    held: KindState, frame: Frame, outcome: NDArray[np.int8], first_new: int
) -> Touched | None:
    """Return what `frame`, just committed, changed of a kind; None if nothing.

    `first_new`: the row of the first twin that is new with it.
    """
    kind, contract = held.kind.name, frame.columns["contract"]
    mine = _OF_KIND[kind].take(contract, mode="wrap")
    at = np.flatnonzero(mine & (outcome == Outcome.APPLIED))
    size = held.keys.size
    if first_new < size:  # a new twin is there, whatever became of what was said of it
        about = frame.columns["row"] >= first_new
        fresh = mine & about & (frame.columns["reason"] == Reason.NONE)
        at = np.union1d(at, np.flatnonzero(fresh))
    if not at.size:
        return None
    row = frame.columns["row"].take(at).astype(np.int64)
    number = np.empty(at.size, np.int32)
    count = number_rows(room(at.size), row, number)
    rows, offset = np.empty(count, np.int64), np.empty(count, np.int64)
    rows[number] = row
    offset[number] = frame.first + at  # ascending: the last one stands
    told = _told(held, frame, at, number, rows)
    told[rows >= first_new] = EVERY
    return Touched(rows, told, offset)


def _told(held: KindState, frame: Frame, at: Column, number: Column, rows: Column) -> Bits:
    kind, contract = held.kind.name, frame.columns["contract"].take(at)
    told = np.zeros(rows.size, np.uint32)
    moves = _MOVES[kind].take(contract, mode="wrap")
    if moves.any():
        np.bitwise_or.at(told, number, moves)
    for i, name, sets in _DECIDES[kind]:
        if sets.take(contract, mode="wrap").any():
            told |= (held.table.take(name, rows) >= frame.first).astype(np.uint32) << np.uint32(i)
    if "does" in frame.columns:  # what stood before stands again: any group may be another
        told[number[frame.columns["does"].take(at) != NOTHING]] = EVERY
    return told


def taken(held: KindState, needs: Needs, frame: Frame, outcome: NDArray[np.int8]) -> Taken | None:
    """Return what `frame`, just committed, changed of a kind, with the values that are needed."""
    names = frame.names.get(held.kind.name)
    found = touched(held, frame, outcome, held.keys.size - (names.size if names else 0))
    if found is None:
        return None
    told = found.told
    whole = ((told & np.uint32(needs.reads)) != 0) | (told == EVERY)
    groups: dict[str, tuple[Column, Mapping[str, Column]]] = {}
    for i, (group, names_of) in enumerate(columns_of(held.kind.name).items()):
        if (needs.reads | needs.shows) >> i & 1:
            at = np.flatnonzero(whole | ((told >> np.uint32(i)) & np.uint32(1)).astype(np.bool_))
            if at.size:
                groups[group] = at, held.table.takes(names_of, found.rows[at])
    if (judged := np.flatnonzero(whole)).size:
        tenant = {TENANT: held.table.take(TENANT, found.rows[judged])}
        groups[TENANT] = judged, tenant
    return Taken(frame.first + frame.size, found, whole, groups)


@cache
def columns_of(kind: str) -> dict[str, dict[str, str]]:
    """Return group -> the columns that hold its values and where they are from, by their names."""
    return {
        group.name: {
            name: name
            for name in (
                *(field.name for field in group.fields if not field.is_as_of),
                *(f"{group.name}.{part}" for part in PROVENANCE),
            )
        }
        for group in KINDS[kind].groups
    }


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
