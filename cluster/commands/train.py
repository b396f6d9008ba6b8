"""`twin train`: fits the model of delays on what the twin knows, beside its baselines.

The lane median stands beside the model in every table, also when it wins.
"""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from cluster import environment, show
from cluster.cli import DEGRADED
from serving.client import ColumnSet, connect
from training.artifact import Scores, current
from twin.errors import BadRequest
from twin.features import INPUTS

if TYPE_CHECKING:
    from training.train import Report

RAY_FILE, MODELS, STORAGE = "ray.json", "models", "training"
FIELDS = (*INPUTS, "delivered_at", "recorded_at")
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]
# How often Ray Train looks at its worker. A fit takes seconds, and every look may be the last.
POLL_S = "0.2"
NAMES = {"model": "model", "lane_median": "lane median", "promised_date": "promised date"}
REACH_S = 2.0


class Running(NamedTuple):
    """The Ray of a twin, as its host wrote it down."""

    address: str
    namespace: str


def _micros(ctx: click.Context, parameter: click.Parameter, given: datetime | None) -> int | None:
    return None if given is None else int(given.replace(tzinfo=UTC).timestamp()) * show.MICROS


@click.command()
@show.folder_option
@click.option("--inline", is_flag=True, help="In this process, without Ray Train.")
@click.option(
    "--as-of",
    "as_of_us",
    type=click.DateTime(DATES),
    callback=_micros,
    help="Learn and test only on what was recorded before this time (default: now).",
)
@click.option(
    "--cut",
    "cut_us",
    type=click.DateTime(DATES),
    callback=_micros,
    help="Learn before this time, test from then on (default: 274 days before --as-of).",
)
@show.json_option
def command(
    folder: Path, inline: bool, as_of_us: int | None, cut_us: int | None, as_json: bool
) -> int:
    """Fit the model of delays and publish it; it answers from then on if it may.

    A model more than 15 % behind the lane median, on MAE or on the P90 pinball loss, is published
    but not promoted: the lane table goes on answering, and the exit status is 3.
    """
    with connect(folder, name="train") as client:
        known = client.columns("shipment", FIELDS)
    now_us = known.now if as_of_us is None else min(as_of_us, known.now)
    report = train(folder, known, now_us, cut_us, inline=inline)
    if as_json:
        show.json(plain(report))
    else:
        _print(report, current(folder / MODELS, "eta"))
    return 0 if report.promoted else DEGRADED


def train(
    folder: Path, known: ColumnSet, now_us: int, cut_us: int | None = None, *, inline: bool = False
) -> Report:
    """Train through the Ray of the twin in `folder`, or in this process if there is none.

    Raises BadRequest: EXTRA_MISSING, and what training.train.train_and_publish raises.
    """
    running = None if inline else _running(folder)
    if running is not None:
        os.environ.update(environment.variables(folder))
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_S)
    try:
        import ray  # noqa: PLC0415 - reads its variables when imported; they are the twin's

        from training.train import train_and_publish  # noqa: PLC0415 - imports Ray
    except ModuleNotFoundError as e:
        raise BadRequest(
            f"Training needs the package {e.name}. "
            "Install it: pip install 'supply-twin[server,ml]'.",
            "EXTRA_MISSING",
        ) from e
    joined = running is not None and not ray.is_initialized()
    if running is not None and joined:
        ray.init(
            address=running.address,
            namespace=running.namespace or None,
            log_to_driver=False,
            logging_level="ERROR",
        )
    try:
        return train_and_publish(
            known.columns,
            known.offsets,
            now_us,
            folder / MODELS,
            (folder / STORAGE).resolve(),
            use_ray=running is not None,
            cut_us=cut_us,
        )
    finally:
        if joined:
            ray.shutdown()


def plain(report: Report) -> dict[str, Any]:
    """The report for JSON: figures as they are, times as RFC 3339."""
    split: dict[str, Any] = {
        f"{name.removesuffix('_us')}_at" if name.endswith("_us") else name: (
            show.instant(value) if name.endswith("_us") else value
        )
        for name, value in msgspec.to_builtins(report.split).items()
    }
    return report._asdict() | {"split": split, "metrics": msgspec.to_builtins(report.metrics)}


def _running(folder: Path) -> Running | None:
    """The Ray that answers now, or None: a file may have outlived its Ray."""
    try:
        held = json.loads((folder / RAY_FILE).read_text(encoding="utf-8"))
        address = str(held["address"])
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=REACH_S).close()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Running(address, str(held.get("namespace", "")))


def _print(report: Report, answering: str) -> None:
    split = report.split
    heads = ("days", "MAE", "pinball P10", "P50", "P90", "in P10..P90", "late AUC")
    show.table(heads, [_row(NAMES[name], held) for name, held in report.metrics.items()])
    click.echo(
        f"  learned from {split.train} deliveries recorded {show.instant(split.first_us)} to "
        f"{show.instant(split.valid_us)}, stopped by {split.valid} recorded up to "
        f"{show.instant(split.cut_us)}"
    )
    click.echo(
        f"  tested on {split.test} promised from {show.instant(split.cut_us)} on and recorded by "
        f"{show.instant(split.last_us)}; seed {report.seed}, {report.trained_by}"
    )
    click.echo(f"  {report.verdict}")
    if report.promoted:
        click.echo(f"  eta version {report.version} is published and answers from now on")
    else:
        still = f"version {answering} answers on" if answering else "the lane table answers"
        click.echo(show.warn(f"  eta version {report.version} is published, not promoted: {still}"))


def _row(name: str, held: Scores) -> tuple[str, ...]:
    values = (held.mae, held.pinball_p10, held.pinball_p50, held.pinball_p90)
    shares = (held.coverage, held.late_auc)
    days = ("-" if value is None else f"{value:.2f}" for value in values)
    return (name, *days, *("-" if share is None else f"{share:.3f}" for share in shares))
