"""A twin that runs, as its user meets it: commands in other processes, gRPC, and the machine.

What is said here about processes and ports is read from /proc, not asked of the twin.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cluster import clock, process
from cluster.config import Config
from cluster.environment import mark, temp_dir
from serving.client import Client, minter
from twin.errors import Retryable

ROOT = Path(__file__).parents[2]
STILL, LIVING = 0.001, 21_600.0  # simulated seconds a second: a day a year, or a day in 4 s
LOOPBACK = (
    "0100007F:",
    "0000000000000000FFFF00000100007F:",
    "00000000000000000000000001000000:",
)
_pause = threading.Event()


class Told(NamedTuple):
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Socket(NamedTuple):
    """A listening TCP socket. `address` as /proc writes it: hexadecimal, bytes of the machine."""

    pid: int
    name: str
    address: str
    port: int
    inode: str  # it is this one: a port may be another's by now


class Running:
    """One twin: its data directory, its ports, and how to ask it."""

    def __init__(self, folder: Path, base_port: int) -> None:
        self.folder = folder
        self.config = Config(str(folder), base_port)
        self.said = ""  # by `twin up`

    def twin(self, *words, folder=None, patience_s=150, **variables) -> Told:
        """Run one command, in a process of its own, as a user would."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TWIN_"))}
        environ |= {
            "TWIN_BASE_PORT": str(self.config.base_port),
            "TWIN_CHECKPOINT_EVERY_S": "5",
            "PYTHONPATH": str(ROOT),
        }
        argv = [sys.executable, "-m", "cluster.cli", *words, "--folder", folder or self.folder]
        ran = subprocess.run(
            argv,
            env=environ | variables,
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
        return Told(ran.returncode, ran.stdout, ran.stderr)

    def client(self, region="east", scopes=("read", "write"), name="test") -> Client:
        address = f"127.0.0.1:{self.config.grpc_port(region)}"
        return Client(address, minter(self.folder, name, scopes), timeout_s=30.0)

    def direct(self, shard) -> Client:
        """Return a client of the shard itself, past the gateway."""
        return Client(shard.address, minter(self.folder, "direct"), timeout_s=20.0)

    def shard(self, name):
        """Return the status of one shard."""
        with self.client() as client:
            return next(shard for shard in client.status().shards if shard.name == name)

    def pace(self, speed) -> None:
        """Let the replay clock run as fast as that from now on."""
        clock.note(self.folder)
        clock.resume(self.folder, speed)

    def world(self):
        """Return what the world last said of itself, {} before it has said anything."""
        return self._said("world.json")

    def notes(self):
        return self._said("notes.json")

    def recorded(self):
        """Return the processes that the host wrote down, the living ones."""
        held = process.recorded(self.folder / "pids.json")
        return [one for one in held if process.alive(one)]

    def pids(self, role):
        return [one.pid for one in self.recorded() if one.role == role]

    def _said(self, name):
        file = self.folder / name
        return json.loads(file.read_text()) if file.exists() else {}

    def traces(self):
        """Return every process that has to do with this twin: by its mark, its words, its files."""
        signs = [os.fsencode(mark(self.folder)), os.fsencode(self.folder)]
        places = (str(self.folder), str(temp_dir(self.folder)))
        found = []
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            one = process.identify(pid)
            if one is None or pid == os.getpid():
                continue
            said = _read(pid, "environ") + _read(pid, "cmdline")
            held = any(path.startswith(places) for path in _open(pid))
            if held or any(sign in said for sign in signs):
                found.append(one)
        return found

    def sockets(self):
        """Return every TCP socket on which a process of this twin listens."""
        addresses = listening()
        found = []
        for one in {p.pid: p for p in (*self.recorded(), *self.traces())}.values():
            inodes = [link[8:-1] for link in _open(one.pid) if link.startswith("socket:[")]
            for inode in [inode for inode in inodes if inode in addresses]:
                port = int(addresses[inode].rpartition(":")[2], 16)
                found.append(Socket(one.pid, one.role, addresses[inode], port, inode))
        return found


def listening():
    """Return the address of every listening TCP socket of this machine, by inode."""
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for lines in tables for line in lines]
    return {row[9]: row[1] for row in rows if row[3] == "0A"}


def until(holds, what, within_s=30.0):
    """Return `holds()` once it is true. Fails after a while and says what never came."""
    end = time.monotonic() + within_s
    while True:
        try:
            found = holds()
        except Retryable as e:
            found, what = None, f"{what} ({e})"
        if found:
            return found
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        _pause.wait(0.05)


def kill(pid) -> None:
    """Kill a process with -9, and see it gone."""
    one = process.identify(pid)
    assert one is not None, f"{pid} was gone before"
    os.kill(pid, signal.SIGKILL)
    assert process.wait([one], 10) == []


def free_base() -> int:
    """Return a base port at which everything a twin takes is free.

    Workers draw from bases of their own: what one looks at as free, no other is about to take.
    Below Serve's ports of tests/conftest.py and those that the kernel gives.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    while True:
        base = 10_000 + 400 * secrets.randbelow(27) + 200 * worker
        if not process.busy(range(base, base + 120)):
            return base


def _read(pid, name) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""


def _open(pid):
    """Return what the handles of a process lead to."""
    try:
        handles = list(Path("/proc", str(pid), "fd").iterdir())
    except OSError:
        return []
    found = []
    for handle in handles:
        with suppress(OSError):  # closed meanwhile
            found.append(os.readlink(handle))
    return found
