"""Processes: found, recorded and ended by pid and start time; real ones."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import process
from cluster.process import Process

# Starts a grandchild that outlives it, says both pids, and waits to be told to go.
PARENT = """
import subprocess, sys
program = "import time; print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)"
)

Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python with a program that prints a line when it is ready; ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, **environ: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environ,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        with child:  # closes its pipes and reaps it
            pass


def test_a_process_is_known_by_pid_and_start(spawn: Spawn) -> None:
    child = spawn(DEAF)
    child.stdout.readline()

    found = process.identify(child.pid, "deaf")

    assert found is not None
    assert process.alive(found)
    assert not process.alive(found._replace(started=found.started + 1))


def test_a_namesake_with_the_same_pid_is_never_signalled(spawn: Spawn) -> None:
    child = spawn(DEAF)
    child.stdout.readline()
    found = process.identify(child.pid)
    earlier = found._replace(started=found.started - 1)

    sent = process.send(earlier, signal.SIGKILL)

    assert not sent
    assert process.end([earlier], 0.1) == []
    assert child.poll() is None


def test_a_dead_process_that_nobody_reaped_counts_as_dead(spawn: Spawn) -> None:
    child = spawn("import sys; print('up', flush=True); sys.stdin.read()")
    child.stdout.readline()
    found = process.identify(child.pid)

    child.stdin.close()
    left = process.wait([found], 10.0)

    assert left == []
    assert process.identify(child.pid) is None


def test_what_ignores_the_request_is_killed(spawn: Spawn) -> None:
    child = spawn(DEAF)
    child.stdout.readline()
    found = process.identify(child.pid)

    left = process.end([found], 0.2)

    assert left == []
    assert child.wait(5) == -signal.SIGKILL


def test_descendants_are_found_through_every_generation(spawn: Spawn) -> None:
    parent = spawn(PARENT)
    grandchild = int(parent.stdout.readline())

    found = process.descendants(os.getpid())

    assert {parent.pid, grandchild} <= {p.pid for p in found}
    process.end([p for p in found if p.pid == grandchild], 5.0)


def test_a_record_finds_what_outlived_its_killed_parent(spawn: Spawn, tmp_path: Path) -> None:
    parent = spawn(PARENT)
    grandchild = int(parent.stdout.readline())
    roll = tmp_path / "pids.json"
    mine = process.descendants(parent.pid)
    process.record(roll, [process.identify(parent.pid, "host"), *mine])

    parent.kill()
    parent.wait()
    left = [p for p in process.recorded(roll) if process.alive(p)]

    assert [p.pid for p in left] == [grandchild]
    assert process.end(left, 5.0) == []
    assert process.identify(grandchild) is None


def test_a_mark_finds_what_was_started_after_the_last_record(spawn: Spawn) -> None:
    mark = f"test-{os.getpid()}"
    parent = spawn(PARENT, **{process.MARK: mark})
    grandchild = int(parent.stdout.readline())

    parent.kill()
    parent.wait()
    left = process.marked(mark)

    assert [p.pid for p in left] == [grandchild]
    assert process.end(left, 5.0) == []


def test_a_record_of_another_boot_names_nobody(tmp_path: Path) -> None:
    roll = tmp_path / "pids.json"
    process.record(roll, [process.identify(os.getpid())])
    text = roll.read_text()

    roll.write_text(text.replace(process._boot(), "another"))

    assert process.recorded(roll) == []
    assert process.recorded(tmp_path / "none.json") == []


def test_a_held_port_names_its_holder_and_a_free_one_is_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        held = process.busy([port])

    assert f"(pid {os.getpid()})" in held[port]
    assert process.busy([port]) == {}


def test_a_name_with_brackets_and_blanks_is_read_whole(tmp_path: Path) -> None:
    script = tmp_path / "a) R (b"
    script.write_text("#!/bin/sh\necho up\nread x\n")
    script.chmod(0o755)
    with subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()

        found = process.identify(child.pid)

        assert isinstance(found, Process)
        assert found.role == "a) R (b"
        child.stdin.close()
