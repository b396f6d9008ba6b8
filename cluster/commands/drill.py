"""`twin drill`: breaks a running twin on purpose, and counts what became of every event."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click
import msgspec

from cluster import show
from cluster.clock import FILE as REPLAY
from cluster.drills.disk import lines as disk_lines
from cluster.drills.disk import run as lose_disk
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
    _intend(
        folder,
        f"this ends processes of {len(shards) or len(known)} shards with kill -9, {times} times at "
        "least, and journals events of twins named drill-… there for good; each shard is away for "
        "seconds",
        yes=yes,
    )
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


@command.command()
@click.argument("shard", required=False)
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 600.0),
    default=5.0,
    show_default=True,
    help="Of writing, before the disk is lost.",
)
@click.option("--seed", type=int, help="Of the events' sizes; printed. [random]")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@show.folder_option
@show.json_option
def disk(
    shard: str | None, seconds: float, seed: int | None, yes: bool, folder: Path, as_json: bool
) -> int:
    """Delete a shard's files and kill it while clients write; it comes home from its archive.

    SHARD: as in shipment/east/1; the shipment shard with most events if none is named. Prints
    what was acknowledged and not yet archived: that is lost. Status 1 if anything else is, or if
    digests differ.
    """
    with connect(folder, name="cli") as client:
        status = client.status()
    known = sorted(one.name for one in status.shards)
    most = max((s for s in status.shards if s.kind == "shipment"), key=lambda s: s.offset)
    if (shard := shard or most.name) not in known:
        raise BadRequest(f"no shard is called {shard}; there are {', '.join(known)}")
    what = f"this deletes the files of {shard} for good and kills it: what was acknowledged in the"
    _intend(folder, f"{what} last seconds, and is not archived, is lost", yes=yes)
    seed = secrets.randbelow(2**31) if seed is None else seed

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    report = lose_disk(folder, shard, seconds=seconds, seed=seed, say=say)
    file = folder / REPORTS / f"{report.run}.json"
    file.write_bytes(msgspec.json.encode(report.plain()))
    if as_json:
        show.json(report.plain())
    else:
        for line in disk_lines(report):
            click.echo(line)
        click.echo(f"  report {file}")
    return 1 if report.failures() else 0


def _intend(folder: Path, what: str, *, yes: bool) -> None:
    """Say what will happen, and ask unless it is a replayed history or --yes was said."""
    click.echo(f"  {what}", err=True)
    if yes or (folder / REPLAY).exists():
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{folder} is no replayed demo; say --yes if you mean it")
    click.confirm("  go on?", abort=True)
