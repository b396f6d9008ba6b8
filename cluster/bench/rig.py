"""The rig: a real shard for a benchmark, in a Ray actor, on loopback, in a folder of its own.

Whatever is started here is ended here, by handle or by pid; a Ray that runs already, as in a
test, is used and left alone.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow as pa
import ray

from actors.disk import OsDisk
from actors.marker import newest
from actors.ray_shard import Begun, ShardHost, ShardSpec, journal_folder
from actors.supervisor import kill_process
from cluster import deploy, environment
from serving.access import ensure_key, mint
from serving.client import Client

REGION, KIND = "east", "shipment"
WORKERS = 4  # logical: that many processes Ray starts at once
STORE_BYTES = 128 << 20  # Ray's object store: no event passes through it
TOKEN_S = 3600
END_S = 10.0
SOURCE = "bench"
# Rules that made-up shipments of long ago would trip by the million; all others watch as ever.
OFF = ("implausible", "overdue", "silent-feed")


class Held(NamedTuple):
    """Bytes that a shard's structures take, and of how many items."""

    columns: int
    keys: int
    dedup: int
    outbox: int
    shipments: int
    ids: int
    shares: dict[str, float]  # of the columns: fields, provenance, chain


class Probe(ShardHost):
    """A shard's host that a benchmark can look into."""

    def __init__(self) -> None:
        super().__init__()
        self._enough = threading.Event()

    def held(self) -> Held:
        """Return what the shard holds, after what it does not hold was given back."""
        gc.collect()
        pa.default_memory_pool().release_unused()
        with suppress(AttributeError):  # of glibc: others give it back by themselves
            ctypes.CDLL(None).malloc_trim(0)
        assert self._shard is not None
        state = self._shard._state
        one = state.kinds[KIND]
        items = {name: blank.dtype.itemsize for name, blank in one.table.blanks.items()}
        chain = items["head"]
        provenance = sum(size for name, size in items.items() if "." in name)
        whole = sum(items.values())
        shares = {
            "fields": (whole - provenance - chain) / whole,
            "provenance": provenance / whole,
            "chain": chain / whole,
        }
        columns, keys, dedup = one.table.bytes(), one.keys.bytes(), state.seen.bytes()
        outbox = state.outbox.bytes()
        return Held(columns, keys, dedup, outbox, one.keys.size, state.seen.size, shares)

    def snapshots(self, every_s: float, most: int) -> list[float]:
        """Take snapshots until `enough`; return the milliseconds each took, waiting included.

        Each is held until the next is taken. One is skipped where nothing was written since the
        last: it would cost nothing.
        """
        assert self._shard is not None
        took: list[float] = []
        held = None
        while len(took) < most:
            start = time.perf_counter()
            if held is None or self._shard.next != held.offset:
                held = self._shard.snapshot()
                took.append(1000 * (time.perf_counter() - start))
            if self._enough.wait(every_s):
                break
        self._enough.clear()
        return took

    def enough(self) -> None:
        """End `snapshots`."""
        self._enough.set()


class OneShard:
    """A shard that serves, alone: shipment/east/0."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ensure_key(folder / "key")
        _turn_off(folder / "rules")
        self.folder = folder.resolve()
        self.spec = spec_of(self.folder)
        epoch = newest(OsDisk(), journal_folder(self.spec)) + 1 if self._journaled() else 1
        actor = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=4)(Probe)
        self.actor: Any = actor.remote()
        self.pid = int(ray.get(self.actor.warm.remote(deploy.SERVE), timeout=deploy.WARM_S))
        asked = self.spec._replace(epoch=epoch)
        begun: Begun = ray.get(self.actor.begin.remote(asked), timeout=deploy.WARM_S)
        self.address = begun.address
        self.token = mint(
            self.folder / "key",
            name=SOURCE,
            scopes=["read", "write"],
            region=REGION,
            ttl_s=TOKEN_S,
        )

    def __enter__(self) -> OneShard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.kill()

    def client(self) -> Client:
        return Client(self.address, self.token, timeout_s=60.0)

    def checkpoint(self) -> Any:
        """Begin a checkpoint; return what it can be awaited by."""
        return self.actor.checkpoint.remote()

    def held(self) -> Held:
        held: Held = ray.get(self.actor.held.remote(), timeout=60)
        return held

    def kill(self) -> None:
        """End the process at once: no checkpoint is written."""
        with suppress(Exception):  # Ray may have seen its end already
            ray.kill(self.actor)
        kill_process(self.pid)

    def _journaled(self) -> bool:
        return journal_folder(self.spec).exists()


def _turn_off(rules: Path) -> None:
    rules.mkdir(exist_ok=True)
    off = 'kind = "shipment"\nwhen = "temp_c > 90"\nseverity = "info"\nenabled = false\n'
    text = "".join(f'[[rule]]\nname = "{name}"\n{off}' for name in OFF)
    (rules / "off.toml").write_text(text)


def spec_of(folder: Path) -> ShardSpec:
    """Return the one shard of a benchmark; its epoch is given at each start."""
    plan = deploy.Plan(folder, [REGION], {KIND: 1}, 0.0)
    return deploy.specs(plan, folder)[0]


@contextmanager
def ray_running(folder: Path) -> Iterator[None]:
    """Have Ray run: one of its own, or the one that this process has."""
    if ray.is_initialized():
        yield
        return
    environment.prepare(folder)
    ray.init(
        address="local",
        namespace=environment.NAMESPACE,
        num_cpus=WORKERS,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(environment.temp_dir(folder)),
    )
    try:
        yield
    finally:
        ray.shutdown()
        environment.clear(folder)


@contextmanager
def fresh(folder: Path, name: str) -> Iterator[Path]:
    """Make an empty folder in `folder`, and remove it afterwards."""
    own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of a process: its share of what it has in memory."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def in_memory(folder: Path) -> bool:
    """Say whether the files of `folder` lie in memory, where a sync costs nothing."""
    best, kind = -1, ""
    place = os.fspath(folder.resolve())
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4]
        inside = mount in {"/", place} or place.startswith(mount + "/")
        if inside and len(mount) >= best:
            best, kind = len(mount), right.split()[0]
    return kind in {"tmpfs", "ramfs"}


def until(holds: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return `holds()` once it is true. Raises TimeoutError."""
    end, pause = time.monotonic() + within_s, threading.Event()
    while not (found := holds()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        pause.wait(0.005)
    return found
