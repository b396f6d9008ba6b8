"""Alerts of one cause are one incident, whatever order they are given in."""

from hypothesis import given
from hypothesis import strategies as st

from twin.incidents import Alert, incidents, rank


def alert(subject, rule="overdue", **more):
    told = {
        "id": f"{more.get('kind', 'shipment')}:{subject}:{rule}",
        "rule": rule,
        "kind": "shipment",
        "subject": subject,
        "severity": "warning",
        "deadline": 100,
        "value_cents": 1000,
        "supplier": "",
        "site": "",
        "lane": "",
        "next_step": "call",
        "region": "east",
    }
    return Alert(**(told | more))


def causes(found):
    return {one.cause: set(one.alerts) for one in found}


def test_what_shares_nothing_stays_alone():
    found = incidents([alert("a"), alert("b", site="X"), alert("c", site="Y")])

    assert [len(one.alerts) for one in found] == [1, 1, 1]
    assert {one.cause for one in found} == {"shipment:a", "shipment:b", "shipment:c"}


def test_a_supplier_with_an_alert_of_its_own_is_the_cause_of_those_of_its_shipments():
    of_it = alert("acme", "lead-time", kind="supplier", supplier="acme", severity="critical")
    shipments = [alert(name, supplier="acme", deadline=50) for name in "ab"]

    (one,) = incidents([*shipments, of_it])

    assert one.cause == "supplier:acme"
    assert one.severity == "critical"
    assert one.deadline == 50
    assert one.alerts == ("supplier:acme:lead-time", "shipment:a:overdue", "shipment:b:overdue")


def test_a_supplier_that_is_said_to_fail_is_a_cause_without_an_alert():
    found = incidents([alert("a", supplier="acme")], {("supplier", "acme")})

    assert found[0].cause == "supplier:acme"


def test_three_alerts_of_one_rule_on_a_lane_are_no_chance_and_two_are():
    three = [alert(name, lane="F-X", site="X") for name in "abc"]

    assert causes(incidents(three[:2])).keys() == {"shipment:a", "shipment:b"}
    assert causes(incidents(three)) == {"lane:F-X": {one.id for one in three}}


def test_two_rules_at_one_site_are_two_incidents():
    late = [alert(name, site="X") for name in "abc"]
    warm = [alert(name, "warm", site="X") for name in "def"]

    assert len(incidents([*late, *warm])) == 2


def test_two_alerts_about_one_shipment_put_its_goods_at_risk_once():
    pair = [alert("a", rule, supplier="acme", value_cents=700) for rule in ("late", "warm")]

    (one,) = incidents(pair, {("supplier", "acme")})

    assert one.value_cents == 700


def test_the_worst_comes_first_by_severity_deadline_and_value():
    every = [
        alert("a", severity="info", deadline=1),
        alert("b", severity="critical", deadline=9, value_cents=1),
        alert("c", severity="critical", deadline=9, value_cents=5),
        alert("d", severity="critical", deadline=3),
        alert("e", severity="critical", deadline=0),
    ]

    assert [one.subject for one in sorted(every, key=rank)] == ["d", "c", "b", "e", "a"]


PLACES = st.sampled_from(["", "p", "q"])
ALERTS = st.lists(
    st.builds(
        lambda n, rule, supplier, site, lane: alert(
            f"s{n}", rule, supplier=supplier, site=site, lane=lane
        ),
        st.integers(0, 9),
        st.sampled_from(["late", "warm"]),
        PLACES,
        PLACES,
        PLACES,
    ),
    max_size=25,
    unique_by=lambda one: one.id,
)


@given(ALERTS, st.randoms(use_true_random=False))
def test_every_alert_is_in_one_incident_in_any_order(alerts, random):
    found = incidents(alerts, {("supplier", "q")})
    shuffled = list(alerts)
    random.shuffle(shuffled)

    assert incidents(shuffled, {("supplier", "q")}) == found
    held = [id for one in found for id in one.alerts]
    assert sorted(held) == sorted(one.id for one in alerts)
