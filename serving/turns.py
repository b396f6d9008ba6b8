"""Turns: a short read goes before the next commit.

Two threads of one interpreter that compute at once take twice as long each; one after the other,
the first takes no longer than alone. So a commit waits for a read that has just begun, for a few
milliseconds at most: a long read delays one commit, not every one, and what is urgent waits for
none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST_S = 0.005  # from the begin of a read: most are done then


class Turns:
    """The reads under way in one shard. Used in one event loop."""

    def __init__(self, most_s: float = MOST_S) -> None:
        self._most_s = most_s
        self._reading = 0
        self._until = 0.0  # on the loop's clock: for how long a commit waits for them
        self._free = asyncio.Event()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Have the next commit wait for what is done within."""
        self._reading += 1
        self._until = asyncio.get_running_loop().time() + self._most_s
        try:
            yield
        finally:
            self._reading -= 1
            if not self._reading:
                self._free.set()

    def hurry(self) -> None:
        """Have the commit that waits wait no longer."""
        self._free.set()

    async def commit(self) -> None:
        """Return when no read is under way that has just begun."""
        left = self._until - asyncio.get_running_loop().time()
        if not self._reading or left <= 0:
            return
        self._free.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(left, self._most_s)):
                await self._free.wait()
