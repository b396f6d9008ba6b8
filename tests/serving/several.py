"""Several shards of two regions and a gateway in this process: real files, real gRPC, no Ray.

A shard can be stopped and begun again under the next epoch, as a supervisor would do it.
"""

import json
import threading
from contextlib import contextmanager
from functools import partial

from actors.bases import Bases
from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.shard import Shard
from serving import client
from serving.access import ensure_key
from serving.shard_server import serve
from tests.small_twin import _gateway
from twin.admission import Rule
from twin.kinds import SHARD_KINDS

NOW = 1_700_000_000_000_000
REGIONS = ("east", "west")


def clock():
    return NOW


class Several:
    """`shards` of shipments in each region, and in the east one of sites, or of other kinds."""

    def __init__(self, folder, shards=2, clock=clock, kinds=("site",)):
        self.clock = clock
        folder.mkdir(parents=True, exist_ok=True)
        ensure_key(folder / "key")
        self.folder = folder
        self.routes = {}
        self.ended = threading.Event()  # a writer that was replaced would have left its process
        self._held = {}
        self._journals = {}
        for region in REGIONS:
            for number in range(shards):
                self.begin("shipment", region, number, shards)
        for kind in kinds:
            self.begin(kind, "east", 0, 1)
        self.begin_gateway()

    def begin(self, kind, region, number, shards, *, epoch=1, folder=None, told=True):
        """Recover a shard and serve it; tell the gateway, unless that is not to know."""
        name = f"{kind}/{region}/{number}"
        home = (folder or self.folder) / "journal" / region / kind / str(number)
        journal = FileJournal(OsDisk(), home, epoch, "test")
        shard = Shard(
            name=name,
            rule=Rule(region, SHARD_KINDS[kind], number, shards),
            journal=journal,
            checkpoints=Checkpoints(OsDisk(), home),
            clock=self.clock,
        )
        shard.bases = Bases(OsDisk(), home, shard.rule)
        shard.recover()
        served = serve(shard, self.folder / "key", self.clock, lambda _: self.ended.set())
        self._held[name, epoch] = served
        self._journals[name, epoch] = journal
        if told:
            self.tell(name, epoch, served.address)
        return served

    def tell(self, name, epoch, address, state="serving"):
        """Say to the gateway who writes a shard."""
        said = {"epoch": epoch, "address": address, "pid": 0, "state": state, "note": ""}
        self.routes[name] = said
        draft = self.folder / "routes.draft"
        draft.write_text(json.dumps({"shards": self.routes}))
        draft.rename(self.folder / "routes.json")

    def end(self, name, epoch=1):
        self._held.pop((name, epoch)).stop()
        self._journals.pop((name, epoch)).close()

    def surface(self, name, epoch=1):
        return self._held[name, epoch].surface

    def begin_gateway(self):
        self._stop = _gateway(self.folder, self.clock, partial(setattr, self, "front"))

    def end_gateway(self):
        self._stop()
        self._stop = lambda: None

    def close(self):
        self._stop()
        for name, epoch in list(self._held):
            self.end(name, epoch)

    def client(self, *, direct=True, timeout_s=10.0):
        address = json.loads((self.folder / "gateways.json").read_text())["east"]
        token = client.minter(self.folder, "test")
        return client.Client(address, token, direct=direct, timeout_s=timeout_s)


@contextmanager
def several(folder, shards=2, **more):
    twin = Several(folder, shards, **more)
    try:
        yield twin
    finally:
        twin.close()


def position(id, subject, lat=1.0, *, time=NOW - 1000, region="east"):
    facts = {"lat": lat, "lon": 2.0}
    return client.Event("shipment.position", "test/a", subject, time, facts, id, region)
