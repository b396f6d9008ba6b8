"""The killed shard: how long until the gateway answers rightly again.

A writer offers one twin's temperature in small batches through the gateway and notes what was
acknowledged; the shard's process is killed with -9 in between, and only its supervisor acts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from cluster import deploy, process
from cluster.bench import stream as streams
from cluster.bench.figures import Asked
from cluster.bench.offer import offer
from cluster.bench.oracle import WrongEnd
from cluster.bench.peer_servers import free_port
from cluster.bench.rig import KIND, REGION, fresh, until
from cluster.child import Child, tail
from cluster.config import Config
from serving.access import ensure_key
from serving.client import Client, Event, TwinState, minter
from twin.errors import Retryable, TwinError

WATCHED = "shp-watched"
BATCH, ACKNOWLEDGED = 20, 20  # events a batch; batches before the kill
BACK_S, START_S, LOAD_S = 60.0, 60.0, 30.0
POLL_S = 0.002
MOST_C = 80.0


class Acknowledged(NamedTuple):
    """The newest value that a receipt confirmed."""

    number: int
    time: int


class Writer:
    """Offers the watched twin's temperature, one step a batch, until told to stop."""

    def __init__(self, client: Client, begin: int) -> None:
        self.newest = Acknowledged(-1, 0)
        self.batches = 0
        self.failure: TwinError | None = None
        self._client, self._number = client, begin
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(BACK_S)

    def _write(self) -> None:
        while not self._stop.is_set():
            events = [_event(self._number + i) for i in range(BATCH)]
            try:
                self._client.ingest(events)
            except Retryable as e:
                self._stop.wait(max(0.02, e.retry_after))
                continue  # the same batch again: ids make it safe
            except TwinError as e:
                self.failure = e
                return
            self._number += BATCH
            self.newest = Acknowledged(self._number - 1, events[-1].time)
            self.batches += 1


def runs(asked: Asked, events: int, keys: int) -> list[float]:
    """Return the seconds of each kill, every one of a new deployment."""
    took = []
    for turn in range(1, asked.repeats + 1):
        asked.say(f"kill: run {turn} of {asked.repeats}")
        with fresh(asked.folder, "twin") as own:
            took.append(_one(own.resolve(), events, keys))
    return took


def _one(folder: Path, events: int, keys: int) -> float:
    """Deploy, fill, checkpoint, fill again, kill; return the seconds to a right answer."""
    ensure_key(folder / "key")
    with ExitStack() as held:
        plan = deploy.Plan(folder, [REGION], {KIND: 1}, threading.TIMEOUT_MAX)
        deployment = deploy.start(plan, lambda text: None)
        held.callback(deployment.supervisor.stop)
        deployment.start_spares()
        gateway = held.enter_context(_gateway(folder))
        token = minter(folder, "bench")
        name = f"{KIND}/{REGION}/0"
        route = deployment.supervisor.routes[name]
        stream = streams.telemetry(2 * events, keys)
        offer(route.address, token(), list(streams.arrow(stream.part(0, events), 10_000)))
        deployment.supervisor.checkpoint()
        offer(route.address, token(), list(streams.arrow(stream.part(events, 2 * events), 10_000)))
        spares = deployment.supervisor._spares
        until(lambda: spares.get(REGION), LOAD_S, "a spare process")
        writer = Writer(gateway, 0)
        held.callback(writer.stop)
        until(lambda: writer.batches >= ACKNOWLEDGED or writer.failure, LOAD_S, "receipts")
        if writer.failure is not None:
            raise writer.failure
        return _kill(route.pid, writer, gateway)


def _kill(pid: int, writer: Writer, gateway: Client) -> float:
    victim = process.identify(pid)
    if victim is None:
        raise WrongEnd(f"process {pid} was gone before it was killed")
    known = writer.newest
    os.kill(pid, signal.SIGKILL)
    start = time.perf_counter()
    if process.wait([victim], BACK_S):
        raise WrongEnd(f"process {pid} survived")
    pause = threading.Event()
    while time.perf_counter() - start < BACK_S:
        with suppress(Retryable):
            if right(gateway.get(KIND, WATCHED, REGION), known):
                return time.perf_counter() - start
        pause.wait(POLL_S)
    raise WrongEnd(f"no right answer within {BACK_S:g} s of the kill")


def right(twin: TwinState, known: Acknowledged) -> bool:
    """Say whether an answer knows what was acknowledged. Raises WrongEnd if it is a false one."""
    value = twin.values["temp_c"]
    number = value.as_of - streams.BEGIN_US
    if value.value != _degrees(number):
        raise WrongEnd(f"{WATCHED} says {value.value} as of {value.as_of}; nobody offered that")
    if value.as_of < known.time:
        raise WrongEnd(f"{WATCHED} is as of {value.as_of}, {known.time} was acknowledged")
    return True


@contextmanager
def _gateway(folder: Path) -> Iterator[Client]:
    """Run a gateway of the region; give a client of it once it knows that the shard serves."""
    ports = free_port(), free_port()
    config = Config(str(folder), regions=(REGION,), serve=False)
    (folder / "config.json").write_bytes(msgspec.json.encode(config))
    argv = [sys.executable, "-m", "cluster.gateway", "--folder", str(folder), "--region", REGION]
    argv += ["--grpc-port", str(ports[0]), "--http-port", str(ports[1])]
    child = Child("gateway", argv, folder / "gateway.log")
    child.start(time.monotonic())
    client = Client(f"127.0.0.1:{ports[0]}", minter(folder, "bench"), timeout_s=5.0)

    def serves() -> bool:
        if not child.running:
            raise WrongEnd(f"the gateway ended: {tail(child.log)}")
        with suppress(Retryable):
            return any(shard.state == "serving" for shard in client.status().shards)
        return False

    try:
        until(serves, START_S, "the gateway to answer")
        yield client
    finally:
        client.close()
        child.stop(5.0)


def _event(number: int) -> Event:
    time_ = streams.BEGIN_US + number
    data = {"temp_c": _degrees(number)}
    return Event("shipment.condition", "bench/kill", WATCHED, time_, data, f"k{number}", REGION)


def _degrees(number: int) -> float:
    return float(number % int(MOST_C))
