"""The past as a shard answers for it: the state and single twins as of the moment that is asked.

Tables of an earlier moment are built one at a time, in a thread of their own; a question about one
twin walks its chain in another. No question about the past waits on the writer, nor it on one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from actors.past import Past
from actors.shard import Shard
from serving.cells import point
from serving.wire import twin_pb2 as pb
from twin.chain import END
from twin.errors import AsOfFuture, Overloaded
from twin.kinds import Kind
from twin.past import Moment
from twin.query import View
from twin.transition import Snapshot
from twin.why import instant

MOST_WAITING = 16  # questions that wait for a table of the past: each may take seconds
AGAIN_S = 1.0
T = TypeVar("T")


class Then:
    """One shard's. `state` may be called from any thread; the rest from the event loop."""

    def __init__(self, shard: Shard, clock: Callable[[], int]) -> None:
        self.shard = shard
        self.past = Past(shard)
        self._clock = clock
        self._tables = ThreadPoolExecutor(1, thread_name_prefix="past-table")
        self._chains = ThreadPoolExecutor(1, thread_name_prefix="past-chain")
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def moment(self, when: pb.When) -> Moment:
        """Return what a request means by `when`. Raises AsOfFuture."""
        now = self._clock()
        for name, asked in (("at", when.at), ("known_at", when.known_at)):
            if asked > now:
                raise AsOfFuture(
                    f"`{name}` is later than the twin's clock, which shows {instant(now)}; ask "
                    "about the past"
                )
        return Moment(when.at or END, when.known_at or END)

    def now(self, when: pb.When) -> int:
        """Return what the clock showed at a moment: ages are as of then."""
        return when.at or when.known_at or self._clock()

    def state(self, when: pb.When) -> Snapshot:
        """Return the whole state as of a moment; now, if none is set. It may take seconds.

        Raises AsOfFuture, AsOfTooEarly, Compacted, Overloaded.
        """
        if not asked(when):
            return self.shard.snapshot()
        moment = self.moment(when)
        if (kept := self.past.kept(moment)) is not None:
            return kept
        if not self._waiting.acquire(blocking=False):
            raise Overloaded(f"{self.shard.name} is asked about many moments at once", AGAIN_S)
        try:
            return self._tables.submit(self.past.snapshot, moment).result()
        finally:
            self._waiting.release()

    async def view(self, kind: str, tenant: str, when: pb.When) -> View:
        """Return one kind as a tenant saw it at a moment, or sees it now."""
        if asked(when):
            self.shard.require_ready()
            snapshot = await self._table(self.moment(when))
        else:
            snapshot = self.shard.snapshot()
        return View(snapshot, kind, tenant, self.shard.rule.region, self.now(when))

    async def get(self, kind: Kind, request: pb.GetRequest, tenant: str) -> pb.GetReply:
        """Return one twin as of a moment. Raises UnknownKey where it was not there yet."""
        moment, now = self.moment(request.when), self.now(request.when)

        def work() -> pb.GetReply:
            def look(kind: str, tenant: str, id: str) -> Any:
                return self.past.row(kind, tenant, id, moment)

            return point(self.shard, kind, request, tenant, lambda: now, look)

        return await self.walk(work)

    async def walk(self, work: Callable[[], T]) -> T:
        """Run what reads chains of a few twins."""
        self.shard.require_ready()
        return await asyncio.get_running_loop().run_in_executor(self._chains, work)

    async def _table(self, moment: Moment) -> Snapshot:
        loop = asyncio.get_running_loop()
        kept = await loop.run_in_executor(self._chains, self.past.kept, moment)
        if kept is not None:
            return kept
        if not self._waiting.acquire(blocking=False):
            raise Overloaded(f"{self.shard.name} is asked about many moments at once", AGAIN_S)
        try:
            return await loop.run_in_executor(self._tables, self.past.snapshot, moment)
        finally:
            self._waiting.release()


def asked(when: pb.When) -> bool:
    """Say whether a question is about another moment than now."""
    return bool(when.at or when.known_at)
