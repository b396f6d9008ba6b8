"""Pipelining: requests of one stream begun one after the other, answered in the order they came.

At most `window` are under way; when the caller goes away, all of them are called off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


async def pipelined(
    requests: AsyncIterator[Asked],
    begin: Callable[[Asked], Awaitable[asyncio.Future[Answer]]],
    window: int,
) -> AsyncIterator[list[Answer]]:
    """Yield the answers that are there, all at once: a turn of the loop costs more than most.

    `begin` starts a request and returns the future of its answer; the next is begun only then, so
    requests keep their order. Raises what `begin`, a future or `requests` raises.
    """
    begun: deque[asyncio.Future[Answer]] = deque()
    news, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        try:
            async for request in requests:
                begun.append(await begin(request))
                news.set()
                if len(begun) >= window:
                    room.clear()
                    await room.wait()
        finally:
            news.set()

    reader = asyncio.ensure_future(read())
    try:
        while begun or not reader.done():
            if not begun:
                news.clear()
                await news.wait()
                continue
            answers = [await begun[0]]
            begun.popleft()
            while begun and begun[0].done():
                answers.append(begun.popleft().result())
            room.set()
            yield answers
        await reader
    finally:
        reader.cancel()
        for future in begun:
            if not future.cancel() and not future.cancelled():
                future.exception()  # looked at: nobody else will
