"""The query process's answers: a statement is checked, its columns are fetched, it is run.

Two statements run at once and a few wait; each is ended in time, or when nobody waits for it any
more. The process holds no state of its own: whoever ends it loses answers under way, and nothing.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from serving import deadline
from serving.access import Identity
from serving.shards import Shards
from serving.sql import AGAIN_S, Catalogue, Result, Slot
from serving.sql_fetch import Cache, Fetch
from serving.sql_statement import Statement
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Overloaded

RUNNING, WAITING = 2, 8
LONGEST_S = 10.0  # for one statement, its columns included
LIMIT, MOST = 100_000, 1_000_000  # rows
PIECE = 1 << 20  # bytes of an answer in one message
TOO_LONG = "the statement took longer than {:g} s and was ended; narrow it, or ask for less"


class Answer(NamedTuple):
    """What a statement answers, and how that came about."""

    result: Result
    offsets: dict[str, int]
    missing: list[str]
    now_us: int


class SqlSurface:
    """Answers SQL for whoever asks. All methods run in one event loop."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], int],
        *,
        running: int = RUNNING,
        waiting: int = WAITING,
        longest_s: float = LONGEST_S,
        cache: Cache | None = None,
    ) -> None:
        self._clock = clock
        self._shards = Shards(folder)
        self._fetch = Fetch(self._shards, cache)
        self._catalogue = Catalogue()
        self._slots: asyncio.Queue[Slot] = asyncio.Queue()
        for _ in range(running):
            self._slots.put_nowait(Slot())
        self._ending: set[asyncio.Future[None]] = set()
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="statement")
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="catalogue")
        self._longest_s = longest_s
        self._bound = running + waiting
        self._inside = 0

    async def close(self) -> None:
        """Let go of the shards. What still runs ends with the process."""
        await self._shards.close()

    async def sql(self, request: pb.SqlRequest, who: Identity) -> AsyncIterator[pb.SqlReply]:
        """Yield an answer as one Arrow stream in pieces; the last message says how it came about.

        Raises BadRequest with a code word that begins SQL_, Overloaded, or what a shard raises.
        """
        answer = await self.answer(request, who)
        result, sink = answer.result, io.BytesIO()
        with pa.ipc.new_stream(sink, result.schema) as writer:
            for batch in result.batches:
                writer.write_batch(batch)
                raw = sink.getvalue()
                whole = len(raw) - len(raw) % PIECE
                for at in range(0, whole, PIECE):
                    yield pb.SqlReply(arrow=raw[at : at + PIECE])
                sink.seek(0)
                sink.truncate()
                sink.write(raw[whole:])
        yield pb.SqlReply(
            arrow=sink.getvalue(),
            last=True,
            rows=result.rows,
            mode=pb.DEGRADED if answer.missing else pb.NORMAL,
            now=answer.now_us,
            offsets=answer.offsets,
            truncated=result.truncated,
            missing=answer.missing,
        )

    async def schema(self, request: pb.SqlRequest, values: Sequence[Any] = ()) -> pa.Schema:
        """Return what a statement would answer, without running it. Raises as `sql` does."""
        statement = await self._read(request.sql)
        if not statement.needs_rows:
            return (await self._told(statement, 1)).schema
        bind = partial(self._catalogue.bind, statement, self._clock(), values)
        return await asyncio.get_running_loop().run_in_executor(self._readers, bind)

    async def parameters(self, text: str) -> int:
        """Return how many values a statement takes for its ?. Raises as `sql` does."""
        return (await self._read(text)).parameters

    async def answer(
        self, request: pb.SqlRequest, who: Identity, values: Sequence[Any] = ()
    ) -> Answer:
        """Answer a statement; `values`: of its ? in order. Raises as `sql` does."""
        limit = request.limit or LIMIT
        if not 0 < limit <= MOST:
            raise BadRequest(f"a limit is 1 to {MOST} rows, not {limit}; ask in parts")
        if self._inside >= self._bound:
            raise Overloaded(f"{self._inside} statements run or wait already; ask again", 1.0)
        self._inside += 1
        until = min(time.monotonic() + self._longest_s, deadline.until())
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._answered(request, who, limit, values)
        except TimeoutError as e:
            raise BadRequest(TOO_LONG.format(self._longest_s), "SQL_TIMEOUT") from e
        finally:
            self._inside -= 1

    async def _answered(
        self, request: pb.SqlRequest, who: Identity, limit: int, values: Sequence[Any]
    ) -> Answer:
        statement = await self._read(request.sql)
        if not statement.needs_rows:
            return Answer(await self._told(statement, limit), {}, [], self._clock())
        loop = asyncio.get_running_loop()
        now = self._clock()
        bind = partial(self._catalogue.bind, statement, now, values)
        await loop.run_in_executor(self._readers, bind)
        slot = await self._slots.get()  # before the columns, which take memory too
        try:
            taken = await self._fetch.take(statement, request, who, now)
            run = partial(slot.run, statement, taken.tables, taken.now_us, limit, values)
            running = loop.run_in_executor(self._threads, run)
        except BaseException:
            self._slots.put_nowait(slot)
            raise
        running.add_done_callback(partial(self._free, slot))
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:  # nobody waits for it any more
            ending = asyncio.ensure_future(_end(slot, running))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            raise
        return Answer(result, taken.offsets, taken.missing, taken.now_us)

    def _free(self, slot: Slot, ran: asyncio.Future[Result]) -> None:
        self._slots.put_nowait(slot)
        if not ran.cancelled():
            ran.exception()  # of one that was ended nobody asks

    async def _read(self, text: str) -> Statement:
        read = partial(self._catalogue.read, text)
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    async def _told(self, statement: Statement, limit: int) -> Result:
        tell = partial(self._catalogue.answer, statement, self._clock(), limit)
        return await asyncio.get_running_loop().run_in_executor(self._readers, tell)


async def _end(slot: Slot, running: asyncio.Future[Result]) -> None:
    """Interrupt a statement until it has ended: an interrupt that comes too soon is lost."""
    while not running.done():
        slot.stop()
        await asyncio.wait([running], timeout=AGAIN_S)
