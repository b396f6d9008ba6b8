"""Peers' servers: a throw-away Redis or PostgreSQL on loopback, ended by whoever started it.

A peer is a server on this machine and a client library; where either is missing there is none.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.bench.rig import until

START_S = 30.0
POSTGRES = "postgres"  # the user that PostgreSQL runs as when we are root: it refuses root


class Missing(Exception):
    """A peer is not installed, or cannot run here."""


def need(libraries: tuple[str, ...], program: Path | None, package: str) -> Path:
    """Return the program of a peer. Raises Missing."""
    absent = [name for name in libraries if importlib.util.find_spec(name) is None]
    if program is None:
        raise Missing(f"{package} is not installed (Debian: apt-get install {package})")
    if absent:
        raise Missing(f"the client library is missing (pip install {' '.join(absent)})")
    return program


def redis_program() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def postgres_folder() -> Path | None:
    """Return where PostgreSQL's programs are: Debian keeps them off the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def redis_server(program: Path, folder: Path, fsync: str) -> Iterator[int]:
    """Run Redis with an append-only file in an empty folder; give its port."""
    port = free_port()
    argv = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    argv += ["--save", "", "--daemonize", "no", "--logfile", str(folder / "log")]
    argv += ["--appendonly", "yes", "--appendfsync", fsync]
    with _running(argv, port, signal.SIGTERM, folder / "out"):
        yield port


@contextmanager
def postgres_server(programs: Path, folder: Path, sync: str) -> Iterator[int]:
    """Run a new PostgreSQL cluster in an empty folder; give its port. Raises Missing."""
    home = folder / "pg"
    home.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        try:
            shutil.chown(home, POSTGRES, POSTGRES)
        except LookupError as e:
            raise Missing("PostgreSQL refuses root, and no user is called postgres") from e
        for above in (folder, folder.parent):  # ours both: that user passes through them
            above.chmod(0o711)
        as_user = ["setpriv", f"--reuid={POSTGRES}", f"--regid={POSTGRES}", "--clear-groups"]
    cluster = str(home / "c")
    initdb = [*as_user, str(programs / "initdb"), "-D", cluster, "-A", "trust", "-U", POSTGRES]
    made = subprocess.run([*initdb, "--no-sync"], capture_output=True, text=True, check=False)
    if made.returncode:
        said = made.stderr.strip().splitlines() or ["it said nothing"]
        raise Missing(f"PostgreSQL made no cluster in {folder}: {said[-1]}")
    port = free_port()
    argv = [*as_user, str(programs / "postgres"), "-D", cluster, "-p", str(port), "-k", ""]
    argv += ["-h", "127.0.0.1"]
    settings = {
        "shared_buffers": "2GB",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "30min",
        "synchronous_commit": sync,
        "work_mem": "64MB",
        "autovacuum": "off",
        "wal_compression": "off",
    }
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    with _running(argv, port, signal.SIGINT, folder / "out"):  # SIGINT: a fast shutdown
        yield port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(argv: list[str], port: int, ending: int, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        running = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        until(lambda: _answers(running, port, log), START_S, f"{argv[0]} to answer")
        yield
    finally:
        running.send_signal(ending)
        running.wait(START_S)


def _answers(running: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    if running.poll() is not None:
        said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise Missing(f"the server ended with {running.returncode}: {said[-1]}")
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    return False


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdigit() else 0


def library(name: str) -> Any:
    """Import a client library that only a peer needs."""
    return importlib.import_module(name)
