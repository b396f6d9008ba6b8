"""HAProxy on a leash: Ray Serve's ingress, kept on loopback and findable when its Ray is gone.

Serve's own template opens the statistics and metrics ports on every interface, and the process can
outlive Ray. This file is what Serve starts instead of the binary: it narrows the configuration,
refuses whatever would still listen elsewhere, writes down its own pid, dies with its parent, and
then becomes HAProxy. It is run by path in an isolated interpreter, so it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
RECORDS = "haproxy"  # folder in the data directory: one file a started process
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PR_SET_PDEATHSIG = 1
REFUSED = 78  # EX_CONFIG
ORPHAN = 1  # parent of whoever has lost his own
# What a client reads when no replica answers, in place of a bare 500.
UNAVAILABLE = {
    "type": "urn:supplytwin:error:SERVE_UNAVAILABLE",
    "title": "Predictions are not being served",
    "status": 503,
    "detail": "no replica answers now; ask again, or ask the region's gateway: it has the rule",
    "code": "SERVE_UNAVAILABLE",
    "retry_after": 1.0,
}
_WILD_BIND = re.compile(r"^(\s*bind\s+)(?:\*|0\.0\.0\.0|\[::\]|::)?(:\d+)", re.MULTILINE)
_BIND = re.compile(r"^\s*bind\s+(\S+)", re.MULTILINE)
_HERE = re.compile(rf"{re.escape(LOOPBACK)}:\d+")
_SOCKET_MODE = re.compile(r"^(\s*stats socket \S+ mode )\d+", re.MULTILINE)
_ERROR_FILE = re.compile(r"^\s*errorfile \d+ (\S+)", re.MULTILINE)


def narrowed(config: str) -> str:
    """Return `config` with every wildcard bind on loopback and its admin socket for its owner.

    A client's first request never goes over an idle connection to a replica: had that replica
    died, HAProxy would hang up on the client without a word.
    """
    config = _WILD_BIND.sub(rf"\g<1>{LOOPBACK}\g<2>", config)
    return _SOCKET_MODE.sub(r"\g<1>600", config).replace("http-reuse always", "http-reuse safe")


def open_binds(config: str) -> list[str]:
    """Return the addresses that `config` would listen on outside loopback. Must be empty."""
    return [where for where in _BIND.findall(config) if not _HERE.fullmatch(where)]


def error_answer() -> bytes:
    """The whole HTTP answer of a request that no replica took: RFC 9457, retryable."""
    body = json.dumps(UNAVAILABLE).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/problem+json",
        "Cache-Control: no-store",
        "Retry-After: 1",
        "Twin-Mode: degraded",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


def prepare(path: Path) -> None:
    """Narrow the configuration at `path` and give its error files a body a client can read.

    Raises ValueError if it would still listen anywhere else.
    """
    config = narrowed(path.read_text(encoding="utf-8"))
    if wild := open_binds(config):
        raise ValueError(f"{path.name} would listen on {', '.join(wild)}, which is no loopback")
    for name in set(_ERROR_FILE.findall(config)):
        _replace(Path(name), error_answer())
    _replace(path, config.encode())


def record(folder: Path, pid: int) -> None:
    """Write down that `pid` is ours, with what tells it from a later process of that number."""
    records = folder / RECORDS
    records.mkdir(mode=0o700, exist_ok=True)
    for dead in _dead(records):
        dead.unlink(missing_ok=True)
    _replace(records / f"{pid}.json", json.dumps(_identity(pid)).encode())


def reap(folder: Path, patience_s: float = 5.0) -> list[int]:
    """Kill every recorded process that still lives, wait for its end, and return their pids."""
    records = folder / RECORDS
    killed = []
    for file in sorted(records.glob("*.json")) if records.is_dir() else ():
        pid = int(file.stem)
        if _alive(file):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            until = time.monotonic() + patience_s
            while _alive(file) and time.monotonic() < until:
                time.sleep(0.02)
        if not _alive(file):
            file.unlink(missing_ok=True)
    return killed


def wrapper(python: str, folder: Path, binary: str) -> str:
    """The executable that Serve starts: this file, isolated, told whose process it will be."""
    words = (python, "-I", "-S", str(Path(__file__).resolve()), str(folder.resolve()), binary)
    return f'#!/bin/sh\nexec {" ".join(map(_quoted, words))} "$@"\n'


def become(folder: Path, binary: str, args: Sequence[str]) -> None:
    """Narrow, record, tie to the parent, and exec. Does not return unless it refuses."""
    parent = os.getppid()
    if parent == ORPHAN:  # nobody would end it
        raise ValueError("the process that started it has ended")
    if "-f" not in args:
        raise ValueError("no -f FILE is among the arguments, so nothing can be checked")
    prepare(Path(args[args.index("-f") + 1]))
    record(folder, os.getpid())
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request above took hold
        raise ValueError("the process that started it has ended")
    os.execv(binary, [binary, *args])


def _identity(pid: int) -> dict[str, object]:
    """Start time in ticks since boot, and which boot: together with the pid, one process ever."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ProcessLookupError(pid)
    boot = BOOT_ID.read_text(encoding="utf-8").strip()
    return {"pid": pid, "started": int(fields[19]), "boot": boot}


def _alive(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_bytes()) == _identity(int(file.stem)))
    except (OSError, ValueError):
        return False


def _dead(records: Path) -> list[Path]:
    return [file for file in records.glob("*.json") if not _alive(file)]


def _replace(path: Path, body: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(body)
    aside.chmod(stat.S_IRUSR | stat.S_IWUSR)
    aside.replace(path)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    try:
        become(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    except (OSError, ValueError) as refusal:
        sys.stderr.write(f"haproxy not started: {refusal}\n")
        sys.exit(REFUSED)
