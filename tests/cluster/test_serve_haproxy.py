"""HAProxy on loopback only, and never without somebody who can end it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from cluster import haproxy, haproxy_environment
from cluster.environment import temp_dir

BINARY = haproxy_environment.find()
needs_haproxy = pytest.mark.skipif(
    not BINARY, reason="no HAProxy runs here: Serve's own proxy is used"
)
PORTS = st.integers(1, 65_535)


def wait(holds, rounds=1000):
    paused = threading.Event()
    return any(holds() or paused.wait(0.01) for _ in range(rounds))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(pid):
    """Addresses on which a process listens, as /proc says: 0100007F is 127.0.0.1."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[9] in inodes:
                found.append(parts[1])
    return found


def render(folder, frontend, stats, metrics):
    """The configuration that this version of Serve writes, with one application behind it."""
    folder.mkdir(mode=0o700)
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=frontend),
        socket_path=str(folder / "a"),
        server_state_base=str(folder),
        server_state_file=str(folder / "s"),
        metrics_socket_path=str(folder / "m"),
        metrics_port=metrics,
        stats_port=stats,
        is_head=True,
    )
    backend = BackendConfig(
        name="http-east",
        app_name="east",
        path_prefix="/east",
        servers=[ServerConfig(name="one", host="127.0.0.1", port=free_port())],
    )
    path = folder / "c.cfg"
    api = HAProxyApi(cfg=config, config_file_path=str(path), backend_configs={"http-east": backend})
    api._generate_config_file_internal()
    return path


def test_the_template_of_serve_opens_two_ports_to_all_and_none_after_narrowing(tmp_path):
    path = render(tmp_path / "h", 17_500, 17_501, 17_502)
    before = haproxy.open_binds(path.read_text())

    haproxy.prepare(path)

    after = path.read_text()
    assert before == [":17502", "*:17501"]
    assert haproxy.open_binds(after) == []
    assert after.count("bind 127.0.0.1:") == 3
    assert "mode 666" not in after
    assert "http-reuse always" not in after
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.sampled_from(["", "*", "0.0.0.0", "::", "[::]"]), PORTS)
def test_every_way_to_say_all_interfaces_becomes_loopback(where, port):
    config = f"frontend x\n    bind {where}:{port}\n    mode http\n"

    assert haproxy.narrowed(config) == f"frontend x\n    bind 127.0.0.1:{port}\n    mode http\n"


@pytest.mark.parametrize("where", ["192.168.1.7:80", "fd@3", "[::1]:80,*:81", "*:80-90", "host:80"])
def test_any_other_address_is_refused_not_guessed_at(tmp_path, where):
    path = tmp_path / "c.cfg"
    path.write_text(f"frontend x\n    bind {where}\n")

    with pytest.raises(ValueError, match="no loopback"):
        haproxy.prepare(path)


def test_a_request_that_no_replica_takes_gets_a_problem_with_a_code(tmp_path):
    path = render(tmp_path / "h", 17_500, 17_501, 17_502)

    haproxy.prepare(path)

    head, _, body = (tmp_path / "h" / "500.http").read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"application/problem+json" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["code"] == "SERVE_UNAVAILABLE"


@pytest.fixture
def started(tmp_path):
    """HAProxy under its wrapper, started by a process in between that a test may kill."""
    path = render(tmp_path / "h", free_port(), free_port(), free_port())
    script = tmp_path / "haproxy.sh"
    script.write_text(haproxy.wrapper(sys.executable, tmp_path, BINARY))
    script.chmod(0o700)
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[1:])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(120)\n"
    )
    argv = [sys.executable, "-c", program, str(script), "-db", "-f", str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as between:
        pid = int(between.stdout.readline())
        try:
            assert wait(lambda: len(listening(pid)) == 3)
            yield tmp_path, pid, between
        finally:
            between.kill()
            haproxy.reap(tmp_path)


@needs_haproxy
def test_haproxy_listens_on_loopback_only_and_is_on_record(started):
    folder, pid, _ = started

    addresses = listening(pid)

    assert len(addresses) == 3
    assert all(address.startswith("0100007F:") for address in addresses)
    assert json.loads((folder / "haproxy" / f"{pid}.json").read_text())["pid"] == pid


@needs_haproxy
def test_a_recorded_haproxy_is_reaped_once(started):
    folder, pid, _ = started

    first, second = haproxy.reap(folder), haproxy.reap(folder)

    assert (first, second) == ([pid], [])
    assert list((folder / "haproxy").iterdir()) == []


@needs_haproxy
def test_haproxy_ends_with_whoever_started_it_even_by_kill_9(started):
    folder, pid, between = started

    os.kill(between.pid, signal.SIGKILL)

    assert wait(lambda: not _lives(pid))
    assert haproxy.reap(folder) == []


@needs_haproxy
def test_a_process_that_only_has_the_pid_of_a_recorded_one_is_left_alone(started):
    folder, pid, _ = started
    file = folder / "haproxy" / f"{pid}.json"
    right = json.loads(file.read_text())
    file.write_text(json.dumps(right | {"started": right["started"] - 1}))

    reaped = haproxy.reap(folder)

    assert reaped == []
    assert _lives(pid)
    file.write_text(json.dumps(right))


@needs_haproxy
def test_the_wrapper_refuses_a_configuration_that_would_still_be_open(tmp_path):
    script, path = tmp_path / "haproxy.sh", tmp_path / "c.cfg"
    script.write_text(haproxy.wrapper(sys.executable, tmp_path, BINARY))
    script.chmod(0o700)
    path.write_text("frontend x\n    bind 10.0.0.1:80\n")

    done = subprocess.run(
        [str(script), "-f", str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == haproxy.REFUSED
    assert "10.0.0.1:80" in done.stderr
    assert haproxy.reap(tmp_path) == []


def test_the_environment_moves_every_port_beside_serves_own_and_keeps_sockets_short(tmp_path):
    variables = haproxy_environment.environment(tmp_path, 17_500)
    without = haproxy_environment.environment(tmp_path, 17_500, with_haproxy=False)

    moved = [int(v) for k, v in (without | variables).items() if k.endswith("_PORT")]
    assert all(17_500 < port <= 17_550 for port in moved)
    assert without["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    if BINARY:
        node = "f" * 56  # Serve puts its node's id below the folder, HAProxy a suffix behind
        longest = temp_dir(tmp_path) / haproxy_environment.STATE / node / "a.1234567.tmp"
        assert len(str(longest)) < 107
        assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
        assert (tmp_path / haproxy_environment.WRAPPER).stat().st_mode & 0o777 == 0o700


def _lives(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return fields[0] not in "ZX"
