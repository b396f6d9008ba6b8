"""`twin down`: ends the host and all it started, also after the host was killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import click
import msgspec

from cluster import clock, environment, lock, process
from cluster.config import Config
from cluster.host import CONFIG, GATEWAYS, NOTES, PIDS, leftovers
from cluster.show import folder_option
from twin.errors import BadRequest

PATIENCE_S = 60.0  # shards write a checkpoint each before they end


@click.command()
@folder_option
def command(folder: Path) -> None:
    """Stop the twin: no process and no open port is left, even after a crash."""
    began = time.monotonic()
    pid = lock.owner(folder)
    cleanly = False
    if pid > 0 and (host := process.identify(pid, "host")) is not None:
        process.send(host, signal.SIGTERM)
        cleanly = not process.wait([host], PATIENCE_S)
    left = leftovers(folder)
    if not pid and not left:
        click.echo(f"  nothing runs in {folder}")
        return
    if survivors := process.end(left, 2.0):
        names = ", ".join(f"{p.role} (pid {p.pid})" for p in survivors)
        raise BadRequest(f"{names} did not end; end them by pid", "STOP_FAILED")
    if left and not cleanly:
        clock.note(folder)  # they ran on without their host: the next start goes on from here
    if open_ports := process.busy(_ports(folder)):
        port, who = next(iter(open_ports.items()))
        raise BadRequest(f"port {port} is still held by {who}; end that process", "STOP_FAILED")
    _forget(folder)
    took = f"{time.monotonic() - began:.1f} s"
    if cleanly:
        click.echo(f"  journals closed cleanly, {took};  rm -r {folder} resets everything")
    else:
        click.echo(
            f"  the host was gone; {len(left)} processes it left are ended, {took}.  "
            "Nothing acknowledged is lost: `twin up` replays the journals"
        )


def _ports(folder: Path) -> dict[int, str]:
    """Return the ports this twin had: of the configuration it was started with."""
    try:
        return msgspec.json.decode((folder / CONFIG).read_bytes(), type=Config).ports
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _forget(folder: Path) -> None:
    """Remove what only made sense while the twin ran."""
    for name in (PIDS, GATEWAYS, NOTES):
        (folder / name).unlink(missing_ok=True)
    environment.clear(folder)
