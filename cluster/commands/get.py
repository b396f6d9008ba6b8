"""`twin get`: one twin, and where every value is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cluster import one, show
from cluster.cli import DEGRADED
from cluster.commands.search import show_mode
from cluster.questions import as_of_option, demand_options, known_at_option, split
from serving.client import TwinState, Value, connect


@click.command()
@click.argument("id")
@one.kind_option
@show.region_option
@click.option("--fields", default="", help="Which to show, by comma; all if not given.")
@demand_options
@as_of_option
@known_at_option
@show.folder_option
@show.json_option
def command(
    id: str,
    kind: str | None,
    region: str,
    fields: str,
    max_age_s: float,
    min_confidence: float,
    fallback: str,
    as_of: int,
    known_at: int,
    folder: Path,
    as_json: bool,
) -> int:
    """Print the twin ID (or KIND/REGION/ID, as other commands print it) with all its values."""
    asked: dict[str, Any] = {
        "fields": split(fields),
        "max_age_s": max_age_s,
        "min_confidence": min_confidence,
        "fallback": fallback,
        "as_of": as_of,
        "known_at": known_at,
    }
    with connect(folder, name="cli") as client:
        twin = one.named(id, kind, region).ask(lambda *key: client.get(*key, **asked))
    if as_json:
        show.json(show.state(twin) | {name: getattr(twin, name) for name in show.OF_ANSWER})
    else:
        _print(twin)
    return DEGRADED if twin.mode == "degraded" else 0


def _print(twin: TwinState) -> None:
    found_kind = twin.key.split("/")[1]
    click.echo(f"  {found_kind}/{twin.region}/{twin.id}  {_summary(twin)}".rstrip())
    if (value := show.freshest(twin)) is not None:
        click.echo(f"  {_provenance(twin, value)}")
    rows = [_row(name, value) for name, value in twin.values.items()]
    heads = ("field", "value", "unit", "state", "as_of", "age", "confidence", "source")
    if rows:
        show.table(heads, sorted(rows))
    if twin.withheld:
        click.echo(f"  withheld as too old or unsure: {', '.join(sorted(twin.withheld))}")
    show_mode(twin.mode, [])


def _summary(twin: TwinState) -> str:
    """Say in a line what most people ask first."""
    values = twin.values
    said = [show.plain(name, values[name].value) for name in ("status", "name") if name in values]
    if "on_hand" in values:
        said.append(f"on hand {show.plain('on_hand', values['on_hand'].value)}")
    said += [str(values["country"].value)] if "country" in values else []
    for name in ("promised_at", "delivered_at"):
        if name in values:
            said.append(f"{name.removesuffix('_at')} {_day(values[name])}")
    if {"eta_p10", "eta_p50", "eta_p90"} <= values.keys():
        low, mid, high = (_day(values[f"eta_{name}"]) for name in ("p10", "p50", "p90"))
        said.append(f"eta {mid} (80%: {low[5:]} - {high[5:]})")
    return "   ".join(said)


def _day(value: Value) -> str:
    return show.instant(int(value.value))[:10]


def _provenance(twin: TwinState, value: Value) -> str:
    text = (
        f"{value.state or 'live'}   age {show.span(value.age_s)}   "
        f"confidence {value.confidence:.2f}   source {value.source}#{value.offset}"
    )
    predicted = twin.values.get("eta_p50")
    if predicted is not None:
        text += f"   eta: {predicted.source}, as of offset {predicted.offset}"
    return text


def _row(name: str, value: Value) -> tuple[str, ...]:
    return (
        name,
        show.plain(name, value.value, value.unit),
        "" if value.unit in ("us", "1") else value.unit,
        value.state,
        show.instant(value.as_of),
        show.span(value.age_s),
        f"{value.confidence:.2f}",
        f"{value.source}#{value.offset}",
    )
