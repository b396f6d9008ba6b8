"""Ingest into a running twin: every event has its outcome, its receipt and its shard."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pyarrow as pa
import pytest

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.cluster.test_ingest import TOML, text
from tests.system.facts import HOUR, NOON, position
from tests.system.running import kill, until
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
    assert [reply.fault.code for reply in replies] == ["MALFORMED", "ARROW_INVALID", ""]
    assert list(replies[2].outcomes) == [pb.Outcome.APPLIED]


def test_an_event_for_another_region_is_forwarded_to_it_by_any_gateway(twin):
    with twin.client("west") as west, twin.client("east") as east:
        (there,) = west.ingest([position("t-forward", NOON, 3.0, name="forward", region="east")])
        (again,) = east.ingest([position("t-forward", NOON, 3.0, name="forward", region="east")])

        assert (there.outcome, again.outcome) == ("APPLIED", "DUPLICATE")
        assert there.shard == again.shard
        assert there.shard.startswith("shipment/east/")
        assert west.get("shipment", "t-forward").region == "east"


def test_an_event_of_the_future_is_parked_and_applied_by_a_redrive_when_its_day_has_come(living):
    with living.client() as client:
        ahead = client.status().now + 36 * HOUR
        (parked,) = client.ingest([position("t-ahead", ahead, 5.0, name="ahead")])

        found = until(
            lambda: client.redrive(source="test/grpc", ids=["ahead"]).outcomes["APPLIED"],
            "the day of the event",
        )

        (now,) = client.receipts("test/grpc", ["ahead"])
        then = client.receipt(now.redrives)
        assert (parked.outcome, parked.reason) == ("PARKED", "TIME_OUT_OF_RANGE")
        assert (found, now.outcome) == (1, "APPLIED")
        assert (then.offset, then.settled_by) == (parked.offset, now.receipt)
        assert client.get("shipment", "t-ahead").values["lat"].as_of == ahead


def test_a_shard_that_is_killed_while_a_file_is_taken_costs_no_event(twin, tmp_path):
    n, name = 150_000, "shipment/east/0"
    (tmp_path / "track.toml").write_text(TOML.replace("tracker", "killed").replace("'S'", "'t-K'"))
    (tmp_path / "track.csv").write_text(text(n))
    before = twin.shard(name)
    words = ("ingest", str(tmp_path / "track.csv"), "--mapping", str(tmp_path / "track.toml"))

    with ThreadPoolExecutor() as pool:
        run = pool.submit(twin.twin, *words, "--json")
        until(lambda: any((twin.folder / "ingest").glob("[!.]*.json")), "the first answer", 60)
        kill(before.pid)
        under_way = not run.done()
        told = run.result()

    assert under_way
    assert told.status == 0, told
    outcomes = told.json["outcomes"]
    assert (told.json["rows"], told.json["events"]) == (n, 2 * n - 5)
    assert outcomes["PARKED"] == outcomes["REJECTED"] == 0
    assert twin.shard(name).epoch > before.epoch
    with twin.client() as client:
        for start in range(0, n, 15_000):
            known = client.receipts("killed", [f"p{i}" for i in range(start, start + 500)])
            assert {receipt.outcome for receipt in known} <= {"APPLIED", "SUPERSEDED"}
        found = client.search("shipment", "promised_at = '2013-09-01'", ["lat"], limit=1000)
    mine = {one.id: one.values["lat"].value for one in found.twins if one.id.startswith("t-K")}
    assert mine == {f"t-K{i}": float((n - 50 + i) % 90) for i in range(50)}
