"""`twin search`: twins whose state matches a condition, and how many there are in all."""

from __future__ import annotations

from pathlib import Path

import click

from cluster import show
from cluster.cli import DEGRADED
from cluster.questions import after_option, as_of_option, demand_options, known_at_option, split
from serving.client import Found, TwinState, connect

USUAL = {
    "shipment": ("status", "country", "promised_at", "eta_p50", "supplier"),
    "site": ("name", "country", "function"),
    "supplier": ("name", "aggregator"),
    "stock": ("site", "product", "on_hand"),
    "alert": ("state", "severity", "message", "deadline", "owner"),
}


@click.command()
@click.argument("kind", type=click.Choice(tuple(USUAL)))
@click.argument("where", nargs=-1)
@click.option("--fields", default="", help="Which to show, by comma; `all` for every one.")
@click.option("--order", default="", help="FIELD, or -FIELD for descending; several by comma.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--cursor", default="", help="Of an earlier answer: print what follows it.")
@demand_options
@as_of_option
@known_at_option
@after_option
@show.region_option
@show.folder_option
@show.json_option
def command(
    kind: str,
    where: tuple[str, ...],
    fields: str,
    order: str,
    limit: int,
    cursor: str,
    max_age_s: float,
    min_confidence: float,
    fallback: str,
    as_of: int,
    known_at: int,
    after: tuple[str, ...],
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print the KIND twins that match WHERE, as in SQL (docs/filters.md).

    twin search shipment "status = 'DEPARTED' AND eta_p50 > promised_at + interval '2 days'"

    twin search shipment "green_but_stale AND near('LAGOS-WH', 300)" --order=-value_cents

    twin search shipment "supplier IN (SELECT id FROM suppliers WHERE status = 'suspended')"
    """
    chosen = split(fields) or USUAL[kind]
    asked = () if chosen == ("all",) else chosen
    with connect(folder, name="cli") as client:
        found = client.search(
            kind,
            " ".join(where),
            asked,
            order,
            limit,
            region,
            cursor=cursor,
            max_age_s=max_age_s,
            min_confidence=min_confidence,
            fallback=fallback,
            as_of=as_of,
            known_at=known_at,
            after=after,
        )
    if as_json:
        twins = [show.state(twin) for twin in found.twins]
        show.json(found._asdict() | {"twins": twins, "now": show.exact(found.now)})
    else:
        _print(found, asked)
    return DEGRADED if found.mode == "degraded" else 0


def _print(found: Found, asked: tuple[str, ...]) -> None:
    fields = asked or tuple(sorted({name for twin in found.twins for name in twin.values}))
    if found.twins:
        heads = ("id", "region", *fields, "as_of", "age", "state", "source")
        show.table(heads, [_row(twin, fields) for twin in found.twins])
        click.echo(
            show.dim("  as_of, age, state, source: of the value that changed last; all: --json")
        )
    click.echo(f"  shown {found.shown} of {found.total}   now {show.instant(found.now)}")
    if found.withheld:
        click.echo(f"  withheld as too old or unsure: {', '.join(found.withheld)}")
    if found.cursor:
        click.echo(show.dim(f"  more: the same with --cursor={found.cursor}"))
    show_mode(found.mode, found.missing)


def show_mode(mode: str, missing: list[str]) -> None:
    """Say it when an answer is worse than it should be."""
    if mode == "degraded":
        absent = f"; no answer from {', '.join(missing)}" if missing else ""
        click.echo(show.warn(f"  mode degraded{absent}"))


def _row(twin: TwinState, fields: tuple[str, ...]) -> tuple[str, ...]:
    values = twin.values
    cells = [show.plain(f, values[f].value, values[f].unit) if f in values else "-" for f in fields]
    last = show.freshest(twin)
    if last is None:
        return (twin.id, twin.region, *cells, "-", "-", "-", "-")
    age = show.span(last.age_s)
    return (twin.id, twin.region, *cells, show.instant(last.as_of), age, last.state, last.source)
