"""What `twin status` says of those who follow changes, and of rules that are not judged in time."""

import json

import pytest

from actors import watchman
from cluster.cli import run
from cluster.commands import status
from tests.serving.alerting import NOW, condition, watched
from tests.serving.alerting import state as state_of
from tests.serving.subscribing import EAST, opened, until_synced
from tests.system.running import until


@pytest.fixture
def twin(tmp_path):
    with watched(tmp_path / "twin") as twin, twin.client(direct=False) as client:
        twin.asks = client
        yield twin


def said(capsys, twin, *words):
    capsys.readouterr()
    run(["status", "--folder", str(twin.folder), *words])
    return capsys.readouterr().out


def shard_of(capsys, twin):
    """Return what --json says of one shard."""
    shards = json.loads(said(capsys, twin, "--json"))["shards"]
    return next(shard for shard in shards if shard["name"] == EAST)


def test_a_subscription_is_told_of_as_long_as_it_is_open(twin, capsys):
    before = said(capsys, twin)
    stream = opened(twin.asks, where="temp_c > 8", fields=["temp_c"], region="east")
    until_synced(stream)
    meanwhile, told = said(capsys, twin), shard_of(capsys, twin)["subscriptions"]
    stream.cancel()
    until(lambda: not twin.surface(EAST).changes.status().followers, "it to be left")

    assert "subscriptions" not in before + said(capsys, twin)
    assert f"  {EAST}: 1 subscriptions to 1 questions, " in meanwhile
    assert "shipment/west/0: 1 subscriptions" not in meanwhile
    assert (told["topics"], told["followers"], told["dropped"]) == (1, 1, 0)
    assert told["bytes"] >= told["ring_bytes"] >= 0


def test_what_a_reader_missed_while_nobody_followed_is_counted_as_resumed(twin):
    asks = {"where": "temp_c > 8", "fields": ["temp_c"], "region": "east"}
    stream = opened(twin.asks, **asks)
    cursor = until_synced(stream)[-1].cursor
    stream.cancel()
    twin.asks.ingest([condition("S1", 9.0)])
    twin.end(EAST)
    twin.begin("shipment", "east", 0, 1, epoch=2)
    stream = opened(twin.asks, cursor=cursor, **asks)
    until_synced(stream)
    stream.cancel()

    assert twin.surface(EAST, 2).changes.status().resumed == 1


def test_all_of_the_watch_of_alerts_is_in_the_json_and_no_line_while_it_keeps_up(twin, capsys):
    twin.asks.ingest([condition("S1", 9.0)])
    until(lambda: state_of(twin.asks, "shipment:S1:warm") == "OPEN", "the alert")
    watch = twin.surface(EAST).alerts.watch
    until(lambda: watch.watchman.looked_at == NOW, "a look at what time changes")

    shard = shard_of(capsys, twin)
    assert shard["alert_watch"] == {
        "judged": shard["offset"],
        "looked_at": NOW,
        "waiting": 0,
        "overtaken": 0,
        "refused": 0,
        "full": [],
    }
    assert "alerts" not in said(capsys, twin)


def test_events_that_the_rules_have_not_judged_are_told_of(twin, capsys, monkeypatch):
    watch = twin.surface(EAST).alerts.watch
    watch._stop.set()  # its thread alone: what is committed is caught, and nobody judges it
    watch.watchman.stirred.set()
    watch._thread.join()
    twin.asks.ingest([condition(f"S{n}", 3.0) for n in range(7)])

    assert "behind" not in said(capsys, twin)
    monkeypatch.setattr(status, "BEHIND", 6)
    assert f"  {EAST}: alerts are 7 events behind\n" in said(capsys, twin)
    assert shard_of(capsys, twin)["alert_watch"]["waiting"] == 7


def test_commits_that_overtook_the_rules_are_told_of_and_judged_all_the_same(
    twin, capsys, monkeypatch
):
    monkeypatch.setattr(watchman, "MOST_CAUGHT", -1)
    twin.asks.ingest([condition("S1", 9.0)])
    until(lambda: state_of(twin.asks, "shipment:S1:warm") == "OPEN", "the alert")

    assert "came too fast for the rules, and were judged from the journal" in said(capsys, twin)
    assert shard_of(capsys, twin)["alert_watch"]["overtaken"] >= 1


def test_events_of_alerts_that_were_refused_are_told_of(twin, capsys):
    twin.surface(EAST).alerts.watch.watchman.refused = 3  # no input is known that brings it about

    assert f"  {EAST}: 3 events of alerts were refused\n" in said(capsys, twin)
