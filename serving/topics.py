"""Topics: what many subscribers of one question are told, judged once and kept for a while.

A topic is a question (kind, tenant, filter, fields) with the twins that match it now, and a
bounded log of the newest messages. A subscriber has a place in a log and nothing else, so one who
does not read costs nothing, delays nobody, and is dropped when the log has moved on. What the ring
holds is judged off the writer's thread, all topics together; where commits are many, judging
rests between two rounds, so that it takes a fifth of the time and more are judged at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from actors.ring import BYTES, Moment, Ring
from actors.shard import Shard
from serving.telling import Entry, Teller
from twin.changes import Needs
from twin.errors import SlowConsumer, TwinError
from twin.filters import Filter
from twin.lexicon import Lexicon
from twin.membership import Batch, Held, Members, judge
from twin.query import View

log = logging.getLogger(__name__)
LOG_ENTRIES, LOG_BYTES = 8192, 8 << 20  # of each topic
LOGS_BYTES = 128 << 20  # of all
BRIEF = 64  # rows times topics that are judged in the event loop: under a millisecond
REST = 4.0  # times as long as judging took, before the next, where commits are many
LONGEST_REST_S = 0.2
LINGER_S = 60.0  # for which a topic that nobody follows is kept: its subscribers may come back
MOST_LINGERING = 64
SWEEP_S = 1.0
MANY = 1000  # rows: where commits are small, what is judged is told at once
AGAIN_S = 0.2
T = TypeVar("T")


class Question(NamedTuple):
    """What is subscribed to. `sets`: a hash of what sub-queries found."""

    kind: str
    tenant: str
    where: str
    fields: tuple[str, ...]
    sets: bytes


class Judged(NamedTuple):
    """A question with what is made of it once."""

    question: Question
    filter: Filter
    teller: Teller
    needs: Needs


class Topic:
    """One question's twins and newest messages. Judged by one thread at a time."""

    def __init__(self, asked: Judged, members: Members, at: int) -> None:
        self.asked = asked
        self.members = members
        self.at = at  # everything before this offset is judged
        self.begin = at  # ... and told in the log, from this offset on
        self.followers = 0
        self.left_at = time.monotonic()  # when the last follower left
        self.error: BaseException | None = None  # why nothing more is told here
        self.first = 0  # number of the oldest entry of the log
        self._log: deque[Entry] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    @property
    def next(self) -> int:
        return self.first + len(self._log)

    @property
    def bytes(self) -> int:
        return self._bytes + self.members.bytes

    def judge(self, batch: Batch, held: Held, now_us: int, begin: int) -> list[Entry]:
        """Return what is told of a batch; the members are then those behind it."""
        view = batch.view(held, self.asked.question.tenant, now_us)
        verdict = judge(batch, view, self.asked.filter, self.members, self.asked.needs.shows)
        return self.asked.teller.entries(batch, view, verdict, begin, held.names[batch.kind])

    def publish(self, entries: Iterable[Entry], at: int, most: int = LOG_BYTES) -> None:
        """Put messages into the log, `most` bytes; say to those who wait that there are some."""
        before = self.next
        for entry in entries:
            self._log.append(entry)
            self._bytes += entry.bytes
        self.at = at
        while len(self._log) > LOG_ENTRIES or (self._bytes > most and len(self._log) > 1):
            gone = self._log.popleft()
            self._bytes -= gone.bytes
            self.first += 1
            self.begin = gone.end
        if self.next > before:
            self._wake()

    def fail(self, error: BaseException) -> None:
        """Say to all followers why nothing more comes."""
        self.error = error
        self._wake()

    def place(self, offset: int) -> int:
        """Return the number of the entry behind an offset. Raises SlowConsumer where it is gone."""
        if self.error is not None:
            raise self.error
        if offset < self.begin:
            raise slow()
        for i, entry in enumerate(self._log):
            if entry.end > offset:
                return self.first + i
        return self.next

    def entry(self, number: int) -> Entry | None:
        """Return an entry of the log, None if it has not come. Raises SlowConsumer if gone."""
        if self.error is not None:
            raise self.error
        if number < self.first:
            raise slow()
        return self._log[number - self.first] if number < self.next else None

    async def wait(self, seconds: float) -> None:
        """Wait for news, so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Begun(NamedTuple):
    """A topic, and the twins that match as of a snapshot that its log goes on from."""

    topic: Topic
    view: View
    rows: NDArray[np.int64]


class Topics:
    """Every topic of one shard, and the task that judges for them. Used in one event loop."""

    def __init__(self, shard: Shard, clock: Callable[[], int], most: int = BYTES) -> None:
        self._shard, self._clock = shard, clock
        self._of: dict[Question, Topic] = {}
        self._coming: dict[Question, Judged] = {}
        self._making: dict[Question, asyncio.Event] = {}
        self._laying = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = False  # the task judges
        self._called = False  # the loop was told of a commit, and has not looked yet
        self._judging = ThreadPoolExecutor(1, thread_name_prefix="changes")
        self._reading = ThreadPoolExecutor(2, thread_name_prefix="first-answer")
        self.ring = Ring(shard, self._commit, most)
        shard.watches = (*shard.watches, self.ring.watch)

    def __len__(self) -> int:
        return len(self._of)

    @property
    def bytes(self) -> int:
        """Return the memory that topics and the ring take."""
        return self.ring.bytes + sum(topic.bytes for topic in self._of.values())

    @property
    def followers(self) -> int:
        return sum(topic.followers for topic in self._of.values())

    def known(self, question: Question) -> Topic | None:
        """Return the topic of a question, if there is one."""
        return self._of.get(question)

    async def begun(self, asked: Judged) -> Begun:
        """Return the topic of a question, and the twins that match now: what the log goes on from.

        Raises what the filter raises, and Recovering or Fenced.
        """
        question = asked.question
        while question in self._making:
            await self._making[question].wait()
        if (topic := self._of.get(question)) is not None:
            view, rows = await self.read(partial(self._look, asked))
            return Begun(topic, view, rows)
        self._loop = asyncio.get_running_loop()
        self._making[question], self._coming[question] = asyncio.Event(), asked
        try:
            found = await self.read(partial(self._begin, asked))
            self._of[question] = found.topic
            self._work_on()
        finally:
            del self._coming[question]
            self._making.pop(question).set()
        return found

    async def read(self, work: Callable[[], T]) -> T:
        """Return what `work` comes to, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    async def close(self) -> None:
        """End the task that judges."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, asked: Judged) -> Begun:
        self._lay()  # first: so that the ring has all that the snapshot lacks
        view, rows = self._look(asked)
        return Begun(Topic(asked, Members(rows), view.snapshot.offset), view, rows)

    def _look(self, asked: Judged) -> tuple[View, NDArray[np.int64]]:
        question, region = asked.question, self._shard.rule.region
        shot = self._shard.snapshot()
        view = View(shot, question.kind, question.tenant, region, self._clock())
        rows = np.flatnonzero(asked.filter.mask(view))
        self._shard.require_marker()
        return view, rows

    def _lay(self) -> None:
        """Have the ring keep what the topics that there are, and those to come, need."""
        with self._laying:
            needs: dict[str, Needs] = {}
            every = [*(topic.asked for topic in list(self._of.values())), *self._coming.values()]
            for asked in every:
                kind = asked.question.kind
                needs[kind] = needs.get(kind, Needs()) | asked.needs
            self.ring.require(needs)

    def _commit(self) -> None:
        """In the writer's thread: have the loop look, once."""
        if not self._called and self._loop is not None:
            self._called = True
            with suppress(RuntimeError):  # the loop has ended, and nobody listens
                self._loop.call_soon_threadsafe(self._look_now)

    def _look_now(self) -> None:
        """Judge at once what is little, as a commit of few events; leave the rest to the task."""
        self._called = False
        if self._busy or len({topic.at for topic in self._of.values()}) != 1:
            self._woken.set()
            return
        topics = list(self._of.values())
        found = self.ring.since(topics[0].at)
        if found is None or _rows(found[0]) * len(topics) > BRIEF:
            self._woken.set()
            return
        moments, end = found
        try:
            self._publish(topics, self._judge(topics, moments), end)
        except Exception as e:  # noqa: BLE001 - told to the subscribers; ingest goes on
            self._fail(topics, e)

    def _work_on(self) -> None:
        self._woken.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._of:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._woken.wait()
            self._woken.clear()
            self._called, self._busy = False, True
            try:
                await self._step()
            finally:
                self._busy = False
            await self._sweep()

    async def _step(self) -> None:
        """Judge what was committed since, and publish it; rest where that was much."""
        together: dict[int, list[Topic]] = {}
        for topic in self._of.values():
            together.setdefault(topic.at, []).append(topic)
        loop = asyncio.get_running_loop()
        for at, topics in together.items():
            found = self.ring.since(at)
            if found is None:  # more was committed than can be judged
                self._drop(topics, slow())
                continue
            moments, end = found
            start = time.monotonic()
            try:
                work = partial(self._judge, topics, moments)
                self._publish(topics, await loop.run_in_executor(self._judging, work), end)
            except Exception as e:  # noqa: BLE001 - as above
                self._fail(topics, e)
            if _rows(moments) > MANY:
                await asyncio.sleep(min(REST * (time.monotonic() - start), LONGEST_REST_S))

    def _publish(self, topics: Sequence[Topic], told: Sequence[list[Entry]], end: int) -> None:
        most = min(LOG_BYTES, LOGS_BYTES // len(self._of))
        for topic, entries in zip(topics, told, strict=True):
            topic.publish(entries, end, most)

    def _fail(self, topics: Sequence[Topic], error: Exception) -> None:
        if not isinstance(error, TwinError):
            log.error("%s: changes could not be judged", self._shard.name, exc_info=error)
        self._drop(topics, error)

    def _judge(self, topics: Sequence[Topic], moments: Sequence[Moment]) -> list[list[Entry]]:
        now_us = self._clock()
        told: dict[int, list[Entry]] = {}
        for kind, batch, held in batches(moments, self.ring.lexicon, self._shard.rule.region):
            for topic in topics:
                if topic.asked.question.kind == kind:
                    told[id(topic)] = topic.judge(batch, held, now_us, topic.at)
        self._shard.require_marker()  # a writer that was replaced tells nobody anything
        return [told.get(id(topic), []) for topic in topics]

    def _drop(self, topics: Sequence[Topic], error: BaseException) -> None:
        for topic in topics:
            topic.fail(error)
            del self._of[topic.asked.question]

    async def _sweep(self) -> None:
        """Forget topics that nobody has followed for long."""
        idle = sorted((t.left_at, q) for q, t in self._of.items() if not t.followers)
        now, spare = time.monotonic(), len(idle) - MOST_LINGERING
        gone = [q for i, (since, q) in enumerate(idle) if i < spare or now > since + LINGER_S]
        for question in gone:
            del self._of[question]
        if gone:
            await self.read(self._lay)


def _rows(moments: Sequence[Moment]) -> int:
    return sum(one.whole.size for moment in moments for one in moment.kinds.values())


def batches(
    moments: Sequence[Moment], lexicon: Lexicon, region: str
) -> Iterator[tuple[str, Batch, Held]]:
    """Yield each kind that some commits changed, what they changed, and how to read it."""
    for kind in dict.fromkeys(kind for moment in moments for kind in moment.kinds):
        some = [moment for moment in moments if kind in moment.kinds]
        batch = Batch(kind, [moment.kinds[kind] for moment in some])
        yield kind, batch, Held(some[-1].names, lexicon, region)


def slow() -> SlowConsumer:
    return SlowConsumer(
        "more has changed than waits for a subscriber who does not read; go on with the cursor of "
        "the last message that was read",
        AGAIN_S,
    )
