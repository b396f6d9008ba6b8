"""bench ingest: durable events a second, from messages on the wire to receipts that were read.

One producer over one gRPC stream into one shard; contracts, dedup, order, token and fdatasync
before each receipt; a checkpoint in the middle. A run counts if it ends as the oracle says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import ray

from cluster.bench import stream as streams
from cluster.bench.figures import Asked, Beside, Figure, Sizes, disturbed, take_turns
from cluster.bench.offer import ALONE, WINDOW, Answered, offer
from cluster.bench.oracle import Expected, WrongEnd, check, judge
from cluster.bench.peer_postgres import Postgres, postgres
from cluster.bench.peer_redis import Redis
from cluster.bench.peer_servers import Missing
from cluster.bench.rig import KIND, OneShard, fresh

KEYS = 1_000_000
MOST_EVENTS = 20_000_000  # in memory at once, with their messages
PACE_EVENTS = 20_000  # from which the length of a run is reckoned
UNIT = "events/s"
PEER = Sizes()


class Case(NamedTuple):
    """How events are offered. `batch`: events a message; `window`: messages in flight."""

    batch: int
    packed: bool
    window: int
    peer: str  # fsync of Redis, "postgres" or ""


CASES = {
    "arrow-1000": Case(1000, False, WINDOW, "always"),
    "arrow-10000": Case(10_000, False, WINDOW, "postgres"),
    "msgpack-1000": Case(1000, True, WINDOW, "everysec"),
    "single-64": Case(1, True, ALONE, ""),
}


class Load(NamedTuple):
    """A stream as messages, and what it must lead to."""

    messages: Sequence[bytes]
    expected: Expected


def run(asked: Asked) -> Iterator[Figure]:
    """Yield a figure per case, in events a second."""
    for name, case in CASES.items():
        if asked.wants(name):
            yield _figure(asked, name, case)


def _figure(asked: Asked, name: str, case: Case) -> Figure:
    asked.say(f"{name}: the stream and its oracle")
    load = loaded(asked, case)

    def ours() -> float:
        return _offered(asked.folder, case, load).rate

    with ExitStack() as held:
        peer, beside = _peer(asked, case.peer, held)
        mine, others = take_turns(asked, name, ours, peer)
        beside = beside._replace(runs=others) if beside else None
    if beside and disturbed(beside):
        asked.note(f"{name}: {beside.name} ran below 0.7 of its known rate; no ratio is given")
    return Figure("ingest", name, UNIT, mine, peer=beside)


def loaded(asked: Asked, case: Case) -> Load:
    """Build a stream that takes about as long as asked, and find out where it leads."""
    keys = asked.twins or KEYS
    pace = PACE_EVENTS // 10 if case.batch == 1 else PACE_EVENTS
    trial = streams.telemetry(pace, keys)
    rate = _offered(asked.folder, case, _load(trial, case)).rate  # its first batches compile, too
    n = max(asked.events, int(rate * asked.seconds), case.batch)
    if n > MOST_EVENTS:
        asked.note(f"a run is cut to {MOST_EVENTS} events: more do not fit into memory")
        n = MOST_EVENTS
    return _load(streams.telemetry(n, keys), case)


def _load(stream: streams.Stream, case: Case) -> Load:
    build = streams.rows if case.packed else streams.arrow
    return Load(list(build(stream, case.batch)), judge(stream))


def _offered(folder: Path, case: Case, load: Load) -> Answered:
    """Offer everything to a new shard, and check where that led."""
    with fresh(folder, "shard") as own, OneShard(own) as shard:
        return through(shard, case, load)


def through(shard: OneShard, case: Case, load: Load, *, checkpoint: bool = True) -> Answered:
    """Offer everything to `shard`; check receipts, counts and values. Raises WrongEnd."""
    pending = []
    answered = offer(
        shard.address,
        shard.token,
        load.messages,
        packed=case.packed,
        window=case.window,
        at_half=(lambda: pending.append(shard.checkpoint())) if checkpoint else None,
    )
    offsets = [ray.get(reference, timeout=60) for reference in pending]
    if checkpoint and not offsets:
        raise WrongEnd("no checkpoint was written during the run")
    applied, superseded, _, parked, _ = answered.outcomes.tolist()
    if answered.highest + 1 != applied + superseded + parked:
        raise WrongEnd(
            f"receipts reach offset {answered.highest}, of {applied + superseded + parked} events"
        )
    with shard.client() as client:
        status = client.status().shards[0]
        if status.offset != answered.highest + 1:
            raise WrongEnd(f"the shard is at {status.offset}, receipts at {answered.highest}")
        check(
            load.expected,
            answered.outcomes.tolist(),
            int(status.twins[KIND]),
            lambda id: client.get(KIND, id),
        )
    return answered


def _peer(
    asked: Asked, which: str, held: ExitStack
) -> tuple[Callable[[], float] | None, Beside | None]:
    """Return how to run a peer, and its name and known rate; (None, None) if it is not here."""
    if not which:
        return None, None
    try:
        if which == "postgres":
            peer: Postgres | Redis = held.enter_context(postgres(asked.folder, PEER))
        else:
            peer = Redis(which, PEER)
    except Missing as e:
        asked.note(f"peer {which}: {e}")
        return None, None
    return (lambda: peer.ingest(asked.folder)), Beside(peer.name, [], peer.known)
