"""The gRPC surface of a running twin: what is asked, what comes out, and where it is from."""

import subprocess
import sys
from collections import defaultdict

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.wire import twin_pb2 as pb
from tests.system.facts import HOUR, NOON, position
from tests.system.running import ROOT, until
from twin.errors import BadRequest, Refused, Stale, UnknownField, UnknownKey
from twin.kinds import ABSENT

SERVICE = "supplytwin.v1.Twin"

pytestmark = pytest.mark.ray


def unmoved(client, kind, ask):
    """Return (columns, answer) of one state: asked again while events came in between."""

    def same():
        before = client.columns(kind)
        answer = ask()
        return (before.columns, answer) if client.columns(kind).offsets == before.offsets else None

    return until(same, "two answers of one state")


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
