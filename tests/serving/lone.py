"""Lone shards: each a process of its own that holds one shard and serves it, without Ray.

What is stopped, killed or starved here is a real process on a real disk. `LoneHost` is to a
supervisor what a Ray actor is; `python -m tests.serving.lone` is the process.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import msgspec

from actors import lean
from actors.ray_shard import Begun, ShardHost, ShardSpec
from serving import faults
from serving.access import ensure_key
from serving.client import Client, minter
from twin.errors import TwinError

ROOT = Path(__file__).parents[2]
SERVE = "cluster.deploy:serve_shard"
CLOCK = "tests.serving.lone:still"
NOW = 1_700_000_000_000_000


def still(_folder):
    """Return a clock that stands still."""
    return lambda: NOW


def spec(folder, epoch=1, supervisor=0):
    return ShardSpec("shipment", "east", 0, 1, str(folder), epoch, SERVE, CLOCK, supervisor)


def made(folder):
    """Make a data directory with a key."""
    folder.mkdir(parents=True, exist_ok=True)
    ensure_key(folder / "key")
    return folder


class LoneHost:
    """A process that can hold one shard, as a supervisor meets it."""

    def __init__(self, **environ):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.lone"],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self):
        return self.process.pid

    def begin(self, asked, timeout_s):
        return Begun(*self._ask("begin", asked))

    def checkpoint(self, timeout_s):
        return self._ask("checkpoint")

    def end(self, timeout_s):
        self._ask("end")

    def kill(self):
        """End the process; it may have been ended by another thread already."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not written goes nowhere now
                pipe.close()

    def stop(self):
        """Stop the process, as it stands, until it is woken."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def wake(self):
        os.kill(self.pid, signal.SIGCONT)

    def status(self, within_s=20):
        """Return the exit status of a process that ends by itself."""
        return self.process.wait(within_s)

    def _ask(self, what, *more):
        print(json.dumps([what, *more]), file=self.process.stdin, flush=True)
        said = self.process.stdout.readline()
        if not said:
            raise ConnectionError(f"the process ended with {self.process.wait(10)}")
        answer = json.loads(said)
        if "code" in answer:
            raise faults.error(answer["code"], answer["text"], answer["again"])
        return answer["said"]


def client(folder, address, timeout_s=10.0):
    return Client(address, minter(folder, "test", ("read", "write")), timeout_s=timeout_s)


def main():
    lean.settled()  # of warming only this: the kernels a test needs are loaded as it needs them
    host = ShardHost()
    for line in sys.stdin:
        what, *more = json.loads(line)
        try:
            said = getattr(host, what)(*(msgspec.convert(one, ShardSpec) for one in more))
            answer = {"said": said}
        except TwinError as e:
            again = getattr(e, "retry_after", 0.0)
            answer = {"code": e.code, "text": str(e), "again": again}
        except Exception:  # noqa: BLE001 - the process boundary: told to whoever asks
            answer = {"code": "INTERNAL", "text": traceback.format_exc(), "again": 0.0}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
