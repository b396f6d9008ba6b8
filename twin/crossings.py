"""Crossings: when the condition of a rule begins to hold of a twin, and when it ends to.

What was raised is remembered by row; a condition that goes on holding says nothing again. All is
decided by what is given: the same facts in the same order cross alike, live and in a rehearsal.

    QUIET --holds--> PENDING --for as long as the rule asks--> OPEN --clear--> QUIET
                        `--holds no longer--> QUIET
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.fields import Scope
from twin.kinds import ABSENT, KINDS
from twin.rules import CLOCK, Ready
from twin.transition import Snapshot

Column = NDArray[Any]
SECOND_US = 1_000_000
MOST_HELD = 10_000  # of one rule in one shard
SWEPT = -1  # the offset of what no event brought about, but time


class What(StrEnum):
    NOTICED = "noticed"  # the clock of a rule began
    LAPSED = "lapsed"  # ... and ended too soon
    RAISED = "raised"
    CLEARED = "cleared"


class Held(NamedTuple):
    """What is remembered of a rule and a row, while its condition holds or it is raised."""

    raised: bool
    since: int  # event time since which the condition holds; ABSENT while it does not
    from_us: int  # the clock when that was seen
    out_s: int  # for how long it held before, of a rule that counts all of it
    offset: int  # what was judged last


class Crossing(NamedTuple):
    """One thing that happened to an alert."""

    rule: str
    kind: str
    ready: Ready | None  # None: the rule is gone
    row: int
    what: What
    now_us: int  # the clock when it did
    since: int
    out_s: int
    offset: int  # of the event that brought it about, SWEPT if none did
    judged: int  # everything before this offset is known to it
    facts: dict[str, Any]  # what the condition read, as plain values


class Sight(NamedTuple):
    """Rows of one kind to be judged, in the order things happened; a row may come twice.

    `offset`: of the event that made each as it is; SWEPT. `judged`: everything before is known.
    """

    snapshot: Snapshot  # of `size` picked rows of the kind
    kind: str
    region: str
    rows: NDArray[np.int64]  # which rows of the shard they are
    offset: NDArray[np.int64]
    seen: NDArray[np.int64]  # the clock when each was so
    judged: int
    now_us: int


Recall = Callable[[Ready, int], Held | None]


class Crossings:
    """The memory of one shard's rules. `recall`: what is known of an alert that is not held.

    Of each rule at most `most` twins are held at once: one that holds of more says nothing that a
    person could look at. What it holds of beyond that is left out, and the rule is `full`.
    """

    def __init__(self, recall: Recall, most: int = MOST_HELD) -> None:
        self.keeps = False  # what is quiet too, as `recall` may not know yet that it is
        self.full: set[tuple[str, str]] = set()  # rules that hold of more twins than are held
        self._recall, self._most = recall, most
        self._held: dict[tuple[str, str], dict[int, Held]] = {}

    def room(self) -> list[tuple[str, str]]:
        """Return the rules that were full and have room again: all twins are to be looked at."""
        free = [seat for seat in self.full if len(self._held.get(seat, ())) < 0.9 * self._most]
        self.full.difference_update(free)
        return free

    def settle(self) -> None:
        """Keep no longer what is quiet."""
        self.keeps = False
        for held in self._held.values():
            for row in [r for r, one in held.items() if not (one.raised or one.out_s)]:
                if held[row].since == ABSENT:
                    del held[row]

    def held(self, kind: str, rule: str) -> dict[int, Held]:
        """Return what is remembered of a rule, by row of its kind."""
        return self._held.setdefault((kind, rule), {})

    @property
    def rules(self) -> list[tuple[str, str]]:
        """Return the kind and name of every rule that anything is remembered of."""
        return [seat for seat, held in self._held.items() if held]

    def judge(self, ready: Ready, sight: Sight) -> list[Crossing]:
        """Return what crosses, and remember it."""
        hot, cool = masks(ready, sight)
        held = self.held(ready.rule.kind, ready.rule.name)
        if not held and not hot.any():
            return []
        known = np.fromiter(held, np.int64, len(held))  # a row may come twice: hot, and then not
        seat = ready.rule.kind, ready.rule.name
        news = sight.rows[hot] if seat not in self.full else known[:0]
        at = np.flatnonzero(np.isin(sight.rows, np.concatenate([known, news])))
        became = since(ready, sight, at)
        found = []
        for i, at_us in zip(at.tolist(), became.tolist(), strict=True):
            row, offset, now_us = (int(of[i]) for of in (sight.rows, sight.offset, sight.seen))
            before = held.get(row)
            if before is None and len(held) >= self._most:
                self.full.add(seat)
                continue
            before = before or self._recall(ready, row)
            judged = offset + 1 if offset != SWEPT else sight.judged
            if before is not None and judged - (offset != SWEPT) < before.offset:
                continue  # it was judged before: a restart goes back some way
            begun = at_us if at_us != ABSENT else now_us
            what, after = step(ready, before, bool(hot[i]), bool(cool[i]), begun, now_us)
            after = after._replace(offset=judged)
            if after.raised or after.since != ABSENT or self.keeps or ready.rule.total:
                held[row] = after
            else:
                held.pop(row, None)
            if what is None:
                continue
            since_us, out_s = after.since, after.out_s
            facts = _facts(ready, sight, i)
            one = _crossing(ready, row, what, now_us, since_us, out_s, offset, judged, facts)
            found.append(one)
        return found

    def due(self, ready: Ready, now_us: int, judged: int) -> list[Crossing]:
        """Return what has held long enough by the clock, though nothing was heard of it."""
        if ready.rule.by != CLOCK or not ready.rule.held_us:
            return []
        held, found = self.held(ready.rule.kind, ready.rule.name), []
        for row, one in list(held.items()):
            if not one.raised and one.since != ABSENT and lasted(ready, one, 0, now_us):
                held[row] = one._replace(raised=True)
                since_us, out_s = one.since, one.out_s
                found.append(
                    _crossing(ready, row, What.RAISED, now_us, since_us, out_s, SWEPT, judged, {})
                )
        return found

    def ended(self, kind: str, rule: str, now_us: int, judged: int) -> list[Crossing]:
        """Return that everything of a rule is cleared, and forget it: the rule is gone."""
        found = []
        for row, one in self._held.pop((kind, rule), {}).items():
            if one.raised or one.since != ABSENT:
                what = What.CLEARED if one.raised else What.LAPSED
                out_s = one.out_s
                found.append(
                    Crossing(rule, kind, None, row, what, now_us, ABSENT, out_s, SWEPT, judged, {})
                )
        return found


QUIET = Held(False, ABSENT, ABSENT, 0, 0)


def step(
    ready: Ready, known: Held | None, hot: bool, cool: bool, at_us: int, now_us: int
) -> tuple[What | None, Held]:
    """Return what happens to one alert, and what is remembered of it then.

    `at_us`: the event time of what is judged, `now_us`: the clock.
    """
    one = known or QUIET
    if one.raised:
        if cool:
            return What.CLEARED, Held(False, ABSENT, ABSENT, _spent(ready, one, at_us), 0)
        if hot and one.since == ABSENT:
            return None, one._replace(since=at_us, from_us=now_us)
        return None, one
    if not hot:
        if one.since == ABSENT:
            return None, one
        after = Held(False, ABSENT, ABSENT, _spent(ready, one, at_us), 0)
        return (None if silent(ready) else What.LAPSED), after
    first = one.since == ABSENT
    if first:
        one = one._replace(since=at_us, from_us=now_us)
    if lasted(ready, one, at_us, now_us):
        return What.RAISED, one._replace(raised=True)
    return (What.NOTICED if first and not silent(ready) else None), one


def lasted(ready: Ready, one: Held, at_us: int, now_us: int) -> bool:
    """Say whether a condition has held for as long as its rule asks."""
    rule = ready.rule
    if silent(ready):
        return now_us - one.from_us >= rule.held_us
    return at_us - one.since + one.out_s * SECOND_US >= rule.held_us


def silent(ready: Ready) -> bool:
    """Say whether it waits by the clock: that is not journaled, and begins anew on a start."""
    return ready.timed or ready.rule.by == CLOCK or not ready.rule.held_us


def masks(ready: Ready, sight: Sight) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return of which rows the condition holds, and of which it is over."""
    scope = Scope(sight.snapshot, sight.kind, "", sight.region, sight.now_us)
    hot = _mask(ready.hot.predicate, scope)
    cool = ~hot if ready.cool is None else _mask(ready.cool.predicate, scope)
    return hot, cool


def since(ready: Ready, sight: Sight, at: Column) -> NDArray[np.int64]:
    """Return the event time of the newest fact that a condition reads of some rows; ABSENT."""
    table = sight.snapshot.tables[sight.kind]
    newest = np.full(at.size, ABSENT)
    for group in ready.groups:
        np.maximum(newest, table.take(f"{group}.as_of", at), out=newest)
    return newest


def _crossing(ready: Ready, *told: Any) -> Crossing:
    return Crossing(ready.rule.name, ready.rule.kind, ready, *told)


def _spent(ready: Ready, one: Held, at_us: int) -> int:
    """Return for how many whole seconds a condition held until now, of a rule that counts it."""
    if not ready.rule.total or one.since == ABSENT:
        return one.out_s
    return one.out_s + max(0, at_us - one.since) // SECOND_US


def _mask(predicate: Any, scope: Scope) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = predicate.mask(scope)
    return found


def _facts(ready: Ready, sight: Sight, i: int) -> dict[str, Any]:
    """Return what a condition read of one row: field -> value as held; a text is a code."""
    table, kind, at = sight.snapshot.tables[sight.kind], KINDS[sight.kind], np.array([i])
    names: Sequence[str] = [name for name in ready.columns if kind.field(name)]
    return {name: table.take(name, at)[0].item() for name in names}
