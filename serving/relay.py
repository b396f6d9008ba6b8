"""Relay: one stream of a caller, handed on to one shard, in order, and to its successor.

What a dead or replaced writer did not answer is sent again under the same ids, oldest first, so a
writer's batches keep their order and dedup makes each count once. A caller is answered by its
deadline: with what became of its batch, or with the word for who does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import grpc

from serving import faults
from serving.answers import apart, faulty
from serving.deadline import NEVER
from serving.routes import Route
from serving.wire import twin_pb2 as pb
from twin.errors import Recovering, TwinError, Unavailable

PATIENCE_S = 8.0  # for a shard that is being taken over; then the caller decides
PAUSE_S = 0.05  # between two attempts
WAITING = ("REGION_UNAVAILABLE", "STORAGE_UNAVAILABLE")  # why a writer is not started
MARGIN_S = 0.1  # of a deadline: for the answer to travel


def reachable(route: Route) -> Route:
    """Return `route` if somebody answers there. Raises Recovering, or why it is quarantined."""
    if route.state == "quarantined":
        raise faults.quarantined(route.name, route.note)
    if not route.address:
        code, _, text = route.note.partition(": ")
        if code in WAITING:
            raise faults.error(code, f"{route.name}: {text}", 1.0)
        raise Recovering(f"{route.name} is recovering; ask again", 0.3)
    return route


def patience(until: float) -> float:
    """Return until when to try for a caller who waits `until`, both on the monotonic clock."""
    now = time.monotonic()
    longest = now + PATIENCE_S
    return longest if until == NEVER else min(longest, max(now, until - MARGIN_S))


class _Handed(NamedTuple):
    request: pb.IngestRequest
    reply: asyncio.Future[pb.IngestReply]
    until: float


class Relay:
    """Hands batches to one shard. Used in one event loop."""

    def __init__(self, locate: Callable[[], Route], open_: Callable[[Route, Any], Any]) -> None:
        """`locate` names the present writer; `open_` begins an Ingest call with it."""
        self._locate = locate
        self._open = open_
        self._waiting: deque[_Handed] = deque()
        self._news = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    def hand(self, request: pb.IngestRequest, until: float) -> asyncio.Future[pb.IngestReply]:
        """Send a batch after those before it; its reply says a fault where there was one."""
        reply: asyncio.Future[pb.IngestReply] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Handed(request, reply, patience(until)))
        self._news.set()
        return reply

    def close(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                error = await self._attempt()
                late = self._waiting and time.monotonic() + PAUSE_S > self._waiting[0].until
                if late or not faults.moves(error):
                    self._refuse(error)
                elif self._waiting:
                    await asyncio.sleep(PAUSE_S)
        finally:
            for handed in self._waiting:
                handed.reply.cancel()

    async def _attempt(self) -> TwinError:
        """Serve for as long as the present writer does; return why no longer."""
        await self._next()
        try:
            await self._exchange(reachable(self._locate()))
        except grpc.aio.AioRpcError as e:
            return faults.from_grpc(e)
        except TwinError as e:
            return e
        raise AssertionError("an exchange ends with an error")

    async def _exchange(self, route: Route) -> None:
        """Send what waits, and answer it, for as long as the writer does. Always raises."""
        sent = 0
        more = asyncio.Event()

        async def requests() -> AsyncIterator[pb.IngestRequest]:
            nonlocal sent
            while True:
                while sent < len(self._waiting):
                    sent += 1
                    yield self._waiting[sent - 1].request
                more.clear()
                await more.wait()

        call = self._open(route, requests())
        wake = asyncio.ensure_future(self._wake(more))
        try:
            while True:
                await self._next()
                try:
                    async with asyncio.timeout(self._waiting[0].until - time.monotonic()):
                        reply = await call.read()
                except TimeoutError as e:
                    raise Unavailable(f"{route.name} did not answer in time", 0.5) from e
                if reply is grpc.aio.EOF:
                    raise Unavailable(f"{route.name} closed the stream without an answer", 0.2)
                for one in apart(reply):
                    if one.HasField("fault"):
                        said = one.fault
                        error = faults.error(said.code, said.message, said.retry_after_s)
                        if faults.moves(error):
                            raise error
                    sent -= 1
                    self._answer(one)
        finally:
            wake.cancel()
            call.cancel()

    async def _next(self) -> None:
        while not self._waiting:
            self._news.clear()
            await self._news.wait()

    async def _wake(self, more: asyncio.Event) -> None:
        while True:
            self._news.clear()
            more.set()
            await self._news.wait()

    def _answer(self, reply: pb.IngestReply) -> None:
        handed = self._waiting.popleft()
        reply.batch = handed.request.batch
        if not handed.reply.done():
            handed.reply.set_result(reply)

    def _refuse(self, e: TwinError) -> None:
        if self._waiting:
            self._answer(faulty(pb.IngestReply(), e))
