"""`twin bench`: what the twin does in a second, beside peers and limits on this machine."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import click
import msgspec

from cluster import environment, show

# Names and cases are here as well, since the modules import Ray, and its settings come first.
CASES = {
    "ingest": ("arrow-1000", "arrow-10000", "msgpack-1000", "single-64"),
    "query": ("get", "batchget-1000"),
    "recover": ("replay", "kill"),
    "memory": ("whole", "fields", "provenance", "chain", "index", "outbox", "dedup"),
    "asof": ("asof-one", "asof-table", "asof-table-event"),
    "snapshot": ("idle", "busy", "ingest"),
    "scan": ("filtered", "groupby", "ingest-beside"),
    "alert": ("alert-idle", "alert-burst", "alert-demo"),
    "subscribe": ("live", "ingest-beside"),
}
HEADS = ("case", "unit", "median", "runs", "beside", "its runs", "ratio")
SHORT_S = 5.0


@click.command(epilog=f"BENCH is one of {', '.join(CASES)}.")
@click.argument("bench", type=click.Choice(tuple(CASES)), metavar="BENCH")
@click.option("--case", default="", help="One case only; a wrong name lists them.")
@click.option("--seconds", default=SHORT_S, show_default=True, type=click.FloatRange(0.05, 600))
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option("--events", default=0.0, help="At least that many a run, 5e6 for a fair one.")
@click.option(
    "--twins", default=0.0, help="Shipments, 1e7 for ten millions; else as the case says."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the files of the runs go, on the disk that is meant; else the temporary folder.",
)
@show.json_option
def command(
    bench: str,
    case: str,
    seconds: float,
    repeats: int,
    events: float,
    twins: float,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Measure BENCH on this machine: real processes, gRPC and disk, and right end states only.

    A fair run of ingest takes `--seconds 20 --events 5e6`. Runs of a peer (Redis, PostgreSQL: see
    `make system`) take turns with ours; the ratio is ours over theirs.
    """
    if case and case not in CASES[bench]:
        raise click.UsageError(f"{bench} has no case {case}; there are {', '.join(CASES[bench])}")
    home = Path(tempfile.mkdtemp(prefix="twin-bench-", dir=_made(folder)))
    try:
        os.environ.update(environment.variables(home))  # Ray reads them when it is imported
        _measure(bench, case, (seconds, repeats, int(events), int(twins)), home, as_json)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _measure(
    bench: str, case: str, sizes: tuple[float, int, int, int], home: Path, as_json: bool
) -> None:
    figures = importlib.import_module("cluster.bench.figures")
    oracle = importlib.import_module("cluster.bench.oracle")
    rig = importlib.import_module("cluster.bench.rig")
    module = importlib.import_module(f"cluster.bench.{bench}")
    if rig.in_memory(home):
        note(f"{home} lies in memory, where a sync costs nothing; give --folder on a disk")
    seconds, repeats, events, twins = sizes
    asked = figures.Asked(case, seconds, repeats, events, twins, home, progress(), note)
    found, out = [], sys.stdout
    try:
        # Ray prints to stdout that a process was killed, as these are; figures go there alone.
        with (home / "ray.out").open("w") as log, redirect_stdout(log), rig.ray_running(home):
            for figure in module.run(asked):
                asked.say("")
                found.append(figure)
                if as_json:
                    click.echo(msgspec.json.encode(figure.line()), file=out)
    except oracle.WrongEnd as e:
        raise click.ClickException(f"the end state is wrong, so there is no figure: {e}") from e
    finally:
        asked.say("")
    if not as_json:
        show.table(HEADS, figures.told(found))
        machine = figures.machine()
        click.echo(show.dim("  " + ", ".join(f"{name} {value}" for name, value in machine.items())))


def progress() -> Callable[[str], None]:
    """Return what shows one line of progress on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda text: None
    return lambda text: click.echo(f"\r\x1b[K{text}", err=True, nl=False)


def note(text: str) -> None:
    """Say what a reader of the figures must know."""
    click.echo(f"note: {text}", err=True)


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder
