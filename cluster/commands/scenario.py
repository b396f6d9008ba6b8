"""`twin scenario`: what if. Forks the live state, runs futures of it, and compares.

The live state is only read. Whatever is printed can be repeated: the fork is kept, and the line
that repeats the study is printed with it.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from cluster import show
from scenarios import fork_file, report, wording
from scenarios.compare import differences, hits
from scenarios.disruptions import Scenario, parse
from scenarios.fork import FIELDS, STOCK_FIELDS, Fork, fork
from scenarios.run import BASE, MOST_DAYS, MOST_FUTURES, Study, run
from serving.client import Client, connect, patiently
from twin.errors import Unavailable

BUILTIN = "port-delay+supplier-loss"
BUILTINS = (BUILTIN, "ocean-delay", "supplier-closed")
FORKS, REPORTS = "forks", "reports"
HEADS = ("metric", "base", "shock", "diff", "95% CI", "worst-hit")
PATIENCE_S = 20.0  # for a shard that is just recovering


@click.group()
def command() -> None:
    """What if: futures of a snapshot, with and without disruptions."""


@command.command("run")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--builtin", type=click.Choice(BUILTINS), help=f"Instead of FILE. [{BUILTIN}]")
@click.option("--futures", default=200, show_default=True, help=f"How many, to {MOST_FUTURES}.")
@click.option("--days", default=60, show_default=True, help=f"How far ahead, to {MOST_DAYS}.")
@click.option("--seed", default=7, show_default=True, help="Of the random numbers.")
@click.option("--snapshot", default="", metavar="NAME", help="A kept fork instead of live state.")
@click.option(
    "--snapshot-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Start from this fork; if it is not there yet, fork the live state and save it there.",
)
@show.folder_option
@show.json_option
def run_command(
    file: Path | None,
    builtin: str | None,
    futures: int,
    days: int,
    seed: int,
    snapshot: str,
    snapshot_file: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Run the scenario in FILE (TOML), and compare each disruption with none.

    Every arm draws the same random numbers, so differences are taken within each future. The
    fork is kept in the data directory (the last 50 are) and named, for --snapshot.
    """
    if file and builtin:
        raise click.UsageError("give FILE or --builtin, not both")
    if snapshot and snapshot_file:
        raise click.UsageError("give --snapshot or --snapshot-file, not both")
    scenario = _scenario(file, builtin or BUILTIN)  # refused before anything is forked
    state = _state(folder, snapshot, snapshot_file)
    began = time.perf_counter()
    study = run(scenario, state, futures=futures, days=days, seed=seed, progress=_progress(as_json))
    took_s = time.perf_counter() - began
    repeat = _repeat(study, file, snapshot_file, folder)
    written = report.write(study, folder / REPORTS, repeat)
    if as_json:
        show.json(_plain(study, took_s, written, repeat))
    else:
        _print(study, took_s, written, repeat)


def live(client: Client) -> Fork:
    """Return a fork of everything that `client` can reach.

    Raises Unavailable if a shard does not answer: a fork without it would not say so.
    """
    status = client.status()
    shipments = client.columns("shipment", FIELDS)
    suppliers = client.columns("supplier", ("aggregator",))
    stock = client.columns("stock", STOCK_FIELDS)
    offsets = shipments.offsets | suppliers.offsets | stock.offsets
    absent = [shard.name for shard in status.shards if shard.name not in offsets]
    if absent or not shipments.offsets:
        raise Unavailable(
            f"{', '.join(absent) or 'no shard of shipments'} does not answer, and a fork is whole"
            " or none; see `twin status`",
            1.0,
        )
    return fork(
        shipments.columns,
        offsets,
        shipments.now,
        clock=status.clock,
        suppliers=suppliers.columns if len(suppliers.columns.get("id", ())) else None,
        stock=stock.columns,
    )


def _scenario(file: Path | None, builtin: str) -> Scenario:
    if file is None:
        name = f"{builtin}.toml"
        return parse((files("scenarios") / "examples" / name).read_bytes(), name)
    try:
        text = file.read_bytes()
    except OSError as e:
        raise click.UsageError(f"cannot read {file}: {e.strerror}") from e
    return parse(text, file.name)


def _state(folder: Path, snapshot: str, snapshot_file: Path | None) -> Fork:
    if snapshot:
        return fork_file.find(snapshot, folder / FORKS)
    if snapshot_file and snapshot_file.exists():
        return fork_file.load(snapshot_file)
    with connect(folder, name="scenario") as client:
        state = patiently(lambda: live(client), PATIENCE_S)
    if snapshot_file:
        fork_file.save(state, snapshot_file)
    else:
        fork_file.keep(state, folder / FORKS)
    return state


def _progress(as_json: bool) -> Callable[[int, int], None]:
    """Return what tells a terminal how far a run is; nobody else is told."""

    def tell(done: int, whole: int) -> None:
        if sys.stderr.isatty() and not as_json:
            line = f"\r  {done} of {whole} futures" if done < whole else "\r\x1b[K"
            click.echo(line, nl=False, err=True)

    return tell


def _repeat(study: Study, file: Path | None, snapshot_file: Path | None, folder: Path) -> str:
    words = ["twin", "scenario", "run"]
    words += [str(file)] if file else ["--builtin", study.scenario.name]
    if snapshot_file:
        words += ["--snapshot-file", str(snapshot_file)]
    else:
        words += ["--snapshot", study.state.name[: wording.SHORT]]
    words += ["--futures", str(study.futures), "--days", str(study.days), "--seed", str(study.seed)]
    words += ["--folder", str(folder)] if folder != Path(".twin") else []
    return shlex.join(words)


def _print(study: Study, took_s: float, written: Path, repeat: str) -> None:
    click.echo(f"  {wording.subject(study)}")
    click.echo(f"  {wording.effort(study)}; {took_s:.2f} s")
    if not study.basis.due.size:
        click.echo(f"  nothing is due in the next {study.days} days: there is nothing to disrupt")
    says = {target.disruption.name: target.says for target in study.targets}
    for arm in study.arms:
        if arm == BASE or not study.basis.due.size:
            continue
        click.echo(f"\n  {arm}: {says.get(arm, 'everything above at once')}")
        rows = [wording.row(difference) for difference in differences(study, arm)]
        for line in show.lines(HEADS, rows):
            click.echo(line)
    click.echo("\n  assumptions:")
    for said in wording.assumptions(study)[len(study.targets) :]:
        click.echo(f"    {said}")
    click.echo(f"  report: {written}")
    click.echo(f"  repeat: {repeat}")


def _plain(study: Study, took_s: float, written: Path, repeat: str) -> dict[str, Any]:
    arms = {
        arm: {
            "differences": [one._asdict() for one in differences(study, arm)],
            "lanes": [hit._asdict() for hit in hits(study, arm, ("supplier", "country"))],
        }
        for arm in study.arms
        if arm != BASE
    }
    return {
        "scenario": study.scenario.name,
        "snapshot": study.state.name,
        "offsets": dict(study.state.offsets),
        "now": show.instant(study.state.now_us),
        "clock": study.state.clock,
        "futures": study.futures,
        "days": study.days,
        "seed": study.seed,
        "open": int(study.basis.rows.size),
        "due": int(study.basis.due.size),
        "took_s": took_s,
        "arms": arms,
        "assumptions": wording.assumptions(study),
        "report": str(written),
        "repeat": repeat,
    }
