"""`twin up`: starts the host in the background and follows it until the twin answers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from cluster import host_environment, lock, process
from cluster.child import tail
from cluster.config import FILE, Config, load
from cluster.progress import FAILED, READY, Follower, Line
from serving.access import issue_code
from serving.client import connect
from twin.errors import BadRequest

LONGEST_S = 600.0  # a start that recovers a long journal; the host itself gives up earlier
ROUND_S = 0.05
STOP_S = 60.0
WHOLE = ("PORT_IN_USE", "CONFIG_INVALID")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Data directory.")
@click.option("--demo", is_flag=True, help="Load a real delivery history and replay it on.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Of the replay clock.")
@click.option("--foreground", is_flag=True, help="Stay here; Ctrl-C stops the twin.")
def command(folder: Path | None, demo: bool, speed: float | None, foreground: bool) -> None:
    """Start the twin in the background, wait until it answers, and print its links."""
    config = load(Path(FILE), os.environ, folder).config
    home = Path(config.folder)
    if lock.owner(home):
        raise lock.already(home)
    # Whoever ends this command, as Ctrl-C does, ends what it is starting.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    host = _spawn(config, home, demo=demo, speed=speed)
    try:
        for line in _followed(host, home):
            if line.event == FAILED:
                host.wait(STOP_S)
                raise _failed(line, home)
            click.echo(f"  [{time.monotonic() - began:4.1f}s] {line.text}")
        _links(config, home)
        if foreground:
            host.wait()
    except KeyboardInterrupt:
        click.echo("  stopping", err=True)
        host.terminate()
        host.wait(STOP_S)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _spawn(
    config: Config, home: Path, *, demo: bool, speed: float | None
) -> subprocess.Popen[bytes]:
    """Start the host in a session of its own, so that it outlives this command."""
    folder = home.resolve()
    (folder / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "cluster.host", "--folder", str(folder)]
    argv += ["--demo"] if demo else []
    argv += ["--speed", str(speed)] if speed is not None else []
    with (home / "logs" / "host.out").open("ab") as out:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=host_environment.whole(os.environ, host_environment.wanted(folder, config)),
        )


def _followed(host: subprocess.Popen[bytes], home: Path) -> Iterator[Line]:
    """Yield what the host says, until it is ready or has failed."""
    follower = Follower(home, host.pid)
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until:
        ended = host.poll()
        for line in follower.lines():
            yield line
            if line.event in (READY, FAILED):
                return
        if ended is not None:
            if pid := lock.owner(home):  # somebody else was faster
                raise BadRequest(
                    f"a twin was just started in {home} (pid {pid}); see `twin status`",
                    "ALREADY_RUNNING",
                )
            raise BadRequest(
                f"the host ended with status {ended}: {tail(home / 'logs' / 'host.out')}; "
                f"more in {home / 'logs'}",
                "START_FAILED",
            )
        if alive := process.identify(host.pid):
            process.wait([alive], ROUND_S)
    raise BadRequest(f"not ready after {LONGEST_S:.0f} s; see {home / 'logs'}", "START_FAILED")


def _failed(line: Line, home: Path) -> BadRequest:
    """Return what a start failed of; a cause that says all needs no log."""
    more = "" if line.code in WHOLE else f"; more in {home / 'logs' / 'host.log'}"
    return BadRequest(line.text + more, line.code)


def _links(config: Config, home: Path) -> None:
    """Print what to do next; everything can be copied."""
    first = config.regions[0]
    http, grpc = config.http_port(first), config.grpc_port(first)
    here = "" if home == Path(".twin") else f" --folder {home}"
    addresses = "   ".join(f"{r} 127.0.0.1:{config.grpc_port(r)}" for r in config.regions)
    click.echo(f"  dashboard  http://127.0.0.1:{http}/?code={issue_code(home)}   (one use)")
    click.echo(f"  gRPC       {addresses}   (reflection on)")
    sql = "   ".join(f"{r} grpc://127.0.0.1:{config.sql_port(r)}" for r in config.regions)
    click.echo(f"  SQL        twin sql{here} 'show tables'   or Arrow Flight SQL: {sql}")
    click.echo(f"  token      TOK=$(twin token{here} --scope read)")
    bearer = '-H "authorization: Bearer $TOK"'
    click.echo(f"  curl       curl -s {bearer} http://127.0.0.1:{http}/v1/status")
    if shutil.which("buf"):
        click.echo(
            f"  buf        buf curl --protocol grpc --http2-prior-knowledge {bearer} "
            f"--reflect-header '*' http://127.0.0.1:{grpc}/supplytwin.v1.Twin/Status"
        )
    with connect(home, name="up") as client:
        some = client.search("shipment", order="-promised_at", limit=1).twins
    example = f"twin get {some[0].id}{here}" if some else "twin ingest --help"
    click.echo(f"  try        {example}      twin status{here}      twin down{here}")
