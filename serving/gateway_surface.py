"""A gateway's answers: it locates, forwards and merges, and holds no state of its own.

It proves who asks once and speaks for them to the shards, each of which checks again. When a
shard does not answer, the answer says which one is missing and that the mode is degraded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from serving import faults, quarantine
from serving.access import Identity
from serving.alerts_gateway import GatewayAlerts
from serving.find import LIMIT
from serving.forward import Forward
from serving.impact import Impact
from serving.past_gateway import PastOfGateway, anywhere
from serving.pipeline import pipelined
from serving.questions import Questions
from serving.relations import resolve
from serving.routes import HOLDERS
from serving.sets import sealed
from serving.shards import Shards
from serving.splitting import Splitter
from serving.sql_forward import GatewayTables
from serving.subscribe_gateway import GatewaySubscriptions
from serving.wire import twin_pb2 as pb
from twin.errors import (
    AsOfTooEarly,
    BadRequest,
    Unavailable,
)
from twin.kinds import KINDS
from twin.texts import texts

WINDOW = 64  # batches of one stream under way at once


class GatewaySurface:
    """Answers for one region, and fans out to all. All methods run in one event loop."""

    def __init__(
        self,
        folder: Path,
        region: str,
        clock: Callable[[], int],
        about: Callable[[], pb.StatusReply],
    ) -> None:
        self.region = region
        self._clock = clock
        self._about = about
        self._shards = Shards(folder)
        self._routes = self._shards.routes
        self.alerts = GatewayAlerts(self._shards, clock, self.search, self.get)
        self._questions = Questions(self._shards, folder / "key", clock)
        self._impact = Impact(self._questions, clock)
        self.past = PastOfGateway(self._shards, folder / "key", self._kind)
        self.tables = GatewayTables(folder, region, self._shards)
        self.changes = GatewaySubscriptions(self._shards, folder / "key", clock, self._kind)

    async def ingest(
        self, requests: AsyncIterator[pb.IngestRequest], who: Identity
    ) -> AsyncIterator[pb.IngestReply]:
        forward = Forward(self._shards, Splitter(self._routes, self.region, who.tenant), who)
        try:
            async for replies in pipelined(requests, forward.begin, WINDOW):
                for reply in replies:
                    yield reply
        finally:
            forward.close()

    async def get(self, request: pb.GetRequest, who: Identity) -> pb.GetReply:
        asked = pb.GetRequest()
        asked.CopyFrom(request)
        asked.kind = self._kind(request.kind)
        reply: pb.GetReply = await anywhere(self._shards, "Get", asked, who)
        return reply

    async def batch_get(self, request: pb.BatchGetRequest, who: Identity) -> pb.SearchReply:
        request.kind = self._kind(request.kind)
        reply = await self._gather("BatchGet", request, request.kind, "", who)
        reply.total = len(request.ids) or request.lines.count(b"\n")
        return reply

    async def search(self, request: pb.SearchRequest, who: Identity) -> pb.SearchReply:
        request.kind = self._kind(request.kind)
        return await self._questions.search(request, who)

    async def aggregate(self, request: pb.AggregateRequest, who: Identity) -> pb.AggregateReply:
        request.kind = self._kind(request.kind)
        return await self._questions.aggregate(request, who)

    async def impact(self, request: pb.ImpactRequest, who: Identity) -> pb.ImpactReply:
        return await self._impact.impact(request, who)

    async def receipts(self, request: pb.ReceiptsRequest, who: Identity) -> pb.ReceiptsReply:
        if request.offset:
            name = request.offset.rpartition("/")[0]
            route = self._routes.all().get(name)
            if route is None:
                raise BadRequest(f"no shard is called {name!r}; a receipt reads shipment/east/0/57")
            reply: pb.ReceiptsReply = await self._shards.ask(route, "Receipts", request, who)
            return reply
        routes = list(self._routes.all().values())
        answers, missing = await self._shards.all(routes, "Receipts", request, who)
        if missing:
            raise Unavailable(f"{', '.join(missing)} did not answer; ask again", 0.5)
        best = []
        for i, id in enumerate(request.ids):
            seen = [a.receipts[i] for a in answers if a.receipts[i].outcome != "UNSEEN"]
            unseen = pb.Receipt(id=id, source=request.source, outcome="UNSEEN", offset=-1)
            best.append(seen[0] if seen else unseen)
        return pb.ReceiptsReply(receipts=best)

    async def quarantine(self, request: pb.QuarantineRequest, who: Identity) -> pb.QuarantineReply:
        request.limit = request.limit or LIMIT
        answers, _ = await self._shards.all(
            list(self._routes.all().values()), "Quarantine", request, who
        )
        parked = [receipt for answer in answers for receipt in answer.parked]
        parked.sort(key=lambda receipt: -receipt.ingest_time)
        shown = parked[: request.limit]
        return pb.QuarantineReply(
            parked=shown,
            shown=len(shown),
            total=sum(answer.total for answer in answers),
            now=self._clock(),
        )

    async def redrive(self, request: pb.RedriveRequest, who: Identity) -> pb.RedriveReply:
        """Let one shard after the other judge its parked events again, a piece at a time."""
        ask = partial(self._shards.ask, method="Redrive", who=who)
        return await quarantine.everywhere(ask, list(self._routes.all().values()), request)

    async def locate(self, request: pb.LocateRequest, who: Identity) -> pb.LocateReply:
        kind, region = self._kind(request.kind), request.region or self.region
        owner = self._routes.owner(kind, region, who.tenant, texts([request.id]))[0]
        return pb.LocateReply(shard=owner.name, epoch=owner.epoch, address=owner.address)

    async def routes(self, request: pb.RoutesRequest, who: Identity) -> pb.RoutesReply:
        routes = self._routes.all().values()
        return pb.RoutesReply(
            routes=[pb.Route(shard=r.name, epoch=r.epoch, address=r.address) for r in routes],
            tenant=who.tenant,
            region=self.region,
            holders=HOLDERS,
        )

    async def status(self, request: pb.StatusRequest, who: Identity) -> pb.StatusReply:
        reply = self._about()
        reply.now = self._clock()
        routes = self._routes.all()
        answers = await asyncio.gather(
            *(self._shards.status(route, request, who) for route in routes.values())
        )
        reply.shards.extend(answers)
        away = [route for route in routes.values() if route.note and route.state != "serving"]
        reply.notes.update({route.name: route.note for route in away})
        reply.subscriptions.CopyFrom(self.changes.status())
        if stuck := reply.subscriptions.stuck:
            reply.notes["subscriptions"] = (
                f"{stuck} readers take nothing: nothing is held for them but their calls"
            )
        if any(shard.state != "serving" for shard in answers) or not answers:
            reply.mode = pb.DEGRADED
        return reply

    async def columns(
        self, request: pb.ColumnsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        if request.tables:
            raise BadRequest("tables are a shard's to answer; name kind and fields, or ask SQL")
        request.kind = self._kind(request.kind)
        _, sets = await resolve(self._shards, request.kind, request.where, who, request.when)
        sealed(sets, request)
        routes = self._shards.known(request.kind, request.region)
        for route in routes:
            stub = self._shards.stub(route)
            try:
                async for piece in stub.Columns(
                    request, metadata=self._shards.speak(who), timeout=60
                ):
                    yield piece
            except grpc.aio.AioRpcError as e:
                error = faults.from_grpc(e)
                if isinstance(error, AsOfTooEarly) and len(routes) > 1:
                    continue  # it has nothing to say of a time before it
                raise error from e

    async def close(self) -> None:
        await self.changes.close()
        await self.tables.close()
        await self._shards.close()

    async def _gather(
        self, method: str, request: Any, kind: str, region: str, who: Identity
    ) -> pb.SearchReply:
        answers, missing = await self._shards.all(
            self._shards.known(kind, region), method, request, who
        )
        twins = [twin for answer in answers for twin in answer.twins]
        return pb.SearchReply(
            twins=twins,
            columns=[part for answer in answers for part in answer.columns],
            shown=sum(answer.shown for answer in answers),
            total=sum(answer.total for answer in answers),
            mode=pb.DEGRADED if missing else pb.NORMAL,
            now=self._clock(),
            missing=missing,
        )

    def _kind(self, name: str) -> str:
        name = name or "shipment"
        if name not in KINDS:
            raise BadRequest(f"no kind is called {name}; there are {', '.join(KINDS)}")
        return name
