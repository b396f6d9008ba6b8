"""What people do about alerts: journaled by name, once, and refused where it makes no sense."""

import json

import pytest

from serving import client as clients
from serving import records
from serving.access import mint
from tests.serving.alerting import (
    DAY_US,
    EAST,
    HOUR_US,
    NOW,
    act,
    condition,
    kinds,
    ranked,
    state,
    states,
    told,
    wait_for,
)
from twin.errors import BadRequest, Denied, UnknownKey

ALERT = "shipment:S1:warm"


def test_who_acts_on_an_alert_is_journaled_by_name_with_the_moment(client, twin):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")
    twin.clock.now_us = NOW + HOUR_US

    first = act(client, ALERT, "acknowledge")
    act(client, ALERT, "assign", owner="ana")
    last = act(client, ALERT, "comment", note="ice is on its way")

    values = records.state(last.alert).values
    said = {name: value.value for name, value in values.items()}
    assert (said["state"], said["owner"], said["note"]) == (
        "ACKNOWLEDGED",
        "ana",
        "ice is on its way",
    )
    assert (said["acknowledged_by"], said["acknowledged_at"]) == ("test", NOW + HOUR_US)
    assert said["acknowledged_at"] - said["raised_at"] == HOUR_US
    assert first.receipt.startswith("shipment/east/0/")
    assert [event.writer for event in told(client, EAST).events] == ["twin/watchman"] + ["test"] * 3


def test_an_action_that_is_sent_again_is_done_once(client):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")

    receipts = {act(client, ALERT, "acknowledge").receipt for _ in range(3)}

    assert len(receipts) == 1
    assert len(kinds(client)) == 2


def test_a_snoozed_alert_is_out_of_sight_until_its_time_comes(client, twin):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")

    act(client, ALERT, "snooze", until=NOW + HOUR_US)
    asleep = ranked(client)
    twin.clock.now_us = NOW + HOUR_US

    assert (asleep.total, state(client, ALERT)) in {(0, "SNOOZED"), (0, "OPEN")}
    wait_for(client, ALERT, "OPEN")
    assert kinds(client)[-1] == ("alert.woken", ALERT)
    assert ranked(client).total == 1


def test_what_is_cleared_while_it_is_snoozed_stays_cleared(client, twin):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")
    act(client, ALERT, "snooze", until=NOW + HOUR_US)
    client.ingest([condition("S1", 3.0, NOW + 1)])
    wait_for(client, ALERT, "CLEARED")

    twin.clock.now_us = NOW + DAY_US
    client.ingest([condition("S2", 14.0, NOW + 2)])
    wait_for(client, "shipment:S2:warm", "OPEN")

    assert state(client, ALERT) == "CLEARED"


@pytest.mark.parametrize(
    ("alert", "action", "more", "error", "code"),
    [
        ("shipment:S9:warm", "acknowledge", {}, UnknownKey, "ENTITY_NOT_FOUND"),
        ("nonsense", "acknowledge", {}, UnknownKey, "ENTITY_NOT_FOUND"),
        (ALERT, "burn", {}, BadRequest, "INVALID_ARGUMENT"),
        (ALERT, "assign", {}, BadRequest, "INVALID_ARGUMENT"),
        (ALERT, "snooze", {"until": NOW - 1}, BadRequest, "INVALID_ARGUMENT"),
        (ALERT, "snooze", {"until": 2**62}, BadRequest, "INVALID_ARGUMENT"),
        ("x" * 5000, "acknowledge", {}, BadRequest, "BAD_ID"),
        (ALERT, "comment", {"note": "x" * 2001}, BadRequest, "INVALID_ARGUMENT"),
        (ALERT, "unsnooze", {}, BadRequest, "ALERT_STATE"),
    ],
)
def test_an_action_that_makes_no_sense_is_refused_exactly(client, alert, action, more, error, code):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")

    with pytest.raises(error) as said:
        act(client, alert, action, **more)

    assert said.value.code == code
    assert len(kinds(client)) == 1


def test_nobody_acknowledges_what_is_cleared(client):
    client.ingest([condition("S1", 14.0), condition("S1", 3.0, NOW + 1)])
    wait_for(client, ALERT, "CLEARED")

    with pytest.raises(BadRequest, match="is CLEARED, not open") as said:
        act(client, ALERT, "acknowledge")

    assert said.value.code == "ALERT_STATE"
    act(client, ALERT, "comment", note="the door was open")


def asker(twin, *scopes, tenant="demo"):
    token = mint(twin.folder / "key", name="other", scopes=scopes, tenant=tenant)
    address = json.loads((twin.folder / "gateways.json").read_text())["east"]
    return clients.Client(address, lambda: token)


def test_a_reader_may_look_and_not_touch(client, twin):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")

    with asker(twin, "read") as reader:
        assert ranked(reader).total == 1
        with pytest.raises(Denied) as said:
            act(reader, ALERT, "acknowledge")

    assert said.value.code == "SCOPE_MISSING"


def test_an_alert_of_another_tenant_is_as_one_that_does_not_exist(client, twin):
    client.ingest([condition("S1", 14.0)])
    wait_for(client, ALERT, "OPEN")

    with asker(twin, "read", "write", tenant="rival") as rival:
        rival.ingest([condition("S2", 14.0)])
        wait_for(rival, "shipment:S2:warm", "OPEN")
        assert list(states(rival)) == ["shipment:S2:warm"]
        assert [event.alert for event in told(rival, EAST).events] == ["shipment:S2:warm"]
        refused = []
        for alert in (ALERT, "shipment:S9:warm"):
            with pytest.raises(UnknownKey) as said:
                act(rival, alert, "acknowledge", region="east")
            refused.append(str(said.value).replace(alert, "X"))

    assert refused[0] == refused[1]
    assert list(states(client)) == [ALERT]
