"""Derived events between shards that serve: found, reached, and counted once."""

import pytest

from actors import outbox
from serving.client import Event
from tests.serving.several import NOW, several
from tests.system.running import until
from twin.contracts import DAY_US

T0 = NOW - 9 * DAY_US
SENDER, STOCK = "shipment/east/0", "W1:arv"


@pytest.fixture
def twin(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "LOOK_AGAIN_S", 0.1)
    with several(tmp_path / "twin", shards=1) as twin:
        for kind, region in (("site", "west"), ("supplier", "east"), ("supplier", "west")):
            twin.begin(kind, region, 0, 1)
        yield twin


@pytest.fixture
def client(twin):
    with twin.client() as client:
        yield client


def said(type_, subject, day, data, region="east"):
    name = f"{subject}:{type_}:{day}"
    return Event(type_, "test", subject, T0 + day * DAY_US, data, name, region)


def ordered(subject="S1", supplier="ACME", quantity=40, day=0):
    facts = {"supplier": supplier, "site": "W1", "country": "NG", "product_group": "ARV"}
    more = {"product": "Efavirenz", "quantity": quantity}
    return said("shipment.ordered", subject, day, facts | more)


def delivered(subject="S1", day=2):
    return said("shipment.delivered", subject, day, {})


def counted(quantity=100, day=1):
    facts = {"site": "W1", "product": "ARV", "quantity": quantity}
    return said("stock.counted", STOCK, day, facts)


def registered(supplier="ACME", region="west"):
    return said("supplier.registered", supplier, 0, {"name": "A", "aggregator": False}, region)


def on_hand(client):
    return client.get("stock", STOCK).values["on_hand"].value


def waiting(twin, epoch=1):
    """Return (waiting, homeless) of the sender's outbox."""
    surface = twin.surface(SENDER, epoch)
    return surface.shard.outbox_waiting, surface.delivery.courier.homeless


def settled(twin, epoch=1):
    until(lambda: waiting(twin, epoch)[0] == 0, "everything to arrive", 20)


def test_a_delivery_reaches_the_stock_of_its_region_and_its_supplier_in_another(twin, client):
    client.ingest([registered(), counted(), ordered(), delivered()])

    settled(twin)

    assert on_hand(client) == 140
    supplier = client.get("supplier", "ACME", "west")
    assert supplier.values["delivered_shipments"].value == 1
    assert supplier.values["late_shipments"].value == 0
    assert supplier.values["delivered_shipments"].source == "twin/shipment/east/0"
    assert supplier.values["delivered_shipments"].as_of == T0 + 2 * DAY_US


def test_the_receipt_of_a_derived_event_says_where_it_came_from(twin, client):
    client.ingest([registered(), counted(), ordered(), delivered()])
    settled(twin)

    value = client.get("stock", STOCK).values["on_hand"]
    one = client.receipt(f"site/east/0/{value.offset}")

    assert (one.type, one.source) == ("stock.delivered.v1", "twin/shipment/east/0")
    assert (one.writer, one.outcome) == ("twin/outbox", "APPLIED")


def test_nobody_else_may_say_it(client):
    facts = {"site": "W1", "product": "ARV", "packs": 9, "cause": 1, "revision": 1}
    forged = said("stock.delivered", STOCK, 1, facts)

    (receipt,) = client.ingest([forged])

    assert (receipt.outcome, receipt.reason) == ("REJECTED", "TYPE_RESERVED")


def test_a_shard_that_is_away_delays_nobody_and_gets_all_of_it_when_it_is_back(twin, client):
    client.ingest([registered(), counted()])
    twin.tell("site/east/0", 1, "", "recovering")
    twin.end("site/east/0")

    receipts = client.ingest([ordered(), delivered()])
    until(lambda: waiting(twin)[0] == 1, "the supplier to hear of it", 20)

    assert {receipt.outcome for receipt in receipts} == {"APPLIED"}
    told = next(shard for shard in client.status().shards if shard.name == SENDER)
    assert (told.outbox.waiting, told.outbox.homeless, told.outbox.refused) == (1, 0, 0)
    twin.begin("site", "east", 0, 1, epoch=2)
    settled(twin)
    assert on_hand(client) == 140


def test_a_supplier_whom_nobody_registered_gets_what_is_its_own_once_somebody_does(twin, client):
    client.ingest([counted(), ordered(), delivered()])
    until(lambda: waiting(twin) == (1, 1), "only the supplier to be unknown", 20)

    client.ingest([registered()])
    settled(twin)

    assert client.get("supplier", "ACME").values["delivered_shipments"].value == 1
    assert waiting(twin) == (0, 0)


def test_what_arrived_is_not_sent_again_after_a_restart_and_the_rest_is(twin, client):
    client.ingest([registered(), counted(), ordered(), delivered()])
    settled(twin)
    journal = twin.surface(SENDER).shard._journal
    until(
        lambda: any("outbox.cursor" in frame.columns for frame in journal.scan()),
        "the cursor to be journaled",
        20,
    )
    twin.tell("site/east/0", 1, "", "recovering")
    client.ingest([ordered("S2"), delivered("S2")])
    until(lambda: waiting(twin)[0] == 1, "all but the stock to arrive", 20)
    twin.end(SENDER)

    twin.begin("shipment", "east", 0, 1, epoch=2)
    site = twin.surface("site/east/0")
    twin.tell("site/east/0", 1, site.address)
    settled(twin, 2)

    assert on_hand(client) == 180
    assert site.shard.next == 3  # the count, and each delivery once
    assert client.get("supplier", "ACME").values["delivered_shipments"].value == 2


def test_the_courier_of_a_shard_that_was_replaced_ends(twin, client):
    client.ingest([registered(), counted()])
    old = twin.surface(SENDER).delivery

    twin.begin("shipment", "east", 0, 1, epoch=2)
    until(lambda: not old._thread.is_alive(), "the old courier to end", 20)

    client.ingest([ordered(), delivered()])
    settled(twin, 2)
    assert on_hand(client) == 140


def test_a_correction_is_brought_to_both_sites(twin, client):
    client.ingest([registered(), counted(), ordered(), delivered()])
    settled(twin)
    there = {"site": "W2", "product": "ARV", "quantity": 5}
    client.ingest([said("stock.counted", "W2:arv", 1, there)])

    client.ingest([_elsewhere(ordered(day=1))])
    settled(twin)

    assert on_hand(client) == 100
    assert client.get("stock", "W2:arv").values["on_hand"].value == 45


def _elsewhere(event):
    return event._replace(data=event.data | {"site": "W2"})


def test_many_deliveries_arrive_while_events_flow(twin, client):
    client.ingest([registered(), counted()])
    batches = [
        [fact for n in range(at, at + 50) for fact in (ordered(f"M{n}"), delivered(f"M{n}"))]
        for at in range(0, 1000, 50)
    ]

    for receipts in client.stream(batches):
        assert {receipt.outcome for receipt in receipts} == {"APPLIED"}
    settled(twin)

    assert on_hand(client) == 100 + 1000 * 40
    assert client.get("supplier", "ACME").values["delivered_shipments"].value == 1000
