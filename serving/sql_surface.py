"""The query process's answers: a statement is checked, its columns are fetched, it is run.

Two statements run at once and a few wait; each is ended in time, or when nobody waits for it any
more. The process holds no state of its own: whoever ends it loses answers under way, and nothing.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from serving import deadline
from serving.access import Identity
from serving.shards import Shards
from serving.sql import AGAIN_S, Parser, Result, Sandbox, empty
from serving.sql_fetch import Cache, Fetch, Taken
from serving.sql_statement import Statement
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Overloaded

log = logging.getLogger(__name__)
RUNNING, WAITING = 2, 8
LONGEST_S = 10.0  # for one statement, its columns included
GRACE_S = 10.0  # for it to end once it is interrupted
LIMIT, MOST = 100_000, 1_000_000  # rows
PIECE = 1 << 20  # bytes of an answer in one message
T = TypeVar("T")
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
        grace_s: float = GRACE_S,
        end: Callable[[int], Any] = os._exit,
        cache: Cache | None = None,
    ) -> None:
        """`end` ends the process when a statement goes on for `grace_s` though interrupted."""
        self._clock = clock
        self._grace_s = grace_s
        self._end_process = end
        self._shards = Shards(folder)
        self._fetch = Fetch(self._shards, cache)
        self._parser = Parser()
        self._sandboxes: asyncio.Queue[Sandbox] = asyncio.Queue()
        for _ in range(running):
            self._sandboxes.put_nowait(Sandbox())
        self._ending: dict[Sandbox, asyncio.Future[None]] = {}
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="statement")
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="parser")
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
        """Return the columns that a statement would answer with. Raises as `sql` does."""

        async def found() -> pa.Schema:
            statement = await self._read(request.sql)
            sandbox = await self._sandboxes.get()
            try:
                limit = 0 if statement.needs_rows else 1
                now = self._now(request)
                run = partial(sandbox.run, statement, empty(), now, limit, values)
                return (await self._run(sandbox, run)).schema
            finally:
                self._free(sandbox)

        return await self._timely(found())

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
        return await self._timely(self._answered(request, who, limit, values))

    async def _timely(self, work: Coroutine[Any, Any, T]) -> T:
        """Await one statement's work, unless too many are inside; end it when its time is up."""
        if self._inside >= self._bound:
            work.close()
            raise Overloaded(f"{self._inside} statements run or wait already; ask again", 1.0)
        self._inside += 1
        until = min(time.monotonic() + self._longest_s, deadline.until())
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await work
        except TimeoutError as e:
            raise BadRequest(TOO_LONG.format(self._longest_s), "SQL_TIMEOUT") from e
        finally:
            self._inside -= 1

    async def _answered(
        self, request: pb.SqlRequest, who: Identity, limit: int, values: Sequence[Any]
    ) -> Answer:
        statement = await self._read(request.sql)
        sandbox = await self._sandboxes.get()  # before the columns, which take memory too
        try:
            now = self._now(request)
            if statement.needs_rows:
                await self._run(sandbox, partial(sandbox.bind, statement, now, values))
                taken = await self._fetch.take(statement, request, who, now)
            else:
                taken = Taken(empty(), {}, [], now)
            run = (statement, taken.tables, taken.now_us, limit, values)
            result = await self._run(sandbox, partial(sandbox.run, *run))
        finally:
            self._free(sandbox)
        return Answer(result, taken.offsets, taken.missing, taken.now_us)

    def _now(self, request: pb.SqlRequest) -> int:
        """Return the time that a statement is told: that of the moment it asks about."""
        return request.when.at or request.when.known_at or self._clock()

    async def _run(self, sandbox: Sandbox, work: Callable[[], T]) -> T:
        """Return what a sandbox makes of a statement."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:  # nobody waits for it any more
            self._ending[sandbox] = asyncio.ensure_future(self._end(sandbox, running))
            raise

    async def _end(self, sandbox: Sandbox, running: asyncio.Future[Any]) -> None:
        """Interrupt a statement until it has ended: an interrupt that comes too soon is lost.

        One function call may go on for minutes and see none: then this process ends instead.
        """
        until = time.monotonic() + self._grace_s
        while not running.done():
            sandbox.stop()
            await asyncio.wait([running], timeout=AGAIN_S)
            if not running.done() and time.monotonic() > until:
                log.critical("a statement cannot be interrupted: this process ends")
                self._end_process(1)
                return
        running.exception()  # nobody asks for it
        del self._ending[sandbox]
        self._free(sandbox)

    def _free(self, sandbox: Sandbox) -> None:
        """Give a sandbox to the next statement, unless one that is being ended is still in it."""
        if sandbox not in self._ending:
            self._sandboxes.put_nowait(sandbox)

    async def _read(self, text: str) -> Statement:
        read = partial(self._parser.read, text)
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)
