"""Pipelining: requests of one stream worked on side by side, answered in the order they came.

At most `window` are under way; when the caller goes away, all of them are called off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


async def pipelined(
    requests: AsyncIterator[Asked], work: Callable[[Asked], Awaitable[Answer]], window: int
) -> AsyncIterator[Answer]:
    """Yield `await work(request)` for each request. Raises what `work` or `requests` raises."""
    under_way: asyncio.Queue[asyncio.Future[Answer] | None] = asyncio.Queue(window)
    begun: set[asyncio.Future[Answer]] = set()

    async def read() -> None:
        try:
            async for request in requests:
                task = asyncio.ensure_future(work(request))
                begun.add(task)
                task.add_done_callback(begun.discard)
                await under_way.put(task)
        except asyncio.CancelledError:
            raise  # nobody takes from the queue any more
        except BaseException:
            await under_way.put(None)
            raise
        await under_way.put(None)

    reader = asyncio.ensure_future(read())
    try:
        while (task := await under_way.get()) is not None:
            yield await task
        await reader
    finally:
        reader.cancel()
        for task in list(begun):
            task.cancel()
