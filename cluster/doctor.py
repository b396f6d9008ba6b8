"""The doctor: what a twin needs of this machine, looked at before it is started.

A check says ok, warn or fail, what was found, and, unless ok, what to do; only a fail prevents
a start. Nothing is changed on the machine: what is written to be measured is removed.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cluster import environment, lock, process
from cluster.config import Config

OK, WARN, FAIL = "ok", "warn", "fail"
LEAST_FREE, LEAST_MEMORY = 2 << 30, 3 << 30  # bytes: the demo takes about half of each
SYNCS = 21
SLOW_SYNC_S = 0.02  # above, every acknowledgement takes longer than people expect
LONGEST_SOCKET = 107  # characters of a unix socket's path, by the kernel
_RAY_SOCKET = len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")


class Check(NamedTuple):
    name: str
    verdict: str
    found: str
    remedy: str = ""


def checks(config: Config, folder: Path) -> Iterator[Check]:
    """Yield every check, cheap ones first."""
    running = lock.owner(folder)
    yield _python()
    yield _machine()
    yield _memory()
    yield from _packages()
    yield _gpu()
    yield _clock()
    yield from _disk(folder)
    yield _sockets(folder)
    yield from _ports(config, running)
    yield _model(folder)
    yield _browser()
    yield _storage(config)
    found = f"runs, pid {running}" if running else "not running"
    yield Check("twin", OK, f"{found} in {folder}")


def _python() -> Check:
    return Check("python", OK, f"{platform.python_version()} ({sys.executable})")


def _machine() -> Check:
    if not process.PROC.is_dir():
        return Check("system", FAIL, platform.system(), "run it on Linux: the host reads /proc")
    return Check("cpu", OK, f"{len(os.sched_getaffinity(0))} cores")


def _memory() -> Check:
    lines = (process.PROC / "meminfo").read_text().splitlines()
    held = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if " kB" in line}
    free = held.get("MemAvailable", 0)
    text = f"{free / 2**30:.1f} GiB free"
    if free < LEAST_MEMORY:
        return Check("memory", WARN, text, "end other programs: Ray needs about 3 GiB")
    return Check("memory", OK, text)


def _packages() -> Iterator[Check]:
    """Import what is imported at every start; look only at the version of the rest."""
    for name, wanted, extra in (
        ("ray", "2.60.", "server"),
        ("torch", "2.13.", "ml"),
        ("pyarrow", "", "arrow"),
        ("grpcio", "", "arrow"),
        ("numba", "", "server"),
    ):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            remedy = f"pip install 'supply-twin[{extra}]', or `make install`"
            yield Check(name, WARN if extra == "ml" else FAIL, "not installed", remedy)
            continue
        if not version.startswith(wanted):
            yield Check(name, FAIL, version, f"install {name} {wanted}x: `make install`")
        elif name == "ray":
            yield _ray(version)
        else:
            yield Check(name, OK, version)


def _ray(version: str) -> Check:
    os.environ.update(environment.RAY)  # read at import
    try:
        import ray  # noqa: PLC0415 - that it can be imported is what is checked
    except ImportError as e:
        return Check("ray", FAIL, f"{version}, but: {e}", "`make install` mends a broken install")
    return Check("ray", OK, f"{ray.__version__} (token auth on, loopback only)")


def _gpu() -> Check:
    if not shutil.which("nvidia-smi"):
        return Check("gpu", OK, "none: training uses the CPU")
    return Check("gpu", OK, "nvidia: training uses it if torch sees it")


def _clock() -> Check:
    year = time.gmtime().tm_year
    if not 2024 <= year <= 2099:
        return Check("clock", FAIL, f"the year {year}", "set the clock: tokens depend on it")
    return Check("clock", OK, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def _disk(folder: Path) -> Iterator[Check]:
    """Look at the data directory, or at the nearest folder above where it will be made."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        yield Check("folder", FAIL, f"{place} is not writable", "choose another with --folder")
        return
    yield Check("folder", OK, f"{folder} {'is there' if folder.exists() else 'will be made'}")
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.0f} GiB free"
    remedy = "free some: journals and models are kept there"
    yield Check(
        "disk", OK if free > LEAST_FREE else FAIL, text, "" if free > LEAST_FREE else remedy
    )
    sync_s = _sync_s(place)
    text = f"p50 {sync_s * 1000:.1f} ms"
    if sync_s > SLOW_SYNC_S:
        yield Check("fsync", WARN, text, "every acknowledgement waits for it: use a faster disk")
    else:
        yield Check("fsync", OK, text)


def _sync_s(place: Path) -> float:
    """Return the median time to append a frame and have it on the disk."""
    probe = place / f".twin-fsync-{os.getpid()}"
    handle = os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        taken = []
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.write(handle, b"\0" * 4096)
            os.fdatasync(handle)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(handle)
        probe.unlink()
    return statistics.median(taken)


def _sockets(folder: Path) -> Check:
    place = environment.temp_dir(folder)
    if len(str(place)) + _RAY_SOCKET > LONGEST_SOCKET:
        return Check("sockets", FAIL, f"{place} is too long a path", "use a shorter one")
    if place.exists() and place.stat().st_uid != os.getuid():
        return Check("sockets", FAIL, f"{place} belongs to somebody else", "have it removed")
    return Check("sockets", OK, str(place))


def _ports(config: Config, running: int) -> Iterator[Check]:
    wanted = config.ports
    text = ", ".join(map(str, sorted(wanted)))
    if running:
        yield Check("ports", OK, f"{text} are this twin's own")
        return
    held = process.busy(wanted)
    for port, who in held.items():
        remedy = "PORT_IN_USE: end that process, or set base_port in twin.toml or TWIN_BASE_PORT"
        yield Check("port", FAIL, f"{port} ({wanted[port]}) is held by {who}", remedy)
    if not held:
        yield Check("ports", OK, f"{text} free")


def _model(folder: Path) -> Check:
    try:
        version = (folder / "models" / "eta" / "current").read_text().strip()
    except FileNotFoundError:
        return Check("model", OK, "none yet: the lane table predicts; `twin train` makes one")
    manifest = folder / "models" / "eta" / version / "manifest.json"
    if not manifest.exists():
        return Check(
            "model", WARN, f"eta@{version} has no manifest", "`twin train` makes a new one"
        )
    return Check("model", OK, f"eta@{version}")


def _browser() -> Check:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return Check(
        "browser", OK, found or "no chromium: only the browser tests need it (make system)"
    )


def _storage(config: Config) -> Check:
    if url := config.storage.url:
        return Check("object storage", *_stored(url))
    found = "none: a lost disk loses its region's journal"
    return Check("object storage", WARN, found, "set storage.url in twin.toml")


def _stored(url: str) -> tuple[str, str, str]:
    """Look whether a storage answers: verdict, what was found, remedy."""
    try:
        opened = importlib.import_module("actors.object_store").open_store(url)
        opened.names("journal")
    except (ImportError, OSError) as e:
        return FAIL, f"{url} does not answer: {e}", "look at its address and credentials"
    return OK, url, ""
