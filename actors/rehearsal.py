"""A rehearsal: how often rules would have fired on what a shard has journaled. Nothing is changed.

The journal is replayed into a state of its own, frame by frame, and judged as the watchman judges
live: at every change, and at what time changes, as often as the rule asks but a bounded number of
times in all. So of rules that only facts decide it counts what was raised, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from actors.shard import Shard
from twin.caught import caught_of, joined, piece, plans_of, sight
from twin.crossings import SWEPT, Crossing, Crossings, What
from twin.frames import Frame
from twin.kinds import ABSENT
from twin.rules import Ready
from twin.transition import State

MOST_LOOKS = 500  # at what time changes: a journal of years is not looked at each second
PIECE = 262_144  # rows looked at together
EXAMPLES = 5


@dataclass
class Count:
    """What a rule would have done."""

    raised: int = 0
    cleared: int = 0
    open: set[int] = field(default_factory=set)  # rows, at the end
    examples: list[str] = field(default_factory=list)


class Rehearsal:
    """Judges the journal of one shard by some rules, for one tenant, between two moments."""

    def __init__(
        self, shard: Shard, rules: Sequence[Ready], tenant: str, since_us: int, until_us: int
    ) -> None:
        self.events = 0
        self.counts = {one.rule.name: Count() for one in rules}
        self._shard, self._tenant = shard, tenant
        self._since, self._until = since_us, until_us or 2**62
        self._rules = [one for one in rules if one.rule.kind in shard.rule.kinds]
        self._state = State(shard.rule)
        self._crossings = Crossings(None, burst=None)
        self._plans = plans_of(self._rules)
        self._looked = 0

    def run(self, now_us: int, goes_on: Callable[[], bool]) -> bool:
        """Replay and judge; False if it was told not to go on."""
        if not self._rules:
            return True
        end, first = self._shard.next, next(iter(self._shard.frames(0)), None)
        last_us = min(now_us, self._until)
        step_us = (last_us - (first.ingest_time if first else last_us)) // MOST_LOOKS + 1
        for frame in self._shard.frames(0):
            if frame.first >= end or frame.ingest_time >= self._until:
                break
            if not goes_on():
                return False
            self._pass_time(frame.ingest_time, step_us)
            if frame.size:
                self._take(frame)
        self._look(last_us)
        return True

    def _take(self, frame: Frame) -> None:
        outcome = self._state.commit(frame, self._read)
        self.events += frame.size
        for one in caught_of(self._plans, frame, outcome, self._state):
            for plan in self._plans:
                same = (plan.kind, plan.reads) == (one.kind, one.reads)
                if same and (seen := joined(plan, [one], self._state)):
                    for ready in plan.rules:
                        self._count(self._crossings.judge(ready, seen))

    def _pass_time(self, now_us: int, step_us: int) -> None:
        """Look at what time has changed since the frame before, as often as it may be."""
        timed = [one for one in self._rules if one.timed or one.rule.held_us]
        if not timed:
            return
        every = max(step_us, min(one.rule.every_us for one in timed))
        if not self._looked:
            self._looked = now_us
        while self._looked + every <= now_us:
            self._looked += every
            self._look(self._looked)

    def _look(self, now_us: int) -> None:
        for ready in self._rules:
            if ready.timed:
                kind, start = ready.rule.kind, 0
                while start < self._state.kinds[kind].keys.size:
                    columns, rows = piece(kind, ready.columns, start, PIECE, self._state.live())
                    start += rows.size
                    where = (rows, np.full(rows.size, SWEPT), np.full(rows.size, now_us))
                    of, judged = self._state, self._state.next
                    seen = sight(kind, of, columns, where, judged, named=ready.of_ids)
                    self._count(self._crossings.judge(ready, seen))
            self._count(self._crossings.due(ready, now_us, self._state.next))

    def _count(self, crossings: Sequence[Crossing]) -> None:
        for one in crossings:
            name = self._state.kinds[one.kind].keys.name(one.row)
            tenant, _, id = name.partition("/")
            if tenant != self._tenant:
                continue
            count = self.counts[one.rule]
            if one.what is What.RAISED:
                count.open.add(one.row)
            elif one.what is What.CLEARED:
                count.open.discard(one.row)
            if one.now_us < self._since:
                continue
            count.raised += one.what is What.RAISED
            count.cleared += one.what is What.CLEARED
            if one.what is What.RAISED and len(count.examples) < EXAMPLES:
                since = one.since if one.since != ABSENT else one.now_us
                count.examples.append(f"{one.kind}/{self._shard.rule.region}/{id} since {since}")

    def _read(self, offset: int) -> Frame:
        return next(self._shard.frames(offset))
