"""Tables at a gateway: events of all shards, and SQL handed on to the region's query process.

The query process may end at any time: then the answer is SQL_UNAVAILABLE, until it is back.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from serving import deadline, faults, grpc_server, sql_address
from serving.access import Identity
from serving.routes import Route
from serving.shards import Shards
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import BadRequest, SqlAway, Unavailable

WAIT_S = 60.0
AWAY = "the query process of {} does not answer; ask again"
OPTIONS = (
    *grpc_server.OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class GatewayTables:
    """One gateway's. All methods run in one event loop."""

    def __init__(self, folder: Path, region: str, shards: Shards) -> None:
        self._folder = folder
        self._region = region
        self._shards = shards
        self._address = ""
        self._channel: Any = None

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def sql(self, request: pb.SqlRequest, who: Identity) -> AsyncIterator[pb.SqlReply]:
        """Yield the query process's answer. Raises SqlAway, or what it says."""
        stub = await self._stub()
        left = min(WAIT_S, max(0.0, deadline.until() - time.monotonic()))
        try:
            async for reply in stub.Sql(request, metadata=self._shards.speak(who), timeout=left):
                yield reply
        except grpc.aio.AioRpcError as e:
            error = faults.from_grpc(e)
            if type(error) is Unavailable and faults.CODE_KEY not in dict(
                e.trailing_metadata() or ()
            ):
                raise SqlAway(AWAY.format(self._region), 0.5) from e
            raise error from e

    async def events(
        self, request: pb.EventsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        """Yield the events of one shard after the other, an Arrow stream each."""
        asked = pb.EventsRequest()
        asked.CopyFrom(request)
        for route in self._journals(request):
            stub = self._shards.stub(route)
            try:
                metadata = self._shards.speak(who)
                async for piece in stub.Events(asked, metadata=metadata, timeout=WAIT_S):
                    yield piece
            except grpc.aio.AioRpcError as e:
                raise faults.from_grpc(e) from e

    def _journals(self, request: pb.EventsRequest) -> list[Route]:
        known = self._shards.routes
        if request.shard and request.shard not in known.all():
            raise BadRequest(f"no shard is called {request.shard!r}; one is shipment/east/0")
        if request.region and request.region not in known.regions():
            names = ", ".join(known.regions())
            raise BadRequest(f"there is no region {request.region}; there are {names}")
        routes = [
            route
            for route in known.all().values()
            if request.region in {"", route.region} and request.shard in {"", route.name}
        ]
        if not routes:
            raise Unavailable("no shard is known yet; ask again", 0.5)
        return routes

    async def _stub(self) -> Any:
        address = sql_address.read(self._folder, self._region)
        if not address:
            raise SqlAway(AWAY.format(self._region), 1.0)
        if address != self._address:
            if self._channel is not None:
                await self._channel.close()
            self._address = address
            self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        return rpc.TwinStub(self._channel)
