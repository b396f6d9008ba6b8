"""A whole twin for a benchmark: `twin up --demo` in a folder of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import clock, process
from cluster.bench.rig import REGION, SOURCE, TOKEN_S
from cluster.config import Config
from serving.access import mint
from serving.client import Client

BASES = range(16_000, 30_000, 200)  # below the ports that systems give by themselves
START_S, STOP_S = 300.0, 120.0


class Demo:
    """The running twin. Its world sends by itself, as fast as the clock goes."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._folder = folder
        self.address = f"127.0.0.1:{config.grpc_port(REGION)}"

    @property
    def token(self) -> str:
        key = self._folder / "key"
        return mint(key, name=SOURCE, scopes=["read", "write"], region=REGION, ttl_s=TOKEN_S)

    def client(self) -> Client:
        return Client(self.address, self.token, timeout_s=60.0)

    def hasten(self, times: float) -> None:
        """Let the clock go so many times as fast as it does; it is then where it was."""
        speed = clock.Clock(self._folder).speed
        clock.note(self._folder)
        clock.resume(self._folder, speed * times)

    def journaled(self) -> int:
        """Return how many events all shards have journaled."""
        with self.client() as client:
            return sum(shard.offset for shard in client.status().shards)

    def rate(self, seconds: float) -> float:
        """Return how many events a second are journaled, measured for so long."""
        before, began = self.journaled(), time.monotonic()
        time.sleep(seconds)
        return (self.journaled() - before) / (time.monotonic() - began)


@contextmanager
def running(folder: Path, rules: str) -> Iterator[Demo]:
    """Start a twin with a world and some more rules; end it whatever happens.

    Raises RuntimeError where it does not start.
    """
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "bench.toml").write_text(rules)
    config = Config(str(folder), _free_base())
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TWIN_"))}
    environ["TWIN_BASE_PORT"] = str(config.base_port)

    def twin(*words: str, within_s: float) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cluster.cli", *words, "--folder", str(folder)]
        return subprocess.run(
            argv, env=environ, capture_output=True, text=True, timeout=within_s, check=False
        )

    try:
        ran = twin("up", "--demo", within_s=START_S)
        if ran.returncode:
            raise RuntimeError(f"the twin did not start: {ran.stderr.strip()}")
        yield Demo(folder, config)
    finally:
        twin("down", within_s=STOP_S)


def _free_base() -> int:
    """Return a base port at which all that a twin takes is free. Raises RuntimeError."""
    for base in BASES:
        if not process.busy(Config(base_port=base).ports):
            return base
    raise RuntimeError(f"no ports are free from {BASES.start} to {BASES.stop}; end other twins")
