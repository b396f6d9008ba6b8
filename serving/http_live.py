"""Live: one tick a second, computed once for everyone who watches.

All is bounded: the viewers, what waits for each, and how long a part may take; a viewer who does
not keep up is told so and dropped, and never slows the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from serving import http_tick
from serving.http_ports import GatewayPort
from serving.wire import twin_pb2 as pb
from twin.errors import Fatal, Overloaded, TwinError

log = logging.getLogger(__name__)

RETRY_MS = 2000


class Viewer:
    """What waits for one stream; None ends it."""

    def __init__(self, backlog: int) -> None:
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue(backlog)

    def offer(self, frame: bytes) -> bool:
        """Hand over a frame; False if the viewer has not taken the earlier ones."""
        if self.waiting.full():
            return False
        self.waiting.put_nowait(frame)
        return True

    def end(self, frame: bytes) -> None:
        """Forget what waits, say `frame` and end."""
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(frame)
        self.waiting.put_nowait(None)


class Live:
    """The stream of ticks. It works only while somebody watches.

    `viewers`: streams at once; `backlog`: ticks that may wait for one of them (2 at least);
    `patience_s`: longest wait for one part; `life_s`: longest stream, so that a browser asks again
    with its renewed cookie, and a withdrawn token ends.
    """

    def __init__(
        self,
        gateway: GatewayPort,
        *,
        period_s: float = 1.0,
        viewers: int = 32,
        backlog: int = 4,
        patience_s: float = 5.0,
        life_s: float = 300.0,
    ) -> None:
        self._gateway = gateway
        self._period_s = period_s
        self._bound = viewers
        self._backlog = max(2, backlog)
        self._patience_s = patience_s
        self._life_s = life_s
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._last: bytes | None = None
        self._number = 0
        self._told = ""

    @property
    def watching(self) -> int:
        return len(self._viewers)

    def enter(self) -> Viewer:
        """Return a new viewer. Raises Overloaded."""
        if len(self._viewers) >= self._bound:
            raise Overloaded(f"{self._bound} pages watch already; close one of them", 10.0)
        viewer = Viewer(self._backlog)
        if self._last is not None:
            viewer.offer(self._last)
        self._viewers.add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return viewer

    async def frames(self, viewer: Viewer, ticks: int = 0) -> AsyncIterator[bytes]:
        """Yield the stream of one viewer: `ticks` of them, or all until its life is over."""
        until = asyncio.get_running_loop().time() + self._life_s
        sent = 0
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while asyncio.get_running_loop().time() < until:
                frame = await viewer.waiting.get()
                if frame is None:
                    return
                yield frame
                sent += 1
                if sent == ticks:
                    return
        finally:
            self._viewers.discard(viewer)

    async def close(self) -> None:
        """End every stream: a server that waits for open ones can then stop."""
        for viewer in list(self._viewers):
            self._drop(viewer, "CLOSING", "the gateway is stopping")
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._viewers:
            began = loop.time()
            self._last = await self._frame()
            for viewer in list(self._viewers):
                if not viewer.offer(self._last):
                    self._drop(viewer, "SLOW_CONSUMER", "this page did not keep up; it asks again")
            await asyncio.sleep(max(0.0, began + self._period_s - loop.time()))
        self._last = None  # the next viewer gets a fresh one

    def _drop(self, viewer: Viewer, code: str, detail: str) -> None:
        self._viewers.discard(viewer)
        viewer.end(_encode("end", {"code": code, "detail": detail}))

    async def _frame(self) -> bytes:
        try:
            return _encode("tick", await self.compute())
        except Exception as e:  # whoever watches is told, and the next tick tries again
            if repr(e) != self._told:  # once, not each second
                self._told = repr(e)
                log.exception("no tick")
            return _encode("fault", {"code": "INTERNAL", "detail": "this second could not be read"})

    async def compute(self) -> dict[str, Any]:
        """Return the tick of now, from all that answers in time."""
        self._number += 1
        failed: dict[str, str] = {}
        status = await self._ask(
            "status", partial(self._gateway.status, pb.StatusRequest()), failed
        )
        replies = {"counts": await self._ask("counts", self._counts, failed)}
        if status is not None:
            day = http_tick.today(status.now)
            found = await asyncio.gather(
                *(
                    self._ask(name, partial(self._gateway.search, part.request(day)), failed)
                    for name, part in http_tick.PARTS.items()
                )
            )
            replies |= dict(zip(http_tick.PARTS, found, strict=True))
        kept = {name: reply for name, reply in replies.items() if reply is not None}
        return http_tick.assemble(self._number, status, kept, failed)

    async def _counts(self) -> pb.AggregateReply:
        return await self._gateway.aggregate(http_tick.COUNTS)

    async def _ask(
        self, name: str, ask: Callable[[], Awaitable[Any]], failed: dict[str, str]
    ) -> Any:
        """Return one part, or None and the reason in `failed`."""
        try:
            return await asyncio.wait_for(ask(), self._patience_s)
        except TimeoutError:
            failed[name] = f"no answer within {self._patience_s:g} s"
        except Fatal as e:
            failed[name] = e.code
        except TwinError as e:
            failed[name] = f"{e.code}: {e}"
        return None


def _encode(event: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(data))
