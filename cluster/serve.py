"""Serve: one Ray Serve application per region, which answers predictions on loopback.

It joins a twin that already answers; until it has, and whenever it is away, the gateway's lane
table answers and says so. No port of Serve, of its replicas or of HAProxy is open to a network.
"""

from __future__ import annotations

import importlib.metadata
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve._private import replica as replica_module
from ray.serve.config import ProxyLocation
from ray.serve.schema import ApplicationStatus, LoggingConfig

from cluster import haproxy
from cluster.clock import Clock
from cluster.config import Config
from cluster.haproxy_environment import REQUEST_S, environment
from serving.access import Verifier
from serving.client import Client, minter
from serving.inference import Inference
from serving.inference_http import create_app
from serving.inference_models import Shelf
from serving.inference_refresh import Refresher
from twin.errors import Fatal, Unavailable

__all__ = ["Region", "Setting", "deploy", "environment", "reap", "start", "stop", "url"]

JOIN_S = 90.0  # until all applications answer; 20-25 s are usual on two cores
ROUND_S = 0.25
READ_S = 3.0  # for a read of the region's shards: less than the whole request may take
WILDCARD = "[::]:"


class ServeFailed(Fatal):
    """The applications cannot run; the message holds the first root cause."""

    code = "SERVE_FAILED"


class Setting(NamedTuple):
    """What one region's replicas need to know."""

    region: str
    folder: str  # the data directory: its key and its clock
    registry: str
    address: str  # gRPC of the region's gateway
    every_s: float  # wall seconds between two rounds of predictions
    version: str


class Region:
    """The deployment: everything that answers for one region, in one replica process."""

    def __init__(self, setting: Setting) -> None:
        keep_on_node_address()
        folder = Path(setting.folder)
        clock = Clock(folder)
        token = minter(folder, f"serve-{setting.region}")
        twin = Client(setting.address, token, timeout_s=READ_S)
        shelf = Shelf(Path(setting.registry))
        shelf.look()
        self._inference = Inference(setting.region, twin, shelf, clock.now_us)
        stretch_us = max(1_000_000, int(setting.every_s * clock.speed * 1e6))
        self._refresher = Refresher(
            self._inference, twin, every_s=setting.every_s, stretch_us=stretch_us
        )
        self._verifier = Verifier(folder / "key", setting.region)
        self._version = setting.version
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._refresher.run, args=(self._stop,), name="predictions", daemon=True
        )
        self._thread.start()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._inference, self._verifier.verify, self._version, self.state)

    def check_health(self) -> None:
        """Raise when predictions are no longer refreshed: Serve then replaces the replica."""
        if not self._thread.is_alive():
            raise Unavailable("the thread that refreshes predictions has ended", 1.0)

    def state(self) -> Mapping[str, Any]:
        """What it does: for operators, and for tests."""
        held, last = self._inference.held, self._refresher.last
        return {
            "region": self._inference.region,
            "model": held.artifact.answered_by if held.artifact else "",
            "model_fault": held.fault.code if held.fault else "",
            "rounds": self._refresher.rounds,
            "open": last.open,
            "offered": last.offered,
            "outcomes": last.outcomes,
            "fault": self._refresher.fault,
        }

    def __del__(self) -> None:
        if stopping := getattr(self, "_stop", None):
            stopping.set()


def keep_on_node_address() -> None:
    """Have this replica's own gRPC server listen on its node's address, not on every interface.

    Serve hard-codes the wildcard, and what comes in there is unpickled. Raises ServeFailed where
    this version of Ray opens it in another way: no replica then serves.
    """
    original = getattr(replica_module, "add_port_to_grpc_server", None)
    if original is None:
        raise ServeFailed(
            f"ray {ray.__version__} opens replica ports in a way this version does not know; "
            "install a Ray the package allows"
        )
    address = ray.util.get_node_ip_address()

    def narrowed(server: Any, where: str) -> int:
        port: int = original(server, where.replace(WILDCARD, f"{address}:"))
        return port

    replica_module.add_port_to_grpc_server = narrowed


def start(config: Config, folder: Path) -> None:
    """Start what `config` asks for, and return when every region's application answers."""
    deploy(
        config.regions,
        config.serve_port,
        folder,
        folder / "models",
        {region: f"127.0.0.1:{config.grpc_port(region)}" for region in config.regions},
    )


def deploy(
    regions: Sequence[str],
    http_port: int,
    folder: Path,
    registry: Path,
    addresses: Mapping[str, str],
    *,
    every_s: float = 10.0,
    replicas: int = 1,
    join_s: float = JOIN_S,
) -> None:
    """Run one application per region at `/<region>` of 127.0.0.1:`http_port`.

    Ray must run, with `environment(folder, http_port)` set before it was imported. Raises
    ServeFailed with the first root cause, Unavailable when they do not answer within `join_s`.
    """
    until = time.monotonic() + join_s
    logging = LoggingConfig(enable_access_log=False, log_level="WARNING")
    options = {"host": "127.0.0.1", "port": http_port, "request_timeout_s": REQUEST_S}
    try:
        serve.start(
            proxy_location=ProxyLocation.HeadOnly, http_options=options, logging_config=logging
        )
    except RayError as e:
        raise ServeFailed(f"the ingress cannot start: {_first_cause([str(e)])}") from e
    shell = serve.deployment(
        name="eta",
        num_replicas=replicas,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=64,
        max_queued_requests=256,
        health_check_period_s=1,
        health_check_timeout_s=3,
        graceful_shutdown_timeout_s=1,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=logging,
    )(serve.ingress()(Region))
    targets = []
    for region in regions:
        setting = Setting(
            region,
            str(folder.resolve()),
            str(registry.resolve()),
            addresses[region],
            every_s,
            _version(),
        )
        targets.append(serve.RunTarget(shell.bind(setting), name=region, route_prefix=f"/{region}"))
    serve.run_many(
        targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
    )
    for region in regions:
        _await_running(region, until)
        _await_answer(url(http_port, region), until)


def stop() -> None:
    """End every application and Serve itself. May take some seconds; ending Ray ends it too."""
    serve.shutdown()


def reap(folder: Path) -> list[int]:
    """Kill what HAProxy processes of this data directory still live. Returns their pids."""
    return haproxy.reap(folder)


def url(http_port: int, region: str) -> str:
    """Return where a region's application answers."""
    return f"http://127.0.0.1:{http_port}/{region}"


def _version() -> str:
    try:
        return importlib.metadata.version("supply-twin")
    except importlib.metadata.PackageNotFoundError:
        return "0"  # run from a folder that was never installed


def _await_running(region: str, until: float) -> None:
    """Wait until the application runs. A failed deployment is told by its first cause."""
    while True:
        found = serve.status().applications.get(region)
        if found is not None and found.status == ApplicationStatus.RUNNING:
            return
        told = [found.message, *(d.message for d in found.deployments.values())] if found else []
        if found is not None and found.status == ApplicationStatus.DEPLOY_FAILED:
            raise ServeFailed(f"the application of {region} failed: {_first_cause(told)}")
        if time.monotonic() > until:
            raise Unavailable(
                f"the application of {region} does not run yet: {_first_cause(told)}", 5.0
            )
        time.sleep(ROUND_S)


def _await_answer(where: str, until: float) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"{where}/v2/health/live", timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError as e:  # HTTPError and URLError are of its kind
            if time.monotonic() > until:
                raise Unavailable(f"{where} does not answer: {e}", 5.0) from e
        time.sleep(ROUND_S)


def _first_cause(messages: Sequence[str]) -> str:
    """The line of a message that says it: of a port that is taken, else of the exception."""
    for message in messages:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        taken = [line for line in lines if "bind" in line.lower() and "ddress" in line]
        named = [line for line in lines if ": " in line and line.split(":")[0].endswith("Error")]
        if found := taken or named or lines:
            return found[-1][:500]
    return "no cause was given; see Ray's logs"
