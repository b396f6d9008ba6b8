"""bench scan: a filter and a group-by over a million shipments, while ingest goes on beside them.

The filter is true of 1.2 % of the rows; all of those come back, with where each value is from, and
are decoded as the client decodes them. DuckDB holds the same rows and answers over the same gRPC,
beside the same ingest. A run counts only if both give the same rows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import grpc
import numpy as np
import pyarrow as pa

from cluster.bench import peer_duckdb
from cluster.bench import stream as streams
from cluster.bench.beside import BATCH, ingesting
from cluster.bench.figures import Asked, Beside, Figure, counted, take_turns
from cluster.bench.offer import offer
from cluster.bench.oracle import WrongEnd
from cluster.bench.peer_servers import Missing
from cluster.bench.rig import KIND, OneShard, fresh
from serving.arrow import decode
from serving.client import OPTIONS
from serving.wire import twin_pb2 as pb

CASES = ("filtered", "groupby", "ingest-beside")
TWINS = 1_000_000
SEARCH, AGGREGATE = "/supplytwin.v1.Twin/Search", "/supplytwin.v1.Twin/Aggregate"
FIELDS = ("product_group", "site", "quantity")
WHERE = "product_group = 'product_group-7' AND quantity > 4500"
PARTS = ("as_of", "source", "confidence", "offset")
TOLD = ("id", "quantity", *(f"order_{part}" for part in PARTS))
BY, MEASURES = ("site", "product_group"), ("count", "avg(quantity)")
FILTERED = f"select {', '.join(TOLD)} from state where {WHERE}"
GROUPED = f"select {', '.join(BY)}, count(*), avg(quantity) from state group by 1, 2"
LOADED = ("shipment.ordered", "shipment.promised", "shipment.departed", "shipment.position")
MOST_ROWS = 100_000
WARM, LEAST = 5, 20  # calls that are not counted; calls of a run
PACE = 100_000  # events from which the most that ingest does is reckoned
MARGIN = 1.5  # times the events that a run should take are made ready
EVERY_S = 0.1  # of each question beside ingest at its most


class Times(NamedTuple):
    p50: float  # ms
    p99: float


def run(asked: Asked) -> Iterator[Figure]:
    """Yield milliseconds of both questions beside ingest, and the ingest rate beside both."""
    twins = asked.twins or TWINS
    name = counted(twins)
    with fresh(asked.folder, "shard") as own, OneShard(own) as shard, ExitStack() as stack:
        asked.say(f"{name} shipments are loaded")
        loaded = streams.lives(twins, LOADED)
        offer(shard.address, shard.token, list(streams.arrow(loaded, 10_000)))
        feed = streams.Feed(twins, loaded.size)
        questions = Questions(shard, stack)
        duck = None
        if asked.wants("filtered") or asked.wants("groupby"):
            try:
                table = rows_of(shard)
                where = stack.enter_context(fresh(asked.folder, "duckdb"))
                duck = stack.enter_context(peer_duckdb.running(table, where))
            except Missing as e:
                asked.note(f"peer duckdb: {e}")
        pace = offer(shard.address, shard.token, feed.messages(PACE, BATCH)).rate
        for case, ask, said in (
            ("filtered", questions.filtered, FILTERED),
            ("groupby", questions.grouped, GROUPED),
        ):
            if asked.wants(case):
                other = None if duck is None else questions.of(duck, said)
                yield from _timed(asked, shard, feed, pace, (f"{case}-{name}", ask, other))
        if asked.wants("ingest-beside"):
            filtered, grouped = questions.filtered, questions.grouped
            yield _ingest(asked, shard, feed, pace, ("ingest-beside", [filtered]))
            yield _ingest(asked, shard, feed, pace, ("ingest-beside-both", [filtered, grouped]))


class Questions:
    """What is asked, over channels that stay open. Each returns the rows that came, decoded."""

    def __init__(self, shard: OneShard, stack: ExitStack) -> None:
        self._metadata = (("authorization", f"Bearer {shard.token}"),)
        self._stack = stack
        channel = self._channel(shard.address)
        self._search = channel.unary_unary(SEARCH)
        self._aggregate = channel.unary_unary(AGGREGATE)
        self._filtered = pb.SearchRequest(
            kind=KIND, where=WHERE, fields=["quantity"], format=pb.ARROW, limit=MOST_ROWS
        ).SerializeToString()
        self._grouped = pb.AggregateRequest(
            kind=KIND, by=BY, measures=MEASURES, limit=10_000
        ).SerializeToString()

    def filtered(self) -> dict[str, Any]:
        reply = pb.SearchReply.FromString(self._search(self._filtered, metadata=self._metadata))
        columns = decode(reply.columns[0].arrow)
        if reply.total != columns["id"].size:
            raise WrongEnd(f"{reply.total} rows match, {columns['id'].size} came")
        return columns

    def grouped(self) -> dict[str, Any]:
        raw = self._aggregate(self._grouped, metadata=self._metadata)
        groups = pb.AggregateReply.FromString(raw).groups
        return {
            "name": np.array(["/".join(group.by) for group in groups], object),
            "number": np.array([group.measures[0] for group in groups]),
        }

    def of(self, address: str, sql: str) -> Callable[[], dict[str, Any]]:
        """Return what asks DuckDB."""
        call = self._channel(address).unary_unary(SEARCH)
        said = sql.encode()

        def ask() -> dict[str, Any]:
            return decode(pb.SearchReply.FromString(call(said)).columns[0].arrow)

        return ask

    def _channel(self, address: str) -> Any:
        return self._stack.enter_context(grpc.insecure_channel(address, options=OPTIONS))


def rows_of(shard: OneShard) -> pa.Table:
    """Return the rows of a shard as the peer holds them: words of few as codes."""
    with shard.client() as client:
        found = client.columns(KIND, list(FIELDS)).columns
    told = {name: pa.array(found[name]) for name in dict.fromkeys((*TOLD, *FIELDS))}
    few = (*BY, "order_source")
    return pa.table({n: c.dictionary_encode() if n in few else c for n, c in told.items()})


def _timed(
    asked: Asked,
    shard: OneShard,
    feed: streams.Feed,
    pace: float,
    question: tuple[str, Callable[[], Any], Callable[[], Any] | None],
) -> Iterator[Figure]:
    """Yield the median beside the peer, and the 99th percentile beside that of an idle shard."""
    case, ask, other = question
    if other is not None:
        _require_same(ask(), other())
    asked.say(f"{case}: idle")
    idle = times(ask, asked.seconds).p99
    most: list[float] = []

    def busy(question: Callable[[], Any]) -> Times:
        messages = feed.messages(int(MARGIN * asked.seconds * pace / 2) + BATCH, BATCH)
        with ingesting(asked.folder, shard.address, shard.token, messages, pace / 2) as ingest:
            found = times(question, asked.seconds)
            if ingest.wait(0):
                asked.note(f"{case}: ingest ended before the run did")
        return found

    def ours() -> float:
        found = busy(ask)
        most.append(found.p99)
        return found.p50

    theirs = None if other is None else lambda: busy(other).p50
    mine, others = take_turns(asked, case, ours, theirs)
    peer = Beside("DuckDB over the same gRPC, beside the same ingest", others) if others else None
    yield Figure("scan", case, "ms p50", mine, peer=peer)
    yield Figure("scan", f"{case}-p99", "ms p99", most, limit=Beside("idle", [idle]))


def times(ask: Callable[[], Any], seconds: float) -> Times:
    """Return how long a question takes, asked again and again."""
    took: list[float] = []
    until = time.perf_counter() + seconds
    while len(took) < WARM + LEAST or time.perf_counter() < until:
        start = time.perf_counter()
        ask()
        took.append(1000 * (time.perf_counter() - start))
    return Times(statistics.median(took[WARM:]), float(np.percentile(took[WARM:], 99)))


def _require_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise WrongEnd unless both name the same rows, each with the same numbers."""
    if "id" in ours:
        pairs = [zip(c["id"], c["quantity"].tolist(), strict=True) for c in (ours, theirs)]
        left, right = map(dict, pairs)
    else:
        names = [f"{a}/{b}" for a, b in zip(*(theirs[name] for name in BY), strict=True)]
        left = dict(zip(ours["name"], ours["number"].tolist(), strict=True))
        right = dict(zip(names, theirs["count_star()"].tolist(), strict=True))
    if left != right or not left:
        raise WrongEnd(f"{len(left)} rows of ours and {len(right)} of the peer are not the same")


def _ingest(
    asked: Asked,
    shard: OneShard,
    feed: streams.Feed,
    pace: float,
    questions: tuple[str, Sequence[Callable[[], Any]]],
) -> Figure:
    """Return the most that ingest does beside ten of each question a second."""
    case, asks = questions
    n = int(asked.seconds * pace) + BATCH

    def quiet() -> float:
        with ingesting(asked.folder, shard.address, shard.token, feed.messages(n, BATCH), 0) as at:
            while not at.wait(EVERY_S):
                pass
        return at.rate

    def beside() -> float:
        with ingesting(asked.folder, shard.address, shard.token, feed.messages(n, BATCH), 0) as at:
            due = time.perf_counter()
            while not at.wait(max(0.0, due - time.perf_counter())):
                for ask in asks:
                    ask()
                due += EVERY_S
        return at.rate

    ours, others = take_turns(asked, case, beside, quiet)
    limit = Beside("the same ingest without questions", others)
    return Figure("scan", case, "events/s", ours, limit=limit)
