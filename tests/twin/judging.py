"""A judge of shipments for tests: a state of its own, and rules that are asked frame by frame.

The event time of a crossing is that of the newest fact behind it.
"""

from typing import Any, NamedTuple

from twin.admission import Rule
from twin.caught import caught_of, joined, plans_of
from twin.columns import Message
from twin.crossings import Crossings, What
from twin.events import columns_of
from twin.remembered import Held
from twin.rules import parse, ready
from twin.transition import State

NOW = 1_700_000_000_000_000


class Said(NamedTuple):
    what: Any
    subject: str
    at_us: int  # since the first moment
    crossing: Any


class Judge:
    def __init__(self, rules, kinds=("shipment", "alert"), most=10_000, burst=10_000):
        self.state = State(Rule("east", kinds, 0, 1))
        self.rules = [ready(rule) for rule in parse(rules, "test.toml")]
        self.plans = plans_of(self.rules)
        self.crossings = Crossings(lambda ready, row: self._recall(row), most, burst)
        self._told = {}  # row -> what an alert would say of itself
        self._again = {}
        self.frames = []
        self._number = 0
        self.now_us = NOW + 2**50

    def readings(self, subject, readings):
        """Take temperatures as one commit; return what crossed. Times count from the first."""
        return self.many([(subject, at_us, temp) for at_us, temp in readings])

    def many(self, readings):
        """Take (subject, time, temperature) as one commit; return what crossed."""
        rows = []
        for subject, at_us, temp in readings:
            self._number += 1
            id = f"r{self._number}"
            told = {"temp_c": temp}
            rows.append([id, "t", "shipment.condition", 2, subject, "east", NOW + at_us, told])
        return self.take(rows)

    def take(self, rows):
        plan = self.state.plan([Message(columns_of(rows), "demo", "test")], 1, self.now_us)
        outcome = self.state.commit(plan.frame, lambda offset: None)
        self.frames.append((plan.frame, outcome))
        return self._judge(plan.frame, outcome)

    def again(self, back):
        """Judge the frames anew, with a memory that has come to their end; return what crossed."""
        said = []
        self._again = self._told  # as a watchman that catches up asks the alerts
        for frame, outcome in self.frames[-back:] if back else []:
            said += self._judge(frame, outcome)
        return said

    def _recall(self, row):
        """Return what the alert of a row says, where the rule counts all of the time."""
        total = any(one.rule.total for one in self.rules)
        return (self._told if total else self._again).get(row)

    def _judge(self, frame, outcome):
        said = []
        for caught in caught_of(self.plans, frame, outcome, self.state):
            for plan in self.plans:
                if plan.reads != caught.reads:
                    continue
                sight = joined(plan, [caught], self.state)
                for rule in plan.rules:
                    found = self.crossings.judge(rule, sight)
                    for one in found:
                        raised = one.what is What.RAISED
                        held = Held(raised, one.since, one.now_us, one.out_s, one.judged)
                        self._told[one.row] = held
                    said += [self._said(crossing, frame) for crossing in found]
        return said

    def _said(self, crossing, frame):
        time = int(frame.columns["time"][crossing.offset - frame.first])
        name = self.state.kinds[crossing.kind].keys.name(crossing.row).partition("/")[2]
        return Said(crossing.what, name, time - NOW, crossing)
