"""A gateway's ingest: split by owner, in order, answered by the deadline whatever a shard does."""

import socket
import threading

import grpc
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from serving import forward
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, position, several
from twin.admission import place
from twin.errors import RegionAway, Unavailable
from twin.texts import texts


@pytest.fixture
def twin(tmp_path):
    with several(tmp_path / "twin") as twin:
        yield twin


@pytest.fixture
def client(twin):
    with twin.client(direct=False) as client:
        yield client


def arrow(subjects, regions, first=0):
    n = len(subjects)
    batch = pa.record_batch(
        {
            "id": pa.array([f"a-{first + i}" for i in range(n)]),
            "source": pa.array(["test/a"] * n).dictionary_encode(),
            "type": pa.array(["shipment.position"] * n).dictionary_encode(),
            "subject": pa.array(subjects),
            "region": pa.array(regions),
            "time": pa.array([NOW - n + i for i in range(n)]),
            "lat": pa.array([float(i % 90) for i in range(n)]),
            "lon": pa.array([1.0] * n),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def offered(client, *requests, timeout=20):
    return list(client._stub.Ingest(iter(requests), metadata=client._metadata(), timeout=timeout))


def told(reply):
    """Return (shard, offset) of each event of a reply."""
    offsets = np.frombuffer(reply.offsets, "<i8").tolist()
    pairs = zip(reply.shards, offsets, strict=True)
    return [(reply.shard_names[at], offset) for at, offset in pairs]


@pytest.mark.parametrize("n", [4, 4000], ids=["inline", "in a thread"])
def test_an_arrow_batch_is_split_over_shards_and_regions_and_answered_in_its_order(client, n):
    subjects = [f"s-{i}" for i in range(n)]
    regions = [("east", "west")[i % 3 == 0] for i in range(n)]

    (reply,) = offered(client, pb.IngestRequest(batch=3, arrow=arrow(subjects, regions)))

    owners = place("demo", texts(subjects), 2).tolist()
    where = [f"shipment/{r}/{o}" for r, o in zip(regions, owners, strict=True)]
    assert [shard for shard, _ in told(reply)] == where
    assert set(reply.outcomes) == {pb.APPLIED}
    for shard in set(where):
        mine = [offset for name, offset in told(reply) if name == shard]
        assert mine == list(range(len(mine)))
    assert client.get("shipment", "s-1").values["lat"].value == 1.0


def test_batches_of_one_stream_keep_their_order_whatever_their_size(client):
    sizes = [1, 3000, 1, 2000, 2, 1, 4000, 1]
    starts = np.cumsum([0, *sizes]).tolist()
    requests = [
        pb.IngestRequest(batch=k, arrow=arrow(["same"] * size, ["east"] * size, start))
        for k, (size, start) in enumerate(zip(sizes, starts, strict=False))
    ]

    replies = offered(client, *requests)

    assert [reply.batch for reply in replies] == list(range(len(sizes)))
    offsets = [offset for reply in replies for _, offset in told(reply)]
    assert offsets == list(range(sum(sizes)))


def test_a_stream_of_batches_larger_than_may_be_under_way_is_answered_whole(client, monkeypatch):
    monkeypatch.setattr(forward, "MOST_BYTES", 20_000)
    requests = [
        pb.IngestRequest(batch=k, arrow=arrow(["big"] * 500, ["east"] * 500, 500 * k))
        for k in range(6)
    ]
    assert all(len(request.arrow) > 20_000 for request in requests)

    replies = offered(client, *requests)

    offsets = [offset for reply in replies for _, offset in told(reply)]
    assert offsets == list(range(3000))


def test_what_is_no_batch_of_events_is_refused_by_its_name_and_harms_no_neighbour(client):
    good = msgspec.msgpack.encode([position("g", "g").row()])
    requests = [
        pb.IngestRequest(batch=1, arrow=b"no arrow"),
        pb.IngestRequest(batch=2, msgpack=b"\xc1"),
        pb.IngestRequest(batch=3, msgpack=good),
        pb.IngestRequest(batch=4, msgpack=msgspec.msgpack.encode([])),
    ]

    replies = offered(client, *requests)

    assert [reply.batch for reply in replies] == [1, 2, 3, 4]
    assert replies[0].fault.code in {"MALFORMED", "ARROW_INVALID"}
    assert replies[1].fault.code == "MALFORMED"
    assert list(replies[2].outcomes) == [pb.APPLIED]
    assert (replies[3].outcomes, replies[3].HasField("fault")) == (b"", False)


def test_a_caller_hears_by_its_deadline_that_a_shard_hangs(twin, client):
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, and says nothing
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        for number in (0, 1):
            twin.tell(f"shipment/east/{number}", 1, address)
        packed = msgspec.msgpack.encode([position("h", "h").row()])

        (reply,) = offered(client, pb.IngestRequest(batch=5, msgpack=packed), timeout=1.5)
        with pytest.raises(Unavailable):
            client._call(client._stub.Get, pb.GetRequest(id="h", region="east"), 1.5)

    assert (reply.batch, reply.fault.code) == (5, "SHARD_UNAVAILABLE")
    assert reply.fault.retry_after_s > 0


def test_a_batch_for_a_region_without_shards_is_told_at_once(twin, client):
    twin.routes = {name: said for name, said in twin.routes.items() if "site" in name}
    twin.tell("site/east/0", 1, twin.routes["site/east/0"]["address"])

    with pytest.raises(RegionAway) as raised:
        client.ingest([position("r", "r")])

    assert raised.value.code == "REGION_UNAVAILABLE"


def test_batches_handed_on_while_a_shard_moves_count_once_and_keep_their_order(twin, client):
    gate, half = threading.Event(), threading.Event()
    (first,) = client.ingest([position("m", "moving", time=NOW - 100)])
    n = 30

    def batches():
        for number in range(n):
            if number == n // 2:
                assert gate.wait(20)
            yield [position(f"b-{number}", "moving", float(number), time=NOW - n + number)]

    found = []

    def read():
        for receipts in client.stream(batches()):
            found.append(receipts)
            if len(found) == n // 2:
                half.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert half.wait(20)
    kind, region, number = first.shard.split("/")
    twin.end(first.shard)
    gate.set()
    twin.begin(kind, region, int(number), 2, epoch=2)
    reader.join(30)

    receipts = [receipt for batch in found for receipt in batch]
    assert [receipt.id for receipt in receipts] == [f"b-{i}" for i in range(n)]
    assert {receipt.epoch for receipt in receipts} == {1, 2}
    offsets = [receipt.offset for receipt in receipts]
    assert offsets == sorted(set(offsets))


def test_a_stream_that_asks_for_it_gets_fewer_replies_that_say_the_same(twin, client):
    rows = [msgspec.msgpack.encode([position(f"t-{i}", "t").row()]) for i in range(300)]
    surface = twin.surface("site/east/0")
    with grpc.insecure_channel(twin.routes["shipment/east/0"]["address"]) as channel:
        call = channel.stream_stream(
            "/supplytwin.v1.Twin/Ingest",
            pb.IngestRequest.SerializeToString,
            pb.IngestReply.FromString,
        )
        requests = [
            pb.IngestRequest(batch=i, msgpack=row, together=i == 0) for i, row in enumerate(rows)
        ]
        replies = list(call(iter(requests), metadata=client._metadata()))

    assert surface.shard.name == "site/east/0"
    assert len(replies) < len(rows)
    numbers = [n for reply in replies for n in (reply.batches or [reply.batch])]
    assert numbers == list(range(300))
    for reply in replies:
        events = sum(reply.sizes) or 1
        assert len(reply.outcomes) == len(reply.reasons) == len(reply.shards) == events
        assert len(reply.offsets) == 8 * events
        assert reply.batch == (reply.batches or [reply.batch])[-1]
