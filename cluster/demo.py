"""The demo: starts a twin, tells its story through the public gRPC surface, breaks a shard, proves
that nothing was lost, and ends everything it started.

    python -m cluster.demo [--folder F] [--keep]

This process is a client like any other: what it prints it has asked for over gRPC.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cluster import story
from cluster.drill import kill_shard
from serving.client import Client, connect
from twin.errors import Retryable, TwinError

PORTS = 140  # a twin with two regions and Serve takes base .. base+102
BASES = range(7400, 9400, 200)
WAIT_S = 90.0


class DemoFailed(Exception):
    """Raised when a step did not do what it promises."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cluster.demo", description=__doc__)
    parser.add_argument("--folder", type=Path, help="data directory; a new temporary one if absent")
    parser.add_argument("--keep", action="store_true", help="leave the twin running at the end")
    given = parser.parse_args(argv)
    home = given.folder or Path(tempfile.mkdtemp(prefix="twin-demo-"))
    start = time.monotonic()
    environment = os.environ | {"TWIN_BASE_PORT": str(free_base())}
    try:
        run(["up", "--demo"], home, environment)
        with connect(home, name="demo") as client:
            tell(client, home, environment)
        say(f"\n  done in {time.monotonic() - start:.0f} s: every step answered for itself")
    except (DemoFailed, TwinError) as e:
        say(f"\n  the demo failed: {e}\n  the logs are in {home / 'logs'}")
        run(["down"], home, environment, check=False)
        return 1
    if given.keep:
        say(f"  it runs on; end it with: twin down --folder {home}")
        return 0
    run(["down"], home, environment)
    if given.folder is None:
        shutil.rmtree(home, ignore_errors=True)
    return 0


def tell(client: Client, home: Path, environment: dict[str, str]) -> None:
    """Tell the story, each part asked of the twin when it is there to be told."""
    wait(lambda: client.search("shipment", "lat IS KNOWN", limit=1).total > 0, "shipments to move")
    head("The fleet, by status")
    story.fleet(client, say)
    head("The ten newest positions (telemetry is SYNTHETIC: its source starts with demo/)")
    story.latest(client, say)
    head("Suppliers by deliveries on time (aggregators excluded)")
    story.suppliers(client, say)
    head("Proof: the receipt of one delivery")
    story.receipt(client, say)
    head("SQL over the live state, fresh as of the last acknowledged write")
    wait(lambda: client.sql("SELECT 1").num_rows == 1, "the query process")
    run(["sql", story.WORTH], home, environment)
    head("What needs a person, the worst first")
    wait(lambda: client.search("alert", limit=1).total > 0, "an alert")
    run(["alerts", "--limit", "5"], home, environment)
    head("What the failure of one supplier would touch")
    run(["impact", "supplier", story.busiest(client), "--limit", "3"], home, environment)
    head("The past: one delivery as it was known then, and why it is what it is")
    subject = story.delivered(client)
    run(["history", subject, "--limit", "4"], home, environment)
    run(["explain", subject, "delivered_at"], home, environment)
    head("Training: a quantile model beside the lane's median")
    run(["train"], home, environment, ok=(0, 3))
    head("A prediction beside its baseline")
    wait(lambda: story.predicted(client), "a prediction")
    story.prediction(client, say)
    head("What if: a port is late, a supplier is lost")
    run(["scenario", "run", "--futures", "200"], home, environment)
    head("Breaking it: kill -9 of a shard while events flow")
    if not kill_shard(client, say):
        raise DemoFailed("the drill found an event lost or applied twice")


def run(
    arguments: Sequence[str],
    home: Path,
    environment: dict[str, str],
    *,
    check: bool = True,
    ok: Sequence[int] = (0,),
) -> None:
    """Run one `twin` command, its output shown as it comes. Raises DemoFailed."""
    command = [sys.executable, "-m", "cluster.cli", *arguments, "--folder", str(home)]
    say(f"  $ twin {' '.join(arguments)}")
    status = subprocess.run(command, env=environment, check=False).returncode
    if check and status not in ok:
        raise DemoFailed(f"`twin {arguments[0]}` ended with status {status}")


def wait(ready: Callable[[], bool], what: str) -> None:
    """Wait until `ready()`. Raises DemoFailed after a while."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            if ready():
                return
        except Retryable as e:
            say(f"  waiting: {e}")
        if time.monotonic() > until:
            raise DemoFailed(f"waited {WAIT_S:.0f} s for {what}; see the logs")
        time.sleep(0.5)


def free_base() -> int:
    """Return a base port from which on a twin's ports are free."""
    wanted = os.environ.get("TWIN_BASE_PORT")
    if wanted:
        return int(wanted)
    return next(base for base in BASES if all(_free(base + offset) for offset in _offsets()))


def _offsets() -> Iterator[int]:
    yield from (0, 1, 2, 20, 21, 22, 100, 101, 102)


def _free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def head(text: str) -> None:
    say(f"\n── {text}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
