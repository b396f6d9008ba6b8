"""bench query: a twin with all its provenance, one at a time and a thousand at a time.

`get` is compared with a bare server that returns the same bytes: both are asked for bytes, so
nothing but the servers differs. The thousand come as columns, with every field and where it is
from, as the client gives them to whoever asks. Every answer is looked at.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

import grpc
import numpy as np

from cluster.bench import bare_grpc
from cluster.bench import stream as streams
from cluster.bench.figures import Asked, Beside, Figure, counted, disturbed, take_turns
from cluster.bench.offer import offer
from cluster.bench.oracle import WrongEnd
from cluster.bench.peer_redis import KNOWN_READS, loaded
from cluster.bench.peer_servers import Missing
from cluster.bench.rig import KIND, OneShard, fresh
from serving.client import OPTIONS
from serving.wire import twin_pb2 as pb

CASES = ("get", "batchget-1000")
TWINS = 200_000  # as many as the peer holds
GET = "/supplytwin.v1.Twin/Get"
KEYS = 1000  # in one call
WARM = 100  # calls that are not counted
FIELDS = 6  # that each of these twins has


def run(asked: Asked) -> Iterator[Figure]:
    """Yield a figure per case: microseconds at the median for `get`, twins/s for the other."""
    twins = asked.twins or TWINS
    with fresh(asked.folder, "shard") as own, OneShard(own) as shard:
        asked.say(f"{counted(twins)} shipments are loaded")
        messages = list(streams.arrow(streams.lives(twins, streams.TELEMETRY), 10_000))
        offer(shard.address, shard.token, messages)
        if asked.wants("get"):
            yield _get(asked, shard, twins)
        if asked.wants("batchget-1000"):
            yield _batch_get(asked, shard, twins)


def _get(asked: Asked, shard: OneShard, twins: int) -> Figure:
    requests = [
        pb.GetRequest(kind=KIND, id=streams.subject(key)).SerializeToString()
        for key in _some(twins, 10_000)
    ]
    with shard.client() as client:
        reply = client._stub.Get(pb.GetRequest.FromString(requests[0]), metadata=client._metadata())
    answer = reply.SerializeToString()
    if len(reply.twin.values) != FIELDS:
        raise WrongEnd(f"{len(reply.twin.values)} values in an answer, {FIELDS} were offered")
    with (
        fresh(asked.folder, "bare") as own,
        bare_grpc.running(GET, answer, own) as bare,
    ):

        def timed(address: str) -> float:
            return asyncio.run(_one_by_one(address, shard.token, requests, asked.seconds))

        ours, limit = take_turns(asked, "get", lambda: timed(shard.address), lambda: timed(bare))
    name = f"bare grpcio, the same {len(answer)} bytes"
    return Figure("query", "get", "us p50", ours, limit=Beside(name, limit))


async def _one_by_one(address: str, token: str, requests: list[bytes], seconds: float) -> float:
    """Return the median time of a call in microseconds, one at a time, bytes for bytes."""
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        call = channel.unary_unary(GET)
        took = []
        until = time.perf_counter() + seconds
        at = 0
        while at < 2 * WARM or time.perf_counter() < until:
            start = time.perf_counter()
            answer = await call(requests[at % len(requests)], metadata=metadata)
            took.append(time.perf_counter() - start)
            if not answer:
                raise WrongEnd("an answer is empty")
            at += 1
    return 1e6 * statistics.median(took[WARM:])


def _batch_get(asked: Asked, shard: OneShard, twins: int) -> Figure:
    case = "batchget-1000"
    ids = [streams.subject(key) for key in _some(twins, 20 * KEYS)]
    calls = [ids[at : at + KEYS] for at in range(0, len(ids), KEYS)]

    def ours() -> float:
        return _batches(shard, calls, asked.seconds)

    try:
        with loaded(asked.folder, twins, KEYS) as redis:
            mine, others = take_turns(asked, case, ours, redis.run)
            peer = Beside(redis.name, others, KNOWN_READS)
    except Missing as e:
        asked.note(f"peer redis: {e}")
        return Figure("query", case, "twins/s", take_turns(asked, case, ours)[0])
    if disturbed(peer):
        asked.note(f"{case}: {peer.name} ran below 0.7 of its known rate; no ratio is given")
    return Figure("query", case, "twins/s", mine, peer=peer)


def _batches(shard: OneShard, asked: list[list[str]], seconds: float) -> float:
    """Return twins a second, as the client's columns, one call at a time."""
    with shard.client() as client:
        client.batch_columns(KIND, asked[0])
        start, got, at = time.perf_counter(), 0, 0
        while at == 0 or time.perf_counter() - start < seconds:
            ids = asked[at % len(asked)]
            columns = client.batch_columns(KIND, ids).columns
            if columns["id"].tolist() != ids:
                raise WrongEnd(f"{len(ids)} twins were asked for, others came")
            if columns["position_as_of"].min() < streams.BEGIN_US or np.isnan(columns["lat"]).any():
                raise WrongEnd("a twin came without its position")
            got, at = got + len(ids), at + 1
        return got / (time.perf_counter() - start)


def _some(twins: int, n: int) -> list[int]:
    """Return keys, drawn with a fixed seed; no key twice in one call while there are enough."""
    draw = np.random.default_rng(11)
    if twins < KEYS:
        return [int(key) for key in draw.permutation(twins)]
    pieces = [draw.choice(twins, KEYS, replace=False) for _ in range(-(-n // KEYS))]
    return [int(key) for key in np.concatenate(pieces)[:n]]
