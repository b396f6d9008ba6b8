"""A gateway's answers: it locates, forwards and merges, and holds no state of its own.

It proves who asks once and speaks for them to the shards, each of which checks again. When a
shard does not answer, the answer says which one is missing and that the mode is degraded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import msgspec
import numpy as np

from serving import faults, grpc_server, measures
from serving.access import Identity, mint
from serving.arrow_split import split_arrow
from serving.routes import SHARD_OF, Route, Routes
from serving.shard_server import LIMIT, MOST, faulty
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import (
    AmbiguousKey,
    BadRequest,
    Fenced,
    NotOwner,
    Recovering,
    Retryable,
    TwinError,
    Unavailable,
    UnknownKey,
)
from twin.events import decode_arrow, decode_rows
from twin.kinds import KINDS
from twin.outcomes import Outcome
from twin.texts import texts

PATIENCE_S = 8.0  # for a shard that is being taken over; then the caller decides
ATTEMPT_S = 5.0  # for one answer of one shard
VERIFY_S = 100.0  # for a shard to rebuild its state from its journal
WINDOW = 16  # batches of one stream under way at once
SPEAK_S = 600  # how long a token on somebody's behalf is used


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
        self._folder = folder
        self._clock = clock
        self._about = about
        self._routes = Routes(folder)
        self._channels: dict[str, Any] = {}
        self._stubs: dict[str, Any] = {}
        self._tokens: dict[Identity, tuple[str, float]] = {}
        self._epochs: dict[str, int] = {}

    async def ingest(
        self, requests: AsyncIterator[pb.IngestRequest], who: Identity
    ) -> AsyncIterator[pb.IngestReply]:
        pending: asyncio.Queue[Any] = asyncio.Queue(WINDOW)

        async def read() -> None:
            async for request in requests:
                await pending.put(asyncio.ensure_future(self._offer(request, who)))
            await pending.put(None)

        reader = asyncio.ensure_future(read())
        try:
            while (answer := await pending.get()) is not None:
                yield await answer
        finally:
            reader.cancel()

    async def get(self, request: pb.GetRequest, who: Identity) -> pb.GetReply:
        kind = self._kind(request.kind)
        regions = [request.region] if request.region else self._routes.regions()
        ids = texts([request.id])
        owners = [self._routes.owner(kind, region, who.tenant, ids)[0] for region in regions]
        asked = pb.GetRequest()
        asked.CopyFrom(request)
        asked.kind = kind
        answers = await asyncio.gather(
            *(self._ask(owner, "Get", asked, who) for owner in owners), return_exceptions=True
        )
        found = [a for a in answers if isinstance(a, pb.GetReply)]
        if len(found) > 1:
            keys = ", ".join(reply.twin.key for reply in found)
            raise AmbiguousKey(f"{request.id} names {keys}; ask with a region")
        failed = [a for a in answers if isinstance(a, BaseException)]
        if not found:
            raise next((e for e in failed if not isinstance(e, UnknownKey)), failed[0])
        if any(not isinstance(e, UnknownKey) for e in failed):
            found[0].mode = pb.DEGRADED  # a region that does not answer may hold one of that name
        return found[0]

    async def batch_get(self, request: pb.BatchGetRequest, who: Identity) -> pb.SearchReply:
        request.kind = self._kind(request.kind)
        reply = await self._gather("BatchGet", request, request.kind, "", who)
        reply.total = len(request.ids)
        return reply

    async def search(self, request: pb.SearchRequest, who: Identity) -> pb.SearchReply:
        request.kind = self._kind(request.kind)
        request.limit = min(request.limit or LIMIT, MOST)
        reply = await self._gather("Search", request, request.kind, request.region, who)
        if request.order:
            name = request.order.removeprefix("-")
            down = request.order.startswith("-")
            twins = sorted(reply.twins, key=lambda twin: _rank(twin, name), reverse=down)
            twins.sort(key=lambda twin: name not in twin.values and name != "id")
            del reply.twins[:]
            reply.twins.extend(twins)
        del reply.twins[request.limit :]
        reply.shown = len(reply.twins)
        return reply

    async def aggregate(self, request: pb.AggregateRequest, who: Identity) -> pb.AggregateReply:
        request.kind = self._kind(request.kind)
        if not request.measures:
            request.measures.append("count")
        asked = pb.AggregateRequest()
        asked.CopyFrom(request)
        asked.order = ""
        del asked.measures[:]
        asked.measures.extend(measures.parts(request.measures))
        routes = self._known(request.kind, request.region)
        answers, missing = await self._all(routes, "Aggregate", asked, who)
        groups = measures.merge(request, [answer.groups for answer in answers])
        limit = request.limit or LIMIT
        oldest = min((a.oldest_as_of for a in answers if a.oldest_as_of), default=0)
        return pb.AggregateReply(
            groups=groups[:limit],
            shown=min(limit, len(groups)),
            total=len(groups),
            mode=pb.DEGRADED if missing else pb.NORMAL,
            now=self._clock(),
            oldest_as_of=oldest,
            missing=missing,
        )

    async def receipts(self, request: pb.ReceiptsRequest, who: Identity) -> pb.ReceiptsReply:
        if request.offset:
            name = request.offset.rpartition("/")[0]
            route = self._routes.all().get(name)
            if route is None:
                raise BadRequest(f"no shard is called {name!r}; a receipt reads shipment/east/0/57")
            reply: pb.ReceiptsReply = await self._ask(route, "Receipts", request, who)
            return reply
        routes = list(self._routes.all().values())
        answers, missing = await self._all(routes, "Receipts", request, who)
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
        answers, _ = await self._all(list(self._routes.all().values()), "Quarantine", request, who)
        parked = [receipt for answer in answers for receipt in answer.parked]
        parked.sort(key=lambda receipt: -receipt.ingest_time)
        shown = parked[: request.limit]
        return pb.QuarantineReply(
            parked=shown, shown=len(shown), total=sum(answer.total for answer in answers)
        )

    async def locate(self, request: pb.LocateRequest, who: Identity) -> pb.LocateReply:
        kind, region = self._kind(request.kind), request.region or self.region
        owner = self._routes.owner(kind, region, who.tenant, texts([request.id]))[0]
        return pb.LocateReply(shard=owner.name, epoch=owner.epoch, address=owner.address)

    async def status(self, request: pb.StatusRequest, who: Identity) -> pb.StatusReply:
        reply = self._about()
        reply.now = self._clock()
        routes = self._routes.all()
        answers = await asyncio.gather(
            *(self._status(route, request, who) for route in routes.values())
        )
        reply.shards.extend(answers)
        if any(shard.state != "serving" for shard in answers) or not answers:
            reply.mode = pb.DEGRADED
        return reply

    async def columns(
        self, request: pb.ColumnsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        request.kind = self._kind(request.kind)
        for route in self._known(request.kind, request.region):
            stub = self._stub(route)
            try:
                async for piece in stub.Columns(request, metadata=self._speak(who), timeout=60):
                    yield piece
            except grpc.aio.AioRpcError as e:
                raise faults.from_grpc(e) from e

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def _offer(self, request: pb.IngestRequest, who: Identity) -> pb.IngestReply:
        reply = pb.IngestReply(batch=request.batch)
        try:
            parts = await asyncio.to_thread(self._split, request, who)
            await self._forward(reply, parts, who)
        except TwinError as e:
            return faulty(reply, e)
        reply.ingest_time = self._clock()
        return reply

    def _split(self, request: pb.IngestRequest, who: Identity) -> dict[str, tuple[Any, Any]]:
        """Return for each shard which events it gets, and the request that holds them."""
        is_arrow = request.HasField("arrow")
        offered = (decode_arrow if is_arrow else decode_rows)(
            request.arrow if is_arrow else request.msgpack
        )
        if not offered.size:
            return {}
        types = [offered.type.words[c] if c >= 0 else "" for c in offered.type.codes.tolist()]
        regions = [offered.region.words[c] if c >= 0 else "" for c in offered.region.codes.tolist()]
        split = self._routes.split(types, regions, self.region, who.tenant, offered.subject)
        if len(split) == 1:
            return {name: (at, request) for name, at in split.items()}
        if is_arrow:
            return {
                name: (at, pb.IngestRequest(arrow=split_arrow(offered.rows, at)))
                for name, at in split.items()
            }
        pack = msgspec.msgpack.encode
        return {
            name: (at, pb.IngestRequest(msgpack=pack([offered.rows[i] for i in at.tolist()])))
            for name, at in split.items()
        }

    async def _forward(
        self, reply: pb.IngestReply, parts: dict[str, tuple[Any, Any]], who: Identity
    ) -> None:
        n = sum(at.size for at, _ in parts.values())
        outcome, reason = np.full(n, Outcome.REJECTED, np.uint8), np.zeros(n, np.uint8)
        offset, shard = np.full(n, -1, "<i8"), np.full(n, 255, np.uint8)
        names = list(parts)
        answers = await asyncio.gather(*(self._hand(name, parts[name][1], who) for name in names))
        for number, (name, answer) in enumerate(zip(names, answers, strict=True)):
            at = parts[name][0]
            outcome[at] = np.frombuffer(answer.outcomes, np.uint8)
            reason[at] = np.frombuffer(answer.reasons, np.uint8)
            offset[at] = np.frombuffer(answer.offsets, "<i8")
            shard[at] = np.where(offset[at] >= 0, number, 255)
            reply.shard_names.append(name)
            reply.epochs.append(answer.epochs[0])
        reply.outcomes, reply.reasons = outcome.tobytes(), reason.tobytes()
        reply.offsets, reply.shards = offset.tobytes(), shard.tobytes()

    async def _hand(self, name: str, request: pb.IngestRequest, who: Identity) -> pb.IngestReply:
        """Give a batch to a shard, again to its successor if need be: dedup makes that safe."""

        async def one(route: Route) -> pb.IngestReply:
            async def only() -> AsyncIterator[pb.IngestRequest]:
                yield request

            call = self._stub(route).Ingest(only(), metadata=self._speak(who), timeout=PATIENCE_S)
            async for reply in call:
                if reply.HasField("fault"):
                    fault = reply.fault
                    raise faults.error(fault.code, fault.message, fault.retry_after_s)
                return reply
            raise Unavailable(f"{name} closed the stream without an answer", 0.2)

        return await self._patiently(name, one)

    async def _ask(self, route: Route, method: str, request: Any, who: Identity) -> Any:
        async def one(current: Route) -> Any:
            call = getattr(self._stub(current), method)
            reply = await call(request, metadata=self._speak(who), timeout=ATTEMPT_S)
            return reply

        return await self._patiently(route.name, one)

    async def _patiently(self, name: str, attempt: Callable[[Route], Awaitable[Any]]) -> Any:
        """Ask whoever writes a shard, and its successor while a takeover is under way."""
        until = time.monotonic() + PATIENCE_S
        while True:
            route = self._routes.all()[name]
            wait = 0.05
            error: TwinError
            if route.state == "quarantined":
                raise BadRequest(f"{name} is quarantined: {route.note}", "JOURNAL_CORRUPT")
            if not route.address:
                error = Recovering(f"{name} is recovering; ask again", 0.3)
            else:
                try:
                    return await attempt(route)
                except grpc.aio.AioRpcError as e:
                    error = faults.from_grpc(e)
                except TwinError as e:
                    error = e
            again = isinstance(error, Unavailable | Recovering | Fenced | NotOwner)
            if not again or time.monotonic() + wait > until:
                raise error
            await asyncio.sleep(wait)

    async def _all(
        self, routes: Sequence[Route], method: str, request: Any, who: Identity
    ) -> tuple[list[Any], list[str]]:
        """Return the answers of all shards that gave one, and the names of the others."""
        answers = await asyncio.gather(
            *(self._ask(route, method, request, who) for route in routes), return_exceptions=True
        )
        missing = []
        for route, answer in zip(routes, answers, strict=True):
            if isinstance(answer, Retryable):
                missing.append(route.name)
            elif isinstance(answer, BaseException):
                raise answer
        if routes and len(missing) == len(routes):
            raise Unavailable(f"none of {', '.join(missing)} answers; ask again", 0.5)
        return [a for a in answers if not isinstance(a, BaseException)], missing

    async def _gather(
        self, method: str, request: Any, kind: str, region: str, who: Identity
    ) -> pb.SearchReply:
        answers, missing = await self._all(self._known(kind, region), method, request, who)
        twins = [twin for answer in answers for twin in answer.twins]
        return pb.SearchReply(
            twins=twins,
            shown=len(twins),
            total=sum(answer.total for answer in answers),
            mode=pb.DEGRADED if missing else pb.NORMAL,
            now=self._clock(),
            missing=missing,
        )

    async def _status(
        self, route: Route, request: pb.StatusRequest, who: Identity
    ) -> pb.ShardStatus:
        region, kind = route.region, route.name.partition("/")[0]
        away = pb.ShardStatus(
            name=route.name, region=region, kind=kind, epoch=route.epoch, state=route.state
        )
        if not route.address or route.state != "serving":
            return away
        try:
            wait = VERIFY_S if request.verify or request.digests else ATTEMPT_S
            call = self._stub(route).Status(request, metadata=self._speak(who), timeout=wait)
            reply = await call
        except grpc.aio.AioRpcError:
            away.state = "away"
            return away
        return reply.shards[0]

    def _known(self, kind: str, region: str) -> list[Route]:
        routes = self._routes.of_kind(kind, region)
        if not routes:
            if region and region not in self._routes.regions():
                known = ", ".join(self._routes.regions())
                raise BadRequest(f"there is no region {region}; there are {known}")
            raise Unavailable("no shard is known yet; ask again", 0.5)
        return routes

    def _kind(self, name: str) -> str:
        name = name or "shipment"
        if name not in KINDS or name not in SHARD_OF:
            raise BadRequest(f"no kind is called {name}; there are {', '.join(KINDS)}")
        return name

    def _stub(self, route: Route) -> Any:
        if route.address not in self._stubs:
            channel = grpc.aio.insecure_channel(route.address, options=grpc_server.OPTIONS)
            self._channels[route.address] = channel
            self._stubs[route.address] = rpc.TwinStub(channel)
        return self._stubs[route.address]

    def _speak(self, who: Identity) -> list[tuple[str, str]]:
        """Return metadata that carries who asks to a shard of any region."""
        plain = who._replace(expires=0)
        token, until = self._tokens.get(plain, ("", 0.0))
        if time.monotonic() > until:
            if len(self._tokens) > 256:
                self._tokens.clear()
            token = mint(
                self._folder / "key",
                name=who.name,
                scopes=sorted(who.scopes),
                tenant=who.tenant,
                ttl_s=SPEAK_S + 120,
            )
            self._tokens[plain] = (token, time.monotonic() + SPEAK_S)
        return [("authorization", f"Bearer {token}")]


def _rank(twin: pb.TwinState, name: str) -> Any:
    if name == "id":
        return twin.id
    if name not in twin.values:
        return 0
    value = twin.values[name]
    held = value.WhichOneof("value")
    found = getattr(value, held)
    return found
