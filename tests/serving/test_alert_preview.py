"""What a retraction would do to alerts: named beforehand, and then done."""

import pytest

from serving.wire import twin_pb2 as pb
from tests.serving.alerting import HOUR_US, NOW, WARM, condition, state, states, wait_for, watched
from tests.system.running import until

SLOW = WARM.replace('"warm"', '"slow"') + 'for = "6h"\n'


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with watched(tmp_path_factory.mktemp("preview") / "twin", WARM + SLOW) as twin:
        yield twin


@pytest.fixture(scope="module")
def client(twin):
    with twin.client() as client:
        yield client


def readings(client, subject, *temps, every_us=HOUR_US):
    """Take a reading an hour, the newest just now; return when the twin has judged them."""
    first = NOW - every_us * (len(temps) - 1)
    for i, temp in enumerate(temps):
        client.ingest([condition(subject, temp, first + i * every_us, f"{subject}:{i}")])
        wanted = "OPEN" if temp > 8 else "CLEARED"
        if temp > 8 or f"shipment:{subject}:warm" in states(client):
            wait_for(client, f"shipment:{subject}:warm", wanted)


def preview(client, id):
    reply = client.ask("Preview", pb.PreviewRequest(source="sensor", id=id))
    return sorted(reply.alerts)


def retract(client, subject, id, at_us):
    away = condition(subject, 0.0, at_us, f"{id}:away")
    client.ingest([away._replace(retracts=id)])


@pytest.mark.parametrize(
    ("subject", "temps", "taken", "wanted"),
    [
        ("A", (5.0, 14.0), 1, ["slow lapsed", "warm cleared"]),
        ("B", (14.0, 5.0), 1, ["slow noticed", "warm raised"]),
        ("C", (14.0, 15.0), 1, []),
        ("D", (5.0, 14.0), 0, []),
        ("E", (14.0, 7.5), 0, []),
    ],
)
def test_a_preview_names_the_alerts_that_a_retraction_then_raises_and_clears(
    client, subject, temps, taken, wanted
):
    readings(client, subject, *temps) if subject != "E" else _warm_and_lukewarm(client)
    told = preview(client, f"{subject}:{taken}")

    assert told == [f"shipment:{subject}:{one}" for one in wanted]
    retract(client, subject, f"{subject}:{taken}", NOW - HOUR_US * (len(temps) - 1 - taken))
    became = {"cleared": "CLEARED", "raised": "OPEN", "noticed": "PENDING", "lapsed": "QUIET"}
    for one in told:
        alert, _, what = one.partition(" ")
        wait_for(client, alert, became[what])


def _warm_and_lukewarm(client):
    """Raise, and be neither hot nor over: what has been raised goes on."""
    for i, temp in enumerate((14.0, 7.5)):
        client.ingest([condition("E", temp, NOW - HOUR_US * (1 - i), f"E:{i}")])
    wait_for(client, "shipment:E:warm", "OPEN")
    until(lambda: state(client, "shipment:E:slow") == "QUIET", "its clock to have ended")
