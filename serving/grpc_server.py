"""The gRPC server: who asks is proven, errors become statuses, and nothing else is decided here.

A shard and a gateway serve the same service; each hands its own surface.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from serving import deadline, faults
from serving.access import Identity, Verifier
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import Refused, TooLarge, TwinError

log = logging.getLogger(__name__)
SERVICE = "supplytwin.v1.Twin"
INGEST_BYTES, REQUEST_BYTES = 16 << 20, 1 << 20
MOST_CALLS = 512  # at once, in one server: beyond that a caller is told to come back
OPTIONS = (
    ("grpc.so_reuseport", 0),  # or two servers share one port unnoticed
    ("grpc.max_receive_message_length", INGEST_BYTES),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.http2.max_frame_size", 1 << 20),  # of what is received: else pieces of 16 KiB
    ("grpc.max_metadata_size", 8192),
    ("grpc.absolute_max_metadata_size", 16384),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.keepalive_time_ms", 20_000),  # whoever hangs or is cut off: its calls end with it
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)


class Alarms(Protocol):
    """What a shard or a gateway answers about alerts."""

    async def alerts(self, request: pb.AlertsRequest, who: Identity) -> pb.AlertsReply: ...
    async def act(self, request: pb.ActRequest, who: Identity) -> pb.ActReply: ...
    async def rehearse(self, request: pb.RehearseRequest, who: Identity) -> pb.RehearseReply: ...


class PastPort(Protocol):
    """What a shard or a gateway answers about the past."""

    async def history(self, request: pb.HistoryRequest, who: Identity) -> pb.HistoryReply: ...
    async def diff(self, request: pb.DiffRequest, who: Identity) -> pb.DiffReply: ...
    async def first_true(
        self, request: pb.FirstTrueRequest, who: Identity
    ) -> pb.FirstTrueReply: ...
    async def explain(self, request: pb.ExplainRequest, who: Identity) -> pb.ExplainReply: ...
    async def preview(self, request: pb.PreviewRequest, who: Identity) -> pb.PreviewReply: ...


class TablesPort(Protocol):
    """What answers in tables."""

    def events(
        self, request: pb.EventsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]: ...
    def sql(self, request: pb.SqlRequest, who: Identity) -> AsyncIterator[pb.SqlReply]: ...


class ChangesPort(Protocol):
    """What tells of changes as they come."""

    def subscribe(
        self, request: pb.SubscribeRequest, who: Identity
    ) -> AsyncGenerator[pb.SubscribeReply]: ...


class Surface(Protocol):
    """What a shard or a gateway answers. Each method may raise any TwinError."""

    def ingest(
        self, requests: AsyncIterator[pb.IngestRequest], who: Identity
    ) -> AsyncIterator[pb.IngestReply]: ...
    async def get(self, request: pb.GetRequest, who: Identity) -> pb.GetReply: ...
    async def batch_get(self, request: pb.BatchGetRequest, who: Identity) -> pb.SearchReply: ...
    async def search(self, request: pb.SearchRequest, who: Identity) -> pb.SearchReply: ...
    async def aggregate(self, request: pb.AggregateRequest, who: Identity) -> pb.AggregateReply: ...
    async def impact(self, request: pb.ImpactRequest, who: Identity) -> pb.ImpactReply: ...
    async def receipts(self, request: pb.ReceiptsRequest, who: Identity) -> pb.ReceiptsReply: ...
    async def quarantine(
        self, request: pb.QuarantineRequest, who: Identity
    ) -> pb.QuarantineReply: ...
    async def redrive(self, request: pb.RedriveRequest, who: Identity) -> pb.RedriveReply: ...
    async def locate(self, request: pb.LocateRequest, who: Identity) -> pb.LocateReply: ...
    async def routes(self, request: pb.RoutesRequest, who: Identity) -> pb.RoutesReply: ...
    async def status(self, request: pb.StatusRequest, who: Identity) -> pb.StatusReply: ...
    @property
    def alerts(self) -> Alarms: ...
    def columns(
        self, request: pb.ColumnsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]: ...
    @property
    def past(self) -> PastPort: ...
    @property
    def tables(self) -> TablesPort: ...
    @property
    def changes(self) -> ChangesPort: ...


class TwinServicer(rpc.TwinServicer):
    def __init__(self, surface: Surface, verifier: Verifier) -> None:
        self._surface = surface
        self._verifier = verifier

    async def Ingest(self, requests: Any, context: Any) -> AsyncIterator[pb.IngestReply]:
        try:
            who = self._who(context, "write")
            deadline.begin(context.time_remaining())
            async for reply in self._surface.ingest(requests, who):
                yield reply
        except Exception as e:  # noqa: BLE001 - the process boundary: logged, answered
            await abort(context, e)

    async def Columns(self, request: Any, context: Any) -> AsyncIterator[pb.ColumnsReply]:
        try:
            who = self._who(context, "read")
            async for reply in self._surface.columns(request, who):
                yield reply
        except Exception as e:  # noqa: BLE001 - the process boundary: logged, answered
            await abort(context, e)

    async def Events(self, request: Any, context: Any) -> AsyncIterator[pb.ColumnsReply]:
        async for reply in streamed(self._surface.tables.events, request, context, self._verifier):
            yield reply

    async def Sql(self, request: Any, context: Any) -> AsyncIterator[pb.SqlReply]:
        async for reply in streamed(self._surface.tables.sql, request, context, self._verifier):
            yield reply

    async def Subscribe(self, request: Any, context: Any) -> AsyncIterator[pb.SubscribeReply]:
        method = self._surface.changes.subscribe
        async with aclosing(streamed(method, request, context, self._verifier)) as replies:
            async for reply in replies:
                yield reply

    async def Get(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.get, request, context)

    async def BatchGet(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.batch_get, request, context)

    async def Search(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.search, request, context)

    async def Aggregate(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.aggregate, request, context)

    async def Impact(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.impact, request, context)

    async def Receipts(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.receipts, request, context)

    async def Quarantine(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.quarantine, request, context)

    async def Redrive(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.redrive, request, context, "write")

    async def Locate(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.locate, request, context)

    async def Routes(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.routes, request, context)

    async def Alerts(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.alerts.alerts, request, context)

    async def Act(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.alerts.act, request, context, "write")

    async def Rehearse(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.alerts.rehearse, request, context)

    async def Status(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.status, request, context)

    async def History(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.past.history, request, context)

    async def Diff(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.past.diff, request, context)

    async def FirstTrue(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.past.first_true, request, context)

    async def Explain(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.past.explain, request, context)

    async def Preview(self, request: Any, context: Any) -> Any:
        return await self._answer(self._surface.past.preview, request, context)

    async def _answer(
        self,
        method: Callable[[Any, Identity], Awaitable[Any]],
        request: Any,
        context: Any,
        scope: str = "read",
    ) -> Any:
        try:
            require_small(request)
            deadline.begin(context.time_remaining())
            reply = await method(request, self._who(context, scope))
        except Exception as e:
            await abort(context, e)
            raise
        if getattr(reply, "mode", pb.NORMAL) != pb.NORMAL:  # a tenth of a point read's time
            context.set_trailing_metadata((("twin-mode", "degraded"),))
        return reply

    def _who(self, context: Any, scope: str) -> Identity:
        return bearer(context, self._verifier, scope)


def bearer(context: Any, verifier: Verifier, scope: str) -> Identity:
    """Return who calls. Raises Denied."""
    said = ""
    for name, value in context.invocation_metadata():
        if name == "authorization":
            said = str(value)
    who = verifier.verify(said.removeprefix("Bearer ").strip())
    who.require(scope)
    return who


async def streamed(
    method: Callable[[Any, Identity], AsyncIterator[Any]],
    request: Any,
    context: Any,
    verifier: Verifier,
) -> AsyncGenerator[Any]:
    """Yield what a reader is answered, one message after the other."""
    try:
        who = bearer(context, verifier, "read")
        require_small(request)
        deadline.begin(context.time_remaining())
        replies = method(request, who)
        try:
            async for reply in replies:
                yield reply
        finally:
            if isinstance(replies, AsyncGenerator):  # at once, not when it is collected
                await replies.aclose()
    except Exception as e:  # noqa: BLE001 - the process boundary: logged, answered
        await abort(context, e)


def require_small(request: Any) -> None:
    """Raise TooLarge for a request of more bytes than a question needs."""
    most = INGEST_BYTES if getattr(request, "sets", None) else REQUEST_BYTES  # a gateway's sets
    if request.ByteSize() > most:
        raise TooLarge(f"a request has at most {REQUEST_BYTES} bytes; ask for less")


async def start(surface: Surface, verifier: Verifier, address: str) -> tuple[Any, int]:
    """Serve `surface` at host:port (0: a free one). Return (server, port). Raises Refused."""
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
    rpc.add_TwinServicer_to_server(TwinServicer(surface, verifier), server)
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in ("", SERVICE):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    names = (SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as e:
        raise Refused(f"{address} is in use; stop who holds it, or choose another base port") from e
    await server.start()
    return server, port


async def abort(context: Any, e: Exception) -> None:
    """End a call with the status that tells of `e`; what nobody expected is logged, not told."""
    if isinstance(e, grpc.aio.AbortError):
        raise e
    if isinstance(e, TwinError):
        await context.abort(faults.status(e), str(e), faults.trailer(e))
    trace, text = faults.internal()
    log.error("call failed, trace %s", trace, exc_info=e)
    await context.abort(grpc.StatusCode.INTERNAL, text, ((faults.CODE_KEY, "INTERNAL"),))
