"""Deployment: Ray, its shard actors and their supervisor, put together for one data directory.

Ray places and starts processes; it never restarts a shard, and no event passes through it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import ray
from grpc_health.v1 import health_pb2, health_pb2_grpc

from actors.bases import Schedule
from actors.disk import OsDisk
from actors.ray_shard import Begun, ShardHost, ShardSpec
from actors.recovery import Storage
from actors.supervisor import Route, Supervisor, kill_process
from cluster.config import Config
from cluster.environment import NAMESPACE
from twin.errors import RegionAway

log = logging.getLogger(__name__)
SERVE = "cluster.deploy:serve_shard"
CLOCK = "cluster.deploy:clock_of"
WARM_S = 60.0
AGAIN_S = 1.0  # between looks for a node of a region that has none
REGION = "region"  # the label of a node that says where it stands
PING_S = 1.5  # two busy cores keep a healthy process waiting about a second


class Plan(NamedTuple):
    """What runs where: regions, and how many shards of each kind a region has."""

    folder: Path
    regions: Sequence[str]
    shards: dict[str, int]
    checkpoint_s: float
    storage: Storage = Storage()
    schedule: Schedule = Schedule()


class RayHost:
    """A host that is a Ray actor."""

    def __init__(self, actor: Any, pid: int) -> None:
        self._actor = actor
        self._pid = pid

    def begin(self, spec: ShardSpec, timeout_s: float) -> Begun:
        begun: Begun = ray.get(self._actor.begin.remote(spec), timeout=timeout_s)
        return begun

    def checkpoint(self, timeout_s: float) -> int:
        return int(ray.get(self._actor.checkpoint.remote(), timeout=timeout_s))

    def end(self, timeout_s: float) -> None:
        ray.get(self._actor.end.remote(), timeout=timeout_s)

    def kill(self) -> None:
        try:
            ray.kill(self._actor)
        except Exception:
            log.info("ray did not end an actor; its process is killed", exc_info=True)
        kill_process(self._pid)


class Deployment:
    """Running shards. `stop` ends them, each with a checkpoint, and then Ray."""

    def __init__(self, plan: Plan, supervisor: Supervisor) -> None:
        self.plan = plan
        self.supervisor = supervisor
        self._stopping = threading.Event()
        self._checkpoints = threading.Thread(target=self._keep, name="checkpoints", daemon=True)
        self._checkpoints.start()

    @property
    def replaced(self) -> bool:
        return self.supervisor.replaced

    def start_spares(self) -> None:
        """Have one process more in each region for its next takeover. Returns at once.

        Asked for apart from `start`, since each takes a core for two seconds.
        """
        for region in self.plan.regions:
            threading.Thread(target=self.supervisor.spare, args=(region,), daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self.supervisor.stop()
        ray.shutdown()

    def _keep(self) -> None:
        while not self._stopping.wait(self.plan.checkpoint_s):
            self.supervisor.checkpoint()


def start(plan: Plan, progress: Callable[[str], None]) -> Deployment:
    """Start every shard of `plan` in the Ray that runs; return when each serves or has failed."""
    folder = plan.folder.resolve()
    publish(folder, {})
    address = ray.get_runtime_context().gcs_address
    _write(folder / "ray.json", {"address": address, "namespace": NAMESPACE})
    shards = specs(plan, folder)
    launch = partial(_launch, _pins(plan.regions))
    supervisor = Supervisor(shards, OsDisk(), launch, partial(publish, folder), answers)
    supervisor.start()
    routes = supervisor.routes.values()
    serving = sum(route.state == "serving" for route in routes)
    replayed = sum(route.replayed for route in routes)
    progress(
        f"regions {', '.join(plan.regions)}: {serving} of {len(routes)} shards serve, "
        f"{replayed} events replayed"
    )
    for name, route in sorted(supervisor.routes.items()):
        if route.state == "serving" and route.note:
            progress(f"{name}: {route.note}")
    return Deployment(plan, supervisor)


def schedule(config: Config) -> Schedule:
    """Return when bases are made and how long they are kept."""
    held = config.bases
    return Schedule(held.every_s, held.events, held.days, held.mib)


def storage(config: Config) -> Storage:
    """Return where the journals of a twin go besides its disk."""
    held = config.storage
    return Storage(held.url, held.every_s, config.retention.segments_s)


def specs(plan: Plan, folder: Path) -> list[ShardSpec]:
    """Return what each shard is to be; epochs are given at each start."""
    return [
        ShardSpec(
            kind,
            region,
            number,
            count,
            str(folder),
            0,
            SERVE,
            CLOCK,
            storage=plan.storage,
            schedule=plan.schedule,
        )
        for region in plan.regions
        for kind, count in plan.shards.items()
        for number in range(count)
    ]


def _launch(pins: dict[str, dict[str, Any]], name: str) -> RayHost:
    """Start an empty process for a shard of the region that ends `name`. Raises RegionAway."""
    region = name.rpartition("/")[2]
    _require_node(region, pins[region])
    actor = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=2)(ShardHost)
    handle = actor.options(**pins[region]).remote()
    try:
        warm = handle.warm.remote(SERVE)
        until = time.monotonic() + WARM_S
        while not ray.wait([warm], timeout=AGAIN_S)[0]:
            _require_node(region, pins[region])  # it may have gone meanwhile
            if time.monotonic() > until:
                raise RegionAway(f"no process for {name} within {WARM_S:g} s", AGAIN_S)
        return RayHost(handle, ray.get(warm))
    except ray.exceptions.RayActorError as e:
        raise RegionAway(f"a process for {name} died: {e}", AGAIN_S) from e
    except RegionAway:
        ray.kill(handle)  # or it would start when nobody waits for it any more
        raise


def publish(folder: Path, routes: dict[str, Route]) -> None:
    """Write who serves which shard, whole, for the gateways to read."""
    shards = {name: route._asdict() for name, route in routes.items()}
    _write(folder / "routes.json", {"shards": shards})


def serve_shard(shard: Any, folder: Path, clock: Callable[[], int]) -> Any:
    """Serve a shard over gRPC: the factory that an actor is handed."""
    from serving.shard_server import serve  # noqa: PLC0415 - only the actor needs the server

    return serve(shard, folder / "key", clock)


def answers(address: str) -> bool:
    """Say whether the server at `address` answers a health check within a second."""
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            check(health_pb2.HealthCheckRequest(), timeout=PING_S)
        except grpc.RpcError:
            return False
    return True


def clock_of(folder: Path) -> Callable[[], int]:
    from cluster.clock import Clock  # noqa: PLC0415 - the actor's own clock

    return Clock(folder).now_us


def _write(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(json.dumps(content))
    draft.rename(path)


def _pins(regions: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the options that keep each region's processes on its own nodes.

    Looked at once: a region whose nodes are all gone stays away, it does not move elsewhere.
    """
    labelled = any(REGION in node["Labels"] for node in ray.nodes())
    known = ray.cluster_resources()
    pins: dict[str, dict[str, Any]] = {}
    for region in regions:
        if labelled:
            pins[region] = {"label_selector": {REGION: region}}
        elif f"region_{region}" in known:
            pins[region] = {"resources": {f"region_{region}": 0.001}}
        else:
            pins[region] = {}
    return pins


def _require_node(region: str, pin: dict[str, Any]) -> None:
    """Raise RegionAway at once where a process of this region would wait for a node."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    wanted = pin.get("label_selector", {})
    held = any(wanted.items() <= node["Labels"].items() for node in nodes)
    resources = pin.get("resources", {})
    held = held and any(resources.keys() <= node["Resources"].keys() for node in nodes)
    if not held:
        raise RegionAway(f"no node of region {region} is there", AGAIN_S)
