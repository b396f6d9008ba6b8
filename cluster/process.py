"""Processes: recorded by pid and start time, found again, ended. Linux only (it reads /proc).

A pid alone names nobody: it is reused. Nothing is signalled unless pid, start time and boot
still match what was recorded, and the signal goes through a handle that cannot change its mind.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

PROC = Path("/proc")
MARK = "SUPPLY_TWIN_DATA"  # in the environment of everything a host starts, and inherited
ROUND_S = 0.2  # at most this long until a wait looks again
_LISTEN = "0A"  # state of a listening socket in /proc/net/tcp
_ENDED = frozenset("ZX")  # states of a process that only waits to be reaped


class Process(NamedTuple):
    """One process. `started`: clock ticks after boot; `role`: for people."""

    pid: int
    started: int
    role: str


class Roll(msgspec.Struct):
    """What pids.json holds: the processes of one boot of this machine."""

    boot: str
    processes: list[Process]


def identify(pid: int, role: str = "") -> Process | None:
    """Return the living process `pid`, or None. Its role is its name unless given."""
    found = _stat(pid)
    if found is None or found.state in _ENDED:
        return None
    return Process(pid, found.started, role or found.name)


def alive(process: Process) -> bool:
    """Whether this very process still runs; a namesake with the same pid does not count."""
    found = _stat(process.pid)
    return found is not None and found.started == process.started and found.state not in _ENDED


def descendants(pid: int) -> list[Process]:
    """Return the living children of `pid` and theirs, parents first."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        if (found := _stat(other)) is not None:
            children.setdefault(found.parent, []).append(other)
    out, ahead = [], list(children.get(pid, ()))
    while ahead:
        child = ahead.pop(0)
        if (process := identify(child)) is not None:
            out.append(process)
        ahead.extend(children.get(child, ()))
    return out


def marked(mark: str) -> list[Process]:
    """Return the other processes that inherited MARK=`mark`, whoever is their parent now."""
    wanted = f"{MARK}={mark}".encode()
    out = []
    for pid in _pids():
        try:
            held = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile, or another user's
        if pid != os.getpid() and wanted in held and (process := identify(pid)) is not None:
            out.append(process)
    return out


def record(path: Path, processes: Sequence[Process]) -> None:
    """Write the processes to `path`, at once or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(Roll(_boot(), list(processes))))
    draft.replace(path)


def recorded(path: Path) -> list[Process]:
    """Return the recorded processes, dead ones included; none if the machine was booted since."""
    try:
        roll = msgspec.json.decode(path.read_bytes(), type=Roll)
    except (FileNotFoundError, msgspec.DecodeError):
        return []
    return roll.processes if roll.boot == _boot() else []


def end(processes: Iterable[Process], grace_s: float) -> list[Process]:
    """Ask the processes to end, kill those that have not after `grace_s`; return the survivors."""
    left = [process for process in processes if alive(process)]
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        for process in left:
            send(process, number)
        left = wait(left, patience_s)
    return left


def send(process: Process, number: int) -> bool:
    """Signal this very process. False: it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not alive(process):  # looked at after the handle was taken, so it cannot be reused
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        return True
    finally:
        os.close(handle)


def wait(processes: Iterable[Process], patience_s: float) -> list[Process]:
    """Wait until the processes have ended, `patience_s` at most; return those that have not."""
    until = time.monotonic() + patience_s
    left = [process for process in processes if alive(process)]
    while left and (rest := until - time.monotonic()) > 0:
        _one_ends(left, min(rest, ROUND_S))
        left = [process for process in left if alive(process)]
    return left


def busy(ports: Iterable[int]) -> dict[int, str]:
    """Return which of the loopback `ports` cannot be taken, and who holds each."""
    out = {}
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: a port whose last connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                out[port] = holder(port)
    return out


def holder(port: int) -> str:
    """Return the name and pid of the process that listens on `port`, as far as we may see."""
    inodes = set(_listening(port))
    if not inodes:
        return "nobody that listens"
    for pid in _pids():
        with suppress(OSError):
            for handle in (PROC / str(pid) / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(handle) in inodes:
                        return f"{_name(pid)} (pid {pid})"
    return "a process of another user"


class _Stat(NamedTuple):
    name: str
    state: str
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")  # a name may hold spaces and brackets
    fields = rest.split()
    return _Stat(name, fields[0], int(fields[1]), int(fields[19]))


def _pids() -> Iterator[int]:
    for entry in os.listdir(PROC):
        if entry.isdigit():
            yield int(entry)


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _one_ends(processes: Sequence[Process], patience_s: float) -> None:
    """Return when one of the processes ends, or `patience_s` have passed."""
    poll = select.poll()
    with ExitStack() as handles:
        for process in processes:
            try:
                handle = os.pidfd_open(process.pid)
            except OSError:
                return
            handles.callback(os.close, handle)
            poll.register(handle, select.POLLIN)
        poll.poll(patience_s * 1000)


def _listening(port: int) -> Iterator[str]:
    """Yield the sockets that listen on `port`, as links in /proc/PID/fd name them."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"


def _name(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    if words[1:2] == [b"-m"] and len(words) > 2:
        return words[2].decode(errors="replace")
    return Path(words[0].decode(errors="replace").split(" ")[0]).name or "?"
