"""The past of a shard, against an oracle that filters the events and folds what is left."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.past import Past
from tests.actors.shards import offer, shard
from tests.twin.histories import NOW, SITES, T0, cut, decoded, event, message, order, row
from tests.twin.oracle import Oracle
from tests.twin.test_order import sizes
from tests.twin.test_retraction import withdrawn
from twin.errors import AsOfTooEarly, UnknownKey
from twin.kinds import KINDS
from twin.merge import TENANT
from twin.past import Moment

FEW = st.sampled_from([0, 10**6])  # chains are never walked for a table, or always


class Then(Oracle):
    """What was true at a moment, of the events that were taken."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def speaks(self, event):
        return event["time"] <= self.at and super().speaks(event)

    def truth(self):
        there = {one["subject"] for one in self.standing if one["time"] <= self.at}
        return {
            kind: some
            for kind, twins in super().truth().items()
            if (some := {n: t for n, t in twins.items() if self._there(kind, n)})
        }

    def _there(self, kind, name):
        return any(
            one["type"].startswith(f"{kind}.")
            and f"demo/{one['subject']}" == name
            and one["time"] <= self.at
            for one in self.standing
        )


def truth(batches, at):
    oracle = Then(at)
    for events in batches:
        for one in events:
            oracle.take(one)
    return oracle.truth()


def shown(one, snapshot):
    """Return what a snapshot says of the twins that were there."""
    said = decoded(SimpleNamespace(snapshot=lambda: snapshot, seen=one._state.seen))
    there = {}
    for kind, twins in said.items():
        whose = snapshot.tables[kind].column(TENANT).tolist()
        kept = {name: t for (name, t), own in zip(twins.items(), whose, strict=True) if own >= 0}
        if kept:
            there[kind] = kept
    return there


@given(withdrawn(), st.randoms(use_true_random=False), sizes, FEW, st.data())
def test_any_earlier_moment_is_what_the_events_known_and_true_by_then_say(
    given_, shuffle, sizes, few, data
):
    rule, events = given_
    batches = cut(shuffle.sample(events, len(events)), sizes)
    clock = SimpleNamespace(now=NOW)
    with tempfile.TemporaryDirectory() as folder:
        one = shard(Path(folder), rule=rule, clock=lambda: clock.now)
        for number, some in enumerate(batches):
            clock.now = NOW + number
            one.offer([message(*some)])
        past = Past(one, few=few)
        for _ in range(4 if batches else 0):
            known = data.draw(st.integers(0, len(batches) - 1))
            at = data.draw(st.sampled_from([T0 - 1, T0, T0 + 1, T0 + 2, T0 + 3, 2**62]))
            moment = Moment(at, NOW + known)
            expected = truth(batches[: known + 1], at)
            try:
                snapshot = past.snapshot(moment)
            except AsOfTooEarly:
                assert not one.next or past.read(0).ingest_time > NOW + known
                continue

            assert shown(one, snapshot) == expected
            assert past.snapshot(moment) is snapshot


@given(withdrawn(), st.randoms(use_true_random=False), sizes, st.data())
def test_one_twin_of_an_earlier_moment_is_its_row_of_the_whole_snapshot(
    given_, shuffle, sizes, data
):
    rule, events = given_
    batches = cut(shuffle.sample(events, len(events)), sizes)
    clock = SimpleNamespace(now=NOW)
    with tempfile.TemporaryDirectory() as folder:
        one = shard(Path(folder), rule=rule, clock=lambda: clock.now)
        for number, some in enumerate(batches):
            clock.now = NOW + number
            one.offer([message(*some)])
        past = Past(one)
        if not one.next:
            return
        known = data.draw(st.integers(0, len(batches) - 1))
        at = data.draw(st.sampled_from([T0 - 1, T0, T0 + 1, T0 + 2, 2**62]))
        expected = truth(batches[: known + 1], at)
        for kind in rule.kinds:
            for id in ("S1", "S2"):
                twin = expected.get(kind, {}).get(f"demo/{id}")
                try:
                    got = past.row(kind, "demo", id, Moment(at, NOW + known))
                except (UnknownKey, AsOfTooEarly):
                    assert twin is None
                    continue
                fields = {f.name for f in KINDS[kind].fields if not f.is_as_of}
                words = {f.name for f in KINDS[kind].fields if f.dtype == "text"}
                blank = {f.name: f.blank.item() for f in KINDS[kind].fields}
                held = {
                    name: one.word(value) if name in words else value
                    for name, value in got.cells.items()
                    if name in fields and value != blank[name] and value == value  # noqa: PLR0124
                }
                assert held == {n: v for n, v in twin.items() if n in fields}
