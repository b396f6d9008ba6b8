"""What any order of arrival must agree on: what is true. Offsets follow arrival, as in life."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    SITES,
    T0,
    Ledger,
    arrived,
    arrow_message,
    cut,
    decoded,
    event,
    message,
    ruled,
    words,
)
from tests.twin.oracle import Oracle
from tests.twin.plain import truth_digest
from twin.kinds import KINDS


def said(frame):
    """All of a frame but what parked, which is kept as it came."""
    columns = {name: column.tobytes() for name, column in frame.columns.items()}
    columns = {name: column for name, column in columns.items() if not name.startswith("raw")}
    names = {kind: list(names.list()) for kind, names in frame.names.items()}
    return frame._replace(names=names, columns=columns)


sizes = st.lists(st.integers(1, 6), min_size=1, max_size=3)


def judged(events):
    oracle = Oracle()
    return oracle, [oracle.offer(one) for one in events]


def told(ledger, *batches):
    return [(word, at) for batch in batches for word, _, at in ledger.offer(message(*batch))]


@given(ruled, st.randoms(use_true_random=False), sizes)
def test_arrival_order_and_batching_do_not_decide_what_is_true(ruled, shuffle, sizes):
    rule, events = ruled
    shuffled = shuffle.sample(events, len(events))

    one = arrived(events, rule=rule)
    other = arrived(*cut(shuffled, sizes), rule=rule)
    assert one.digests().truth == other.digests().truth
    assert decoded(one.state) == decoded(other.state)


@given(ruled, sizes)
def test_outcomes_offsets_and_truth_are_those_of_the_oracle(ruled, sizes):
    rule, events = ruled
    ledger, (oracle, expected) = Ledger(rule), judged(events)

    assert told(ledger, *cut(events, sizes)) == expected
    assert {k: v for k, v in decoded(ledger.state).items() if v} == oracle.truth()


@given(ruled)
def test_the_truth_digest_is_the_documented_one(ruled):
    rule, events = ruled
    ledger, (oracle, _) = arrived(events, rule=rule), judged(events)

    kinds = [KINDS[name] for name in rule.kinds]
    assert ledger.digests().truth == truth_digest(kinds, oracle.truth())


@given(ruled, sizes)
def test_messages_in_one_commit_do_what_they_do_one_after_the_other(ruled, sizes):
    rule, events = ruled
    together, apart = Ledger(rule), Ledger(rule)
    messages = [message(*batch) for batch in cut(events, sizes)]

    answers = [one for part in messages for one in apart.offer(part)]
    if messages:
        assert together.offer(*messages) == answers
    assert together.digests() == apart.digests()


@given(ruled, sizes)
def test_offering_a_history_again_journals_nothing_and_changes_nothing(ruled, sizes):
    rule, events = ruled
    ledger = arrived(*cut(events, sizes), rule=rule)
    before, written = ledger.digests(), len(ledger.raws)

    again = ledger.offer(message(*events))
    assert {word for word, _, _ in again} <= {"DUPLICATE", "REJECTED"}
    assert (ledger.digests(), len(ledger.raws)) == (before, written)


def test_equal_times_are_decided_by_the_rank_of_the_source_and_then_by_the_id():
    said = [("demo/t", "z"), ("erp", "a"), ("erp", "b"), ("erp", "c")]
    tied = [
        event(source=source, id=id_, data={"lat": float(at), "lon": 0.0})
        for at, (source, id_) in enumerate(said)
    ]
    winners = {arrived(tied[i:] + tied[:i]).digests().truth for i in range(len(tied))}
    lat = decoded(arrived(tied).state)["shipment"]["demo/S1"]["lat"]
    alone = {
        one["data"]["lat"]: decoded(arrived([one]).state)["shipment"]["demo/S1"] for one in tied[1:]
    }

    assert len(winners) == 1
    assert lat == max(alone, key=lambda lat: alone[lat]["position.tie"])


def test_a_late_row_keeps_its_own_event_time():
    early, late = event(id="a", time=T0 + 9), event(id="b", time=T0, data={"lat": 9.0, "lon": 9.0})
    ledger = Ledger()

    assert words(ledger.offer(message(early, late))) == ["APPLIED", "SUPERSEDED"]
    twin = decoded(ledger.state)["shipment"]["demo/S1"]
    assert (twin["lat"], twin["position.as_of"]) == (1.0, T0 + 9)


def test_one_shipment_is_never_less_far_than_it_was():
    ledger = arrived(
        [event(id="a", type="shipment.delivered", data={}, time=T0)],
        [event(id="b", type="shipment.departed", data={}, time=T0 + 5)],
    )

    twin = decoded(ledger.state)["shipment"]["demo/S1"]
    assert (twin["status"], twin["milestone.as_of"]) == (50, T0)


@pytest.mark.parametrize("order", [random.Random(seed).sample(range(5), 5) for seed in range(8)])
def test_a_level_is_the_latest_count_and_the_movements_after_it(order):
    item = {"site": "W", "product": "P"}
    said = [
        ("counted", T0, {"quantity": 10}),
        ("moved", T0, {"delta": 100}),  # the count of that moment includes it
        ("moved", T0 + 1, {"delta": -3}),
        ("counted", T0 + 5, {"quantity": 4}),
        ("moved", T0 + 6, {"delta": 7}),
    ]
    events = [
        event(id=f"e{i}", type=f"stock.{what}", subject="W-P", time=at, data={**item, **data})
        for i, (what, at, data) in enumerate(said)
    ]

    ledger = arrived(*[[events[i]] for i in order], rule=SITES)
    twin = decoded(ledger.state)["stock"]["demo/W-P"]
    assert (twin["on_hand"], twin["level.as_of"]) == (11, T0 + 6)


def test_a_level_beyond_all_numbers_stops_nothing():
    item, most = {"site": "W", "product": "P"}, 2**62 - 1024
    says = [("counted", {"quantity": most}), ("moved", {"delta": most}), ("moved", {"delta": most})]
    events = [
        event(id=f"e{i}", type=f"stock.{what}", time=T0 + i, data={**item, **data})
        for i, (what, data) in enumerate(says)
    ]

    ledger = arrived(*[[one] for one in events], rule=SITES)
    assert decoded(ledger.state)["stock"]["demo/S1"]["on_hand"] >= most
    assert ledger.replayed(9).digests() == ledger.digests()


def test_before_the_first_count_a_level_is_unknown():
    move = event(type="stock.moved", data={"site": "W", "product": "P", "delta": 3})

    assert "on_hand" not in decoded(arrived([move], rule=SITES).state)["stock"]["demo/S1"]


@given(ruled)
def test_both_wire_forms_journal_the_same_frames(ruled):
    rule, events = ruled
    rows, columns = Ledger(rule), Ledger(rule)
    if events:
        assert rows.offer(message(*events)) == columns.offer(arrow_message(*events))

    assert rows.digests() == columns.digests()
    for one, other in zip(rows.frames(), columns.frames(), strict=True):
        assert said(one) == said(other)
