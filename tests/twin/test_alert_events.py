"""What is journaled of an alert leads to the same in any order; its name says who writes it."""

from hypothesis import given
from hypothesis import strategies as st

from tests.twin.judging import NOW
from twin import digest
from twin.admission import Rule, place
from twin.alert_contracts import ALERTS, STATES
from twin.alerts import alert_id, keeper, named
from twin.columns import Message
from twin.events import columns_of
from twin.outcomes import Outcome
from twin.texts import texts
from twin.transition import State

ALERT = "shipment:S1:warm"
ABOUT = {"rule": "warm", "subject_kind": "shipment", "subject_id": "S1"}
RAISED = {"severity": "critical", "message": "warm", "deadline": NOW, "owner": "desk"}
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,40}", fullmatch=True)


def life():
    """Return what happens to an alert, oldest first."""
    said = [
        ("noticed", {"state": "PENDING", "out_since": NOW, "judged_offset": 1} | ABOUT),
        ("raised", {"state": "OPEN", "out_s": 0, "judged_offset": 2} | ABOUT | RAISED),
        ("acknowledged", {"state": "ACKNOWLEDGED", "acknowledged_by": "ana"}),
        ("assigned", {"owner": "bo"}),
        ("snoozed", {"state": "SNOOZED", "snoozed_until": NOW, "snoozed_by": "bo"}),
        ("woken", {"state": "OPEN"}),
        ("commented", {"note": "ice", "noted_by": "ana"}),
        ("cleared", {"state": "CLEARED", "out_s": 9, "judged_offset": 5}),
        ("raised", {"state": "OPEN", "out_s": 9, "judged_offset": 8} | ABOUT | RAISED),
    ]
    return [
        [f"e{at}", "twin/x", f"alert.{type_}", 1, ALERT, "east", NOW + at, facts]
        for at, (type_, facts) in enumerate(said)
    ]


def took(rows):
    """Return a state that was told of these, one by one, by the twin itself."""
    state = State(Rule("east", ("shipment", "alert"), 0, 1))
    for row in rows:
        plan = state.plan([Message(columns_of([row]), "demo", "t", own=True)], 1, NOW + 10**9)
        state.commit(plan.frame, lambda offset: None)
    return state


def test_every_kind_of_event_has_its_place_in_a_life():
    state = took(life())

    assert {row[2] for row in life()} == {contract.type for contract in ALERTS}
    assert not state.outcomes[[Outcome.PARKED, Outcome.REJECTED]].any()


@given(st.permutations(life()))
def test_an_alert_is_the_same_in_whatever_order_its_events_arrive(rows):
    state, plain = took(rows), took(life())

    told = [digest.digests(one.snapshot(), one.seen).truth for one in (state, plain)]
    assert told[0] == told[1]
    table = state.kinds["alert"].table
    assert state.lexicon.word(int(table.cell("state", 0))) == "OPEN"
    assert table.cell("judged_offset", 0) == 8


@given(st.sampled_from(["shipment", "site", "stock", "supplier"]), IDS)
def test_the_name_of_an_alert_says_what_it_is_about(kind, subject):
    alert = alert_id(kind, subject, "too-warm")

    assert named(alert) == (kind, subject, "too-warm")
    assert keeper("alert", alert) == (kind, subject)
    assert keeper(kind, subject) == (kind, subject)


def test_what_names_no_alert_is_nobodys():
    for id in ("", "S1", "shipment:S1", "lorry:S1:warm", "alert:x:warm", "shipment::warm", "a:b:"):
        assert keeper("alert", id) == ("", "")


@given(IDS)
def test_an_alert_is_taken_by_the_shard_of_its_subject_and_by_no_other(subject):
    mine = int(place("demo", texts([subject]), 3)[0])
    row = life()[1]
    row[4] = alert_id("shipment", subject, "warm")

    took_it = []
    for number in range(3):
        state = State(Rule("east", ("shipment", "alert"), number, 3))
        plan = state.plan([Message(columns_of([row]), "demo", "t", own=True)], 1, NOW + 10**9)
        took_it.append(plan.frame.size == 1)

    assert took_it == [number == mine for number in range(3)]


def test_states_are_told_with_what_they_mean():
    assert list(STATES) == ["PENDING", "QUIET", "OPEN", "ACKNOWLEDGED", "SNOOZED", "CLEARED"]
    assert all(STATES.values())
