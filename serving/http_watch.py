"""Changes over HTTP: GET /v1/subscribe, an event stream that a browser resumes by itself.

An event has an id, the cursor, only where a commit ends: so the Last-Event-ID that an EventSource
sends after a break goes on behind whole commits. What is wrong with the question is an HTTP status;
what ends a stream that has begun is its last event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from serving import deadline, http_asked, http_json, http_problem, http_schema, http_session
from serving.access import Identity
from serving.http_ports import TokenPort
from serving.seats import MOST_STUCK
from serving.subscribe import STUCK_S
from serving.wire import twin_pb2 as pb
from twin.errors import Overloaded, TwinError, Unavailable

Subscribe = Callable[[pb.SubscribeRequest, Identity], AsyncIterator[pb.SubscribeReply]]
MEDIA = "text/event-stream"
RETRY_MS = 500
MOST = 64  # streams at once
LIFE_S = 300.0  # of a stream: whoever reads asks again, and shows a token that is still good
AGAIN_S = 2.0
_NAMES = ("kind", "where", "fields", "region", "cursor", "only_changes")
_ASKED = {n: a for n, a in http_asked.names(pb.SubscribeRequest).items() if n in _NAMES}


class Stream:
    """One subscription, read by a task of its own: what waits to be sent is one message."""

    def __init__(self, replies: AsyncIterator[pb.SubscribeReply]) -> None:
        self._waiting: asyncio.Queue[pb.SubscribeReply | Exception | None] = asyncio.Queue(1)
        self._task = asyncio.ensure_future(self._read(replies))

    async def next(self) -> pb.SubscribeReply | None:
        """Return the next message, None at the end. Raises what ended it."""
        found = await self._waiting.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self) -> None:
        """End it, also for who waits for the next message."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def _read(self, replies: AsyncIterator[pb.SubscribeReply]) -> None:
        end: Exception | None = None
        try:
            async for reply in replies:
                await self._waiting.put(reply)
        except Exception as e:  # noqa: BLE001 - told to who reads
            end = e
        await self._waiting.put(end)


class Watches:
    """The event streams of one gateway. All runs in one event loop."""

    def __init__(
        self,
        tokens: TokenPort,
        subscribe: Subscribe,
        *,
        most: int = MOST,
        life_s: float = LIFE_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        self._tokens, self._subscribe = tokens, subscribe
        self._most, self._life_s, self._stuck_s = most, life_s, stuck_s
        self._open: set[Stream] = set()
        self._stuck: set[Stream] = set()  # of them: whose reader takes nothing, and has no seat
        self._closed = False

    def router(self) -> APIRouter:
        found = APIRouter()
        found.add_api_route(
            "/v1/subscribe", self.answer, methods=["GET"], response_class=Response,
            **http_schema.operation(
                "get_subscribe", "Twins that match, then their changes as they come, for ever",
                query=_NAMES, fields=_ASKED, media=[MEDIA],
                schema={"type": "string", "description": "server-sent events: docs/subscribe.md"},
            ),
        )  # fmt: skip
        return found

    async def answer(self, request: Request) -> Response:
        """Answer with events; `Last-Event-ID` goes on behind one, in place of `cursor`."""
        who = http_session.enter(self._tokens, request)
        said = http_asked.of_query(_ASKED, request.query_params.multi_items())
        if last := request.headers.get("last-event-id", ""):
            said["cursor"] = last
        asked = http_asked.message(pb.SubscribeRequest, _ASKED, said)
        assert isinstance(asked, pb.SubscribeRequest)
        if self._closed:
            raise Unavailable("this gateway is stopping; ask again", AGAIN_S)
        if len(self._open) - len(self._stuck) >= self._most:
            raise Overloaded(f"{self._most} streams are open; close one of them", AGAIN_S)
        deadline.begin(None)
        events = self._events(asked, who)
        first = await anext(events)  # what is wrong with the question is said before it begins
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_chained(first, events), headers=headers, media_type=MEDIA)

    async def close(self) -> None:
        """End every stream, let none begin: a server that waits for open ones can then stop."""
        self._closed = True
        await asyncio.gather(*(stream.close() for stream in list(self._open)))

    async def _events(
        self, asked: pb.SubscribeRequest, who: Identity
    ) -> AsyncGenerator[bytes, None]:
        """Yield an event for each message, until the stream's life is over or it fails."""
        until = asyncio.get_running_loop().time() + self._life_s
        begun = False
        stream = Stream(self._subscribe(asked, who))
        self._open.add(stream)
        try:
            while (reply := await stream.next()) is not None:
                stuck = asyncio.get_running_loop().call_later(self._stuck_s, self._unseat, stream)
                try:
                    yield event(reply)
                finally:
                    stuck.cancel()
                begun = True
                if not reply.more and asyncio.get_running_loop().time() > until:
                    return
        except TwinError as e:
            if not begun:
                raise
            told = http_problem.problem(e)
            data = {"code": told.code, "detail": told.detail, "retry_after": told.retry_after}
            yield _encoded("end", data)
        finally:
            self._open.discard(stream)
            self._stuck.discard(stream)
            await stream.close()

    def _unseat(self, stream: Stream) -> None:
        """Have another take the seat of a reader who takes nothing. Its connection stays open."""
        if len(self._stuck) < MOST_STUCK:
            self._stuck.add(stream)


def event(reply: pb.SubscribeReply) -> bytes:
    """Return a message as an event, whose id is its cursor where a commit ends."""
    data = {
        "changes": [http_json.plain(change) for change in reply.changes],
        "snapshot": reply.snapshot,
        "synced": reply.synced,
        "more": reply.more,
        "mode": http_json.mode(reply),
        "now": http_json.rfc3339(reply.now),
    }
    name = "changes" if reply.changes else "bookmark"
    return _encoded(name, data, "" if reply.more else reply.cursor)


def _encoded(name: str, data: dict[str, Any], id: str = "") -> bytes:
    head = f"id: {id}\n" if id else ""
    return b"%bevent: %b\ndata: %b\n\n" % (head.encode(), name.encode(), msgspec.json.encode(data))


async def _chained(first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(events):
        yield f"retry: {RETRY_MS}\n\n".encode() + first
        async for one in events:
            yield one
