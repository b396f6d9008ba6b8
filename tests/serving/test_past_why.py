"""Why a value is what it is, and what a retraction would change, across shards."""

import pytest

from serving.inference import Inference
from serving.inference_models import Shelf
from serving.inference_refresh import Refresher
from serving.wire import twin_pb2 as pb
from tests.serving.inference_recorder import publish_model
from tests.serving.past_world import HOUR, ORDER, history, lived, stock
from tests.serving.several import NOW
from twin.errors import TwinError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with lived(tmp_path_factory.mktemp("past")) as world:
        yield world


def test_explain_says_what_decided_and_what_beat_the_others(world):
    reply = world.ask("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="lat"))

    assert reply.merge == "latest"
    rules = {loser.event.id: loser.rule for loser in reply.losers}
    receipt = {entry.id: entry.receipt for entry in history(world).entries}
    assert rules["g1"] == f"{receipt['g2']} withdrew it"
    assert rules["g0"].startswith("it is older: ")
    assert reply.contract == "shipment.position.v1"
    assert reply.losers_total == len(reply.losers)
    then = pb.ExplainRequest(
        kind="shipment", id="S1", field="lat", when=pb.When(known_at=world.known)
    )
    assert world.ask("Explain", then).decided_by.id == "g1"


def test_explain_leads_from_a_derived_value_down_to_raw_events_of_other_shards(world):
    stock(world)
    asked = pb.ExplainRequest(kind="stock", id="W1:arv", region="east", field="on_hand")
    reply = world.ask("Explain", asked)

    delivered = next(e for e in history(world).entries if e.id == "v1")
    assert (reply.merge, reply.value.integer, reply.unit) == ("level", 105, "pack")
    assert reply.rule == "a level: the latest count, and 1 movements after it; this is the newest"
    types = [entry.type for entry in reply.inputs]
    assert types == ["stock.delivered.v1", "stock.counted.v1", "shipment.delivered.v1"]
    assert reply.inputs[-1].receipt == delivered.receipt
    assert reply.inputs[-1].id == "v1"


def test_explain_of_a_computed_field_names_the_events_it_is_computed_from(world):
    reply = world.ask("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="delay_days"))

    assert reply.merge == "computed"
    assert {entry.id for entry in reply.inputs} == {"v1", "p1"}
    assert reply.value.number == 1.0


def predicted(world, registry):
    """Have the model predict what is open, once; return why S3 is expected when it is."""
    shelf = Shelf(registry)
    shelf.look()
    inference = Inference("east", world.client, shelf, world.clock)
    assert Refresher(inference, world.client).round().outcomes == {"APPLIED": 1}
    return world.ask("Explain", pb.ExplainRequest(kind="shipment", id="S3", field="eta_p50"))


def test_explain_of_a_prediction_names_what_the_model_read_and_not_what_came_later(world, tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    order = {**ORDER, "origin": "O", "mode": "air", "value_cents": 100}
    world.say("shipment.ordered", "S3", NOW - 9 * HOUR, order, id="o3")
    world.say("shipment.promised", "S3", NOW - 8 * HOUR, {"promised_at": NOW + 99 * HOUR}, id="p3")
    world.say("shipment.position", "S3", NOW - 7 * HOUR, {"lat": 1.0, "lon": 2.0}, id="g3")
    world.now += HOUR
    first = predicted(world, tmp_path)
    world.say("shipment.promised", "S3", NOW - 6 * HOUR, {"promised_at": NOW + 50 * HOUR}, id="p4")
    still = world.ask("Explain", pb.ExplainRequest(kind="shipment", id="S3", field="eta_p50"))
    world.now += HOUR
    then = predicted(world, tmp_path)

    assert first.decided_by.source == "model/eta@1"
    assert "model/eta@1 predicted it from what had decided these inputs by 20" in first.rule
    assert [entry.id for entry in first.inputs] == [entry.id for entry in still.inputs]
    assert [entry.id for entry in first.inputs] == ["o3", "p3"]
    assert [entry.id for entry in then.inputs] == ["o3", "p4"]


def test_preview_says_what_a_retraction_would_change_here_and_elsewhere_and_changes_nothing(world):
    stock(world)
    before = world.client.status(True)
    reply = world.ask("Preview", pb.PreviewRequest(source="erp", id="v1"))
    after = world.client.status(True)

    told = {one.key: one for one in reply.differences}
    own = told["demo/shipment/east/S1"]
    assert own.before["status"].text == "DELIVERED"
    assert own.after["status"].text == "DEPARTED"
    assert "delivered_at" not in own.after
    held = told["demo/stock/east/W1:arv"]
    assert (held.before["on_hand"].integer, held.after["on_hand"].integer) == (105, 100)
    record = told["demo/supplier/east/SUP1"]
    assert record.before["delivered_shipments"].integer == 1
    assert "delivered_shipments" not in record.after
    assert [s.replay_digest for s in before.shards] == [s.replay_digest for s in after.shards]
    by_receipt = world.ask("Preview", pb.PreviewRequest(receipt=reply.event.receipt))
    assert len(by_receipt.differences) == 3


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.PreviewRequest(source="erp", id="nobody"), "ENTITY_NOT_FOUND"),
        (pb.PreviewRequest(receipt="shipment/east/0/999999"), "ENTITY_NOT_FOUND"),
        (pb.PreviewRequest(receipt="nonsense"), "ENTITY_NOT_FOUND"),
        (pb.PreviewRequest(), "INVALID_ARGUMENT"),
    ],
)
def test_a_preview_of_no_event_is_refused(world, request_, code):
    with pytest.raises(TwinError) as refused:
        world.ask("Preview", request_)

    assert refused.value.code == code


def test_a_successor_tells_the_same_past_under_its_own_epoch(world):
    asked = [
        ("History", pb.HistoryRequest(kind="shipment", id="S1")),
        ("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="lat")),
        ("Get", pb.GetRequest(kind="shipment", id="S1", when=pb.When(at=NOW - 50 * HOUR))),
    ]
    name = history(world).shard
    before = [world.ask(rpc, request) for rpc, request in asked]
    world.twin.end(name)
    world.twin.begin("shipment", "east", int(name[-1]), 2, epoch=2)
    after = [world.ask(rpc, request) for rpc, request in asked]

    for old, new in zip(before, after, strict=True):
        held = new.twin if isinstance(new, pb.GetReply) else new
        assert held.epoch == 2
        held.epoch = 1
        assert old == new
