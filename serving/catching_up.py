"""Catching up: what subscribers missed, told from the journal, by the code that tells it live.

One private state is rebuilt at a time, whoever waits: it begins where the one who is furthest
behind was left, and the others join it where they were. Who does not read what is put before him
is dropped after a while, so that he keeps no other waiting for long.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from actors.backlog import onwards, state_at
from actors.ring import Moment
from actors.shard import Shard
from serving.telling import Entry
from serving.topics import Judged, Topic, batches, slow
from twin.changes import Needs
from twin.errors import BadRequest
from twin.membership import Members
from twin.query import View
from twin.transition import State

log = logging.getLogger(__name__)
ROWS = 5000  # judged at once
BUFFER = 4 << 20  # bytes put before one subscriber
PATIENCE_S = 10.0  # for one who does not take them


class Missed:
    """What one subscriber missed, from `since` to `until`. Put in one thread, taken in a loop."""

    def __init__(self, asked: Judged, since: int, until: int) -> None:
        self.asked, self.since, self.until = asked, since, until
        self.topic: Topic | None = None  # once the state is where it begins
        self.gone = False  # nobody takes it any more
        self._loop = asyncio.get_running_loop()
        self._held: deque[Entry] = deque()
        self._bytes = 0
        self._over = False
        self._error: BaseException | None = None
        self._room = threading.Condition()
        self._news = asyncio.Event()

    def put(self, entries: Sequence[Entry]) -> None:
        """Hand over messages, as room comes; who does not take them is dropped."""
        until = time.monotonic() + PATIENCE_S
        for entry in entries:
            with self._room:
                while self._bytes > BUFFER and not self.gone:
                    if not self._room.wait(max(0.0, until - time.monotonic())):
                        self.gone = True
                        self._error = slow()
                if self.gone:
                    return
                self._held.append(entry)
                self._bytes += entry.bytes
                until = time.monotonic() + PATIENCE_S
            self._tell()

    def end(self, error: BaseException | None = None) -> None:
        """Say that this is all, or why there is no more."""
        with self._room:
            if not self._over:
                self._over, self._error = True, self._error or error
        self._tell()

    def give_up(self) -> None:
        """Hold nothing any more, and take nothing."""
        with self._room:
            self.gone = True
            self._error = self._error or slow()
            self._held.clear()
            self._bytes = 0
            self._room.notify()
        self._tell()

    async def entries(self) -> AsyncGenerator[Entry]:
        """Yield the messages; raise what it ended with."""
        try:
            while True:
                with self._room:
                    self._news.clear()
                    entry = self._held.popleft() if self._held else None
                    if entry is not None:
                        self._bytes -= entry.bytes
                        self._room.notify()
                    over, error = self._over or self.gone, self._error
                if entry is not None:
                    yield entry
                elif error is not None:
                    raise error
                elif over:
                    return
                else:
                    await self._news.wait()
        finally:
            with self._room:
                self.gone = True
                self._room.notify()

    def _tell(self) -> None:
        self._loop.call_soon_threadsafe(self._news.set)


class CatchingUp:
    """One shard's. `missed` is called in the event loop."""

    def __init__(self, shard: Shard, clock: Callable[[], int]) -> None:
        self._shard, self._clock = shard, clock
        self._waiting: list[Missed] = []
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="catching-up")

    def missed(self, asked: Judged, since: int, until: int) -> Missed:
        """Return what changed from `since` on, up to `until`, both ends of commits, as it is read.

        Its entries raise BadRequest CURSOR_INVALID where `since` is none; Compacted, SlowConsumer,
        Fenced.
        """
        one = Missed(asked, since, until)
        with self._lock:
            self._waiting.append(one)
        self._pool.submit(self._pass)
        return one

    def _pass(self) -> None:
        with self._lock:
            some, self._waiting = sorted(self._waiting, key=lambda one: one.since), []
        some = [one for one in some if not one.gone]
        if not some:
            return
        try:
            self._tell(some)
        except BaseException as e:  # noqa: BLE001 - handed to those who wait
            for one in some:
                one.end(e)

    def _tell(self, some: Sequence[Missed]) -> None:
        state = state_at(self._shard, some[0].since)
        needs: dict[str, Needs] = {}
        for one in some:
            kind = one.asked.question.kind
            needs[kind] = needs.get(kind, Needs()) | one.asked.needs
        waiting = deque(some)
        active: list[Missed] = []
        held: list[Moment] = []
        rows = 0
        self._join(state, waiting, active)
        for at, moment in onwards(self._shard, state, max(m.until for m in some), lambda: needs):
            if moment is not None:
                held.append(moment)
                rows += sum(one.whole.size for one in moment.kinds.values())
            turns = waiting and waiting[0].since <= at
            if rows >= ROWS or turns or any(one.until <= at for one in active):
                self._flush(state, active, held, at)
                held, rows = [], 0
                self._join(state, waiting, active)
            if not active and not waiting:
                return
        self._flush(state, active, held, state.next)
        for one in (*active, *waiting):
            one.end(None if one.until <= state.next else slow())

    def _join(self, state: State, waiting: deque[Missed], active: list[Missed]) -> None:
        """Have those begin who were left where the state is."""
        while waiting and waiting[0].since <= state.next:
            one = waiting.popleft()
            if one.since < state.next:
                one.end(
                    BadRequest(
                        f"{self._shard.name} has no commit that ends at {one.since}; subscribe "
                        "anew",
                        "CURSOR_INVALID",
                    )
                )
                continue
            question = one.asked.question
            region = self._shard.rule.region
            view = View(state.live(), question.kind, question.tenant, region, self._clock())
            members = Members(np.flatnonzero(one.asked.filter.mask(view)))
            one.topic = Topic(one.asked, members, state.next)
            active.append(one)

    def _flush(self, state: State, active: list[Missed], held: Sequence[Moment], at: int) -> None:
        """Tell of some commits; let those go who have all that they missed."""
        now_us = self._clock()
        parts = list(batches(held, state.lexicon, self._shard.rule.region))
        told: Mapping[int, list[Entry]] = {
            id(one): [
                entry
                for kind, batch, of in parts
                if one.topic is not None and one.asked.question.kind == kind
                for entry in one.topic.judge(batch, of, now_us, one.topic.at)
            ]
            for one in active
        }
        self._shard.require_marker()
        for one in list(active):
            one.put(told[id(one)])
            assert one.topic is not None
            one.topic.at = at
            if one.until <= at or one.gone:
                active.remove(one)
                one.end()
