"""The supervisor: starts shards, sees deaths and hangs, and is the only one that does.

A closed connection is the death notice; a process that does not answer twice is killed by pid
after its successor's marker is made. Each start takes the next epoch, so what an older writer
still does is fenced. Takeovers of one shard are at least `TAKEOVER_S` apart.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from actors import marker
from actors.disk import Disk
from actors.ray_shard import Begun, ShardSpec, journal_folder, supervisor_folder
from actors.recovery import archived_epoch
from twin.errors import DiskFull, EpochStale, Fatal, Fenced, RegionAway, StorageAway, TwinError

log = logging.getLogger(__name__)
START_S = 60.0  # a start that takes longer is given up
FETCH_S = 900.0  # ... where a journal may have to come home first
TAKEOVER_S = 10.0
PING_S, MISSES = 1.0, 3  # so many pings missed in a row: it hangs (busy cores miss one or two)
FAILED_STARTS = 3  # of one shard, within WINDOW_S: then it stays quarantined
WINDOW_S = 60.0
TICK_S = 0.02


class Host(Protocol):
    """A process that can hold one shard."""

    def begin(self, spec: ShardSpec, timeout_s: float) -> Begun: ...

    def checkpoint(self, timeout_s: float) -> int: ...

    def end(self, timeout_s: float) -> None:
        """Stop serving and leave."""

    def kill(self) -> None:
        """End the process at once, whatever it does."""


class Route(NamedTuple):
    """Who writes a shard now. `state`: starting, serving, recovering, quarantined."""

    epoch: int
    address: str
    pid: int
    state: str
    recovery_s: float = 0.0
    replayed: int = 0
    note: str = ""


class Held(NamedTuple):
    """A shard that serves, the process it is in, and the connection that tells of its death."""

    host: Host
    line: socket.socket
    begun: Begun
    epoch: int


class Supervisor:
    """Keeps every shard served. `launch` starts an empty host; `publish` tells who writes what."""

    def __init__(
        self,
        specs: Sequence[ShardSpec],
        disk: Disk,
        launch: Callable[[str], Host],
        publish: Callable[[dict[str, Route]], None],
        ping: Callable[[str], bool],
    ) -> None:
        self.routes: dict[str, Route] = {}
        self._specs = {spec.name: spec for spec in specs}
        self._disk = disk
        self._launch = launch
        self._publish = publish
        self._ping = ping
        self._epoch = 0
        self._successor: Path | None = None  # the marker that ends this supervisor's epoch
        self.replaced = False
        self._begun: dict[str, float] = {}
        self._held: dict[str, Held] = {}
        self._spares: dict[str, list[Host]] = {}
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start every shard, all at once; return when each serves or has failed."""
        folder = supervisor_folder(Path(next(iter(self._specs.values())).folder))
        self._disk.make_folder(folder)
        self._epoch = marker.newest(self._disk, folder) + 1
        marker.claim(self._disk, folder, self._epoch, str(os.getpid()))
        self._successor = marker.following(folder, self._epoch)
        threads = [
            threading.Thread(target=self._begin, args=(spec,), daemon=True)
            for spec in self._specs.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * START_S)
        for work in (self._watch, self._listen):
            watcher = threading.Thread(target=work, name="supervisor", daemon=True)
            watcher.start()
            self._threads.append(watcher)

    def spare(self, region: str) -> None:
        """Have one started process more in `region`, for the next takeover there."""
        try:
            host = self._launch(f"spare/{region}")
        except RegionAway:
            log.warning("no spare for %s: no node of it is there", region)
            return
        with self._lock:
            self._spares.setdefault(region, []).append(host)

    def checkpoint(self) -> dict[str, int]:
        """Have every shard write a checkpoint; return their offsets."""
        offsets = {}
        for name, held in list(self._held.items()):
            try:
                offsets[name] = held.host.checkpoint(START_S)
            except Exception:
                log.warning("%s wrote no checkpoint", name, exc_info=True)
        return offsets

    def stop(self) -> None:
        """End every shard cleanly, each with a checkpoint."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        with self._lock:
            ending = [
                threading.Thread(target=_end, args=(held.host,)) for held in self._held.values()
            ]
            ending += [
                threading.Thread(target=host.kill)
                for hosts in self._spares.values()
                for host in hosts
            ]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join(15)
        for held in self._held.values():
            held.line.close()

    def _begin(self, spec: ShardSpec) -> None:
        """Start one shard under the next epoch, until it serves or is given up."""
        note = ""
        while not self._stopping.is_set():
            epoch = marker.newest(self._disk, journal_folder(spec)) + 1
            wait_s = START_S if epoch > 1 or not spec.storage.url else FETCH_S
            try:
                # This disk may lack what is archived, or be another one than it was.
                epoch = max(epoch, archived_epoch(spec.name, spec.storage) + 1)
                self._route(spec.name, Route(epoch, "", 0, "recovering", note=note))
                host = self._take_host(spec.region)
            except (RegionAway, StorageAway) as e:  # time helps, however long it takes
                note = f"{e.code}: {e}"
                self._route(spec.name, Route(epoch, "", 0, "recovering", note=note))
                self._stopping.wait(e.retry_after)
                continue
            try:
                asked = spec._replace(epoch=epoch, supervisor=self._epoch)
                begun = host.begin(asked, wait_s)
                address, _, port = begun.lifeline.rpartition(":")
                line = socket.create_connection((address, int(port)), 5)
            except Fenced:
                host.kill()
                log.warning("%s: epoch %d was taken by another supervisor", spec.name, epoch)
                continue
            except EpochStale:
                host.kill()
                self._resign()
                return
            except (StorageAway, DiskFull) as e:  # it starts by itself once that is over
                host.kill()
                log.warning("%s did not start under epoch %d: %s", spec.name, epoch, e)
                note = f"{e.code}: {e}"
                self._route(spec.name, Route(epoch, "", 0, "recovering", note=note))
                self._stopping.wait(e.retry_after)
                continue
            except Exception as e:
                host.kill()
                log.exception("%s did not start under epoch %d", spec.name, epoch)
                if self._given_up(spec.name) or isinstance(e, Fatal):
                    note = f"{e.code}: {e}" if isinstance(e, TwinError) else type(e).__name__
                    self._route(spec.name, Route(epoch, "", 0, "quarantined", note=note))
                    return
                continue
            with self._lock:
                self._held[spec.name] = Held(host, line, begun, epoch)
            route = Route(
                epoch,
                begun.address,
                begun.pid,
                "serving",
                begun.recovery_s,
                begun.replayed,
                begun.note,
            )
            self._route(spec.name, route)
            log.info("%s serves: epoch %d, pid %d", spec.name, epoch, begun.pid)
            return

    def _watch(self) -> None:
        """See deaths: a line that can be read has been closed."""
        while not self._stopping.is_set():
            with self._lock:
                lines = {held.line: name for name, held in self._held.items()}
            dead, _, _ = select.select(list(lines), [], [], TICK_S) if lines else ([], [], [])
            if not lines:
                self._stopping.wait(TICK_S)
            for line in dead:
                self._bury(lines[line])

    def _listen(self) -> None:
        """Find processes that hang: alive, but answering nothing."""
        misses: dict[str, int] = {}
        while not self._stopping.wait(PING_S):
            if self._is_over():
                self._resign()
                return
            with self._lock:
                held = {name: one.begun.address for name, one in self._held.items()}
            with ThreadPoolExecutor(max(1, len(held))) as pool:
                answers = dict(zip(held, pool.map(self._ping, held.values()), strict=True))
            misses = {name: misses.get(name, 0) + 1 for name, ok in answers.items() if not ok}
            for name in [name for name, missed in misses.items() if missed >= MISSES]:
                log.warning("%s missed %d pings", name, misses.pop(name))
                self._bury(name)

    def _bury(self, name: str) -> None:
        """Replace a shard's process; one that still runs is ended once its epoch is over."""
        with self._lock:
            held = self._held.pop(name, None)
        if held is None:
            return
        held.line.close()
        log.warning("%s: process %d is gone or hangs", name, held.begun.pid)
        threading.Thread(target=self._replace, args=(name, held), daemon=True).start()

    def _replace(self, name: str, held: Held) -> None:
        wait = self._begun.get(name, -TAKEOVER_S) + TAKEOVER_S - time.monotonic()
        if wait > 0:
            self._route(name, Route(held.epoch, "", 0, "recovering", note="takeovers too close"))
            self._stopping.wait(wait)
        self._begun[name] = time.monotonic()
        self._begin(self._specs[name])
        held.host.kill()  # after the successor's marker: what it still does is fenced

    def _take_host(self, region: str) -> Host:
        with self._lock:
            spares = self._spares.get(region, [])
            host = spares.pop() if spares else None
        if host is None:
            return self._launch(f"shard/{region}")
        threading.Thread(target=self.spare, args=(region,), daemon=True).start()
        return host

    def _given_up(self, name: str) -> bool:
        now = time.monotonic()
        times = [t for t in self._failures.get(name, []) if now - t < WINDOW_S] + [now]
        self._failures[name] = times
        return len(times) >= FAILED_STARTS

    def _route(self, name: str, route: Route) -> None:
        with self._lock:
            self.routes[name] = route
            if self._is_over():
                self._resign()
            else:
                self._publish(dict(self.routes))

    def _is_over(self) -> bool:
        return self._successor is not None and self._disk.exists(self._successor)

    def _resign(self) -> None:
        """Start nothing more and tell nobody who writes: a newer supervisor does."""
        if not self.replaced:
            log.critical("supervisor %d was replaced; it starts nothing more", self._epoch)
        self.replaced = True
        self._stopping.set()


def _end(host: Host) -> None:
    try:
        host.end(15)
    except Exception:
        log.warning("a shard did not end by itself; it is killed", exc_info=True)
    host.kill()


def kill_process(pid: int) -> None:
    """End a process of this machine at once."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        log.info("process %d had ended", pid)
