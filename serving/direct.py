"""Direct: a client that asks shards themselves, as a gateway has told it where they are.

It learns every shard's epoch and address once, finds owners by itself, and takes no answer of an
epoch lower than one it has seen. When a shard moves it learns again and repeats, under the same
ids, until its time is over; what it cannot reach, it asks the gateway for.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc

from serving import faults
from serving.placing import place
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import AmbiguousKey, Fenced, TwinError, Unavailable, UnknownKey

PAUSE_S = 0.05  # between two attempts
RETRY_AFTER_S = 0.2
Metadata = Callable[[], list[tuple[str, str]]]


class Epochs:
    """The highest epoch seen of each shard. Threads may share it."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def see(self, shard: str, epoch: int) -> None:
        """Note who answered. Raises Fenced where that writer had been replaced before."""
        known = self._seen.get(shard, 0)
        if epoch < known:
            raise Fenced(
                f"{shard} answered under epoch {epoch} after {known}; ask again", RETRY_AFTER_S
            )
        self._seen[shard] = epoch


class Table(NamedTuple):
    """Who writes what, as a gateway said it once."""

    shards: dict[tuple[str, str], list[pb.Route]]  # (kind of shard, region) -> by number
    holders: dict[str, str]  # event type or kind -> kind of shard
    tenant: str
    region: str

    @property
    def regions(self) -> list[str]:
        return sorted({region for _, region in self.shards})

    def owner(self, what: str, region: str, id: str) -> pb.Route | None:
        """Return who writes a twin; None if that is not known, so that a gateway must say it."""
        holder = self.holders.get(what) or self.holders.get(what.partition(".")[0], "")
        routes = self.shards.get((holder, region), [])
        return routes[place(self.tenant, id, len(routes))] if routes else None

    def named(self, shard: str) -> pb.Route | None:
        kind, region, number = shard.split("/")
        routes = self.shards.get((kind, region), [])
        return routes[int(number)] if int(number) < len(routes) else None


def table_of(reply: pb.RoutesReply) -> Table:
    shards: dict[tuple[str, str], list[pb.Route]] = {}
    for route in sorted(reply.routes, key=lambda route: int(route.shard.rpartition("/")[2])):
        kind, region, _ = route.shard.split("/")
        shards.setdefault((kind, region), []).append(route)
    return Table(shards, dict(reply.holders), reply.tenant, reply.region)


class Direct:
    """What a client knows of shards, and its channels to them. Threads may share it."""

    def __init__(
        self, gateway: str, stub: Any, metadata: Metadata, options: Any, epochs: Epochs
    ) -> None:
        self.epochs = epochs
        self.metadata = metadata
        self._gateway = stub
        self._near = _loopback(gateway)
        self._options = options
        self._table: Table | None = None
        self._channels: dict[str, Any] = {}
        self._stubs: dict[str, Any] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels, self._stubs = {}, {}

    def table(self) -> Table:
        """Return what is known; asks the gateway if that is nothing. Raises as a call does."""
        return self._table or self.learn(5.0)

    def learn(self, timeout_s: float) -> Table:
        """Ask the gateway who writes what now."""
        try:
            reply = self._gateway.Routes(
                pb.RoutesRequest(), metadata=self.metadata(), timeout=timeout_s
            )
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e
        self._table = table_of(reply)
        return self._table

    def stub(self, route: pb.Route) -> Any:
        """Return the stub of a shard. Raises Unavailable where there is no way to it."""
        if not route.address:
            raise Unavailable(f"{route.shard} has no writer now; ask again", RETRY_AFTER_S)
        if _loopback(route.address) and not self._near:  # that would be a port of this machine
            raise Unavailable(f"{route.shard} answers only on its own machine", RETRY_AFTER_S)
        with self._lock:
            if route.address not in self._stubs:
                channel = grpc.insecure_channel(route.address, options=self._options)
                self._channels[route.address] = channel
                self._stubs[route.address] = rpc.TwinStub(channel)
            return self._stubs[route.address]

    def get(self, request: pb.GetRequest, until: float) -> pb.GetReply | None:
        """Return a twin as its shard says it; None if the gateway had better be asked."""
        while True:
            table = self.table()
            regions = [request.region] if request.region else table.regions
            owners = [table.owner(request.kind or "shipment", r, request.id) for r in regions]
            routes = [route for route in owners if route is not None]
            if len(routes) < len(regions) or not routes:
                return None
            try:
                return self._get(routes, request, until)
            except TwinError as e:
                if foreign(e):
                    return None
                if not faults.moves(e) or time.monotonic() + PAUSE_S > until:
                    raise
                if not self.moved(routes, until):
                    return None

    def moved(self, routes: Sequence[pb.Route], until: float) -> bool:
        """Learn again; say whether another now writes one of these."""
        table = self.learn(max(0.1, until - time.monotonic()))
        now = [table.named(route.shard) for route in routes]
        before = [(route.epoch, route.address) for route in routes]
        return [(route.epoch, route.address) for route in now if route is not None] != before

    def _get(self, routes: Sequence[pb.Route], request: pb.GetRequest, until: float) -> pb.GetReply:
        left = max(0.0, until - time.monotonic())
        metadata = self.metadata()
        if len(routes) == 1:
            try:
                return self._seen(
                    self.stub(routes[0]).Get(request, metadata=metadata, timeout=left)
                )
            except grpc.RpcError as e:
                raise faults.from_grpc(e) from e
        calls = [
            self.stub(route).Get.future(request, metadata=metadata, timeout=left)
            for route in routes
        ]
        found, failed = [], []
        for call in calls:
            try:
                found.append(self._seen(call.result()))
            except grpc.RpcError as e:
                failed.append(faults.from_grpc(e))
        if strange := [e for e in failed if not isinstance(e, UnknownKey)]:
            raise strange[0]
        if not found:
            raise failed[0]
        if len(found) > 1:
            keys = ", ".join(reply.twin.key for reply in found)
            raise AmbiguousKey(f"{request.id} names {keys}; ask with a region")
        return found[0]

    def _seen(self, reply: pb.GetReply) -> pb.GetReply:
        self.epochs.see(reply.twin.shard, reply.twin.epoch)
        return reply


def foreign(e: TwinError) -> bool:
    """Say whether a token opens its own region only; its gateway speaks for it elsewhere."""
    return e.code == "TOKEN_AUDIENCE"


def _loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
