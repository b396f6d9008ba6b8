"""bench snapshot: what a snapshot takes, idle and under full ingest, and what it costs ingest.

The price is paid by the writes that follow it, which note what they overwrite while it is held: so
the ingest rate beside ten snapshots a second, each held until the next, is set against the same
ingest without any.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import ray

from cluster.bench import stream as streams
from cluster.bench.figures import Asked, Beside, Figure, counted, take_turns
from cluster.bench.offer import offer
from cluster.bench.rig import OneShard, fresh

TWINS = 1_000_000
EVERY_S = 0.1
CASES = ("idle", "busy", "ingest")
IDLE = 20  # snapshots of a run, each after one write
BATCH = 1000
PACE = 20_000  # events from which the length of a run is reckoned
MOST_EVENTS = 5_000_000  # of a run: event times of six runs end before now
MOST_SNAPSHOTS = 1_000_000


def run(asked: Asked) -> Iterator[Figure]:
    """Yield milliseconds of a snapshot, idle and busy, and the ingest rate beside snapshots."""
    twins = asked.twins or TWINS
    name = counted(twins)
    with fresh(asked.folder, "shard") as own, OneShard(own) as shard:
        asked.say(f"{name} shipments are loaded")
        loaded = streams.lives(twins, streams.TELEMETRY)
        offer(shard.address, shard.token, list(streams.arrow(loaded, 10_000)))
        feed = streams.Feed(twins, loaded.size)
        if asked.wants("idle"):
            asked.say(f"{name}: idle")
            runs = [_idle(shard, feed) for _ in range(asked.repeats)]
            yield Figure("snapshot", name, "ms", runs)
        if asked.wants("busy") or asked.wants("ingest"):
            yield from _busy(asked, shard, twins, feed)


def _idle(shard: OneShard, feed: streams.Feed) -> float:
    """Return the median milliseconds of a snapshot after a write."""
    took: list[float] = []
    for _ in range(IDLE):
        offer(shard.address, shard.token, feed.messages(4, 4))
        took += ray.get(shard.actor.snapshots.remote(0.0, 1), timeout=30)
    return statistics.median(took)


def _busy(asked: Asked, shard: OneShard, twins: int, feed: streams.Feed) -> Iterator[Figure]:
    name = counted(twins)
    milliseconds: list[float] = []
    pace = offer(shard.address, shard.token, feed.messages(PACE, BATCH)).rate
    n = max(BATCH, asked.events, min(MOST_EVENTS, int(asked.seconds * pace)))

    def ingest() -> float:
        return offer(shard.address, shard.token, feed.messages(n, BATCH)).rate

    def beside() -> float:
        messages = feed.messages(n, BATCH)
        reference = shard.actor.snapshots.remote(EVERY_S, MOST_SNAPSHOTS)
        rate = offer(shard.address, shard.token, messages).rate
        ray.get(shard.actor.enough.remote(), timeout=30)
        milliseconds.append(statistics.median(ray.get(reference, timeout=30)))
        return rate

    ours, quiet = take_turns(asked, name, beside, ingest)
    if asked.wants("busy"):
        yield Figure("snapshot", f"{name}-busy", "ms", milliseconds)
    if asked.wants("ingest"):
        limit = Beside("the same ingest without snapshots", quiet)
        yield Figure("snapshot", f"{name}-ingest", "events/s", ours, limit=limit)
