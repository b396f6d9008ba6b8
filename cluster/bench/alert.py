"""bench alert: from a reading out of range to the alert in somebody's hands, in milliseconds.

Each alert is durable before it is visible, as every event is. Measured is the way of one reading,
offered as urgent, through its own sync, the watchman, the alert's sync and the stream of alerts;
beside it goes ingest at ten times the usual rate. The end state is checked: one alert a reading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from cluster.bench import stream as streams
from cluster.bench.beside import BATCH, ingesting
from cluster.bench.figures import Asked, Figure
from cluster.bench.oracle import WrongEnd
from cluster.bench.rig import REGION, OneShard, fresh
from serving.client import Client, Event
from serving.wire import twin_pb2 as pb

CASES = ("alert-idle", "alert-burst")
USUAL = 1_000  # events a second
BURST = 10 * USUAL
TWINS = 20_000
SHARE = 0.02  # seconds between two readings that are watched
LEAST = 20  # readings of a run
PAUSE_S = 0.001  # between two looks at the stream
WAIT_S = 20.0
NOW_US = streams.BEGIN_US
RULE = """
[[rule]]
name = "bench-cold-chain"
kind = "shipment"
when = "temp_c > 8 AND supplier = 'watched'"
severity = "critical"
sla = "hour"
message = "{id} is at {temp_c} degC"
"""


def run(asked: Asked) -> Iterator[Figure]:
    """Yield the median and the 99th percentile of the way, idle and during a burst."""
    with fresh(asked.folder, "shard") as own:
        (own / "rules").mkdir(parents=True, exist_ok=True)
        (own / "rules" / "bench.toml").write_text(RULE)
        with OneShard(own) as shard:
            feed = streams.Feed(asked.twins or TWINS, 0)
            number = 0
            for case, rate in zip(CASES, (0, BURST), strict=True):
                if not asked.wants(case):
                    continue
                runs = []
                for turn in range(asked.repeats):
                    asked.say(f"{case}: run {turn + 1} of {asked.repeats}")
                    count = max(LEAST, int(asked.seconds / SHARE))
                    if rate:
                        events = int(rate * (count * SHARE + 5))
                        messages = feed.messages(events, BATCH)
                        with ingesting(asked.folder, shard.address, shard.token, messages, rate):
                            runs.append(_way(shard, number, count))
                    else:
                        runs.append(_way(shard, number, count))
                    number += count
                for name, share in (("p50", 50), ("p99", 99)):
                    values = [float(np.percentile(run, share)) for run in runs]
                    yield Figure("alert", f"{case}-{name}", "ms", values)


def _way(shard: OneShard, first: int, count: int) -> list[float]:
    """Return how long each of some readings took to come back as an alert, in ms."""
    ids = [f"watched-{number}" for number in range(first, first + count)]
    sent: dict[str, float] = {}
    with shard.client() as client:
        client.ingest([_ordered(id) for id in ids])
        seen = Seen(client, {f"shipment:{id}:bench-cold-chain" for id in ids})
        for id in ids:
            sent[id] = time.perf_counter()
            client.ingest([_reading(id)], urgent=True)
            time.sleep(SHARE)
        came = seen.all()
    return [1000 * (came[f"shipment:{id}:bench-cold-chain"] - at) for id, at in sent.items()]


class Seen:
    """Follows the events of alerts from now on, in a thread, and notes when each was there."""

    def __init__(self, client: Client, wanted: set[str]) -> None:
        self._client, self._wanted = client, wanted
        self._came: dict[str, float] = {}
        self._twice: list[str] = []
        self._offsets = dict(self._ask({}).next)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def all(self) -> dict[str, float]:
        """Return when each alert was there. Raises WrongEnd if one is missing or doubled."""
        self._thread.join(WAIT_S)
        missing = self._wanted - self._came.keys()
        if missing or self._twice:
            raise WrongEnd(f"{len(missing)} alerts are missing, {len(self._twice)} came twice")
        return self._came

    def _follow(self) -> None:
        until = time.monotonic() + WAIT_S + len(self._wanted) * SHARE * 3
        while self._wanted - self._came.keys() and time.monotonic() < until:
            reply = self._ask(self._offsets)
            at = time.perf_counter()
            for event in reply.events:
                if event.type == "alert.raised" and event.alert in self._wanted:
                    if event.alert in self._came:
                        self._twice.append(event.alert)
                    self._came.setdefault(event.alert, at)
            self._offsets = dict(reply.next)
            time.sleep(PAUSE_S)

    def _ask(self, offsets: dict[str, int]) -> pb.AlertsReply:
        request = pb.AlertsRequest(events=True, limit=1000)
        getattr(request, "from").update(offsets)
        reply: pb.AlertsReply = self._client.ask("Alerts", request)
        return reply


def _ordered(id: str) -> Event:
    facts = {
        "supplier": "watched",
        "country": "UG",
        "product_group": "ARV",
        "product": "injection",
        "quantity": 1,
    }
    return Event("shipment.ordered", "erp/orders", id, NOW_US, facts, f"{id}:ordered", REGION)


def _reading(id: str) -> Event:
    facts = {"temp_c": 14.0}
    return Event("shipment.condition", "sensor/box", id, NOW_US, facts, f"{id}:warm", REGION)
