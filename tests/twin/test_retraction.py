"""Retractions and corrections: what was withdrawn never counted, in whatever order that is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    SHIPMENTS,
    SITES,
    T0,
    Ledger,
    arrived,
    cut,
    decoded,
    event,
    message,
    shipments,
    stocks,
    words,
)
from tests.twin.oracle import Oracle
from tests.twin.plain import truth_digest
from tests.twin.test_order import sizes
from twin import checkpoint
from twin.kinds import KINDS


@st.composite
def withdrawn(draw):
    """A history in which some events retract or correct others, and some retract retractions."""
    rule, facts = draw(
        st.one_of(st.tuples(st.just(SHIPMENTS), shipments), st.tuples(st.just(SITES), stocks))
    )
    events = list(facts)
    for number in range(draw(st.integers(0, 4)) if facts else 0):
        target = draw(st.sampled_from(events))
        does = draw(st.sampled_from(["retracts", "corrects"]))
        base = {k: v for k, v in target.items() if k not in {"retracts", "corrects"}}
        events.append(
            {
                **base,
                "id": f"w{number}",
                "time": T0 + draw(st.integers(0, 3)),
                "data": {} if does == "retracts" else draw(st.sampled_from(facts))["data"],
                "subject": draw(st.sampled_from([target["subject"]] * 2 + ["S1", "S2"])),
                does: target["id"],
            }
        )
        if does == "corrects":
            same = [one for one in facts if one["type"] == target["type"]]
            events[-1]["data"] = draw(st.sampled_from(same))["data"]
    return rule, events


def truth_of(events):
    oracle = Oracle()
    for one in events:
        oracle.take(one)
    return oracle.truth()


def known(ledger):
    return {kind: twins for kind, twins in decoded(ledger.state).items() if twins}


@given(withdrawn(), st.randoms(use_true_random=False), sizes)
def test_what_is_withdrawn_never_counted_in_whatever_order_that_is_told(given_, shuffle, sizes):
    rule, events = given_
    events = shuffle.sample(events, len(events))
    ledger = arrived(*cut(events, sizes), rule=rule)

    truth = truth_of(events)
    assert known(ledger) == truth
    assert ledger.digests().truth == truth_digest([KINDS[name] for name in rule.kinds], truth)


@given(withdrawn(), sizes, st.integers(1, 5), st.data())
def test_replay_and_checkpoints_keep_what_was_withdrawn(given_, sizes, run, data):
    rule, events = given_
    batches = cut(events, sizes)
    at = data.draw(st.integers(0, len(batches)))
    live = arrived(*batches[:at], rule=rule)
    raw = checkpoint.write(*checkpoint.capture(live.state), 1)
    for batch in batches[at:]:
        live.offer(message(*batch))

    for again in (live.replayed(run), live.replayed(run, checkpoint.restore(raw, rule))):
        assert again.digests() == live.digests()
        assert again.state.outcomes.tolist() == live.state.outcomes.tolist()


LAT = {"a": 1.0, "b": 2.0, "c": 3.0}


def position(name, time, **says):
    return event(id=name, time=T0 + time, data={"lat": LAT.get(name, 9.0), "lon": 0.0}, **says)


def lat(*events):
    return decoded(arrived(*([one] for one in events)).state)["shipment"]["demo/S1"].get("lat")


def test_a_retraction_brings_back_what_was_known_before():
    a, b = position("a", 0), position("b", 1)
    gone = event(id="r", time=T0 + 2, data={}, retracts="b")

    assert lat(a, b) == LAT["b"]
    assert lat(a, b, gone) == lat(gone, b, a) == lat(b, gone, a) == LAT["a"]
    assert lat(b, gone) is None


def test_a_retraction_can_be_retracted():
    a, b = position("a", 0), position("b", 1)
    gone = event(id="r", time=T0 + 2, data={}, retracts="b")
    back = event(id="rr", time=T0 + 3, data={}, retracts="r")

    assert lat(a, b, gone, back) == lat(back, gone, b, a) == LAT["b"]


def test_a_correction_withdraws_one_event_and_says_another():
    wrong, right = position("b", 5), position("c", 1, corrects="b")

    assert lat(position("a", 0), wrong, right) == lat(right, wrong) == LAT["c"]


def test_a_retraction_of_another_sources_event_withdraws_nothing():
    gone = event(id="r", source="tms", time=T0 + 2, data={}, retracts="a")

    assert lat(position("a", 0), gone) == LAT["a"]


def test_a_retraction_that_names_another_twin_withdraws_nothing_in_any_order():
    a, gone = position("a", 0), event(id="r", subject="S2", time=T0 + 2, data={}, retracts="a")

    assert lat(a, gone) == lat(gone, a) == LAT["a"]


def test_what_replaced_a_parked_event_is_known_by_its_own_offset_beside_a_retraction():
    broken, mended = event(id="a", data={"lat": 99.0, "lon": 0.0}), position("a", 0)
    gone = event(id="r", time=T0 + 2, data={}, retracts="nobody")
    ledger = Ledger()
    told = ledger.offer(message(broken, mended, gone))

    assert words(told)[:2] == ["PARKED OUT_OF_RANGE", "APPLIED"]
    assert ledger.offer(message(mended)) == [("DUPLICATE", "NONE", told[1][2])]


@pytest.mark.parametrize("name", ["?", "../x", "a b", "x" * 129])
def test_a_retraction_names_an_event_by_a_good_id(name):
    told = Ledger().offer(message(event(id="r", retracts=name)))

    assert words(told) == ["REJECTED BAD_ID"]
