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
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from twin.fields import Scope, Tried
from twin.kinds import ABSENT, KINDS
from twin.remembered import (
    MOST_HELD,
    MOST_TOLD,
    QUIET,
    RESTLESS,
    STEADY,
    UNKNOWN,
    Held,
    Remembered,
)
from twin.rules import CLOCK, Ready
from twin.transition import Snapshot

Column = NDArray[Any]
SECOND_US = 1_000_000
SWEPT = -1  # the offset of what no event brought about, but time


class What(StrEnum):
    NOTICED = "noticed"  # the clock of a rule began
    LAPSED = "lapsed"  # ... and ended too soon
    RAISED = "raised"
    CLEARED = "cleared"


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
    person could look at. What it holds of beyond that is left out, and the rule is `full`; so is
    one that began more often than `burst` and what the clock allows.
    """

    def __init__(
        self, recall: Recall | None, most: int = MOST_HELD, burst: int | None = MOST_TOLD
    ) -> None:
        self.keeps = False  # what is quiet too, as `recall` may not know yet that it is
        self._recall, self._most, self._burst = recall, most, burst
        self._rules: dict[tuple[str, str], Remembered] = {}
        self._tried: Tried = WeakKeyDictionary()

    @property
    def full(self) -> list[tuple[str, str]]:
        """Return the rules that hold of more twins, or began more often, than anybody looks at."""
        return [seat for seat, mine in list(self._rules.items()) if mine.full]  # others ask, too

    def room(self, now_us: int) -> list[tuple[str, str]]:
        """Return the rules that were full and have room again: all twins are to be looked at."""
        return [seat for seat, mine in self._rules.items() if mine.is_free_again(now_us)]

    def settle(self) -> None:
        """Keep no longer what is quiet."""
        self.keeps = False
        for mine in self._rules.values():
            for row, one in mine.items():
                if not (one.raised or one.out_s) and one.since == ABSENT:
                    mine.drop(row)

    def empty(self) -> None:
        """Forget every row: it is read anew. What a rule may still say is not given twice."""
        self._rules = {seat: mine.emptied() for seat, mine in self._rules.items()}

    def held(self, kind: str, rule: str) -> Remembered:
        """Return what is remembered of a rule, by row of its kind."""
        found = self._rules.get((kind, rule))
        if found is None:
            found = self._rules[kind, rule] = Remembered(self._most, self._burst)
        return found

    @property
    def rules(self) -> list[tuple[str, str]]:
        """Return the kind and name of every rule that anything is remembered of."""
        return [seat for seat, mine in self._rules.items() if len(mine)]

    def judge(self, ready: Ready, sight: Sight) -> list[Crossing]:
        """Return what crosses, and remember it."""
        scope = Scope(sight.snapshot, sight.kind, "", sight.region, sight.now_us, tried=self._tried)
        hot = _mask(ready.hot.predicate, scope)
        mine = self.held(ready.rule.kind, ready.rule.name)
        if self._recall is not None:
            mine.forget()
        at = _waking(ready, scope, sight, hot, mine)
        if not at.size:
            return []
        became, over = since(ready, sight, at), _over(ready, scope, hot, at)
        found = []
        for i, at_us, cool in zip(at.tolist(), became.tolist(), over.tolist(), strict=True):
            row, offset, now_us = (int(of[i]) for of in (sight.rows, sight.offset, sight.seen))
            before = mine.get(row)
            if before is None and not (hot[i] and mine.has_room()):
                continue
            if before is None and self._recall is not None:
                before = self._recall(ready, row)
            judged = offset + 1 if offset != SWEPT else sight.judged
            if before is not None and judged - (offset != SWEPT) < before.offset:
                continue  # it was judged before: a restart goes back some way
            begun = at_us if at_us != ABSENT else now_us
            what, after = step(ready, before, bool(hot[i]), cool, begun, now_us)
            if what in _BEGINNINGS and not mine.may_tell(now_us):
                continue  # it is full, and what it holds of is looked at again when it is not
            after = after._replace(offset=judged)
            if after.raised or after.since != ABSENT or self.keeps or ready.rule.total:
                mine.put(row, after)
            else:
                mine.drop(row)
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
        mine, found = self.held(ready.rule.kind, ready.rule.name), []
        for row, one in mine.items():
            if one.raised or one.since == ABSENT or not lasted(ready, one, 0, now_us):
                continue
            if not mine.may_tell(now_us):
                break
            mine.put(row, one._replace(raised=True))
            since_us, out_s = one.since, one.out_s
            found.append(
                _crossing(ready, row, What.RAISED, now_us, since_us, out_s, SWEPT, judged, {})
            )
        return found

    def ended(self, kind: str, rule: str, now_us: int, judged: int) -> list[Crossing]:
        """Return that everything of a rule is cleared, and forget it: the rule is gone."""
        found = []
        for row, one in self._rules.pop((kind, rule)).items():
            if one.raised or one.since != ABSENT:
                what = What.CLEARED if one.raised else What.LAPSED
                out_s = one.out_s
                found.append(
                    Crossing(rule, kind, None, row, what, now_us, ABSENT, out_s, SWEPT, judged, {})
                )
        return found


NOTHING = Held(False, ABSENT, ABSENT, 0, 0)
_BEGINNINGS = (What.NOTICED, What.RAISED)


def step(
    ready: Ready, known: Held | None, hot: bool, cool: bool, at_us: int, now_us: int
) -> tuple[What | None, Held]:
    """Return what happens to one alert, and what is remembered of it then.

    `at_us`: the event time of what is judged, `now_us`: the clock.
    """
    one = known or NOTHING
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


def _waking(
    ready: Ready, scope: Scope, sight: Sight, hot: NDArray[np.bool_], mine: Remembered
) -> NDArray[np.int64]:
    """Return where rows stand to which anything may happen, each as often as it comes."""
    rows = sight.rows
    if not len(mine):
        woken = hot & (not mine.full)
    else:
        marks = mine.marks(rows)
        woken = hot & ((marks == QUIET) | (marks == UNKNOWN)) & (not mine.full)
        if (steady := np.flatnonzero(marks == STEADY)).size:
            woken[steady] = _over(ready, scope, hot, steady)
        if (restless := np.flatnonzero(marks == RESTLESS)).size:
            woken[restless] = silent(ready) or _turning(ready, sight, hot, restless, mine)
    if not woken.any():
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.isin(rows, rows[woken]))  # a row may come twice: hot, and then not


def _turning(
    ready: Ready, sight: Sight, hot: NDArray[np.bool_], at: NDArray[np.int64], mine: Remembered
) -> NDArray[np.bool_]:
    """Return which rows, whose clock runs by facts, hold no longer, or for long enough."""
    became = since(ready, sight, at)
    ripe = mine.ripe(sight.rows[at], ready.rule.held_us)
    turning: NDArray[np.bool_] = ~hot[at] | (became >= ripe) | (became == ABSENT)
    return turning


def _over(
    ready: Ready, scope: Scope, hot: NDArray[np.bool_], at: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return of which of some rows the condition is over."""
    return ~hot[at] if ready.cool is None else _mask(ready.cool.predicate, scope.within(at))


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
