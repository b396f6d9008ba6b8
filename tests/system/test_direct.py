"""A client that asks shards itself, of a twin that runs: through a kill, nothing is asked twice."""

import threading

import pytest

from serving.client import Client, connect, minter
from tests.system.facts import NOON, position
from tests.system.running import kill, until

pytestmark = pytest.mark.ray
SHARD = "shipment/east/0"


@pytest.fixture
def direct(twin):
    address = f"127.0.0.1:{twin.config.grpc_port('east')}"
    with Client(address, minter(twin.folder, "test"), timeout_s=30.0, direct=True) as client:
        client.locate("shipment", "any")
        client.ingest([position("t-direct-first", NOON, 1.0)])
        yield client


def test_the_shards_answer_themselves_and_say_what_the_gateway_says(direct, client):
    receipts = direct.ingest([position(f"t-direct-{i}", NOON, 1.0 + i) for i in range(32)])

    assert len({receipt.shard for receipt in receipts}) > 1
    assert direct._direct._channels.keys() == {
        shard.address for shard in client.status().shards if shard.name.startswith("shipment/east")
    }
    for number in (0, 7, 31):
        mine = direct.get("shipment", f"t-direct-{number}", "east")
        theirs = client.get("shipment", f"t-direct-{number}")
        assert (mine.values["lat"].value, mine.shard) == (1.0 + number, theirs.shard)
    everywhere, here = (direct.get("shipment", "t-direct-3", region) for region in ("", "east"))
    assert everywhere.key == here.key


def test_a_stream_goes_on_when_a_shard_is_killed_and_each_event_counts_once(twin, direct, client):
    before = twin.shard(SHARD)
    killed, stop = threading.Event(), threading.Event()
    sent, told = [], []

    def batches():
        number = 0
        while not stop.is_set():
            batch = [
                position(f"t-dk-{i % 12}", NOON + number + i, float(i), name=f"dk-{number + i}")
                for i in range(24)
            ]
            number += 24
            sent.extend(event.id for event in batch)
            yield batch

    def offer():
        for receipts in direct.stream(batches()):
            told.extend(receipts)
            if before.epoch not in {r.epoch for r in told if r.shard == SHARD}:
                continue
            killed.set()

    reader = threading.Thread(target=offer)
    reader.start()
    try:
        assert killed.wait(30)
        kill(before.pid)
        until(lambda: twin.shard(SHARD).epoch > before.epoch, "a successor")
        after = twin.shard(SHARD).epoch
        until(lambda: after in {r.epoch for r in list(told) if r.shard == SHARD}, "its receipts")
    finally:
        stop.set()
        reader.join(60)

    assert not reader.is_alive()
    assert [receipt.id for receipt in told] == sent
    assert {r.epoch for r in told if r.shard == SHARD} == {before.epoch, after}
    assert {receipt.outcome for receipt in told} <= {"APPLIED", "SUPERSEDED", "DUPLICATE"}
    places = [(receipt.shard, receipt.offset) for receipt in told]
    assert len(set(places)) == len(sent)
    known = client.receipts("test/grpc", sent[:500])
    assert [(r.shard, r.offset) for r in known] == places[:500]


def test_a_connected_client_goes_direct(twin):
    with connect(twin.folder, "west") as client:
        for number in range(2):
            client.ingest([position(f"t-cn-{number}", NOON, 1.0)._replace(region="west")])
        assert client._direct is not None
        assert client._direct._channels
