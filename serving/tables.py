"""Tables of a shard: columns and events as streams, read in threads, a piece at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from actors.shard import Shard
from serving import events_table, sql_columns
from serving.access import Identity
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Unavailable
from twin.transition import Snapshot

LONGEST_S = 120.0  # for a reader to take a whole table
READERS = 2  # threads: a scan of a long journal leaves one for columns


class Tables:
    """One shard's. `snapshot` gives its state as of when somebody asks."""

    def __init__(
        self, shard: Shard, clock: Callable[[], int], snapshot: Callable[[pb.When], Snapshot]
    ) -> None:
        self._shard = shard
        self._clock = clock
        self._snapshot = snapshot
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="table")

    async def columns(
        self, request: pb.ColumnsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        """Yield the exact columns of `request.tables`. Raises what sql_columns.pieces does."""
        now = self._clock()
        asked = sql_columns.Asked(self._snapshot, who.tenant, now)
        async for piece in self._each(sql_columns.pieces(self._shard, request, asked)):
            yield piece

    async def events(
        self, request: pb.EventsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        """Yield journaled events of the asker's tenant. Raises what events_table.pieces does."""
        found = events_table.pieces(self._shard, request, who.tenant, self._clock())
        async for piece in self._each(found):
            yield piece

    async def sql(self, request: pb.SqlRequest, who: Identity) -> AsyncIterator[pb.SqlReply]:
        raise BadRequest("a shard answers no SQL; ask a gateway")
        yield pb.SqlReply()

    async def _each(self, found: Iterator[Any]) -> AsyncIterator[Any]:
        """Yield what an iterator gives, one at a time, as long as its reader keeps up.

        Raises Unavailable: while a reader takes its time, what is overwritten is kept for it.
        """
        loop, until = asyncio.get_running_loop(), time.monotonic() + LONGEST_S
        while (piece := await loop.run_in_executor(self._readers, next, found, None)) is not None:
            if time.monotonic() > until:
                raise Unavailable(f"the table was not read within {LONGEST_S:g} s; ask again", 1.0)
            yield piece
