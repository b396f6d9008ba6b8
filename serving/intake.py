"""Intake: the batches that wait for a shard's writer, in a bounded queue for each urgency.

A bound counts batches, events and bytes, so that neither many small batches nor a few large ones
take the memory of the process. A commit costs about the same for one event as for a hundred, so
small batches wait up to 2 ms for as many as came last time; a caller who is alone never waits.

What is urgent is taken first and alone: it waits for no more than the commit under way, and when
the other queue is full it still has its own. The caller chooses, not the type of the events: a
batch has many types, and reading them first would cost the time that is to be saved.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from serving.deadline import NEVER
from serving.wire import twin_pb2 as pb
from twin.errors import Overloaded, TwinError, Unavailable
from twin.events import Offered, Row

RETRY_AFTER_S = 0.2
TOGETHER = 256  # batches in one commit
COMMIT_BYTES = 4 << 20  # in one commit, unless a single batch has more
LINGER_S = 0.002  # for how long a small commit may wait for company
SMALL = 1000  # events: a commit of that many is not small


class Bound(NamedTuple):
    """What may wait. A batch that is larger than that may wait alone."""

    batches: int
    events: int
    bytes: int


BOUNDS: Mapping[int, Bound] = {
    pb.REST: Bound(4096, 4_000_000, 128 << 20),
    pb.REALTIME: Bound(1024, 100_000, 16 << 20),
}


class Answer(NamedTuple):
    """The receipt of a batch as it travels: a value for each event."""

    outcomes: bytes
    reasons: bytes
    offsets: bytes
    shards: bytes


class Waiting(NamedTuple):
    """A batch that waits for its commit: rows as they came, or columns already."""

    rows: Sequence[Row]
    columns: Offered | None
    tenant: str
    writer: str
    answer: asyncio.Future[Answer | TwinError]
    bytes: int = 0
    until: float = NEVER  # when its caller gives up, on the monotonic clock

    @property
    def size(self) -> int:
        return len(self.rows) if self.columns is None else self.columns.size


class _Queue:
    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.held: deque[Waiting] = deque()
        self.events = self.bytes = 0
        self.shed = self.expired = 0

    def put(self, one: Waiting, urgency: int) -> None:
        bound, held = self.bound, self.held
        full = (
            len(held) >= bound.batches
            or self.events + one.size > bound.events
            or self.bytes + one.bytes > bound.bytes
        )
        if full and held:
            self.shed += 1
            name = pb.Urgency.Name(urgency).lower()
            raise Overloaded(
                f"{len(held)} batches of urgency {name} wait already; send it again", RETRY_AFTER_S
            )
        held.append(one)
        self.events += one.size
        self.bytes += one.bytes

    def take(self, most: int, size: int) -> list[Waiting]:
        """Return the oldest batches, but none whose caller is gone: nobody would read its receipt.

        No more than `most`, nor bytes than `size` if they are several.
        """
        taken: list[Waiting] = []
        now, total = time.monotonic(), 0
        while self.held and len(taken) < most:
            one = self.held[0]
            if taken and total + one.bytes > size:
                break
            self.held.popleft()
            self.events -= one.size
            self.bytes -= one.bytes
            if one.answer.cancelled() or one.until < now:
                self.expired += 1
                _expire(one)
                continue
            taken.append(one)
            total += one.bytes
        return taken


class Intake:
    """The queues of one shard. Used in one event loop."""

    def __init__(self, bounds: Mapping[int, Bound] = BOUNDS) -> None:
        self._urgent = _Queue(bounds[pb.REALTIME])
        self._rest = _Queue(bounds[pb.REST])
        self._queues = {pb.REALTIME: self._urgent, pb.REST: self._rest}
        self._news, self._company = asyncio.Event(), asyncio.Event()
        self._expected = 1  # batches: as many as the last commit had

    def put(self, one: Waiting, urgency: int) -> None:
        """Let a batch wait. Raises Overloaded where its queue is full."""
        queue = self._urgent if urgency == pb.REALTIME else self._rest
        queue.put(one, urgency)
        self._news.set()
        if self._ripe:
            self._company.set()

    def take(self) -> list[Waiting]:
        """Return the batches of the next commit: urgent ones alone and first."""
        if self._urgent.held:
            return self._urgent.take(TOGETHER, COMMIT_BYTES)
        taken = self._rest.take(TOGETHER, COMMIT_BYTES)
        self._expected = max(1, len(taken))
        return taken

    async def wait(self, seconds: float) -> bool:
        """Wait until a commit is worth it; False if nothing came in that time."""
        if not self.batches:
            self._news.clear()
            if not await _within(seconds, self._news):
                return False
        if not self._ripe:
            self._company.clear()
            await _within(LINGER_S, self._company)
        return True

    @property
    def _ripe(self) -> bool:
        rest = self._rest
        full = len(rest.held) >= self._expected or rest.events >= SMALL
        return full or rest.bytes >= COMMIT_BYTES or bool(self._urgent.held)

    @property
    def batches(self) -> int:
        return sum(len(queue.held) for queue in self._queues.values())

    @property
    def bound(self) -> int:
        """Return how many batches may wait in all."""
        return sum(queue.bound.batches for queue in self._queues.values())

    def status(self) -> list[pb.QueueStatus]:
        """Return what waits and what was turned away, urgent ones first."""
        return [
            pb.QueueStatus(
                urgency=urgency,
                batches=len(queue.held),
                events=queue.events,
                bytes=queue.bytes,
                batches_bound=queue.bound.batches,
                events_bound=queue.bound.events,
                bytes_bound=queue.bound.bytes,
                shed=queue.shed,
                expired=queue.expired,
            )
            for urgency, queue in self._queues.items()
        ]


def _expire(one: Waiting) -> None:
    if not one.answer.done():
        late = Unavailable("the call's time was over before the append; send it again", 0.1)
        one.answer.set_result(late)


async def _within(seconds: float, news: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True
