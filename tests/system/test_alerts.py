"""A real twin tells of what goes wrong: at once, once, and whoever is killed meanwhile.

Each test fails if its fault did not happen.
"""

import pytest

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.system.running import kill, until
from twin.errors import Retryable

SOURCE = "test/freezer"
PRODUCT = "Insulin, for injection"
HOUR_US = 3_600_000_000
COUNT = 12

pytestmark = pytest.mark.ray


def ordered(subject, at):
    data = {"supplier": "t-cold", "site": "t-C", "country": "NG", "product_group": "INSULIN"}
    data |= {"product": PRODUCT, "quantity": 3, "value_cents": 70_000}
    return Event("shipment.ordered", SOURCE, subject, at, data, f"{subject}:o", "east")


def reading(subject, at, temp_c):
    name = f"{subject}:{at}"
    return Event("shipment.condition", SOURCE, subject, at, {"temp_c": temp_c}, name, "east")


def standing(client, prefix):
    said = f"rule = 'cold-chain' AND state <> 'PENDING' AND id LIKE 'shipment:{prefix}%'"
    asked = pb.AlertsRequest(where=said, limit=50)
    return {alert.id: alert for alert in client.ask("Alerts", asked).alerts}


def warmed(client, prefix):
    """Have some shipments too warm for six hours; return the alerts that there are to be."""
    now = client.status().now
    subjects = [f"{prefix}-{number}" for number in range(COUNT)]
    events = [ordered(subject, now - 99 * HOUR_US) for subject in subjects]
    events += [reading(subject, now - 9 * HOUR_US, 12.0) for subject in subjects]
    client.ingest(events)
    client.ingest([reading(subject, now - 2 * HOUR_US, 13.5) for subject in subjects], urgent=True)
    return {f"shipment:{subject}:cold-chain" for subject in subjects}


def test_a_cold_chain_that_breaks_is_an_alert_with_what_is_at_risk(running):
    with running.client() as client:
        wanted = warmed(client, "t-warm")
        found = until(
            lambda: len(got := standing(client, "t-warm-")) == COUNT and got, "an alert for each"
        )

        assert found.keys() == wanted
        values = found["shipment:t-warm-0:cold-chain"].values
        assert values["severity"].text == "critical"
        assert values["message"].text == f"{PRODUCT} for t-C is at 13.5 degC, not 2 to 8"
        assert values["value_at_risk_cents"].integer == 70_000
        told = running.twin("alerts", "ack", "shipment:t-warm-0:cold-chain", "--json").json
        assert told["alert"]["values"]["acknowledged_by"]["value"] == "cli"


def test_no_alert_is_lost_or_doubled_when_its_shards_are_killed(running):
    with running.client() as client:
        wanted = warmed(client, "t-kill")
        killed = [running.shard(f"shipment/east/{number}") for number in (0, 1)]
        for shard in killed:
            kill(shard.pid)

        def every():
            try:
                return standing(client, "t-kill-").keys() == wanted
            except Retryable:
                return False

        until(every, "an alert for each", 60)
        for shard in killed:
            name = shard.name
            until(lambda n=name, e=shard.epoch: running.shard(n).epoch > e, "a successor", 60)
        told = [journaled(client, alert) for alert in sorted(wanted)]

        assert told == [["alert.noticed.v1", "alert.raised.v1"]] * COUNT


def journaled(client, alert):
    request = pb.HistoryRequest(kind="alert", id=alert, oldest_first=True)
    return [entry.type for entry in client.ask("History", request).entries]
