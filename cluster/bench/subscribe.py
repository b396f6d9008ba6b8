"""bench subscribe: from an event to whoever follows it, in milliseconds, and what followers cost.

Each event is durable before anybody is told of it. Measured is the way of single events, a thousand
a second, from a publisher to a subscriber of a filter that they begin to match; beside it, by
turns, the same bytes through a bare gRPC relay that neither reads nor keeps them. Then ingest at
its most beside a hundred subscribers, each of another filter, and beside none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import msgspec
import numpy as np

from cluster.bench import bare_stream
from cluster.bench import stream as streams
from cluster.bench.beside import BATCH, ingesting
from cluster.bench.figures import Asked, Beside, Figure, take_turns
from cluster.bench.listeners import listening
from cluster.bench.offer import offer
from cluster.bench.oracle import WrongEnd
from cluster.bench.rig import REGION, OneShard, fresh
from serving.client import OPTIONS, Event
from serving.wire import twin_pb2 as pb

CASES = ("live", "ingest-beside")
RATE = 1_000  # events a second, each a message of its own
WARM = 200  # events that are not counted
LISTENERS = 100
TWINS = 20_000
PACE = 100_000  # events from which the most that ingest does is reckoned
WAIT_S = 30.0
INGEST, SUBSCRIBE = "/supplytwin.v1.Twin/Ingest", "/supplytwin.v1.Twin/Subscribe"
NOW_US = streams.BEGIN_US
WHERE = "temp_c > 8"
LOADED = ("shipment.ordered", "shipment.promised", "shipment.departed", "shipment.position")
_pack = msgspec.msgpack.Encoder().encode
Ways = list[float]  # ms of each event


def run(asked: Asked) -> Iterator[Figure]:
    """Yield the median and the 99th percentile of the way, and ingest beside followers."""
    with ExitStack() as stack:
        if asked.wants("live"):
            shard = stack.enter_context(OneShard(stack.enter_context(fresh(asked.folder, "live"))))
            relay = stack.enter_context(bare_stream.running())
            yield from _live(asked, shard, relay)
    if asked.wants("ingest-beside"):
        with fresh(asked.folder, "beside") as own, OneShard(own) as shard:
            yield _ingest(asked, shard)


def _live(asked: Asked, shard: OneShard, relay: str) -> Iterator[Figure]:
    count = WARM + int(RATE * asked.seconds)
    runs: dict[str, list[Ways]] = {"ours": [], "bare": []}
    metadata = (("authorization", f"Bearer {shard.token}"),)
    request = pb.SubscribeRequest(
        kind="shipment", where=WHERE, fields=["temp_c"], only_changes=True
    ).SerializeToString()
    for turn in range(asked.repeats):
        messages = [_reading(turn * count + n) for n in range(count)]
        asked.say(f"live: run {turn + 1} of {asked.repeats}, the other")
        with grpc.insecure_channel(relay, options=OPTIONS) as channel:
            heard = channel.unary_stream(bare_stream.LISTEN)(b"")
            publish = channel.stream_unary(bare_stream.PUBLISH)
            next(heard)  # it listens
            runs["bare"].append(way(messages, publish, heard, lambda _: 1))
        asked.say(f"live: run {turn + 1} of {asked.repeats}")
        with grpc.insecure_channel(shard.address, options=OPTIONS) as channel:
            heard = channel.unary_stream(SUBSCRIBE)(request, metadata=metadata)
            next(heard)  # a bookmark: it listens
            ingest = channel.stream_stream(INGEST)

            def publish(sent: Iterator[bytes], ingest: Any = ingest) -> None:
                for raw in ingest(sent, metadata=metadata):
                    if pb.IngestReply.FromString(raw).HasField("fault"):
                        raise WrongEnd("an event was refused")

            runs["ours"].append(way(messages, publish, heard, _entered))
    for name, share in (("p50", 50), ("p99", 99)):
        ours, bare = ([float(np.percentile(one, share)) for one in runs[of]] for of in runs)
        limit = Beside("the same bytes through a bare gRPC relay, not durable", bare)
        yield Figure("subscribe", f"live-{name}", f"ms {name}", ours, limit=limit)


def way(
    messages: list[bytes],
    publish: Callable[[Iterator[bytes]], Any],
    heard: Any,
    size: Callable[[bytes], int],
) -> Ways:
    """Return how long each message took to whoever listens, in ms, at RATE; the first left out.

    `size`: of how many of them, in their order, a heard one tells. Raises WrongEnd if some did not
    come.
    """
    sent: list[float] = []
    came: list[float] = []

    def listen() -> None:
        try:
            for raw in heard:
                at = time.perf_counter()
                came.extend([at] * size(raw))
                if len(came) >= len(messages):
                    return
        except grpc.RpcError:
            return  # what did not come is said below

    def paced() -> Iterator[bytes]:
        begin = time.perf_counter()
        for number, message in enumerate(messages):
            time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
            sent.append(time.perf_counter())
            yield message

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    publish(paced())
    listener.join(WAIT_S)
    heard.cancel()
    listener.join(WAIT_S)
    if len(came) != len(messages):
        raise WrongEnd(f"{len(messages)} events were sent, and {len(came)} were told")
    return [1000 * (b - a) for a, b in zip(sent, came, strict=True)][WARM:]


def _entered(raw: bytes) -> int:
    """Return how many twins entered. Raises WrongEnd for any other change."""
    changes = pb.SubscribeReply.FromString(raw).changes
    if any(change.change != "entered" for change in changes):
        raise WrongEnd("a twin was told of that had been told of")
    return len(changes)


def _reading(number: int) -> bytes:
    """Return a message of one reading, too warm, of a shipment of its own."""
    facts = {"temp_c": 14.0}
    id = f"watched-{number}"
    event = Event("shipment.condition", "sensor/box", id, NOW_US, facts, f"{id}:warm", REGION)
    message = pb.IngestRequest(batch=number, msgpack=_pack([event.row()]))
    raw: bytes = message.SerializeToString()
    return raw


def _ingest(asked: Asked, shard: OneShard) -> Figure:
    """Return the most that ingest does beside a hundred filtered subscribers."""
    twins = asked.twins or TWINS
    asked.say(f"{twins} shipments are loaded")
    loaded = streams.lives(twins, LOADED)
    offer(shard.address, shard.token, list(streams.arrow(loaded, 10_000)))
    feed = streams.Feed(twins, loaded.size)
    pace = offer(shard.address, shard.token, feed.messages(PACE, BATCH)).rate
    n = max(asked.events, int(asked.seconds * pace)) + BATCH

    def quiet() -> float:
        with ingesting(asked.folder, shard.address, shard.token, feed.messages(n, BATCH), 0) as at:
            at.wait(asked.seconds + WAIT_S)
        return at.rate

    def beside() -> float:
        with listening(shard.address, shard.token, LISTENERS) as held:
            rate = quiet()
        if not held.told:
            raise WrongEnd("the subscribers were told nothing")
        return rate

    ours, others = take_turns(asked, "ingest-beside", beside, quiet)
    limit = Beside("the same ingest without subscribers", others)
    return Figure("subscribe", "ingest-beside", "events/s", ours, limit=limit)
