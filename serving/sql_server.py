"""The query process: SQL of one region over gRPC and Arrow Flight SQL, on one port of loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from serving import grpc_server
from serving.access import Verifier
from serving.flight_sql import FlightSql
from serving.sql_surface import SqlSurface
from serving.wire import flight_pb2_grpc, twin_pb2_grpc
from serving.wire import twin_pb2 as pb
from twin.errors import Refused


class SqlServicer(twin_pb2_grpc.TwinServicer):
    """The rpc Sql; every other rpc is a gateway's."""

    def __init__(self, surface: SqlSurface, verifier: Verifier) -> None:
        self._surface = surface
        self._verifier = verifier

    async def Sql(self, request: Any, context: Any) -> AsyncIterator[pb.SqlReply]:
        async for reply in grpc_server.streamed(
            self._surface.sql, request, context, self._verifier
        ):
            yield reply


async def start(
    surface: SqlSurface, verifier: Verifier, address: str, version: str
) -> tuple[Any, int]:
    """Serve at host:port (0: a free one). Return (server, port). Raises Refused."""
    server = grpc.aio.server(
        options=grpc_server.OPTIONS, maximum_concurrent_rpcs=grpc_server.MOST_CALLS
    )
    twin_pb2_grpc.add_TwinServicer_to_server(SqlServicer(surface, verifier), server)
    flight_pb2_grpc.add_FlightServiceServicer_to_server(
        FlightSql(surface, verifier, version), server
    )
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as e:
        raise Refused(f"{address} is in use; stop who holds it, or choose another base port") from e
    await server.start()
    return server, port
