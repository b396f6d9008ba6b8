"""bench alert: from a reading out of range to the alert in somebody's hands, in milliseconds.

Each alert is durable before it is visible, as every event is. Measured is the way of one reading,
offered as urgent, through its own sync, the watchman, the alert's sync and a subscription to
alerts: of one shard, with ingest at ten times the usual rate beside it, and through the gateway of
a whole demo whose world sends ten times as fast. The end state is checked: one alert a reading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

import grpc
import numpy as np

from cluster.bench import demo
from cluster.bench import stream as streams
from cluster.bench.beside import BATCH, ingesting
from cluster.bench.figures import Asked, Figure
from cluster.bench.oracle import WrongEnd
from cluster.bench.rig import REGION, OneShard, fresh
from serving.client import Client, Event
from twin.errors import TwinError

CASES = ("alert-idle", "alert-burst", "alert-demo")
TIMES = 10  # as fast as it does goes the clock of the demo in a burst
SETTLE_S = 10.0  # for the world to be at its pace
USUAL = 1_000  # events a second
BURST = 10 * USUAL
TWINS = 20_000
SHARE = 0.02  # seconds between two readings that are watched
LEAST = 20  # readings of a run
WAIT_S = 20.0
NAME = "bench-cold-chain"
RULE = f"""
[[rule]]
name = "{NAME}"
kind = "shipment"
when = "temp_c > 8 AND supplier = 'watched'"
severity = "critical"
sla = "hour"
message = "{{id}} is at {{temp_c}} degC"
"""


class Asking(Protocol):
    """What is asked: a shard, or a whole twin."""

    def client(self) -> Client: ...


def run(asked: Asked) -> Iterator[Figure]:
    """Yield the median and the 99th percentile of the way, idle, during a burst, and in a demo."""
    if asked.wants("alert-idle") or asked.wants("alert-burst"):
        yield from _of_a_shard(asked)
    if asked.wants("alert-demo"):
        yield from _of_a_demo(asked)


def _of_a_shard(asked: Asked) -> Iterator[Figure]:
    with fresh(asked.folder, "shard") as own:
        (own / "rules").mkdir(parents=True, exist_ok=True)
        (own / "rules" / "bench.toml").write_text(RULE)
        with OneShard(own) as shard:
            feed = streams.Feed(asked.twins or TWINS, 0)
            number, count = 0, _count(asked)
            for case, rate in (("alert-idle", 0), ("alert-burst", BURST)):
                if not asked.wants(case):
                    continue
                runs = []
                for turn in range(asked.repeats):
                    asked.say(f"{case}: run {turn + 1} of {asked.repeats}")
                    if rate:
                        events = int(rate * (count * SHARE + 5))
                        messages = feed.messages(events, BATCH)
                        with ingesting(asked.folder, shard.address, shard.token, messages, rate):
                            runs.append(_way(shard, number, count, streams.BEGIN_US))
                    else:
                        runs.append(_way(shard, number, count, streams.BEGIN_US))
                    number += count
                yield from _figures(case, runs)


def _of_a_demo(asked: Asked) -> Iterator[Figure]:
    case, count = "alert-demo", _count(asked)
    asked.say(f"{case}: a twin is started")
    with fresh(asked.folder, "demo") as own, demo.running(own / "twin", RULE) as twin:
        time.sleep(SETTLE_S)
        usual = twin.rate(SETTLE_S)
        twin.hasten(TIMES)
        time.sleep(SETTLE_S)
        runs = []
        before, began = twin.journaled(), time.monotonic()
        for turn in range(asked.repeats):
            asked.say(f"{case}: run {turn + 1} of {asked.repeats}")
            with twin.client() as client:
                now_us = client.status().now
            runs.append(_way(twin, turn * count, count, now_us))
        burst = (twin.journaled() - before) / (time.monotonic() - began)
        asked.note(f"the demo journals {usual:.0f} events/s, in the burst {burst:.0f}")
    yield from _figures(case, runs)


def _count(asked: Asked) -> int:
    return max(LEAST, int(asked.seconds / SHARE))


def _figures(case: str, runs: list[list[float]]) -> Iterator[Figure]:
    for name, share in (("p50", 50), ("p99", 99)):
        values = [float(np.percentile(run, share)) for run in runs]
        yield Figure("alert", f"{case}-{name}", "ms", values)


def _way(asking: Asking, first: int, count: int, now_us: int) -> list[float]:
    """Return how long each of some readings took to come back as an alert, in ms."""
    ids = [f"watched-{number}" for number in range(first, first + count)]
    sent: dict[str, float] = {}
    with asking.client() as client, asking.client() as listening:
        client.ingest([_ordered(id, now_us) for id in ids])
        seen = Seen(listening, {f"shipment:{id}:{NAME}" for id in ids})
        for id in ids:
            sent[id] = time.perf_counter()
            client.ingest([_reading(id, now_us)], urgent=True)
            time.sleep(SHARE)
        came = seen.all()
    return [1000 * (came[f"shipment:{id}:{NAME}"] - at) for id, at in sent.items()]


class Seen:
    """Follows alerts from now on, in a thread, and notes when each was there."""

    def __init__(self, client: Client, wanted: set[str]) -> None:
        self._client, self._wanted = client, wanted
        self._came: dict[str, float] = {}
        self._twice: list[str] = []
        self._listens, self._whole = threading.Event(), threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()
        if not self._listens.wait(WAIT_S):
            raise WrongEnd("the stream of alerts did not begin")

    def all(self) -> dict[str, float]:
        """Return when each alert was there. Raises WrongEnd if one is missing or doubled."""
        self._whole.wait(WAIT_S)
        missing = self._wanted - self._came.keys()
        if missing or self._twice:
            raise WrongEnd(f"{len(missing)} alerts are missing, {len(self._twice)} came twice")
        return self._came

    def _follow(self) -> None:
        where = f"rule = '{NAME}'"
        with suppress(TwinError, grpc.RpcError, ValueError):  # the client is closed: no more comes
            for reply in self._client.subscribe("alert", where, ["state"], only_changes=True):
                at = time.perf_counter()
                self._listens.set()
                for change in reply.changes:
                    if change.change == "entered" and change.twin.id in self._wanted:
                        if change.twin.id in self._came:
                            self._twice.append(change.twin.id)
                        self._came.setdefault(change.twin.id, at)
                if len(self._came) == len(self._wanted):
                    self._whole.set()


def _ordered(id: str, now_us: int) -> Event:
    facts = {
        "supplier": "watched",
        "country": "UG",
        "product_group": "ARV",
        "product": "injection",
        "quantity": 1,
    }
    return Event("shipment.ordered", "erp/orders", id, now_us, facts, f"{id}:ordered", REGION)


def _reading(id: str, now_us: int) -> Event:
    facts = {"temp_c": 14.0}
    return Event("shipment.condition", "sensor/box", id, now_us, facts, f"{id}:warm", REGION)
