"""The host: the one background process of `twin up`, which starts, watches and ends all others.

Everything that may outlive it is recorded by pid and start time before it can matter, so that
`twin down` finds it even after the host was killed. Ending it is the reverse of starting it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from cluster import clock, environment, host_environment, process, queries
from cluster.child import Child, tail
from cluster.config import FILE as CONFIG_FILE
from cluster.config import Config, load
from cluster.lock import Lock
from cluster.progress import ANSWERING, FAILED, READY, Progress, root_cause
from serving.access import ensure_key
from serving.client import connect
from serving.sql_address import ADDRESSES
from twin.errors import BadRequest, EpochStale, Retryable, TwinError, Unavailable

PIDS, GATEWAYS, NOTES, CONFIG = "pids.json", "gateways.json", "notes.json", "config.json"
SIM_START_US = 1_377_993_600_000_000  # 2013-09-01T00:00Z: hundreds of orders are open then
LOADED = "loaded"  # a file: the demo's history is in the journals
ROUND_S, RECORD_S, NOTE_S = 0.5, 2.0, 3.0
SERVING_S = 120.0  # until all shards serve; recovery of a large journal shows progress meanwhile
GRACE_S = 5.0  # for a child to end by itself
SETTLED = ("serving", "quarantined")  # states of a shard that waiting does not change
SERVE_END_S = 8.0  # Serve's own shutdown may take 30 s; its processes are ended with Ray's


class Deployment(Protocol):
    """What `cluster.deploy.start` returns: Ray, the supervisor and the shards."""

    @property
    def replaced(self) -> bool:
        """Say whether a newer supervisor has taken over."""

    def start_spares(self) -> None: ...

    def stop(self) -> None: ...


class Host:
    """Starts and ends one twin. `run` does everything, and returns the exit status."""

    def __init__(self, config: Config, folder: Path, *, demo: bool) -> None:
        self._config, self._folder, self._demo = config, folder, demo
        self._ended = threading.Event()
        self._log: Any = None
        self._progress: Progress | None = None
        self._deployment: Deployment | None = None
        self._gateways: list[Child] = []
        self._queries: list[Child] = []
        self._world: Child | None = None
        self._serve: threading.Thread | None = None
        self._notes: dict[str, str] = {}
        self._known: dict[int, process.Process] = {}
        self._noting = threading.Lock()  # notes and the roll are written by two threads

    def listen(self) -> None:
        """Have SIGTERM and SIGINT end `run`."""
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, self.end)

    def end(self, *_: object) -> None:
        """Ask `run` to return. Safe in a signal handler."""
        self._ended.set()

    def run(self) -> int:
        """Hold the lock, start, watch until asked to end, stop."""
        lock = Lock(self._folder)
        lock.hold()
        self._progress = Progress(self._folder)
        self._log = _log(self._folder)
        status = 0
        try:
            self._start(self._progress)
            self._watch()
        except Exception as e:  # noqa: BLE001 - the process boundary: told, logged, then stopped
            self._log.exception("failed")
            code = e.code if isinstance(e, TwinError) else "START_FAILED"
            text = str(e) if isinstance(e, TwinError) else root_cause(e)
            self._progress(text, FAILED, code)
            status = 1
        finally:
            self._stop()
            lock.free()
        return status

    def _start(self, progress: Progress) -> None:
        fresh = not (self._folder / "key").exists()
        self._reap_old(progress)
        check_ports(self._config)
        ensure_key(self._folder / "key")
        environment.prepare(self._folder)
        (self._folder / CONFIG).write_bytes(msgspec.json.encode(self._config))
        self._begin_clock()
        self._note({})
        threading.Thread(target=self._record, name="record", daemon=True).start()
        state = "new" if fresh else "found"
        log = self._folder / "logs" / "host.log"
        progress(f"data dir {self._folder} ({state})   host pid {os.getpid()}, log {log}")
        self._start_gateways()
        self._deploy(progress)
        self._await_serving()
        if self._ended.is_set():
            return
        progress("first answer over gRPC: all shards serve", ANSWERING)
        # Only now, as each of these takes a core for seconds.
        if self._deployment is not None:
            self._deployment.start_spares()
        self._queries = queries.start(self._config, self._folder)
        if self._demo:
            self._start_demo(progress)
        rule = "the lane table answers until Serve joins" if self._config.serve else "by lane table"
        progress(f"ready.  predictions: {rule}", READY)
        if self._config.serve:
            self._serve = threading.Thread(target=self._join_serve, name="serve", daemon=True)
            self._serve.start()

    def _begin_clock(self) -> None:
        """Go on with a replay, or begin one; slowly, or days would pass before anyone can ask."""
        if clock.resume(self._folder, 1.0):
            self._demo = True
        elif self._demo:
            clock.start(self._folder, SIM_START_US, 1.0)

    def _reap_old(self, progress: Progress) -> None:
        """End what a killed host left: two writers of one shard would only fence each other."""
        old = leftovers(self._folder)
        if old:
            clock.note(self._folder)  # it ran on without its host
            process.end(old, GRACE_S)
            progress(f"{len(old)} processes of a host that was killed are ended")

    def _start_gateways(self) -> None:
        addresses = {}
        for region in self._config.regions:
            ports = self._config.grpc_port(region), self._config.http_port(region)
            argv = [sys.executable, "-m", "cluster.gateway", "--folder", str(self._folder)]
            argv += ["--region", region, "--grpc-port", str(ports[0]), "--http-port", str(ports[1])]
            child = Child(
                f"gateway {region}", argv, self._folder / "logs" / f"gateway-{region}.log"
            )
            child.start(time.monotonic())
            self._gateways.append(child)
            addresses[region] = f"127.0.0.1:{ports[0]}"
        (self._folder / GATEWAYS).write_bytes(msgspec.json.encode(addresses))

    def _deploy(self, progress: Progress) -> None:
        """Start Ray, on loopback only, and the shards in it."""
        # Ray takes its time; the gateways start meanwhile.
        from cluster import local_ray  # noqa: PLC0415 - imports Ray

        try:
            local_ray.start(self._folder, "cluster.deploy")
        finally:
            self.listen()  # Ray set its own handler, which exits on the spot
        progress("ray local, 127.0.0.1 only")
        from cluster import deploy  # noqa: PLC0415 - loaded by now

        shards = msgspec.to_builtins(self._config.shards)
        plan = deploy.Plan(
            self._folder,
            self._config.regions,
            shards,
            self._config.checkpoint_every_s,
            storage=deploy.storage(self._config),
            schedule=deploy.schedule(self._config),
        )
        self._deployment = deploy.start(plan, progress)

    def _await_serving(self) -> None:
        """Wait until every gateway says that all shards serve. Raises Unavailable after a while."""
        until = time.monotonic() + SERVING_S
        for gateway, region in zip(self._gateways, self._config.regions, strict=True):
            with connect(self._folder, region, "host") as client:
                while not self._ended.is_set():
                    missing = "the gateway does not answer"
                    with suppress(Retryable):
                        shards = client.status().shards
                        waiting = [s.name for s in shards if s.state not in SETTLED]
                        missing = ", ".join(waiting) or ("" if shards else "no shard is known")
                    if not missing:
                        break
                    if happened := gateway.look(time.monotonic()):
                        self._log.warning(happened, output=tail(gateway.log))
                    if gateway.gave_up or time.monotonic() > until:
                        raise Unavailable(
                            f"{gateway.name} is not ready: {missing}; {tail(gateway.log)}", 1.0
                        )
                    self._ended.wait(0.1)

    def _start_demo(self, progress: Progress) -> None:
        """Load the history, unless it is; then let the clock run, and the world with it."""
        from actors import lean  # noqa: PLC0415 - numpy and the history, if asked
        from cluster.world.load import load_demo  # noqa: PLC0415

        loaded = self._folder / LOADED
        if loaded.exists():
            clock.note(self._folder)
            clock.resume(self._folder, self._config.speed)
        else:
            lean.without_pandas()
            load_demo(self._folder, progress)
            clock.start(self._folder, SIM_START_US, self._config.speed)
            loaded.touch()
        day_s = 86_400 / self._config.speed
        progress(
            f"demo: the clock runs on from {clock.text(self._folder)}, 1 day in {day_s:.3g} s; "
            "telemetry is SYNTHETIC (its source says so)"
        )
        argv = [sys.executable, "-m", "cluster.world.run", "--folder", str(self._folder)]
        self._world = Child("world", argv, self._folder / "logs" / "world.log", finite=True)
        self._world.start(time.monotonic())

    def _join_serve(self) -> None:
        """Start Ray Serve beside a twin that answers already; its failure is a note, no more."""
        self._note({"serve": "starting; the lane table answers predictions"})
        try:
            from cluster import serve  # noqa: PLC0415 - 20 s of start-up, after everything else

            serve.start(self._config, self._folder)
        except Exception as e:  # noqa: BLE001 - a thread's boundary: logged, noted, answered
            if self._ended.is_set():
                return  # it was ended while it joined
            self._log.exception("serve failed")
            self._note({"serve": f"failed: {root_cause(e)}; the lane table answers predictions"})
            return
        self._log.info("serve ready")
        self._note({"serve": "ready"})

    def _watch(self) -> None:
        """Until asked to end: start dead children again, and write the clock down."""
        noted = time.monotonic()
        while not self._ended.wait(ROUND_S):
            now_s = time.monotonic()
            if self._deployment is not None and self._deployment.replaced:
                raise EpochStale("a newer host serves this data directory; this one ends")
            for child in self._children():
                if happened := child.look(now_s):
                    self._log.warning(happened, output=tail(child.log))
                    self._note({child.name: happened})
                elif child.name in self._notes and child.steady(now_s):
                    self._note({child.name: ""})
            if now_s - noted > NOTE_S:
                clock.note(self._folder)
                noted = now_s

    def _stop(self) -> None:
        """End everything in the reverse order; what does not end is killed by recorded pid."""
        self._ended.set()
        clock.note(self._folder)
        steps: list[tuple[str, Callable[[], None]]] = []
        if self._world is not None:
            steps.append(("world", partial(self._world.stop, GRACE_S)))
        if self._serve is not None:
            steps.append(("serve", self._stop_serve))
        if self._deployment is not None:
            steps.append(("shards", self._deployment.stop))
        if "ray" in sys.modules:
            steps.append(("ray", sys.modules["ray"].shutdown))
        steps += [(c.name, partial(c.stop, GRACE_S)) for c in (*self._queries, *self._gateways)]
        for name, step in steps:
            began = time.monotonic()
            try:
                step()
                self._log.info("ended", step=name, seconds=round(time.monotonic() - began, 2))
            except Exception:  # noqa: BLE001 - the next step must be tried too
                self._log.exception("stop failed", step=name)
        left = process.end(leftovers(self._folder), 1.0)
        if left:
            self._log.error("still running", processes=left)
            return
        for name in (PIDS, GATEWAYS, ADDRESSES, NOTES):
            (self._folder / name).unlink(missing_ok=True)
        environment.clear(self._folder)
        self._log.info("ended")

    def _children(self) -> list[Child]:
        return [*self._gateways, *self._queries, *([self._world] if self._world else [])]

    def _stop_serve(self) -> None:
        from cluster import serve  # noqa: PLC0415 - loaded already

        ending = threading.Thread(target=serve.stop, name="serve end", daemon=True)
        ending.start()
        ending.join(SERVE_END_S)

    def _record(self) -> None:
        """Keep pids.json true, for as long as this process lives."""
        mark = environment.mark(self._folder)
        own = process.identify(os.getpid(), "host")
        while True:
            found = [*process.descendants(os.getpid()), *process.marked(mark)]
            held = [p for p in self._known.values() if process.alive(p)]
            self._known = {p.pid: p for p in (*held, *found)}
            roles = {child.pid: child.name for child in self._children()}
            rows = [p._replace(role=roles.get(p.pid, p.role)) for p in self._known.values()]
            with suppress(FileNotFoundError):  # somebody deleted the folder of a running twin
                process.record(self._folder / PIDS, [*([own] if own else []), *rows])
            if self._ended.wait(RECORD_S):
                return

    def _note(self, notes: dict[str, str]) -> None:
        """Say something that Status shows: what is not as it should be, or worth knowing."""
        with self._noting:
            self._notes = {name: text for name, text in (self._notes | notes).items() if text}
            draft = self._folder / f".{NOTES}"
            draft.write_bytes(msgspec.json.encode(self._notes))
            draft.replace(self._folder / NOTES)


def leftovers(folder: Path) -> list[process.Process]:
    """Return the living processes of the twin in `folder`, besides this one."""
    found = {p.pid: p for p in process.marked(environment.mark(folder))}
    found |= {p.pid: p for p in process.recorded(folder / PIDS) if process.alive(p)}
    found.pop(os.getpid(), None)
    return list(found.values())


def check_ports(config: Config) -> None:
    """Raise BadRequest PORT_IN_USE if somebody holds a port that is needed."""
    for port, who in process.busy(config.ports).items():
        raise BadRequest(
            f"port {port} ({config.ports[port]}) is held by {who}; end that, or set base_port "
            "in twin.toml or TWIN_BASE_PORT",
            "PORT_IN_USE",
        )


def main(argv: list[str] | None = None) -> int:
    """Run the host in the foreground: `python -m cluster.host --folder F [--demo] [--speed S]`."""
    parser = argparse.ArgumentParser(prog="cluster.host", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--demo", action="store_true", help="load the delivery history, replay on")
    parser.add_argument("--speed", type=float, help="simulated seconds a second")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder.resolve()
    (folder / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
    config = load(Path(CONFIG_FILE), os.environ, folder).config
    wanted = host_environment.wanted(folder, config)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # Not begun by `twin up`, which sets all of it.
        again = [sys.executable, "-m", "cluster.host", *(sys.argv[1:] if argv is None else argv)]
        os.execve(sys.executable, again, host_environment.whole(os.environ, wanted))
    if arguments.speed is not None:
        config = msgspec.structs.replace(config, speed=arguments.speed)
    host = Host(config, folder, demo=arguments.demo)
    host.listen()
    try:
        return host.run()
    except TwinError as e:  # of the lock: there is no progress to tell it in, that is another's
        sys.stderr.write(f"{e.code}: {e}\n")
        return 1


def _log(folder: Path) -> Any:
    """Return a logger that writes JSON lines to logs/host.log."""
    return structlog.wrap_logger(
        structlog.WriteLogger((folder / "logs" / "host.log").open("a", encoding="utf-8")),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
