"""The host's own parts, without Ray: lock, children, progress, places, and the end of it all."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cluster import clock, environment, lock, process
from cluster.child import MOST, Child, tail
from cluster.cli import run
from cluster.config import Config
from cluster.host import CONFIG, PIDS, check_ports, leftovers
from cluster.lock import Lock
from cluster.progress import FAILED, Follower, Progress, root_cause
from tests.system.running import free_base
from twin.errors import BadRequest

# As a host does: holds the lock and a port, starts a process that outlives it, records both.
HOST = """
import os, socket, subprocess, sys, time
from pathlib import Path
from cluster import process
from cluster.lock import Lock
folder, port = Path(sys.argv[1]), int(sys.argv[2])
Lock(folder).hold()
serve = (
    "import socket, sys, time; s = socket.socket();"
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
    "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print('up', flush=True); time.sleep(600)"
)
child = subprocess.Popen([sys.executable, "-c", serve, str(port)], stdout=subprocess.PIPE)
child.stdout.readline()
own = process.identify(os.getpid(), "host")
process.record(folder / "pids.json", [own, process.identify(child.pid, "gateway east")])
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def port() -> int:
    """A base port at which all is free, and where no other process is given one by chance."""
    return free_base()


@pytest.fixture
def host(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A stand-in for a host of `tmp_path` whose gateway holds `port`."""
    config = Config(base_port=port, regions=("east",), serve=False)
    (tmp_path / CONFIG).write_bytes(msgspec.json.encode(config))
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        yield started
        started.kill()
    process.end(process.recorded(tmp_path / PIDS), 1.0)


def test_a_second_host_is_refused_with_the_pid_of_the_first(
    host: subprocess.Popen[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["up", "--folder", str(tmp_path)])

    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith("ALREADY_RUNNING: ")
    assert f"(pid {host.pid})" in told
    assert "`twin down`" in told
    with pytest.raises(BadRequest, match="a twin runs"):
        Lock(tmp_path).hold()


def test_a_lock_is_free_once_its_holder_was_killed(
    host: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert lock.owner(tmp_path) == host.pid

    host.kill()
    host.wait()

    assert lock.owner(tmp_path) == 0
    mine = Lock(tmp_path)
    mine.hold()
    assert lock.owner(tmp_path) == os.getpid()
    mine.free()
    assert lock.owner(tmp_path) == 0


def test_down_after_the_host_was_killed_leaves_no_process_and_no_open_port(
    host: subprocess.Popen[str],
    tmp_path: Path,
    port: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host.kill()
    host.wait()
    assert process.busy([port])

    status = run(["down", "--folder", str(tmp_path)])

    assert status == 0
    assert "the host was gone; 1 processes" in capsys.readouterr().out
    assert process.busy([port]) == {}
    assert leftovers(tmp_path) == []
    assert not (tmp_path / PIDS).exists()


def test_a_replay_goes_on_from_when_the_last_process_ended_though_the_host_was_killed_before(
    host: subprocess.Popen[str], tmp_path: Path
) -> None:
    clock.start(tmp_path, 1_000_000, 1e6)
    host.kill()
    host.wait()
    seen = clock.Clock(tmp_path).now_us()  # by processes that still answer

    run(["down", "--folder", str(tmp_path)])
    clock.resume(tmp_path)

    assert seen > 1_000_000
    assert clock.Clock(tmp_path).now_us() >= seen


def test_down_ends_a_living_host_and_what_it_leaves(
    host: subprocess.Popen[str], tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["down", "--folder", str(tmp_path)])

    assert status == 0
    assert host.wait(5) == -signal.SIGTERM
    assert "closed cleanly" in capsys.readouterr().out
    assert process.busy([port]) == {}


def test_up_with_a_port_in_use_names_port_and_holder_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        held = server.getsockname()[1]
        monkeypatch.setenv("TWIN_BASE_PORT", str(held))
        monkeypatch.setenv("TWIN_SERVE", "0")

        status = run(["up", "--folder", str(tmp_path / ".twin")])

    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith(f"PORT_IN_USE: port {held} (HTTP and dashboard of east) is held by ")
    assert f"(pid {os.getpid()})" in told
    assert "base_port" in told
    assert lock.owner(tmp_path / ".twin") == 0
    assert leftovers(tmp_path / ".twin") == []


def test_ports_that_are_free_are_no_reason_to_refuse(port: int) -> None:
    check_ports(Config(base_port=port, regions=("east",), serve=False))


def test_a_child_that_dies_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    child = Child("gateway east", [sys.executable, "-c", "exit(3)"], tmp_path / "log")
    child.start(0.0)
    told = []

    while not child.gave_up:
        left = [process.identify(child.pid)] if child.running else []
        process.wait([p for p in left if p], 10.0)
        told += [happened] if (happened := child.look(1.0)) else []

    assert len(told) == MOST
    assert "gateway east died (status 3) and was started again as pid" in told[0]
    assert f"died {MOST} times in 60 s and is left" in told[-1]


def test_a_child_whose_work_is_done_is_not_started_again(tmp_path: Path) -> None:
    child = Child("world", [sys.executable, "-c", "print('done')"], tmp_path / "log", finite=True)
    child.start(0.0)

    process.wait([found] if (found := process.identify(child.pid)) else [], 10.0)
    until = time.monotonic() + 10
    while child.running and time.monotonic() < until:
        pass

    assert child.look(1.0) == ""
    assert not child.running
    assert tail(tmp_path / "log") == "done"


def test_a_stopped_child_is_reaped(tmp_path: Path) -> None:
    program = "import time; time.sleep(600)"
    child = Child("world", [sys.executable, "-c", program], tmp_path / "log")
    child.start(0.0)
    found = child.process()

    child.stop(5.0)

    assert found is not None
    assert not process.alive(found)
    assert not child.running


def test_progress_is_followed_line_by_line_and_only_of_one_host(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    follower, other = Follower(tmp_path, os.getpid()), Follower(tmp_path, 1)
    progress("ray local")
    first = list(follower.lines())
    progress("it broke", FAILED, "START_FAILED")
    with (tmp_path / "progress.jsonl").open("ab") as file:
        file.write(b'{"pid": 1, "at')  # a line that is being written

    second = list(follower.lines())

    assert [line.text for line in first] == ["ray local"]
    assert [(line.event, line.code) for line in second] == [(FAILED, "START_FAILED")]
    assert list(other.lines()) == []
    assert list(follower.lines()) == []


def test_the_first_cause_is_told_with_its_line() -> None:
    def first() -> None:
        raise FileNotFoundError("no journal")

    def second() -> None:
        try:
            first()
        except OSError as e:
            raise RuntimeError("the shard did not start") from e

    with pytest.raises(RuntimeError) as raised:
        second()

    text = root_cause(raised.value)
    assert text.startswith("FileNotFoundError: no journal (")
    assert "test_process_host.py:" in text


def test_ray_is_kept_on_loopback_with_a_token_for_our_eyes_only(tmp_path: Path) -> None:
    environment.prepare(tmp_path)
    variables = environment.variables(tmp_path)
    token = Path(variables["RAY_AUTH_TOKEN_PATH"])
    first = token.read_text()
    place = environment.temp_dir(tmp_path)

    environment.prepare(tmp_path)

    assert variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert variables["RAY_AUTH_MODE"] == "token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text() != first
    assert len(first) == 64
    assert place.stat().st_mode & 0o777 == 0o700
    environment.clear(tmp_path)
    assert not place.exists()


def test_a_folder_of_another_is_never_removed(tmp_path: Path) -> None:
    place = environment.temp_dir(tmp_path)
    target = tmp_path / "precious"
    target.mkdir()
    place.symlink_to(target)
    try:
        with pytest.raises(BadRequest, match="not ours"):
            environment.prepare(tmp_path)
    finally:
        place.unlink()

    assert target.is_dir()


def test_a_config_that_was_written_is_read_back_whole(tmp_path: Path) -> None:
    config = Config(base_port=9000, regions=("north",))

    text = msgspec.json.encode(config)

    assert msgspec.json.decode(text, type=Config) == config
    assert json.loads(text)["shards"]["shipment"] == 2
