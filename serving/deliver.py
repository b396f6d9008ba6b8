"""Delivery: how a shard's process reaches the shards that its derived events are for.

Straight from shard to shard, by the routes that the supervisor writes, in a thread of its own;
each attempt is short, since the courier (actors.outbox) asks again and dedup makes that safe.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.outbox import Courier
from actors.shard import Shard
from serving import faults, grpc_server
from serving.access import mint
from serving.routes import Route, Routes
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.derived import DELIVERER
from twin.errors import Fenced, TwinError, Unavailable
from twin.events import Row
from twin.texts import texts

log = logging.getLogger(__name__)
ATTEMPT_S = 2.0  # a healthy shard takes a parcel in milliseconds; one that hangs holds up the rest
IDLE_S = 0.2  # how long a thread with nothing to bring waits before it looks by itself
SPEAK_S = 600  # how long a token is used


class Line(NamedTuple):
    """An open connection to a shard's present writer."""

    address: str
    channel: Any
    stub: Any


class ShardPost:
    """Reaches every shard of a data directory. One thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._routes = Routes(folder)
        self._key = folder / "key"
        self._lines: dict[str, Line] = {}
        self._tokens: dict[str, tuple[str, float]] = {}

    def owners(self, kind: str, region: str, tenant: str, ids: Sequence[str]) -> list[str]:
        return [route.name for route in self._routes.owner(kind, region, tenant, texts(ids))]

    def homes(self, tenant: str, suppliers: Sequence[str]) -> dict[str, str]:
        """Return where each supplier is registered; the first region by name, if in several."""
        found: dict[str, str] = {}
        request = pb.BatchGetRequest(kind="supplier", ids=suppliers, fields=["name"])
        for route in self._routes.of_kind("supplier"):
            try:
                call = self._stub(route).BatchGet
                reply = call(request, metadata=self._speak(tenant), timeout=ATTEMPT_S)
            except grpc.RpcError as e:
                log.info("%s does not say whom it knows: %s", route.name, faults.from_grpc(e))
                continue
            for twin in reply.twins:
                if "name" in twin.values:
                    found.setdefault(twin.id, twin.region)
        return found

    def send(self, shard: str, tenant: str, rows: Sequence[Row]) -> NDArray[np.int8]:
        route = self._routes.named(shard)
        if not route.address:
            raise Unavailable(f"{shard} is {route.state}; ask again", 0.3)
        request = pb.IngestRequest(msgpack=msgspec.msgpack.encode(rows))

        def only() -> Iterator[pb.IngestRequest]:
            yield request

        try:
            call = self._stub(route).Ingest(only(), metadata=self._speak(tenant), timeout=ATTEMPT_S)
            reply = next(iter(call), None)
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e
        if reply is None:
            raise Unavailable(f"{shard} closed the stream without an answer", 0.3)
        if reply.HasField("fault"):
            fault = reply.fault
            raise faults.error(fault.code, fault.message, fault.retry_after_s)
        return np.frombuffer(reply.outcomes, np.uint8).astype(np.int8)

    def close(self) -> None:
        for line in self._lines.values():
            line.channel.close()

    def _stub(self, route: Route) -> Any:
        line = self._lines.get(route.name)
        if line is None or line.address != route.address:
            if line is not None:
                line.channel.close()
            channel = grpc.insecure_channel(route.address, options=grpc_server.OPTIONS)
            line = Line(route.address, channel, rpc.TwinStub(channel))
            self._lines[route.name] = line
        return line.stub

    def _speak(self, tenant: str) -> list[tuple[str, str]]:
        token, until = self._tokens.get(tenant, ("", 0.0))
        if time.monotonic() > until:
            token = mint(
                self._key,
                name=DELIVERER,
                scopes=["read", "write"],
                tenant=tenant,
                ttl_s=SPEAK_S + 120,
            )
            self._tokens[tenant] = token, time.monotonic() + SPEAK_S
        return [("authorization", f"Bearer {token}")]


class Delivery:
    """The thread that brings a shard's derived events out, until it is stopped or fenced."""

    def __init__(self, shard: Shard, folder: Path) -> None:
        self.courier = Courier(shard, ShardPost(folder))
        self._shard = shard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the parcel under way."""
        self._stop.set()
        self._shard.stirred.set()
        self._thread.join(ATTEMPT_S + 1)

    def _run(self) -> None:
        shard = self._shard
        while not self._stop.is_set():
            shard.stirred.clear()  # before looking: what comes meanwhile stirs again
            try:
                busy = self.courier.step(time.monotonic())
            except Fenced:
                log.info("%s: replaced; its successor brings what is left", shard.name)
                return
            except Exception as e:  # a thread's boundary: logged, and tried again
                log.log(
                    logging.INFO if isinstance(e, TwinError) else logging.CRITICAL,
                    "%s: derived events could not be brought out",
                    shard.name,
                    exc_info=True,
                )
                busy = False
                self._stop.wait(1.0)
            if not busy:
                shard.stirred.wait(IDLE_S)
