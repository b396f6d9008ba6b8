"""The past of a shard, against an oracle that filters the events and folds what is left."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import segments
from actors.bases import Base, Bases, Schedule, thinned
from actors.disk import OsDisk
from actors.past import Past
from tests.actors.shards import offer, shard
from tests.twin.histories import DAY, NOW, T0, cut, decoded, event, message
from tests.twin.oracle import Oracle
from tests.twin.test_order import sizes
from tests.twin.test_retraction import withdrawn
from twin.errors import AsOfTooEarly, Compacted, Recovering, UnknownKey
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


@given(
    withdrawn(),
    st.randoms(use_true_random=False),
    sizes,
    FEW,
    st.sets(st.integers(0, 5)),
    st.data(),
)
def test_any_earlier_moment_is_what_the_events_known_and_true_by_then_say(
    given_, shuffle, sizes, few, based, data
):
    rule, events = given_
    batches = cut(shuffle.sample(events, len(events)), sizes)
    clock = SimpleNamespace(now=NOW)
    with tempfile.TemporaryDirectory() as folder:
        one = shard(Path(folder), rule=rule, clock=lambda: clock.now)
        one.bases = Bases(OsDisk(), Path(folder), rule, Schedule(events=1))
        for number, some in enumerate(batches):
            clock.now = NOW + number
            one.offer([message(*some)])
            if number in based:
                one.checkpoint()
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


@given(
    st.lists(
        st.builds(Base, st.integers(1, 10**6), st.integers(0, 90 * DAY), st.integers(1, 10**6)),
        max_size=30,
        unique_by=lambda base: base.offset,
    )
)
def test_bases_are_thinned_to_one_a_day_within_their_bound(bases):
    now, schedule = 90 * DAY, Schedule(days=30.0, mib=3)
    kept = thinned(bases, now, schedule)

    assert kept == sorted(kept)
    assert set(kept) <= set(bases)
    assert len(kept) <= 1 or sum(base.bytes for base in kept) <= 3 << 20
    assert all(now - base.ingest_time <= 30 * DAY for base in kept)
    old = [base.ingest_time // DAY for base in kept if now - base.ingest_time > DAY]
    assert len(old) == len(set(old))
    if bases and now - max(bases).ingest_time <= DAY:
        assert max(bases) in kept


def test_a_damaged_base_costs_time_and_nothing_else(tmp_path):
    clock = SimpleNamespace(now=NOW)
    one = shard(tmp_path, clock=lambda: clock.now)
    one.bases = Bases(OsDisk(), tmp_path, one.rule, Schedule(events=1))
    for number in range(4):
        clock.now = NOW + number
        offer(
            one, event(id=f"e{number}", time=T0 + number, data={"lat": float(number), "lon": 0.0})
        )
        one.checkpoint()
    made = sorted(tmp_path.glob("base-*"))
    assert len(made) == 4
    for path in made[:3]:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)

    snapshot = Past(one, few=0).snapshot(Moment(known_at=NOW + 2))

    assert shown(one, snapshot)["shipment"]["demo/S1"]["lat"] == 2.0


def test_a_successor_answers_about_the_past_as_the_writer_before_it(tmp_path):
    clock = SimpleNamespace(now=NOW)
    one = shard(tmp_path, clock=lambda: clock.now)
    for number in range(6):
        clock.now = NOW + number
        lat = {"lat": float(number), "lon": 0.0}
        offer(one, event(id=f"e{number}", subject=f"S{number % 2}", time=T0 + number, data=lat))
    moments = [Moment(at, NOW + k) for at in (T0 + 2, 2**62) for k in range(6)]
    before = [shown(one, Past(one).snapshot(moment)) for moment in moments]

    again = shard(tmp_path, 2, clock=lambda: clock.now)

    assert [shown(again, Past(again).snapshot(moment)) for moment in moments] == before
    rows = [Past(again).row("shipment", "demo", "S0", Moment(T0 + 3)).cells["lat"]]
    assert rows == [2.0]


def test_the_past_of_a_removed_segment_is_compacted_not_guessed(tmp_path):
    one = shard(tmp_path)
    offer(one, event())
    segments.raise_floor(OsDisk(), tmp_path, one.next)
    again = shard(tmp_path, 2, ready=False)
    again._journal.claim()
    one._journal.floor = one.next

    with pytest.raises(Compacted) as refused:
        Past(one).row("shipment", "demo", "S1", Moment(T0))
    assert refused.value.code == "COMPACTED"


def test_nothing_is_known_before_the_first_event(tmp_path):
    one = shard(tmp_path)
    with pytest.raises(AsOfTooEarly):
        Past(one).snapshot(Moment(known_at=NOW - 1))
    offer(one, event())
    with pytest.raises(AsOfTooEarly):
        Past(one).cut(NOW - 1)
    assert Past(one).cut(NOW) == 1


def test_what_stands_in_memory_of_the_past_is_bounded(tmp_path):
    one = shard(tmp_path)
    offer(one, event())
    past = Past(one, cached=1)

    past.snapshot(Moment(at=T0))

    assert past.kept(Moment(at=T0)) is None


def test_a_shard_that_recovers_answers_nothing_about_the_past(tmp_path):
    one = shard(tmp_path, ready=False)

    with pytest.raises(Recovering):
        Past(one).row("shipment", "demo", "S1", Moment(T0))
