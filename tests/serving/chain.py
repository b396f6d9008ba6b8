"""A supply chain of two regions, in shards and as plain dicts: for questions over many twins."""

from contextlib import contextmanager

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, several
from twin.contracts import DAY_US as DAY

SITES = {
    "W0": {"name": "Hub", "country": "VN", "function": "hub", "lat": 10.8, "lon": 106.7},
    "W1": {"name": "Dock", "country": "NG", "function": "port", "lat": 6.5, "lon": 3.4},
    "W2": {"name": "Isle", "country": "FJ", "function": "port", "lat": -18.1, "lon": 178.4},
}
SUPPLIERS = {"P0": "active", "P1": "suspended", "P2": "active", "P3": "ended"}


def shipments():
    """Return id -> what is known of 40 shipments; some know little."""
    told = {}
    for n in range(40):
        one = {"region": "west" if n % 3 == 0 else "east"}
        if n % 7:
            one |= {
                "supplier": f"P{n % 4}",
                "country": "NG" if n % 2 else "VN",
                "product_group": "ARV" if n % 2 else "HRDT",
                "product": f"D{n % 5}",
                "quantity": n // 3,
            }
            if n % 5:
                one["site"] = f"W{n % 4}"
            if n % 6:
                one["value_cents"] = 1000 * (n % 11)
        if n % 4 == 0:
            one["promised_at"] = NOW + (n % 9 - 4) * DAY
        if n % 8 == 0:
            one["delivered"] = True
        one["lat"] = float(n % 10)
        told[f"S{n:02d}"] = one
    return told


def events():
    """Return what was said about all of it, each about one twin."""
    said = []

    def say(type_, subject, facts, region="east", *, age=1000, confidence=1.0):
        id_ = f"{type_}:{region}:{subject}"
        said.append(
            Event(
                type_,
                "test/a",
                subject,
                NOW - age * 1_000_000,
                facts,
                id_,
                region,
                confidence=confidence,
            )
        )

    for name, facts in SITES.items():
        say("site.registered", name, facts)
    for name, status in SUPPLIERS.items():
        say("supplier.status", name, {"status": status})
    for name in ("W0", "W1"):
        for product in ("ARV", "ACT"):
            facts = {"site": name, "product": product, "quantity": len(product) + ord(name[1])}
            say("stock.counted", f"{name}:{product}", facts)
    for n, (name, one) in enumerate(shipments().items()):
        region = one["region"]
        ordered = (
            "supplier",
            "country",
            "product_group",
            "product",
            "quantity",
            "site",
            "value_cents",
        )
        if "supplier" in one:
            facts = {key: one[key] for key in ordered if key in one}
            say("shipment.ordered", name, facts, region, confidence=0.5 if n % 10 == 1 else 1.0)
        if "promised_at" in one:
            say("shipment.promised", name, {"promised_at": one["promised_at"]}, region)
        if "delivered" in one:
            say("shipment.delivered", name, {}, region, age=500)
        facts = {"lat": one["lat"], "lon": 3.0}
        say("shipment.position", name, facts, region, age=3 * 86_400 if n % 2 else 60)
    return said


@contextmanager
def chain(folder):
    """Serve it all."""
    with several(folder, kinds=("site", "supplier")) as world:
        told = world.client().ingest(events())
        assert {receipt.outcome for receipt in told} == {"APPLIED"}
        yield world


def search(client, **asks):
    return client.ask("Search", pb.SearchRequest(**{"kind": "shipment"} | asks))


def aggregate(client, **asks):
    return client.ask("Aggregate", pb.AggregateRequest(**{"kind": "shipment"} | asks))


def ids(reply):
    return [twin.id for twin in reply.twins]


def pages(client, **asks):
    """Return the replies of every page of a question."""
    replies = [search(client, **asks)]
    while replies[-1].cursor:
        replies.append(search(client, cursor=replies[-1].cursor, **asks))
    return replies
