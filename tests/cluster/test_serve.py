"""Serve on a real Ray: one application a region, on loopback, that survives its replica."""

import contextlib
import json
import os
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from cluster import clock, haproxy, serve
from cluster.haproxy_environment import FALLBACK
from cluster.process import descendants
from cluster.serve import _first_cause
from serving.access import ensure_key, mint
from tests.serving.inference_recorder import NOW, MemoryTwin, over_grpc, publish_model, shipment

REGIONS = ("east", "west")


def wait(holds, seconds=60):
    paused = threading.Event()
    return any(holds() or paused.wait(0.1) for _ in range(seconds * 10))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def named(title):
    """Processes below this one whose title begins so: it names its workers for what they do."""
    found = []
    for child in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{child.pid}/cmdline").read_bytes()
            if line.replace(b"\0", b" ").startswith(title.encode()):
                found.append(child.pid)
    return found


def open_to_a_network(pids):
    """Listening addresses of these processes that are not loopback, as /proc shows them."""
    loopback = (
        "0100007F:",
        "0000000000000000FFFF00000100007F:",
        "00000000000000000000000001000000:",
    )
    found = []
    for pid in pids:
        inodes = set()
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
            except FileNotFoundError:
                continue
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == "0A" and parts[9] in inodes and not parts[1].startswith(loopback):
                    found.append((pid, parts[1]))
    return found


def serve_pids():
    ours = ("ray::ServeController", "ray::ProxyActor", "ray::ServeReplica", "ray::HAProxyManager")
    return [pid for title in ours for pid in named(title)] + haproxies()


def haproxies():
    return [pid for pid in named("/") if os.readlink(f"/proc/{pid}/exe").endswith("/haproxy")]


class World:
    def __init__(self, folder, port, twins):
        self.folder, self.port, self.twins = folder, port, twins
        token = mint(folder / "key", name="test", scopes=["read"])
        self.headers = {"authorization": f"Bearer {token}"}

    def predict(self, region, body):
        where = f"{serve.url(self.port, region)}/v1/predict/eta"
        return httpx.post(where, json=body, headers=self.headers, timeout=20)


@pytest.fixture(scope="module")
def world(ray_session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin")
    ensure_key(folder / "key")
    clock.start(folder, NOW, 1.0)
    publish_model(folder / "models", shift_days=1.0)
    # Beside the fallback port that the environment of this Ray names, if it names one.
    beside = os.environ.get("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT")
    port = int(beside) - FALLBACK if beside else free_port()
    twins = {
        region: MemoryTwin({f"{region}-{n}": shipment(n) for n in range(20)}, region)
        for region in REGIONS
    }
    with over_grpc(twins["east"]) as east, over_grpc(twins["west"]) as west:
        addresses = {"east": east, "west": west}
        serve.deploy(REGIONS, port, folder, folder / "models", addresses, every_s=1.0)
        yield World(folder, port, twins)
        serve.stop()


@pytest.mark.ray
def test_each_region_answers_for_its_own_shipments_and_writes_what_it_said(world):
    replies = {region: world.predict(region, {"id": f"{region}-3"}) for region in REGIONS}
    foreign = world.predict("east", {"id": "west-3"})

    assert [reply.status_code for reply in replies.values()] == [200, 200]
    assert {reply.json()["answered_by"] for reply in replies.values()} == {"model/eta@1"}
    assert (foreign.status_code, foreign.json()["code"]) == (404, "ENTITY_NOT_FOUND")
    for region, twin in world.twins.items():
        assert wait(lambda twin=twin: len({event.subject for event in twin.offered}) == 20)
        assert {event.source for event in twin.offered} == {"model/eta@1"}
        assert {event.region for event in twin.offered} == {region}


@pytest.mark.ray
def test_no_port_of_serve_is_open_to_a_network(world):
    pids = serve_pids()

    assert len(pids) >= 4
    assert open_to_a_network(pids) == []


@pytest.mark.ray
def test_a_killed_replica_is_replaced_and_every_request_meanwhile_is_answered(world):
    before = named("ray::ServeReplica:east")
    answers = []

    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def again():
        reply = world.predict("east", {"id": "east-3"})
        answers.append((reply.status_code, reply.headers["content-type"]))
        return reply.status_code == 200 and set(named("ray::ServeReplica:east")) - set(before)

    assert before
    assert wait(again)
    assert {status for status, _ in answers} <= {200, 408, 503}
    assert all("json" in kind for _, kind in answers)


@pytest.mark.ray
def test_a_promoted_model_answers_within_seconds(world):
    publish_model(world.folder / "models", shift_days=3.0)

    assert wait(
        lambda: world.predict("west", {"id": "west-3"}).json()["answered_by"] == "model/eta@2", 20
    )


@pytest.mark.ray
def test_haproxy_is_on_record_where_it_is_used(world):
    script = os.environ.get("RAY_SERVE_HAPROXY_BINARY_PATH")
    if not script:
        assert haproxies() == []
        return
    records = Path(script).parent / haproxy.RECORDS

    recorded = {json.loads(file.read_text())["pid"] for file in records.glob("*.json")}

    used = haproxies()
    assert used
    assert set(used) <= recorded


def test_a_failed_deployment_is_told_by_its_first_cause():
    message = (
        "Deployment 'eta' in app 'east' failed 3 times in a row. See logs\n"
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1, in __init__\n'
        "twin.errors.BadRequest: no key\n"
        "FileNotFoundError: [Errno 2] No such file or directory: 'key'\n"
    )

    assert _first_cause(["", message]).startswith("FileNotFoundError: [Errno 2]")
    assert _first_cause([]) == "no cause was given; see Ray's logs"


def test_a_taken_port_is_told_by_its_address():
    message = (
        "RuntimeError: HAProxy crashed during startup: [NOTICE] haproxy version is 2.8.25\n"
        "[ALERT] cannot bind socket (Address already in use) for [127.0.0.1:7502]\n"
        "[ALERT] Some protocols failed to start their listeners! Exiting.\n"
    )

    assert _first_cause([message]).endswith("(Address already in use) for [127.0.0.1:7502]")
