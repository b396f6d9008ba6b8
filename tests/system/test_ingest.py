"""Ingest into a running twin: every event has its outcome, its receipt and its shard."""

import msgspec
import pyarrow as pa
import pytest

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.system.facts import HOUR, NOON, position
from twin.errors import AmbiguousKey

pytestmark = pytest.mark.ray


def test_one_batch_reaches_every_kind_in_both_regions_and_each_event_has_its_receipt(client):
    def of(region, kind):
        facts = {
            "shipment": ("position", {"lat": 1.0, "lon": 2.0}),
            "site": (
                "registered",
                {"name": "x", "country": "NL", "function": "port", "lat": 1.0, "lon": 2.0},
            ),
            "stock": ("counted", {"site": "x", "product": "y", "quantity": 3}),
            "supplier": ("registered", {"name": "x", "aggregator": True}),
        }
        name, data = facts[kind]
        return Event(f"{kind}.{name}", "test/grpc", f"t-{kind}", NOON, data, f"all-{kind}", region)

    kinds = ("shipment", "site", "stock", "supplier")
    events = [of(region, kind) for region in ("east", "west") for kind in kinds]

    first, again = client.ingest(events), client.ingest(events)

    assert [r.id for r in first] == [e.id for e in events]
    assert {r.outcome for r in first} == {"APPLIED"}
    assert {r.outcome for r in again} == {"DUPLICATE"}
    assert [(r.shard, r.offset) for r in first] == [(r.shard, r.offset) for r in again]
    homes = [r.shard.rpartition("/")[0] for r in first]
    assert homes == [
        f"{kind}/{region}"
        for region in ("east", "west")
        for kind in ("shipment", "site", "site", "supplier")
    ]
    for event in events:
        kind = event.type.partition(".")[0]
        assert client.get(kind, event.subject, event.region).region == event.region
    with pytest.raises(AmbiguousKey, match="ask with a region"):
        client.get("shipment", "t-shipment")


def test_each_event_has_one_of_five_outcomes_and_harms_no_neighbour(client):
    events = [
        position("t-five", NOON, 1.0, name="five-1"),
        position("t-five", NOON - HOUR, 2.0, name="five-2"),
        position("t-five", NOON, 1.0, name="five-1"),
        position("t-five", NOON, 91.0, name="five-3"),
        position("t-five", NOON, 1.5, name="five-1"),
        position("t-five", NOON + HOUR, 3.0, name="five-4", region="north"),
    ]

    receipts = client.ingest(events)

    assert [(r.outcome, r.reason) for r in receipts] == [
        ("APPLIED", ""),
        ("SUPERSEDED", ""),
        ("DUPLICATE", ""),
        ("PARKED", "OUT_OF_RANGE"),
        ("REJECTED", "IDEMPOTENCY_CONFLICT"),
        ("REJECTED", "WRONG_REGION"),
    ]
    assert client.get("shipment", "t-five").values["lat"].value == 1.0
    found = client.quarantine(1000)
    (parked,) = [one for one in found.parked if one.id == "five-3"]
    assert (parked.outcome, parked.reason, parked.source) == ("PARKED", "OUT_OF_RANGE", "test/grpc")
    assert found.total >= found.shown >= 1


def test_a_parked_event_is_mended_by_sending_its_id_with_the_right_value(client):
    (parked,) = client.ingest([position("t-mended", NOON, 400.0, name="mended")])

    (mended,) = client.ingest([position("t-mended", NOON, 40.0, name="mended")])

    assert (parked.outcome, mended.outcome) == ("PARKED", "APPLIED")
    assert client.get("shipment", "t-mended").values["lat"].value == 40.0
    assert "mended" not in {one.id for one in client.quarantine(1000).parked}
    (known,) = client.receipts("test/grpc", ["mended"])
    assert (known.outcome, known.offset) == ("APPLIED", mended.offset)


def test_a_correction_withdraws_what_it_corrects_and_a_retraction_leaves_what_was_before(client):
    def lat():
        return client.get("shipment", "t-right").values["lat"].value

    client.ingest([position("t-right", NOON, 10.0, name="r-1")])
    client.ingest([position("t-right", NOON + HOUR, 50.0, name="r-2")])
    wrong = lat()

    client.ingest([position("t-right", NOON - HOUR, 20.0, name="r-3", corrects="r-2")])
    corrected = lat()
    client.ingest([position("t-right", NOON, 10.0, name="r-4", retracts="r-1")])
    retracted = lat()

    assert (wrong, corrected, retracted) == (50.0, 10.0, 20.0)


def test_arrow_batches_say_what_rows_say(client, stub):
    bare, metadata = stub
    n = 200
    table = pa.table(
        {
            "id": [f"arrow-{i}" for i in range(n)],
            "source": ["test/grpc"] * n,
            "type": ["shipment.position"] * n,
            "version": pa.array([1] * n, pa.int64()),
            "subject": [f"t-arrow-{i % 50}" for i in range(n)],
            "region": [("east", "west")[i % 2] for i in range(n)],
            "time": pa.array([NOON + i for i in range(n)], pa.int64()),
            "lat": [float(i % 90) for i in range(n)],
            "lon": [float(i) - 90.0 for i in range(n)],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    packed = sink.getvalue().to_pybytes()

    (reply,) = bare.Ingest(iter([pb.IngestRequest(batch=7, arrow=packed)]), metadata=metadata)

    assert not reply.HasField("fault")
    assert (reply.batch, len(reply.outcomes)) == (7, n)
    assert set(reply.outcomes) == {pb.Outcome.APPLIED}
    assert len(set(reply.shard_names)) == 4
    rows = [
        position(
            f"t-arrow-{i % 50}",
            NOON + i,
            float(i % 90),
            float(i) - 90.0,
            f"arrow-{i}",
            ("east", "west")[i % 2],
        )
        for i in range(n)
    ]
    assert {r.outcome for r in client.ingest(rows)} == {"DUPLICATE"}
    last = client.get("shipment", "t-arrow-49", "west").values
    assert (last["lat"].value, last["lon"].value) == (float(199 % 90), 109.0)


def test_what_is_no_batch_of_events_is_refused_as_a_whole_and_the_stream_goes_on(client, stub):
    bare, metadata = stub
    rows = [position("t-stream", NOON, 1.0, name="stream", region="west").row()]

    requests = [
        pb.IngestRequest(batch=1, msgpack=b"\xc1 no msgpack"),
        pb.IngestRequest(batch=2, arrow=b"no arrow"),
        pb.IngestRequest(batch=3, msgpack=msgspec.msgpack.encode(rows)),
    ]

    replies = list(bare.Ingest(iter(requests), metadata=metadata))

    assert [reply.batch for reply in replies] == [1, 2, 3]
    assert [reply.fault.code for reply in replies] == ["MALFORMED", "MALFORMED", ""]
    assert list(replies[2].outcomes) == [pb.Outcome.APPLIED]
