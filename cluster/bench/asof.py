"""bench asof: what was known, and what was true, of one twin and of all, in a journal of millions.

Every shipment moves in every round, a tenth of the events late. A question is asked about a twin,
or a moment, that nobody asked about before; each answer is held against the stream.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
import ray
from numpy.typing import NDArray

from cluster.bench import stream as streams
from cluster.bench.figures import Asked, Beside, Figure, counted, take_turns
from cluster.bench.offer import offer
from cluster.bench.oracle import WrongEnd
from cluster.bench.peer_history import History, history
from cluster.bench.peer_servers import Missing
from cluster.bench.rig import KIND, OneShard, fresh
from serving.wire import twin_pb2 as pb
from twin.errors import UnknownKey

CASES = ("asof-one", "asof-table", "asof-table-event")
EVENTS, TWINS = 10_000_000, 1_000_000
ROUNDS = 10
BATCH = 10_000
ONES = 300  # twins asked about in a run, none of them twice
STEP, SHIFT = 7919, 104_729  # primes: which shipment an event of a round is about
LATE, LAG = 10, 50_000  # every tenth event is late, by up to so many slots
ANSWER_S = 300.0


class Life(NamedTuple):
    """The stream: `rounds` events for each of `twins` shipments, a function of their numbers."""

    twins: int
    rounds: int

    @property
    def size(self) -> int:
        return self.twins * self.rounds

    def key(self, number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the shipment that events are about."""
        part, at = np.divmod(number, self.twins)
        found: NDArray[np.int64] = (at * STEP + part * SHIFT) % self.twins
        return found

    def numbers(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the events about shipments (n, rounds)."""
        part = np.arange(self.rounds)
        back = pow(STEP, -1, self.twins)
        at = (keys[:, None] - part * SHIFT) % self.twins * back % self.twins
        found: NDArray[np.int64] = part * self.twins + at
        return found

    def time(self, number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return event times, no two alike."""
        late = number % LATE == 3
        lag = np.where(late, 1 + number * 31 % LAG, 0)
        found: NDArray[np.int64] = (
            streams.BEGIN_US
            + (number - lag) * streams.SLOT_US
            + np.where(late, number % 199_999, 0)
        )
        return found

    def lat(self, number: NDArray[np.int64]) -> NDArray[np.float64]:
        return (number % 140 - 60).astype(np.float64)

    def part(self, start: int, end: int) -> streams.Stream:
        number = np.arange(start, end)
        none = np.zeros(number.size, np.int8)
        return streams.Stream(
            ("shipment.position",),
            number,
            self.key(number),
            none,
            none,
            self.time(number),
            self.lat(number),
            (number % 360 - 180).astype(np.float64),
            none.astype(np.bool_),
        )

    def decided(self, keys: NDArray[np.int64], known: int, at: int) -> NDArray[np.int64]:
        """Return the event that decides each shipment's position, -1 where none does.

        Of the first `known` events, and of those by `at` (us).
        """
        numbers = self.numbers(keys)
        time_ = np.where((numbers < known) & (self.time(numbers) <= at), self.time(numbers), -1)
        best = time_.argmax(axis=1)
        rows = np.arange(keys.size)
        return np.where(time_[rows, best] >= 0, numbers[rows, best], -1)


class Moment(NamedTuple):
    """As of when: the first `known` events, journaled by `known_at` (0: all); facts up to `at`."""

    known: int
    known_at: int
    at: int = 0

    @property
    def when(self) -> pb.When:
        return pb.When(at=self.at, known_at=self.known_at)

    @property
    def until(self) -> int:
        """Return the last event time that counts."""
        return self.at or 2**62


def run(asked: Asked) -> Iterator[Figure]:
    """Yield milliseconds for one twin, and seconds for all of them, on each axis."""
    life = _life(asked)
    name = counted(life.size)
    with fresh(asked.folder, "shard") as own, OneShard(own) as shard, ExitStack() as stack:
        thens = _load(asked, shard, life)
        peer = _peer(asked, life, stack)
        if asked.wants("asof-one"):
            yield from _one(asked, shard, life, thens, peer)
        if asked.wants("asof-table"):
            yield _table(asked, f"asof-table-{name}", shard, life, thens, peer)
        if asked.wants("asof-table-event"):
            ends = [
                Moment(life.size, 0, streams.BEGIN_US + one.known * streams.SLOT_US)
                for one in thens
            ]
            yield _table(asked, f"asof-table-event-{name}", shard, life, ends, peer)


def _life(asked: Asked) -> Life:
    events = asked.events or EVENTS
    twins = asked.twins or min(TWINS, max(1000, events // ROUNDS))
    while math.gcd(twins, STEP) > 1:
        twins += 1
    return Life(twins, max(2, round(events / twins)))


def _load(asked: Asked, shard: OneShard, life: Life) -> list[Moment]:
    """Offer the stream; a checkpoint after each round, a moment in the middle of each."""
    moments = []
    for turn in range(life.rounds):
        asked.say(f"loading: round {turn + 1} of {life.rounds}")
        start, middle, end = (turn * life.twins + life.twins * half // 2 for half in (0, 1, 2))
        for first, last in ((start, middle), (middle, end)):
            offer(shard.address, shard.token, list(streams.arrow(life.part(first, last), BATCH)))
            if last == middle:
                moments.append(Moment(middle, time.time_ns() // 1000))
        ray.get(shard.checkpoint(), timeout=ANSWER_S)
    return moments


def _peer(asked: Asked, life: Life, stack: ExitStack) -> History | None:
    """Return PostgreSQL with the same rows, or None where it is not installed."""
    asked.say("loading PostgreSQL")
    columns = (
        (life.key(some), life.time(some), some, life.lat(some))
        for first in range(0, life.size, streams.AT_ONCE)
        for some in (np.arange(first, min(first + streams.AT_ONCE, life.size)),)
    )
    try:
        return stack.enter_context(history(asked.folder, columns))
    except Missing as e:
        asked.note(f"peer postgresql: {e}")
        return None


def _one(
    asked: Asked, shard: OneShard, life: Life, thens: list[Moment], peer: History | None
) -> Iterator[Figure]:
    """Yield the median, and the 99th of a hundred, of random twins at random moments."""
    draw = np.random.default_rng(11)
    keys = draw.permutation(life.twins)
    used = 0
    slowest: list[float] = []

    def some() -> list[tuple[int, Moment]]:
        nonlocal used
        n = min(ONES, life.twins // max(1, asked.repeats))
        found = []
        for key in keys[used : used + n].tolist():
            known = thens[int(draw.integers(len(thens)))]
            at = int(draw.integers(life.size // 4, life.size)) * streams.SLOT_US
            found.append((key, known._replace(at=(streams.BEGIN_US + at) * int(draw.integers(2)))))
        used += n
        return found

    def ours() -> float:
        took = _gets(shard, life, some())
        slowest.append(float(np.percentile(took, 99)))
        return statistics.median(took)

    def theirs() -> float:
        assert peer is not None
        took = []
        for key, then in some():
            expected = life.decided(np.array([key]), then.known, then.until)[0]
            start = time.perf_counter()
            found = peer.one(key, then.known, then.until)
            took.append(1000 * (time.perf_counter() - start))
            if found != expected:
                raise WrongEnd(f"PostgreSQL says {found} of {key}, it is {expected}")
        return statistics.median(took)

    case = f"asof-one-{counted(life.size)}"
    mine, others = take_turns(asked, case, ours, theirs if peer is not None else None)
    beside = Beside(peer.name, others) if peer is not None else None
    yield Figure("asof", case, "ms p50", mine, peer=beside)
    yield Figure("asof", f"{case}-p99", "ms p99", slowest)


def _gets(shard: OneShard, life: Life, asked: list[tuple[int, Moment]]) -> list[float]:
    """Return the milliseconds that each twin took."""
    took = []
    with shard.client() as client:
        for key, then in asked:
            expected = int(life.decided(np.array([key]), then.known, then.until)[0])
            request = pb.GetRequest(kind=KIND, id=streams.subject(key), when=then.when)
            start = time.perf_counter()
            try:
                values = client.ask("Get", request).twin.values
            except UnknownKey:
                values = {}
            took.append(1000 * (time.perf_counter() - start))
            said = values["lat"].as_of if "lat" in values else -1
            if said != (life.time(np.array([expected]))[0] if expected >= 0 else -1):
                raise WrongEnd(f"shipment {key} at {then} says {said}, not event {expected}")
    return took


def _table(
    asked: Asked,
    case: str,
    shard: OneShard,
    life: Life,
    thens: list[Moment],
    peer: History | None,
) -> Figure:
    """Return the seconds until all twins of a moment are counted, each moment asked about once."""
    left, others_left = iter(thens[1:] * asked.repeats), iter(thens[1:] * asked.repeats)

    def ours() -> float:
        then = next(left)
        request = pb.AggregateRequest(
            kind=KIND, where="lat IS KNOWN", measures=["count", "sum(lat)"], when=then.when
        )
        with shard.client() as client:
            start = time.perf_counter()
            reply = client.ask("Aggregate", request, ANSWER_S)
            took = time.perf_counter() - start
        _right(life, then, *reply.groups[0].measures)
        return took

    def theirs() -> float:
        assert peer is not None
        then = next(others_left)
        start = time.perf_counter()
        count, total = peer.table(then.known, then.until)
        took = time.perf_counter() - start
        _right(life, then, count, total)
        return took

    mine, others = take_turns(asked, case, ours, theirs if peer is not None else None)
    beside = Beside(peer.name, others) if peer is not None else None
    return Figure("asof", case, "s", mine, peer=beside)


def _right(life: Life, then: Moment, count: float, total: float) -> None:
    """Raise WrongEnd unless so many twins were there, their latitudes coming to that."""
    decided = life.decided(np.arange(life.twins), then.known, then.until)
    decided = decided[decided >= 0]
    expected = decided.size, float(life.lat(decided).sum())
    if (count, total) != expected:
        raise WrongEnd(f"at {then}: {(count, total)}, it is {expected}")
