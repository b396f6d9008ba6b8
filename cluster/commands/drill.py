"""`twin drill`: breaks a running twin on purpose, and counts what became of every event."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click
import msgspec

from cluster import show
from cluster.clock import FILE as REPLAY
from cluster.drills.run import REPORTS, lines, run
from serving.client import connect
from twin.errors import BadRequest

MOST = 500


@click.group()
def command() -> None:
    """Break the twin on purpose. It is told before, and counted after."""


@command.command()
@click.argument("shards", nargs=-1)
@click.option(
    "--times",
    type=click.IntRange(1, MOST),
    default=3,
    show_default=True,
    help="Kills at least; more until each phase was hit (a tenth of this, once at least).",
)
@click.option("--seed", type=int, help="Of victims, sizes and moments; printed. [random]")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@show.folder_option
@show.json_option
def kill(
    shards: tuple[str, ...], times: int, seed: int | None, yes: bool, folder: Path, as_json: bool
) -> int:
    """Kill shards with -9 while clients write: in append, after fsync, in checkpoint, in recovery.

    SHARDS: only these, as in shipment/east/1; all if none is named. Status 1 if an acknowledged
    event is lost, doubled or out of order, if digests differ, or if a fault did not happen.
    """
    with connect(folder, name="cli") as client:
        known = sorted(shard.name for shard in client.status().shards)
    if strange := sorted(set(shards) - set(known)):
        raise BadRequest(f"no shard is called {', '.join(strange)}; there are {', '.join(known)}")
    _intend(folder, list(shards) or known, times, yes=yes)
    seed = secrets.randbelow(2**31) if seed is None else seed

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    report = run(folder, times=times, seed=seed, shards=shards, say=say)
    file = folder / REPORTS / f"{report.run}.json"
    file.write_bytes(msgspec.json.encode(report.plain()))
    if as_json:
        show.json(report.plain())
    else:
        for line in lines(report):
            click.echo(line)
        click.echo(f"  report {file}")
    return 1 if report.failures() else 0


def _intend(folder: Path, shards: list[str], times: int, *, yes: bool) -> None:
    """Say what will happen, and ask unless it is a replayed history or --yes was said."""
    click.echo(
        f"  this ends processes of {len(shards)} shards with kill -9, {times} times at least, and "
        f"journals events of twins named drill-… there for good; each shard is away for seconds",
        err=True,
    )
    if yes or (folder / REPLAY).exists():
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{folder} is no replayed demo; say --yes if you mean it")
    click.confirm("  go on?", abort=True)
