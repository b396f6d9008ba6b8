"""Alerts of shards that serve: raised once, cleared once, and whoever acts on them is journaled."""

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.alerting import (
    DAY_US,
    HOUR_US,
    NOW,
    WARM,
    act,
    condition,
    kinds,
    lay,
    ordered,
    ranked,
    state,
    states,
    wait_for,
    watched,
)
from tests.system.running import until

ALERT = "shipment:S1:warm"


def test_an_alert_says_what_why_by_when_and_how_much_is_at_risk(client):
    client.ingest([ordered("S1"), condition("S1", 14.2)])
    wait_for(client, ALERT, "OPEN")

    found = client.get("alert", ALERT)

    said = {name: value.value for name, value in found.values.items()}
    assert said["message"] == "S1 for UGKLA is at 14.2 degC"
    assert (said["rule"], said["subject_kind"], said["subject_id"]) == ("warm", "shipment", "S1")
    assert (said["severity"], said["owner"], said["next_step"]) == ("critical", "desk", "Cool it.")
    assert (said["deadline"], said["raised_at"]) == (NOW + HOUR_US, NOW)
    assert (said["supplier"], said["site"], said["lane"]) == ("acme", "UGKLA", "lyon-UGKLA")
    assert said["value_at_risk_cents"] == 5000
    assert said["causes"] == "shipment/east/0/1"
    assert found.key == f"demo/alert/east/{ALERT}"
    assert found.values["message"].source == "twin/shipment/east/0"


def test_it_is_raised_on_crossing_cleared_on_return_and_not_repeated(client):
    for number, temp in enumerate([9, 10, 7.5, 9, 6, 5, 12]):
        client.ingest([condition("S1", float(temp), NOW + number)])
    until(lambda: len(kinds(client)) == 3, "the second raise")

    assert kinds(client) == [
        ("alert.raised", ALERT),
        ("alert.cleared", ALERT),
        ("alert.raised", ALERT),
    ]


def test_ten_readings_that_come_at_once_are_judged_one_by_one(client):
    temps = [5, 9, 9, 6, 5, 11, 5, 5, 12, 5]
    client.ingest([condition("S1", float(t), NOW + i) for i, t in enumerate(temps)])
    until(lambda: len(kinds(client)) == 6, "three excursions")

    assert [name.partition(".")[2] for name, _ in kinds(client)] == ["raised", "cleared"] * 3


def test_a_late_reading_does_not_open_again_what_is_over(client):
    client.ingest([condition("S1", 5.0, NOW)])
    client.ingest([condition("S1", 14.0, NOW - HOUR_US)])
    client.ingest([condition("S2", 14.0, NOW)])
    wait_for(client, "shipment:S2:warm", "OPEN")

    assert states(client) == {"shipment:S2:warm": "OPEN"}


def test_what_follows_from_something_made_up_says_so(client):
    client.ingest([condition("S1", 14.0, source="demo/telemetry")])
    wait_for(client, ALERT, "OPEN")

    assert client.get("alert", ALERT).values["state"].source == "demo/twin/shipment/east/0"


def test_a_retraction_of_the_reading_clears_it(client):
    client.ingest([condition("S1", 5.0, NOW - 10), condition("S1", 14.0, NOW, "wrong")])
    wait_for(client, ALERT, "OPEN")

    away = Event("shipment.condition", "sensor", "S1", NOW, {}, "taken-back", "east")
    client.ingest([away._replace(data={"temp_c": 0.0}, retracts="wrong")])

    wait_for(client, ALERT, "CLEARED")


def test_nobody_but_the_twin_offers_events_of_alerts(client):
    events = [
        Event("alert.raised", "erp", ALERT, NOW, {"state": "OPEN"}, "forged", "east"),
        Event("alert.acknowledged", "erp", ALERT, NOW, {"state": "ACKNOWLEDGED"}, "ack", "west"),
        Event("alert.cleared", "erp", "no alert's name", NOW, {"state": "CLEARED"}, "x", "east"),
    ]

    said = [(one.outcome, one.reason) for one in client.ingest(events)]

    assert said == [("REJECTED", "TYPE_RESERVED")] * 2 + [("REJECTED", "BAD_ID")]
    assert states(client) == {}


def test_alerts_are_ranked_and_say_how_many_there_are(client):
    many = [ordered(f"S{i}", value=i * 100, site=f"X{i}") for i in range(8)]
    client.ingest([*many, *(condition(f"S{i}", 14.0) for i in range(8))])
    until(lambda: ranked(client).total == 8, "eight alerts")

    reply = ranked(client, limit=3)

    assert [twin.id for twin in reply.alerts] == [f"shipment:S{i}:warm" for i in (7, 6, 5)]
    assert (reply.shown, reply.total) == (3, 8)
    assert ranked(client, where="site = 'X4'").alerts[0].id == "shipment:S4:warm"
    assert ranked(client, order="id", limit=1).alerts[0].id == "shipment:S0:warm"


def test_alerts_of_one_lane_are_one_incident_with_all_that_is_at_risk(client):
    client.ingest([ordered(f"S{i}", value=100) for i in range(4)])
    client.ingest([condition(f"S{i}", 14.0) for i in range(4)])
    until(lambda: ranked(client).total == 4, "four alerts")

    reply = ranked(client, incidents=True)

    (one,) = reply.incidents
    assert (one.cause, one.count, one.value) == ("lane:lyon-UGKLA", 4, 4.0)
    assert (one.severity, one.deadline, one.next_step) == ("critical", NOW + HOUR_US, "Cool it.")
    assert (reply.shown, reply.total) == (1, 1)


def test_a_rule_file_that_changes_is_used_at_once_and_its_old_alerts_are_cleared(client, twin):
    client.ingest([condition("S1", 14.0), condition("S2", 6.0)])
    wait_for(client, ALERT, "OPEN")

    lay(twin.folder, WARM.replace("warm", "tepid").replace("> 8", "> 5").replace("< 7", "< 4"))

    wait_for(client, ALERT, "CLEARED")
    wait_for(client, "shipment:S2:tepid", "OPEN")


def test_a_rule_file_that_is_broken_clears_nothing(client, twin):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")

    lay(twin.folder, WARM + "\n[[rule]]\nname = 'half'")
    client.ingest([condition("S2", 14.0, NOW + 1)])

    wait_for(client, "shipment:S2:warm", "OPEN")
    assert state(client, ALERT) == "OPEN"


def test_a_silent_feed_is_found_by_time_alone_and_cleared_when_it_speaks(tmp_path):
    rules = """
    [[rule]]
    name = "silent"
    kind = "shipment"
    when = "age(position) > INTERVAL '2 days'"
    for = "1h"
    severity = "info"
    """
    silent = "shipment:S1:silent"
    with watched(tmp_path / "twin", rules) as twin, twin.client() as client:
        where = {"lat": 1.0, "lon": 2.0}
        client.ingest([Event("shipment.position", "gps", "S1", NOW, where, "p1", "east")])
        twin.clock.now_us = NOW + 3 * DAY_US
        until(lambda: looked(twin, NOW + 3 * DAY_US), "a look")
        before = state(client, silent)
        twin.clock.now_us += 2 * HOUR_US
        wait_for(client, silent, "OPEN")
        at = twin.clock.now_us
        client.ingest([Event("shipment.position", "gps", "S1", at, where, "p2", "east")])
        twin.clock.now_us += HOUR_US
        wait_for(client, silent, "CLEARED")

    assert before == ""


def looked(twin, at_us):
    """Say whether the watchman has looked at what time changes since a moment of the clock."""
    watch = twin.surface("shipment/east/0").alerts.watch
    return min(watch.watchman._looked.values(), default=0) >= at_us


def test_a_clock_that_begins_is_journaled_and_goes_on_after_a_takeover(tmp_path):
    rules = WARM + 'for = "6h"\ntotal = true\n'
    with watched(tmp_path / "twin", rules) as twin, twin.client() as client:
        client.ingest([condition("S1", 14.0, NOW - 9 * HOUR_US)])
        wait_for(client, ALERT, "PENDING")
        client.ingest([condition("S1", 5.0, NOW - 5 * HOUR_US)])
        wait_for(client, ALERT, "QUIET")
        twin.end("shipment/east/0")
        twin.begin("shipment", "east", 0, 1, epoch=2)
        client.ingest([condition("S1", 14.0, NOW - 3 * HOUR_US)])
        wait_for(client, ALERT, "PENDING")
        client.ingest([condition("S1", 14.0, NOW - HOUR_US)])
        wait_for(client, ALERT, "OPEN")
        out = client.get("alert", ALERT).values

        assert (out["out_s"].value, out["out_since"].value) == (4 * 3600, NOW - 3 * HOUR_US)


def test_the_history_of_an_alert_reads_like_any_twins(client):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")
    act(client, ALERT, "acknowledge")

    reply = client.ask("History", pb.HistoryRequest(kind="alert", id=ALERT, oldest_first=True))

    assert [entry.type for entry in reply.entries] == ["alert.raised.v1", "alert.acknowledged.v1"]


def test_stock_that_falls_below_what_is_set_aside_or_nought_is_an_alert(tmp_path):
    rules = """
    [[rule]]
    name = "low"
    kind = "stock"
    when = "on_hand < 0 OR on_hand - reserved < 0"
    severity = "warning"
    message = "{on_hand} of {product} at {site}, {reserved} set aside"
    """
    with watched(tmp_path / "twin", rules) as twin, twin.client() as client:
        item = {"site": "W1", "product": "kits"}
        low = "stock:W1:kits:low"

        def said(type_, number, **facts):
            return Event(f"stock.{type_}", "wms", "W1:kits", NOW + number, item | facts, "", "east")

        client.ingest([said("counted", 0, quantity=10), said("reserved", 1, reserved=8)])
        client.ingest([said("moved", 2, delta=-4)])
        wait_for(client, low, "OPEN")
        message = client.get("alert", low, "east").values["message"].value
        client.ingest([said("moved", 3, delta=5)])
        wait_for(client, low, "CLEARED")

    assert message == "6 of kits at W1, 8 set aside"


def test_an_alert_is_written_by_the_shard_of_its_subject_whichever_that_is(tmp_path):
    with watched(tmp_path / "twin", shards=2) as twin, twin.client() as client:
        client.ingest([condition(f"S{i}", 14.0) for i in range(20)])
        until(lambda: ranked(client, limit=100).total == 20, "twenty alerts")

        for number in range(20):
            alert = client.get("alert", f"shipment:S{number}:warm")
            act(client, alert.id, "acknowledge")
            with_it = client.ingest([condition(f"S{number}", 15.0, NOW + 1)])
            assert with_it[0].shard == alert.shard
        assert {t.shard for t in client.search("alert", limit=50).twins} == {
            "shipment/east/0",
            "shipment/east/1",
        }
