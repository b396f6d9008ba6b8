"""`twin get`: one twin, and where every value is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.questions import as_of_option, demand_options, known_at_option, split
from serving.client import TwinState, Value, connect
from twin.errors import UnknownField, UnknownKey

KINDS = ("shipment", "site", "supplier", "stock", "alert")


@click.command()
@click.argument("id")
@click.option("--kind", type=click.Choice(KINDS), help="Of twin; all are tried if not given.")
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
) -> None:
    """Print the twin ID (or KIND/REGION/ID, as other commands print it) with all its values."""
    parts = id.split("/", 2)
    if len(parts) == 3 and parts[0] in KINDS:
        kind, region, id = parts
    asked = {
        "fields": split(fields),
        "max_age_s": max_age_s,
        "min_confidence": min_confidence,
        "fallback": fallback,
        "as_of": as_of,
        "known_at": known_at,
    }
    twin = _found(folder, kind, id, region, asked)
    if as_json:
        show.json(show.state(twin))
        return
    found_kind = twin.key.split("/")[1]
    click.echo(f"  {found_kind}/{twin.region}/{twin.id}  {_summary(twin)}".rstrip())
    if (value := show.freshest(twin)) is not None:
        click.echo(f"  {_provenance(twin, value)}")
    rows = [_row(name, value) for name, value in twin.values.items()]
    heads = ("field", "value", "unit", "state", "as_of", "age", "confidence", "source")
    show.table(heads, sorted(rows))


def _found(
    folder: Path, kind: str | None, id: str, region: str, asked: dict[str, Any]
) -> TwinState:
    """Ask for the kind given, or for each in turn."""
    with connect(folder, name="cli") as client:
        kinds = [kind] if kind else list(KINDS)
        for tried in kinds:
            try:
                return client.get(tried, id, region, **asked)
            except UnknownKey:
                continue
            except UnknownField:
                if kind:  # else of a kind that is only tried
                    raise
    where = f" in {region}" if region else ""
    raise UnknownKey(f"no {' or '.join(kinds)} is called {id}{where}; look with `twin search`")


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
