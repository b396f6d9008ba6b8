"""The course of one twin: what decided each of its groups after every event, turn by turn.

Turns are in the order in which events became known, or in that of their event times. The last turn
by either order is what the columns hold: keys, merge rules, retractions and revisions are theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin import level
from twin.chain import Chain, withdrawn
from twin.columns import Told, payload_column, speakers
from twin.contracts import CONTRACTS, COUNTED, MOVED
from twin.derived import EFFECTS, IS_DERIVED
from twin.errors import TooMany
from twin.events import NOTHING
from twin.fold import KindState
from twin.kinds import ABSENT, KINDS, Group, Merge
from twin.merge import TENANT
from twin.retraction import Withdrawn, withdrawal

Column = NDArray[Any]
Mask = NDArray[np.bool_]
NONE = -1  # of a winner: nothing is known
WORK = 1_000_000_000  # events looked at for one question
ADDING = {Merge.SUM, Merge.LEVEL}
_AMOUNTS = {effect.type: effect.amounts for effect in EFFECTS}
_IS = {e.type: np.array([c.type == e.type for c in CONTRACTS]) for e in EFFECTS}


class Facts(NamedTuple):
    """What the events of a chain say about one group, in some order; n of each."""

    group: Group
    number: NDArray[np.int64]  # the place of each in the order of keys: greater wins; NONE: silent
    values: Mapping[str, Column]  # field -> what each states; blank where it does not
    counts: Mask  # of a level: what says how much there is, not by how much it changed
    time: NDArray[np.int64]
    ranked: NDArray[np.int64]  # the place in the chain of each number


class Masks(NamedTuple):
    """Which events of a chain count: for what the greatest key decides, and for what adds up."""

    speaks: Mask  # no retraction withdraws it
    adds: Mask  # ... nor does a greater revision replace what it derives from

    def of(self, rule: Merge) -> Mask:
        return self.adds if rule in ADDING else self.speaks


class Track(NamedTuple):
    """What a group came to after each of some turns."""

    winner: NDArray[np.int64]  # the event that decided it, by its place in the chain; NONE
    totals: Mapping[str, Column]  # field -> value, of sums and levels


class Turns(NamedTuple):
    """`event`: whose arrival, or whose time, each turn is; tracks by the name of the group."""

    event: NDArray[np.int64]
    tracks: dict[str, Track]


class Course:
    """One twin's, of its whole chain up to some cut."""

    def __init__(self, kind: str, chain: Chain, ranks: Column) -> None:
        self.kind = KINDS[kind]
        self.chain = chain
        self.ranks = ranks
        self.withdrawn = withdrawn(chain, ranks)
        self.contract = chain.column("contract")
        self.cause, self.revision, self.revoked = _causes(chain)
        self.rank = ranks[chain.column("source")]
        self._told = Told(chain.frame)
        self.facts = {group.name: self._facts(group) for group in self.kind.groups}
        self.masks = self._masks(self.withdrawn, chain.size)  # by all that is known

    def by_arrival(self) -> Turns:
        """Return a turn an event, as it became known."""
        segments = list(self._segments())
        tracks = {
            name: _joined([_track(facts, masks, a, b, facts) for a, b, masks in segments])
            for name, facts in self.facts.items()
        }
        return Turns(np.arange(self.chain.size), tracks)

    def by_time(self) -> Turns:
        """Return a turn an event, by event time, retractions and revisions known from the start."""
        order = np.lexsort((self.chain.offset, self.chain.column("time")))
        masks = Masks(self.masks.speaks[order], self.masks.adds[order])
        tracks = {
            name: _track(_reordered(facts, order), masks, 0, order.size, facts)
            for name, facts in self.facts.items()
        }
        return Turns(order, tracks)

    def at(self, at: int) -> Turns:
        """Return one turn: what is true at `at` by all that is known."""
        there, n = self.chain.column("time") <= at, self.chain.size
        masks = Masks(self.masks.speaks & there, self.masks.adds & there)
        tracks = {name: _track(f, masks, n - 1, n, f) for name, f in self.facts.items()}
        return Turns(np.array([n - 1]), tracks)

    def changed(self, turns: Turns) -> dict[str, Mask]:
        """Return group -> at which turns it came to something else than at the turn before."""
        found = {}
        for name, track in turns.tracks.items():
            columns = [track.winner, *track.totals.values()]
            differs = np.zeros(turns.event.size, np.bool_)
            for column in columns:
                differs[1:] |= column[1:] != column[:-1]
            differs[:1] = track.winner[:1] != NONE
            found[name] = differs
        return found

    def rows(self, turns: Turns) -> KindState:
        """Return a table with a row a turn: the twin as it stood after it."""
        held = KindState(self.kind)
        n = turns.event.size
        held.table.grow(n)
        columns = self.chain.frame.columns
        held.table.put(TENANT, np.arange(n), columns["tenant"][turns.event])
        for group in self.kind.groups:
            track, facts = turns.tracks[group.name], self.facts[group.name]
            rows = np.flatnonzero(track.winner != NONE)
            event = track.winner[rows]
            told = {
                f"{group.name}.as_of": columns["time"][event],
                f"{group.name}.offset": self.chain.offset[event],
                f"{group.name}.source": columns["source"][event],
                f"{group.name}.confidence": columns["confidence"][event],
            }
            for field in group.fields:
                if not field.is_as_of:
                    total = track.totals.get(field.name)
                    values = facts.values[field.name][event] if total is None else total[rows]
                    told[field.name] = values
            held.table.puts(told, rows)
        return held

    def _facts(self, group: Group) -> Facts:
        chain, n = self.chain, self.chain.size
        at = speakers(self.kind, group, self.contract)
        said = self._told.values(group, at)
        about, counts = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        about[at] = True
        time = chain.column("time")
        values = {f.name: np.full(n, f.blank) for f in group.fields if not f.is_as_of}
        tie = chain.column("hash")[:, 0].copy()
        if group.merge is Merge.LEVEL:
            name = group.fields[0].name
            is_count = said[COUNTED] != ABSENT
            values[name][at] = np.where(is_count, said[COUNTED], said[MOVED])
            counts[at] = is_count
        else:
            for name, column in said.items():
                values[name][at] = column
        if group.merge in {Merge.LEVEL, Merge.SUM}:
            for i in np.flatnonzero(self._derived(group)).tolist():
                amounts = _AMOUNTS[CONTRACTS[int(self.contract[i])].type]
                for field, amount in zip(group.fields, amounts, strict=False):
                    values[field.name][i] = payload_column(chain.frame, amount)[i]
                about[i], tie[i] = True, self.cause[i]
        first = np.zeros(n, np.int64)
        if group.merge in {Merge.MAX, Merge.MIN}:
            sign = 1 if group.merge is Merge.MAX else -1
            first = sign * values[group.fields[0].name].astype(np.int64)
        some = np.flatnonzero(about)
        ranked = some[np.lexsort((tie[some], self.rank[some], time[some], first[some]))]
        number = np.full(n, NONE)
        number[ranked] = np.arange(ranked.size)
        return Facts(group, number, values, counts, time, ranked)

    def _derived(self, group: Group) -> Mask:
        sets = np.array([group.name in c.sets for c in CONTRACTS])
        mask: Mask = IS_DERIVED[self.contract] & sets[self.contract]
        return mask

    def _segments(self) -> Iterator[tuple[int, int, Masks]]:
        """Yield stretches of turns within which no event ceases to count, or counts again."""
        does, n = self.chain.column("does"), self.chain.size
        known = Withdrawn()
        breaks = np.flatnonzero((does != NOTHING) | self._repeats()).tolist()
        starts = breaks if breaks and not breaks[0] else [0, *breaks]
        _bound(len(starts), n)
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            if does[start] != NOTHING:
                known.add(withdrawal(self.chain.frame, start, int(self.rank[start])))
            yield start, end, self._masks(known, end)

    def _repeats(self) -> Mask:
        """Say which derived events are of a cause that the chain has told of before."""
        again = np.zeros(self.chain.size, np.bool_)
        if (self.revision >= 0).any():
            _, first = np.unique(self.cause, return_index=True)
            again[:] = self.revision >= 0
            again[first] = False
        return again

    def _masks(self, known: Withdrawn, end: int) -> Masks:
        """Say of each event before `end` whether it counts, by what was known then."""
        speaks = known.speaks(self.chain.frame)
        speaks[end:] = False
        adds = speaks.copy()
        derived = np.flatnonzero(speaks & (self.revision >= 0))
        order = derived[np.lexsort((self.revision[derived], self.cause[derived]))]
        last = np.ones(order.size, np.bool_)
        last[:-1] = self.cause[order[1:]] != self.cause[order[:-1]]
        adds[order[~last]] = False
        adds[order[last & self.revoked[order]]] = False
        return Masks(speaks, adds)


def _causes(chain: Chain) -> tuple[NDArray[np.uint64], NDArray[np.int64], Mask]:
    """Return cause and revision of each event (NONE: it is not derived), and if it withdraws it."""
    contract = chain.column("contract")
    cause, revision = np.zeros(chain.size, np.uint64), np.full(chain.size, NONE)
    revoked = np.zeros(chain.size, np.bool_)
    for effect in EFFECTS:
        mine = _IS[effect.type][contract]
        if mine.any():
            cause[mine] = payload_column(chain.frame, "cause")[mine].astype(np.uint64)
            revision[mine] = payload_column(chain.frame, "revision")[mine]
            revoked[mine] = payload_column(chain.frame, effect.amounts[0])[mine] == ABSENT
    return cause, revision, revoked


def _track(facts: Facts, masks: Masks, a: int, b: int, whole: Facts) -> Track:
    """Return what a group comes to after the turns from `a` to before `b`.

    `facts` are in the order of the turns, as masks are; `whole` in that of the chain.
    """
    counts = masks.of(facts.group.merge)[:b]
    number = np.where(counts, facts.number[:b], NONE)
    if facts.group.merge is Merge.LEVEL:
        return _level(facts, number, a, whole)
    best = np.maximum.accumulate(number)[a:]
    winner = np.where(best == NONE, NONE, facts.ranked[best]) if facts.ranked.size else best
    totals: dict[str, Column] = {}
    if facts.group.merge is Merge.SUM:
        for field in facts.group.fields:
            said = facts.values[field.name][:b]
            given = np.where((number != NONE) & (said != ABSENT), said, 0)
            totals[field.name] = np.cumsum(given)[a:]
    return Track(winner, totals)


def _level(facts: Facts, number: Column, a: int, whole: Facts) -> Track:
    """Return the level after each turn: the latest count, and the movements after its time."""
    name, b = facts.group.fields[0].name, number.size
    counts = facts.counts[:b]
    latest = np.maximum.accumulate(np.where(counts, number, NONE))
    winner, total = np.full(b - a, NONE), np.full(b - a, ABSENT)
    starts = [a, *(a + 1 + np.flatnonzero(latest[a + 1 :] != latest[a : b - 1])).tolist()]
    _bound(len(starts), b)
    for start, end in zip(starts, [*starts[1:], b], strict=True):
        count = int(latest[start])
        moves = (number[:end] != NONE) & ~counts[:end]
        if count != NONE:
            counted = int(facts.ranked[count])
            moves &= facts.time[:end] > whole.time[counted]
            given = np.cumsum(np.where(moves, facts.values[name][:end], 0))[start:]
            level_ = given + whole.values[name][counted]
            total[start - a : end - a] = np.clip(level_, -level.FAR, level.FAR)
        best = np.maximum.accumulate(np.where(moves, number[:end], NONE))[start:]
        best = np.maximum(best, count)
        winner[start - a : end - a] = best
    known = winner != NONE
    winner[known] = facts.ranked[winner[known]]
    return Track(winner, {name: total})


def _bound(stretches: int, events: int) -> None:
    """Raise TooMany where it would take many seconds: each stretch is a pass over all events."""
    if stretches * events > WORK:
        raise TooMany(
            f"{stretches:,} corrections or counts among {events:,} events are more than can be "
            "told one by one; ask what was true or known at a moment"
        )


def _reordered(facts: Facts, order: Column) -> Facts:
    """Return facts in another order."""
    return facts._replace(
        number=facts.number[order],
        values={name: column[order] for name, column in facts.values.items()},
        counts=facts.counts[order],
        time=facts.time[order],
    )


def _joined(parts: Sequence[Track]) -> Track:
    totals = {name: np.concatenate([p.totals[name] for p in parts]) for name in parts[0].totals}
    return Track(np.concatenate([part.winner for part in parts]), totals)
