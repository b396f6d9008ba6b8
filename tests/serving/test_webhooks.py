"""Webhooks against a real receiver: one that takes, refuses, hangs up, drips, and never answers."""

import base64
import hashlib
import hmac
import json

import pytest

from serving.bell import Bell
from serving.webhook_wire import PREFIX, Post, attempt, fault_of, secret_of, signed
from serving.webhooks import Courier, Files, Webhook, Webhooks, feed_of, notes
from tests.serving.alerting import HOUR_US, NOW, act, condition, ordered, wait_for
from tests.serving.receiving import raised
from tests.system.running import until
from twin.errors import BadRequest

ALERT = "shipment:S1:warm"
SHARD = "shipment/east/0"


def hook(twin, url, name="ops", **more):
    secret = twin.folder / "webhooks" / f"{name}.secret"
    told = {"where": "", "events": (), "tenant": "demo", "secret": secret, "timeout_s": 0.3}
    return Webhook(name, url, **(told | more))


class Waits:
    """Instead of waiting: what would be waited. Ends after so many."""

    def __init__(self, most=10**9):
        self.seconds, self.most = [], most

    def __call__(self, seconds):
        self.seconds.append(seconds)
        return len(self.seconds) >= self.most


def courier(twin, client, one, waits=None, wall_s=lambda: 1_700_000_000.5):
    waits = waits or Waits()
    feed = feed_of(client.ask)
    return Courier(one, twin.folder, feed, wait=waits, jitter=lambda: 1.0, wall_s=wall_s)


def begun(twin, client, one, **more):
    """Return a courier that knows where to begin."""
    made = courier(twin, client, one, **more)
    assert not made.step()
    return made


def test_what_happens_is_posted_as_a_signed_cloud_event(twin, client, receiver):
    end = receiver()
    one = hook(twin, end.url)
    bringer = begun(twin, client, one)
    client.ingest([ordered("S1")])
    raised(client)

    bringer.step()

    ((headers, body),) = end.got
    told = json.loads(body)
    secret = base64.b64decode(one.secret.read_text().strip().removeprefix(PREFIX))
    signed_text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(secret, signed_text, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert headers["webhook-timestamp"] == "1700000000"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert (told["specversion"], told["id"]) == ("1.0", headers["webhook-id"])
    assert (told["type"], told["subject"]) == ("supplytwin.alert.raised", ALERT)
    assert (told["source"], told["time"]) == (f"/twin/{SHARD}", "2023-11-14T22:13:20Z")
    assert told["data"]["alert"]["severity"] == "critical"
    assert told["data"]["alert"]["deadline"] == "2023-11-14T23:13:20Z"
    assert told["data"]["alert"]["value_at_risk_cents"] == 5000
    assert one.secret.stat().st_mode & 0o777 == 0o600


def test_all_of_an_alerts_life_is_told_in_order_and_only_once(twin, client, receiver):
    end = receiver()
    bringer = begun(twin, client, hook(twin, end.url))
    raised(client)
    act(client, ALERT, "acknowledge")
    client.ingest([condition("S1", 3.0, NOW + 1)])
    wait_for(client, ALERT, "CLEARED")

    while bringer.step():
        pass

    happened = [one["data"]["event"] for one in end.said]
    assert happened == ["alert.raised", "alert.acknowledged", "alert.cleared"]
    assert [one["data"]["by"] for one in end.said] == ["twin/watchman", "test", "twin/watchman"]
    assert len(set(end.ids)) == 3


def test_only_what_is_asked_for_is_told(twin, client, receiver):
    end = receiver()
    one = hook(twin, end.url, where="subject_id = 'S2'", events=("raised",))
    bringer = begun(twin, client, one)
    for subject in ("S1", "S2"):
        raised(client, subject)
    act(client, "shipment:S2:warm", "acknowledge")

    while bringer.step():
        pass

    assert [one["subject"] for one in end.said] == ["shipment:S2:warm"]
    assert bringer.standing.offsets[SHARD] > 0


def test_it_is_tried_again_after_longer_and_longer_under_the_same_id(twin, client, receiver):
    end = receiver(500, "drop", 429, (301, "http://127.0.0.1:1/"), 200)
    waits = Waits()
    bringer = begun(twin, client, hook(twin, end.url), waits=waits)
    raised(client)

    bringer.step()

    assert len(end.got) == 5
    assert len(set(end.ids)) == 1
    assert len({body for _, body in end.got}) == 1
    assert waits.seconds == [0.5, 1.0, 2.0, 4.0]
    assert (bringer.standing.taken, bringer.standing.failing) == (1, "")


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_an_endpoint_that_never_answers_is_left_in_its_time(way, twin, client, receiver):
    end = receiver(way, way, way)
    bringer = begun(twin, client, hook(twin, end.url, attempts=3))
    raised(client)

    bringer.step()

    (dead,) = Files(twin.folder, "ops").dead()
    assert (dead.attempts, dead.why) == (3, "no answer within 0.3 s")
    assert bringer.standing.dead == 1
    assert notes(twin.folder, ["ops"]) == {
        "webhook ops": "1 dead letters; attempt 0: no answer within 0.3 s"
    }


def test_what_is_put_aside_is_sent_again_when_asked_under_the_id_it_had(twin, client, receiver):
    end = receiver(500, 500, 200, 200)
    one = hook(twin, end.url, attempts=2)
    bringer = begun(twin, client, one)
    raised(client)
    bringer.step()
    raised(client, "S2")
    bringer.step()

    again = Files(twin.folder, "ops").ask_again()
    bringer.step()

    assert again == 1
    assert [e["subject"].split(":")[1] for e in end.said] == ["S1", "S1", "S2", "S1"]
    assert len(set(end.ids)) == 2
    assert Files(twin.folder, "ops").dead() == Files(twin.folder, "ops").again() == []


def test_a_courier_that_was_killed_goes_on_with_what_was_not_taken(twin, client, receiver):
    end = receiver(200, 500)
    one = hook(twin, end.url)
    first = begun(twin, client, one, waits=Waits(most=1))  # it ends while it waits
    raised(client)
    raised(client, "S2")
    while first.step() and len(end.got) < 2:
        pass

    second = courier(twin, client, one)
    while second.step():
        pass

    assert [e["subject"].split(":")[1] for e in end.said] == ["S1", "S2", "S2"]
    assert end.ids[1] == end.ids[2]


def test_nothing_is_lost_or_told_twice_over_a_takeover_of_the_shard(twin, client, receiver):
    end = receiver()
    bringer = begun(twin, client, hook(twin, end.url))
    raised(client)
    bringer.step()
    raised(client, "S2")
    twin.end(SHARD)
    twin.begin("shipment", "east", 0, 1, epoch=2)
    raised(client, "S3")

    while bringer.step():
        pass

    assert [e["subject"].split(":")[1] for e in end.said] == ["S1", "S2", "S3"]


def test_a_slow_endpoint_delays_nobody_else(twin, client, receiver):
    slow, quick = receiver(*["hang"] * 9), receiver()
    hooks = [hook(twin, slow.url, "slow", timeout_s=10.0), hook(twin, quick.url, "quick")]
    feed = feed_of(client.ask)
    deaf = Bell(lambda: iter(()))
    running = Webhooks(hooks, twin.folder, lambda _: feed, lambda: 0.0, lambda _: deaf)
    try:
        known = [Files(twin.folder, one.name) for one in hooks]
        until(lambda: all(one.standing().offsets for one in known), "both to begin")
        raised(client)
        until(lambda: slow.got, "the slow one to be asked")
        raised(client, "S2")
        until(lambda: len(quick.got) == 2, "the quick one to be told")

        assert len(slow.got) == 1
    finally:
        slow.free.set()
        running.stop()


def test_a_snoozed_alert_is_told_of_again_when_it_wakes(twin, client, receiver):
    end = receiver()
    bringer = begun(twin, client, hook(twin, end.url, events=("snoozed", "woken")))
    raised(client)
    act(client, ALERT, "snooze", until=NOW + HOUR_US)
    twin.clock.now_us = NOW + HOUR_US
    wait_for(client, ALERT, "OPEN")

    while bringer.step():
        pass

    assert [one["data"]["event"] for one in end.said] == ["alert.snoozed", "alert.woken"]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://ops.example.org/hook", ""),
        ("http://127.0.0.1:9000", ""),
        ("file:///etc/passwd", "it is no http:// or https:// address"),
        ("ftp://example.org/x", "it is no http:// or https:// address"),
        ("http:///x", "it is no http:// or https:// address"),
        ("http://a:b@example.org", "it holds a password; messages are signed instead"),
        ("http://example.org/#x", "it has a fragment"),
    ],
)
def test_an_endpoint_is_http_and_holds_no_password(url, fault):
    assert fault_of(url) == fault


def test_nobody_listening_is_a_failed_attempt_in_words():
    told = attempt("http://127.0.0.1:1/", Post("a", b"{}"), signed(Post("a", b"{}"), b"k", 1), 1.0)

    assert not told.taken
    assert told.why.startswith("ConnectionRefusedError")


@pytest.mark.parametrize("text", ["", "secret", "whsec_", "whsec_!!!", "whsec_c2hvcnQ="])
def test_a_secret_that_signs_nothing_is_refused(tmp_path, text):
    (tmp_path / "ops.secret").write_text(text)

    with pytest.raises(BadRequest) as said:
        secret_of(tmp_path / "ops.secret")

    assert said.value.code == "CONFIG_INVALID"
    assert text.removeprefix("whsec_") not in str(said.value) or len(text) < 7
