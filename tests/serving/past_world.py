"""A small world with a past: real shards of two regions, real journals, a clock that is turned."""

import json
from contextlib import contextmanager

import pytest

from serving.access import mint
from serving.client import Client, Event, minter
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, several
from tests.system.running import until
from twin.errors import TwinError

SECOND = 1_000_000
HOUR = 3600 * SECOND
ORDER = {
    "supplier": "SUP1",
    "site": "W1",
    "country": "NG",
    "product_group": "ARV",
    "product": "P1",
    "quantity": 5,
}
ITEM = {"site": "W1", "product": "ARV"}


class World:
    """A twin, its clock, and one writer whose events are numbered."""

    def __init__(self, folder):
        self.now = NOW
        self.twin = None
        self.folder = folder

    def clock(self):
        return self.now

    def say(self, type, subject, time, data=None, *, id, source="erp", region="east", **more):
        """Offer one event, a second after the one before; return its receipt."""
        self.now += SECOND
        event = Event(type, source, subject, time, data or {}, id, region, **more)
        return self.client.ingest([event])[0]

    def ask(self, rpc, request):
        return self.client.ask(rpc, request)

    def stranger(self):
        """Return a client of another tenant."""
        token = mint(self.twin.folder / "key", name="x", scopes=["read"], tenant="other", ttl_s=60)
        address = json.loads((self.twin.folder / "gateways.json").read_text())["east"]
        return Client(address, token, direct=False)

    def direct(self, address):
        """Return a client of one shard."""
        return Client(address, minter(self.twin.folder, "test"), direct=False)


@contextmanager
def lived(folder):
    """Yield a world in which the life below was told."""
    world = World(folder)
    with several(world.folder / "twin", clock=world.clock, kinds=("site", "supplier")) as twin:
        world.twin = twin
        with twin.client(direct=False) as client:
            world.client = client
            _history(world)
            yield world


def _history(world):
    """A life of S1, told out of order, with a mistake that is corrected; and some others."""
    say, ago = world.say, lambda hours: NOW - hours * HOUR
    say("supplier.registered", "SUP1", ago(200), {"name": "N", "aggregator": False}, id="r1")
    say("stock.counted", "W1:arv", ago(90), {**ITEM, "quantity": 100}, id="c1")
    say("shipment.ordered", "S1", ago(100), ORDER, id="o1")
    say("shipment.promised", "S1", ago(99), {"promised_at": ago(48)}, id="p1")
    say("shipment.position", "S1", ago(60), {"lat": 1.0, "lon": 2.0}, id="g1")
    say("shipment.position", "S1", ago(70), {"lat": 3.0, "lon": 4.0}, id="g0")
    say("shipment.departed", "S1", ago(80), id="d1")
    world.known = world.now  # before anything is corrected
    say("shipment.position", "S1", ago(60), {"lat": 9.0, "lon": 9.0}, id="g2", corrects="g1")
    say("shipment.delivered", "S1", ago(40), {}, id="v1")
    say("shipment.ordered", "S2", ago(50), {**ORDER, "quantity": 7}, id="o2", region="west")


def get(world, id="S1", **when):
    request = pb.GetRequest(kind="shipment", id=id, when=pb.When(**when))
    return world.ask("Get", request).twin.values


def history(world, **more):
    return world.ask("History", pb.HistoryRequest(kind="shipment", id="S1", **more))


def refusal(ask, request):
    """Return what an answer that is none says."""
    with pytest.raises(TwinError) as refused:
        ask(request)
    return refused.value.code, str(refused.value)


def stock(world):
    """Wait until what follows from the delivery of S1 has arrived where it belongs."""
    until(lambda: not any(shard.outbox.waiting for shard in world.client.status().shards), "it")
