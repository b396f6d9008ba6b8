"""Shards as a gateway asks them: located, spoken to for somebody, patiently while one moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from serving import deadline, faults, grpc_server
from serving.access import Identity, mint
from serving.relay import PAUSE_S, Relay, patience, reachable
from serving.routes import Route, Routes
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import (
    AsOfTooEarly,
    BadRequest,
    Behind,
    Compacted,
    Fatal,
    Retryable,
    Stale,
    TwinError,
    Unavailable,
)

ATTEMPT_S = 5.0  # for one answer of one shard
VERIFY_S = 100.0  # for a shard to rebuild its state from its journal
PAST_S = 60.0  # for one answer about an earlier moment, which may have to be built
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

    def relay(self, name: str, who: Identity) -> Relay:
        """Return what hands somebody's batches to a shard, and to its successor if need be."""

        def open_(route: Route, requests: Any) -> Any:
            return self.stub(route).Ingest(requests, metadata=self.speak(who))

        return Relay(partial(self.routes.named, name), open_)

    async def ask(self, route: Route, method: str, request: Any, who: Identity) -> Any:
        """Ask whoever writes a shard, and its successor while a takeover is under way."""
        until, attempt = patience(deadline.until()), allowed(request)
        while True:
            error: TwinError
            try:
                current = reachable(self.routes.named(route.name))
                end = until if attempt == ATTEMPT_S else deadline.until()
                left = max(0.0, end - time.monotonic())
                call = getattr(self.stub(current), method)
                return await call(request, metadata=self.speak(who), timeout=min(attempt, left))
            except grpc.aio.AioRpcError as e:
                error = faults.from_grpc(e)
            except TwinError as e:
                error = e
            if not faults.moves(error) or time.monotonic() + PAUSE_S > until:
                raise error
            await asyncio.sleep(PAUSE_S)

    async def all(
        self, routes: Sequence[Route], method: str, request: Any, who: Identity
    ) -> tuple[list[Any], list[str]]:
        """Return the answers of all shards that gave one, and the names of the others."""
        answers = await asyncio.gather(
            *(self.ask(route, method, request, who) for route in routes), return_exceptions=True
        )
        missing: list[str] = []
        early: list[AsOfTooEarly] = []
        for route, answer in zip(routes, answers, strict=True):
            if isinstance(answer, Stale | Behind):  # it answers, but not as it was asked to
                raise answer
            if isinstance(answer, Retryable | Fatal):  # it moves, or is quarantined
                missing.append(route.name)
            elif isinstance(answer, AsOfTooEarly):  # it has nothing to say of a time before it
                early.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
        if early and len(early) == len(routes):
            raise early[0]
        if routes and len(missing) == len(routes):
            if gone := [answer for answer in answers if isinstance(answer, Compacted)]:
                raise gone[0]
            if broken := [answer for answer in answers if isinstance(answer, Fatal)]:
                raise broken[0]
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


def allowed(request: Any) -> float:
    """Return how long one shard may take for an answer: longer where it is about the past."""
    for name in ("when", "before", "after"):
        when = getattr(request, name, None)
        if getattr(when, "at", 0) or getattr(when, "known_at", 0):
            return PAST_S
    return ATTEMPT_S
