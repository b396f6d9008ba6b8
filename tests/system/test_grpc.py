"""The gRPC surface of a running twin: what goes in, what comes out, and where it is from."""

import subprocess
import sys
from collections import defaultdict

import grpc
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.client import Event
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from tests.system.running import ROOT, until
from tests.system.scms import START, day_us
from twin.errors import AmbiguousKey, BadRequest, Refused, Stale, UnknownField, UnknownKey
from twin.kinds import ABSENT

NOON = day_us(START) - 12 * 3600 * 1_000_000
HOUR = 3600 * 1_000_000
SERVICE = "supplytwin.v1.Twin"

pytestmark = pytest.mark.ray


def position(id, at, lat, lon=1.0, name="", region="east", **more):
    data = {"lat": lat, "lon": lon}
    return Event("shipment.position", "test/grpc", id, at, data, name, region, **more)


@pytest.fixture
def stub(twin):
    """The bare stub of the west's gateway, and metadata that opens it."""
    with twin.client("west") as client:
        yield rpc.TwinStub(client._channel), client._metadata()


def unmoved(client, kind, ask):
    """Return (columns, answer) of one state: asked again while events came in between."""

    def same():
        before = client.columns(kind)
        answer = ask()
        return (before.columns, answer) if client.columns(kind).offsets == before.offsets else None

    return until(same, "two answers of one state")


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


def test_a_value_carries_as_of_age_confidence_source_and_the_offset_that_proves_it(client):
    event = position("t-value", NOON, 12.5, name="value", confidence=0.25)
    (receipt,) = client.ingest([event])

    twin = client.get("shipment", "t-value")

    lat = twin.values["lat"]
    assert (twin.key, twin.shard) == ("demo/shipment/east/t-value", receipt.shard)
    assert (lat.value, lat.as_of, lat.unit) == (12.5, NOON, "deg")
    assert (lat.confidence, lat.source, lat.offset) == (0.25, "test/grpc", receipt.offset)
    now = client.search("shipment", limit=1).now
    assert 0 < lat.age_s <= (now - NOON) / 1e6
    proof = client.receipt(receipt.name)
    assert (proof.id, proof.source, proof.event_time) == ("value", "test/grpc", NOON)
    assert (proof.writer, proof.outcome, proof.epoch) == ("test", "APPLIED", receipt.epoch)
    assert "delivered_at" not in twin.values


def test_too_old_or_too_unsure_is_refused_or_left_out_never_passed_off(client):
    client.ingest([position("t-unsure", NOON - 48 * HOUR, 1.0, name="unsure", confidence=0.25)])

    with pytest.raises(Stale) as raised:
        client.get("shipment", "t-unsure", max_age_s=60)

    assert raised.value.code == "TOO_OLD"
    assert "lat" not in client.get("shipment", "t-unsure", min_confidence=0.5).values
    assert "lat" in client.get("shipment", "t-unsure", min_confidence=0.2).values


def test_a_batch_of_ids_is_answered_from_all_shards(stub, beginning):
    bare, metadata = stub
    ids = [*beginning.columns["shipment"]["id"][::500], "no-such-shipment"]

    reply = bare.BatchGet(pb.BatchGetRequest(ids=ids, fields=["quantity"]), metadata=metadata)

    assert {twin.id for twin in reply.twins} == set(ids) - {"no-such-shipment"}
    assert (reply.shown, reply.total) == (len(ids) - 1, len(ids))
    assert {twin.region for twin in reply.twins} == {"east", "west"}
    assert all(twin.values["quantity"].source == "scms" for twin in reply.twins)


def test_search_orders_and_limits_over_all_shards_as_a_plain_sort_would(client):
    where = "delivered_at IS KNOWN AND quantity >= 1000 AND country != 'NG'"
    fields = ["quantity", "delivered_at"]

    columns, found = unmoved(
        client,
        "shipment",
        lambda: client.search("shipment", where, fields, "-quantity", 25),
    )

    rows = [
        (-q, id)
        for id, q, country, at in zip(
            *(columns[n] for n in ("id", "quantity", "country", "delivered_at")), strict=True
        )
        if at != ABSENT and q >= 1000 and country not in {"NG", ""}
    ]
    top = sorted(rows)[:25]
    assert (found.shown, found.total, found.missing) == (25, len(rows), [])
    assert [-t.values["quantity"].value for t in found.twins] == [q for q, _ in top]
    assert len({t.shard for t in found.twins}) > 1


@pytest.mark.parametrize(
    "order", ["id", "-id", "status", "-status", "region", "mode", "-product", "departed_at"]
)
def test_every_order_is_one_order_over_all_shards_and_absent_values_come_last(client, order):
    milestones = {"ORDERED": 10, "DEPARTED": 20, "DELIVERED": 50}
    name = order.removeprefix("-")

    def rank(twin):
        if name in {"id", "region"}:
            return getattr(twin, name)
        value = twin.values[name].value if name in twin.values else None
        return milestones[value] if name == "status" else value

    found = client.search("shipment", "quantity > 30000", [], order, 5000)

    ranks = [rank(twin) for twin in found.twins]
    known = [one for one in ranks if one is not None]
    assert found.shown == found.total > 1000
    assert known == sorted(known, reverse=order.startswith("-"))
    assert ranks == known + [None] * (len(ranks) - len(known))


def test_the_top_groups_over_shards_and_regions_are_those_of_a_plain_count(client):
    where = "delivered_at IS KNOWN"
    measures = ["count", "sum(quantity)", "avg(on_time)", "max(delay_days)"]

    columns, groups = unmoved(
        client,
        "shipment",
        lambda: client.aggregate(
            "shipment", where, ["country", "mode"], measures, "-sum(quantity)", 10
        ),
    )

    day = 86_400_000_000
    held = defaultdict(list)
    done = columns["delivered_at"] != ABSENT
    names = ("country", "mode", "quantity", "delivered_at", "promised_at")
    for country, mode, quantity, delivered, promised in zip(
        *(columns[name][done] for name in names), strict=True
    ):
        held[country, mode].append((quantity, delivered // day - promised // day))
    top = sorted(held.items(), key=lambda item: -sum(q for q, _ in item[1]))[:10]
    assert (groups.shown, groups.total) == (10, len(held))
    for row, ((country, mode), rows) in zip(groups.rows, top, strict=True):
        assert (row["country"], row["mode"]) == (country, mode)
        assert (row["count"], row["sum(quantity)"]) == (len(rows), sum(q for q, _ in rows))
        assert row["avg(on_time)"] == pytest.approx(np.mean([d <= 0 for _, d in rows]))
        assert row["max(delay_days)"] == max(d for _, d in rows)
    oldest = columns["delivery_as_of"][done].min()
    assert 0 < groups.oldest_as_of <= oldest


def test_receipts_say_unseen_of_what_never_came(client):
    client.ingest([position("t-seen", NOON, 1.0, name="seen")])

    seen, unseen = client.receipts("test/grpc", ["seen", "never"])

    assert (seen.outcome, unseen.outcome, unseen.offset) == ("APPLIED", "UNSEEN", -1)
    assert client.receipts("test/other", ["seen"])[0].outcome == "UNSEEN"


def test_locate_names_the_writer_and_it_answers_for_itself(client, twin):
    (receipt,) = client.ingest([position("t-here", NOON, 1.0, name="here", region="west")])

    place = client.locate("shipment", "t-here", "west")

    assert (place.shard, place.epoch) == (receipt.shard, receipt.epoch)
    with twin.direct(place) as direct:
        assert direct.get("shipment", "t-here").offset > receipt.offset


def test_status_names_mode_clock_and_all_eight_shards(client):
    status = client.status()

    kinds = ["shipment/{}/0", "shipment/{}/1", "site/{}/0", "supplier/{}/0"]
    names = {name.format(region) for region in ("east", "west") for name in kinds}
    assert {shard.name for shard in status.shards} == names
    assert (status.clock, status.version) == ("replay", "0.1.0")
    assert {shard.state for shard in status.shards} == {"serving"}
    assert len({shard.pid for shard in status.shards}) == 8
    for shard in status.shards:
        assert shard.durable_offset == shard.offset > 0
        assert shard.memory_bytes > 0
        assert shard.queue_bound > shard.queue >= 0
        assert shard.headroom > 0
        assert shard.newest_as_of > 0
        assert shard.outcomes["APPLIED"] > 0


@pytest.mark.parametrize(
    ("ask", "error", "code"),
    [
        (lambda c: c.get("shipment", "no-such"), UnknownKey, "ENTITY_NOT_FOUND"),
        (lambda c: c.get("lorry", "1"), BadRequest, "INVALID_ARGUMENT"),
        (lambda c: c.search("shipment", "colour = 'red'"), UnknownField, "FIELD_UNKNOWN"),
        (lambda c: c.search("shipment", fields=["colour"]), UnknownField, "FIELD_UNKNOWN"),
        (lambda c: c.search("shipment", "lat >"), BadRequest, "INVALID_ARGUMENT"),
        (lambda c: c.search("shipment", region="north"), BadRequest, "INVALID_ARGUMENT"),
        (lambda c: c.aggregate("shipment", by=["colour"]), UnknownField, "FIELD_UNKNOWN"),
        (lambda c: c.aggregate("shipment", measures=["mode(lat)"]), BadRequest, "INVALID_ARGUMENT"),
        (lambda c: c.receipt("shipment/north/0/1"), BadRequest, "INVALID_ARGUMENT"),
        (lambda c: c.receipt("shipment/east/0/99999999"), BadRequest, "INVALID_ARGUMENT"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_code(client, ask, error, code):
    with pytest.raises(error) as raised:
        ask(client)

    assert isinstance(raised.value, Refused)
    assert raised.value.code == code


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


def test_gateways_and_shards_answer_health_and_reflection(twin, client):
    addresses = [f"127.0.0.1:{twin.config.grpc_port(region)}" for region in ("east", "west")]
    addresses.append(client.locate("supplier", "x", "east").address)

    for address in addresses:
        with grpc.insecure_channel(address) as channel:
            healthy = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=SERVICE), timeout=10
            )
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([asked]), timeout=10
            )
            (listed,) = stream
        assert healthy.status == health_pb2.HealthCheckResponse.SERVING
        services = {one.name for one in listed.list_services_response.service}
        assert {SERVICE, "grpc.health.v1.Health"} <= services


def test_a_client_asks_without_ray_torch_or_numpy(twin):
    program = (
        "import sys; from pathlib import Path; from serving.client import connect\n"
        "with connect(Path(sys.argv[1])) as client:\n"
        "    print(client.search('shipment', limit=1).total > 1000)\n"
        "heavy = {'ray', 'torch', 'numpy', 'pyarrow', 'numba', 'fastapi', 'actors', 'cluster'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program, str(twin.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.splitlines() == ["True", "[]"]
