"""A client that asks shards itself: the same answers, and none of a writer that was replaced."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import placing
from serving.access import mint
from serving.client import Client
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, position, several
from twin.admission import place
from twin.errors import AmbiguousKey, Fenced, NotOwner, Unavailable, UnknownKey
from twin.texts import texts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def twin(tmp_path):
    with several(tmp_path / "twin") as twin:
        yield twin


@pytest.fixture
def client(twin):
    with twin.client() as client:
        client.locate("shipment", "any")
        client.ingest([position("first", "first")])  # by the gateway: it is the first call
        yield client


def named(n, prefix="s"):
    return [position(f"{prefix}-{i}", f"{prefix}-{i}", float(i % 90)) for i in range(n)]


def shards(receipts):
    return {receipt.shard for receipt in receipts}


@given(st.text(max_size=140), st.text(max_size=140), st.integers(1, 99))
def test_a_client_finds_the_shard_that_the_shards_agree_on(tenant, id, n):
    assert placing.place(tenant, id, n) == int(place(tenant, texts([id]), n)[0])


def test_events_reach_the_shards_that_write_them_and_receipts_keep_their_order(client):
    events = named(64)

    receipts = client.ingest(events)

    assert [receipt.id for receipt in receipts] == [event.id for event in events]
    assert {receipt.outcome for receipt in receipts} == {"APPLIED"}
    assert shards(receipts) == {"shipment/east/0", "shipment/east/1"}
    for event, receipt in zip(events, receipts, strict=True):
        number = int(place("demo", texts([event.subject]), 2)[0])
        assert receipt.shard == f"shipment/east/{number}"


def test_a_client_that_knows_the_way_needs_no_gateway(twin, client):
    client.ingest(named(8))

    twin.end_gateway()

    assert shards(client.ingest(named(8, "t"))) <= {"shipment/east/0", "shipment/east/1"}
    assert client.get("shipment", "t-3").values["lat"].value == 3.0
    batches = [named(5, f"u{number}") for number in range(4)]
    told = list(client.stream(iter(batches)))
    assert [[r.id for r in receipts] for receipts in told] == [[e.id for e in b] for b in batches]


def test_the_twin_is_the_same_whoever_is_asked(twin, client):
    client.ingest(named(8))

    with twin.client(direct=False) as by_gateway:
        for number in range(8):
            there = by_gateway.get("shipment", f"s-{number}")
            assert client.get("shipment", f"s-{number}") == there


def test_an_id_of_two_regions_is_ambiguous_and_one_of_none_unknown(client):
    client.ingest([position("e", "both"), position("w", "both", region="west")])

    with pytest.raises(AmbiguousKey, match="ask with a region"):
        client.get("shipment", "both")
    assert client.get("shipment", "both", "west").region == "west"
    with pytest.raises(UnknownKey):
        client.get("shipment", "nobody")


def test_events_of_no_known_region_or_type_are_told_what_is_wrong(client):
    nowhere = position("n", "s-n", region="mars")
    strange = position("x", "s-x")._replace(type="planet.seen")

    receipts = client.ingest([nowhere, strange, position("y", "s-y")])

    said = [(receipt.outcome, receipt.reason) for receipt in receipts]
    assert said[0] == ("REJECTED", "WRONG_REGION")
    assert said[1][0] in {"PARKED", "REJECTED"}
    assert said[2] == ("APPLIED", "")


def test_after_a_takeover_the_client_finds_the_successor_and_nothing_counts_twice(twin, client):
    before = client.ingest(named(16))
    for number in (0, 1):
        twin.end(f"shipment/east/{number}")
        twin.begin("shipment", "east", number, 2, epoch=2)

    again = client.ingest(named(16))
    found = client.get("shipment", "s-5")

    assert {receipt.epoch for receipt in before} == {1}
    assert {receipt.epoch for receipt in again} == {2}
    assert {receipt.outcome for receipt in again} == {"DUPLICATE"}
    assert [receipt.offset for receipt in again] == [receipt.offset for receipt in before]
    assert found.epoch == 2


def test_batches_that_wait_while_a_shard_moves_are_applied_once_and_in_order(twin, client):
    gate, half = threading.Event(), threading.Event()
    client.ingest(named(1))
    n = 40

    def batches():
        for number in range(n):
            if number == n // 2:
                assert gate.wait(20)
            yield [position(f"b-{number}", "moving", float(number), time=NOW - n + number)]

    (shard,) = shards(client.ingest([position("m", "moving", 89.0, time=NOW - n - 1)]))
    told = []

    def read():
        for receipts in client.stream(batches()):
            told.append(receipts)
            if len(told) == n // 2:
                half.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert half.wait(20)
    kind, region, number = shard.split("/")
    twin.end(shard)
    gate.set()
    twin.begin(kind, region, int(number), 2, epoch=2)
    reader.join(30)

    receipts = [receipt for batch in told for receipt in batch]
    assert [receipt.id for receipt in receipts] == [f"b-{i}" for i in range(n)]
    assert {receipt.epoch for receipt in receipts} == {1, 2}
    offsets = [receipt.offset for receipt in receipts]
    assert offsets == sorted(set(offsets))
    assert {r.outcome for r in receipts} <= {"APPLIED", "DUPLICATE"}
    assert client.get("shipment", "moving", "east").values["lat"].value == float(n - 1)


def test_no_answer_of_a_lower_epoch_than_was_seen_is_taken(twin, tmp_path):
    names = [f"shipment/east/{number}" for number in (0, 1)]
    with twin.client(timeout_s=0.5) as client:
        for number, name in enumerate(names):
            twin.end(name)
            twin.begin("shipment", "east", number, 2, epoch=2)
        client.ingest(named(4))
        assert {receipt.epoch for receipt in client.ingest(named(16, "t"))} == {2}
        for number, name in enumerate(names):  # as a copy of the disk would: no marker stops it
            copy = tmp_path / "copy"
            stale = twin.begin("shipment", "east", number, 2, folder=copy, told=False)
            twin.tell(name, 1, stale.address)
        client._direct.learn(5.0)

        with pytest.raises(Fenced, match="epoch 1 after 2"):
            client.ingest(named(16, "u"))
        with pytest.raises((Fenced, UnknownKey)):
            client.get("shipment", "t-1", "east")


def test_a_token_of_one_region_reaches_the_others_by_its_gateway(twin):
    token = mint(twin.folder / "key", name="test", scopes=["read", "write"], region="east")
    with twin.client() as met, Client(met.address, token, direct=True) as client:
        for turn in "ab":
            west = position(f"w-{turn}", "west-1", region="west", time=NOW - ord(turn))
            east = position(f"e-{turn}", "east-1", time=NOW - ord(turn))
            receipts = client.ingest([west, east])
        assert [receipt.shard.split("/")[1] for receipt in receipts] == ["west", "east"]
        assert client.get("shipment", "west-1", "west").region == "west"
        assert client.get("shipment", "west-1").region == "west"


def test_a_plain_client_refuses_a_lower_epoch_too(twin, tmp_path):
    with twin.client(direct=False) as client:
        client.ingest(named(16))
        for number in (0, 1):
            client._epochs.see(f"shipment/east/{number}", 7)

        with pytest.raises(Fenced, match="ask again"):
            client.ingest(named(16, "t"))
        with pytest.raises(Fenced):
            client.get("shipment", "s-1", "east")


def test_a_shard_that_hangs_is_waited_for_no_longer_than_the_client_would(twin):
    with socket.create_server(("127.0.0.1", 0)) as deaf, twin.client(timeout_s=0.5) as client:
        client.ingest(named(1))
        for number in (0, 1):
            twin.tell(f"shipment/east/{number}", 1, f"127.0.0.1:{deaf.getsockname()[1]}")

        with pytest.raises(Unavailable):
            client.ingest(named(4, "t"))
        with pytest.raises(Unavailable):
            client.get("shipment", "s-0", "east")


def test_a_shard_that_does_not_hold_a_key_says_so(twin, client):
    client.ingest(named(16))
    wrong = next(i for i in range(16) if int(place("demo", texts([f"s-{i}"]), 2)[0]) == 1)
    stub = client._direct.stub(client._direct.table().named("shipment/east/0"))

    with twin.client(direct=False) as bare:
        bare._stub = stub
        with pytest.raises(NotOwner, match="locate it again"):
            bare.get("shipment", f"s-{wrong}")
        with pytest.raises(NotOwner):
            bare.get("shipment", f"s-{wrong}", "west")


def test_events_of_another_shards_twins_find_their_owner_though_the_table_is_wrong(client):
    client.ingest(named(1))
    table = client._direct.table()
    turned = {key: routes[::-1] for key, routes in table.shards.items()}
    client._direct._table = table._replace(shards=turned)

    receipts = client.ingest(named(16, "t"))

    assert {receipt.outcome for receipt in receipts} == {"APPLIED"}
    assert shards(receipts) == {"shipment/east/0", "shipment/east/1"}


def test_a_shard_that_is_asked_by_its_address_is_asked_as_it_is(twin, client):
    route = client._direct.table().named("site/east/0")
    with Client(route.address, client._token, direct=True) as alone:
        assert alone._shards() is None
        assert alone.status().shards[0].name == "site/east/0"


def test_urgent_events_are_taken_by_their_own_queue(twin, client):
    receipts = client.ingest(named(4), urgent=True)

    assert {receipt.outcome for receipt in receipts} == {"APPLIED"}
    queues = {q.urgency: q for q in client.status().shards[0].queues}
    assert set(queues) == {pb.REALTIME, pb.REST}
    assert queues[pb.REALTIME].batches_bound > 0


def test_the_base_install_is_enough_to_go_direct(twin):
    script = (
        "import sys\n"
        "for name in ('numpy', 'pyarrow', 'numba', 'ray', 'torch'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from serving.client import Event, connect\n"
        "with connect(Path(sys.argv[1])) as client:\n"
        "    for turn in 'ab':\n"
        "        events = [Event('shipment.position', 'test/a', f's-{i}', 1_600_000_000_000_000,\n"
        "            {'lat': 1.0, 'lon': 2.0}, f'{turn}-{i}', 'east') for i in range(16)]\n"
        "        receipts = client.ingest(events)\n"
        "    print(len({r.shard for r in receipts}), client.get('shipment', 's-1').epoch)\n"
        "    print(client._direct.table().regions)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(twin.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.stdout.splitlines() == ["2 1", "['east', 'west']"], ran.stderr


def test_a_batch_of_one_message_is_split_by_a_gateway_for_who_knows_no_routes(twin):
    rows = msgspec.msgpack.encode([event.row() for event in named(32)])
    with twin.client(direct=False) as client:
        (reply,) = client._stub.Ingest(
            iter([pb.IngestRequest(batch=9, msgpack=rows)]), metadata=client._metadata()
        )

    names = [reply.shard_names[at] for at in reply.shards]
    owners = place("demo", texts([f"s-{i}" for i in range(32)]), 2).tolist()
    assert (reply.batch, names) == (9, [f"shipment/east/{number}" for number in owners])
    offsets = np.frombuffer(reply.offsets, "<i8")
    for shard in set(names):
        mine = offsets[[i for i, name in enumerate(names) if name == shard]]
        assert mine.tolist() == list(range(mine.size))
