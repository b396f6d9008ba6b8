"""Shards as a gateway asks them: located, spoken to for somebody, patiently while one moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from serving import faults, grpc_server
from serving.access import Identity, mint
from serving.routes import Route, Routes
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import (
    BadRequest,
    Fenced,
    NotOwner,
    Recovering,
    Retryable,
    TwinError,
    Unavailable,
)

PATIENCE_S = 8.0  # for a shard that is being taken over; then the caller decides
ATTEMPT_S = 5.0  # for one answer of one shard
VERIFY_S = 100.0  # for a shard to rebuild its state from its journal
SPEAK_S = 600  # how long a token on somebody's behalf is used


class Shards:
    """Every shard of a data directory, from within one event loop."""

    def __init__(self, folder: Path) -> None:
        self.routes = Routes(folder)
        self._folder = folder
        self._channels: dict[str, Any] = {}
        self._stubs: dict[str, Any] = {}
        self._tokens: dict[Identity, tuple[str, float]] = {}

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def hand(self, name: str, request: pb.IngestRequest, who: Identity) -> pb.IngestReply:
        """Give a batch to a shard, again to its successor if need be: dedup makes that safe."""

        async def one(route: Route) -> pb.IngestReply:
            async def only() -> AsyncIterator[pb.IngestRequest]:
                yield request

            call = self.stub(route).Ingest(only(), metadata=self.speak(who), timeout=PATIENCE_S)
            async for reply in call:
                if reply.HasField("fault"):
                    fault = reply.fault
                    raise faults.error(fault.code, fault.message, fault.retry_after_s)
                return reply
            raise Unavailable(f"{name} closed the stream without an answer", 0.2)

        return await self._patiently(name, one)

    async def ask(self, route: Route, method: str, request: Any, who: Identity) -> Any:
        async def one(current: Route) -> Any:
            call = getattr(self.stub(current), method)
            reply = await call(request, metadata=self.speak(who), timeout=ATTEMPT_S)
            return reply

        return await self._patiently(route.name, one)

    async def _patiently(self, name: str, attempt: Callable[[Route], Awaitable[Any]]) -> Any:
        """Ask whoever writes a shard, and its successor while a takeover is under way."""
        until = time.monotonic() + PATIENCE_S
        while True:
            route = self.routes.all()[name]
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

    async def all(
        self, routes: Sequence[Route], method: str, request: Any, who: Identity
    ) -> tuple[list[Any], list[str]]:
        """Return the answers of all shards that gave one, and the names of the others."""
        answers = await asyncio.gather(
            *(self.ask(route, method, request, who) for route in routes), return_exceptions=True
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

    async def status(
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
            call = self.stub(route).Status(request, metadata=self.speak(who), timeout=wait)
            reply = await call
        except grpc.aio.AioRpcError:
            away.state = "away"
            return away
        return reply.shards[0]

    def known(self, kind: str, region: str) -> list[Route]:
        routes = self.routes.of_kind(kind, region)
        if not routes:
            if region and region not in self.routes.regions():
                known = ", ".join(self.routes.regions())
                raise BadRequest(f"there is no region {region}; there are {known}")
            raise Unavailable("no shard is known yet; ask again", 0.5)
        return routes

    def stub(self, route: Route) -> Any:
        if route.address not in self._stubs:
            channel = grpc.aio.insecure_channel(route.address, options=grpc_server.OPTIONS)
            self._channels[route.address] = channel
            self._stubs[route.address] = rpc.TwinStub(channel)
        return self._stubs[route.address]

    def speak(self, who: Identity) -> list[tuple[str, str]]:
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
