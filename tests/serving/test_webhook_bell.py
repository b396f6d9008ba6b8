"""Webhooks as a gateway begins them: each of its own tenant, and rung rather than asked for."""

import json
import threading

from cluster import config, hooks
from serving.bell import Bell
from serving.client import Client
from serving.minting import minter
from serving.webhooks import Files
from serving.wire import twin_pb2 as pb
from tests.serving.receiving import raised
from tests.system.running import until
from twin.errors import Recovering

SHARD = "shipment/east/0"


def test_a_bell_has_a_webhook_told_at_once_that_nobody_asks_for_otherwise(
    twin, client, receiver, monkeypatch
):
    end = receiver()
    gateway = json.loads((twin.folder / "gateways.json").read_text())["east"]
    settings = config.Config(webhooks=(config.Webhook("ops", end.url, events=("raised",)),))
    monkeypatch.setattr("serving.webhooks.UNASKED_S", 3600.0)
    monkeypatch.setattr("serving.bell.AGAIN_S", 0.01)
    webhooks = hooks.begin(twin.folder, settings, "east", int(gateway.rpartition(":")[2]))
    try:
        (bell,) = webhooks._bells
        until(lambda: bell.hears, "the bell to hear")
        until(lambda: Files(twin.folder, "ops").standing().offsets, "it to have begun")
        raised(client, "S1")
        until(lambda: len(end.got) == 1, "the first")
        twin.end(SHARD)
        twin.begin("shipment", "east", 0, 1, epoch=2)
        raised(client, "S2")
        until(lambda: len(end.got) == 2, "the second, of a successor")
    finally:
        webhooks.stop()

    assert [one["subject"] for one in end.said] == ["shipment:S1:warm", "shipment:S2:warm"]


def test_a_bell_rings_when_it_begins_to_hear_and_when_it_ends():
    held = threading.Semaphore(0)

    def listen():
        held.acquire()
        yield pb.SubscribeReply(synced=True)
        held.acquire()
        yield pb.SubscribeReply(synced=True)  # a bookmark: nothing happened
        held.acquire()
        raise Recovering("its shard moves", 1.0)

    bell = Bell(listen)
    place, said = bell.place(), []
    bell.start()
    for released in (1, 2):  # the second goes past the bookmark, to the end
        held.release(released)
        assert place.wait(10)
        said.append(bell.hears)
        place.clear()
    bell.stop()

    assert said == [True, False]


def test_a_tenants_webhook_is_never_told_of_anothers_alerts(twin, client, receiver):
    mine, theirs = receiver(), receiver()
    gateway = json.loads((twin.folder / "gateways.json").read_text())["east"]
    told = tuple(
        config.Webhook(name, end.url, events=("raised",), tenant=tenant)
        for name, end, tenant in (("mine", mine, ""), ("theirs", theirs, "rival"))
    )
    settings = config.Config(webhooks=told)
    webhooks = hooks.begin(twin.folder, settings, "east", int(gateway.rpartition(":")[2]))
    try:
        known = [Files(twin.folder, hook.name) for hook in told]
        until(lambda: all(one.standing().offsets for one in known), "both to have begun")
        raised(client, "S1")
        token = minter(twin.folder, "test", ("read", "write"), "rival")
        with Client(gateway, token, direct=True) as rival:
            raised(rival, "S1")  # of the same name, which is no secret
            raised(rival, "S2")
        raised(client, "S3")
        until(lambda: len(mine.got) == len(theirs.got) == 2, "the messages")
    finally:
        webhooks.stop()

    said = [[(one["tenant"], one["subject"]) for one in end.said] for end in (mine, theirs)]
    assert sorted(said[0]) == [("demo", "shipment:S1:warm"), ("demo", "shipment:S3:warm")]
    assert sorted(said[1]) == [("rival", "shipment:S1:warm"), ("rival", "shipment:S2:warm")]
