"""`twin aggregate`: counts, sums and top groups over all shards and regions."""

from __future__ import annotations

import math
import re
from pathlib import Path

import click

from cluster import show
from cluster.cli import DEGRADED
from cluster.commands.search import USUAL, show_mode
from cluster.questions import after_option, as_of_option, known_at_option, split
from serving.client import Groups, connect
from twin.kinds import KINDS, Dtype

_OF_GROUP = re.compile(r"(\w+)\(\w+\)")


@click.command()
@click.argument("kind", type=click.Choice(tuple(USUAL)))
@click.argument("where", nargs=-1)
@click.option("--by", default="", help="Fields to group by, by comma.")
@click.option(
    "--measures",
    default="count",
    show_default=True,
    help="Of count, count(distinct F), sum(F), avg(F), min(F), max(F), known(F); by comma.",
)
@click.option("--order", default="", help="A measure or a field of --by; - before it: descending.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@as_of_option
@known_at_option
@after_option
@show.region_option
@show.folder_option
@show.json_option
def command(
    kind: str,
    where: tuple[str, ...],
    by: str,
    measures: str,
    order: str,
    limit: int,
    as_of: int,
    known_at: int,
    after: tuple[str, ...],
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print one row a group of the KIND twins that match WHERE (see `twin search --help`).

    twin aggregate shipment --by supplier --measures "count,avg(on_time)" --order=-count --limit 5

    twin aggregate shipment --by "date_trunc('month', delivered_at)" --measures "sum(value_cents)"
    """
    fields, wanted = list(split(by)), list(split(measures))
    with connect(folder, name="cli") as client:
        groups = client.aggregate(
            kind,
            " ".join(where),
            fields,
            wanted,
            order,
            limit,
            region,
            as_of=as_of,
            known_at=known_at,
            after=after,
        )
    if as_json:
        moments = {name: show.exact(getattr(groups, name)) for name in ("now", "oldest_as_of")}
        show.json(groups._asdict() | moments)
    else:
        then = as_of or known_at
        source = f"the {kind} twins of that moment" if then else f"the live {kind} twins"
        _print(groups, fields, wanted, kind, source)
    return DEGRADED if groups.mode == "degraded" else 0


def _print(groups: Groups, fields: list[str], measures: list[str], kind: str, source: str) -> None:
    if groups.rows:
        units = {measure: _unit(kind, measure) for measure in measures}
        rows = [_row(row, fields, measures, units) for row in groups.rows]
        show.table((*fields, *measures), rows)
    click.echo(f"  shown {groups.shown} of {groups.total} groups   now {show.instant(groups.now)}")
    if groups.oldest_as_of > 0:
        age = show.span(max(0.0, (groups.now - groups.oldest_as_of) / show.MICROS))
        oldest = show.instant(groups.oldest_as_of)
        click.echo(f"  oldest value counted: as_of {oldest}, age {age}   source: {source}")
    show_mode(groups.mode, [])


def _row(
    row: dict[str, object], fields: list[str], measures: list[str], units: dict[str, str]
) -> tuple[str, ...]:
    return tuple(
        [str(row[name]) or "-" for name in fields]
        + [_cell(row[name], units[name]) for name in measures]
    )


def _cell(value: object, unit: str) -> str:
    if not isinstance(value, float) or math.isnan(value):  # of a group that knows none
        return "-"
    return show.span(value) if unit == "s" else show.plain("", value, unit)


def _unit(kind: str, measure: str) -> str:
    """Return us where a measure is a time, s where it is an age; what is computed is a number."""
    how, _, of = measure.partition("(")
    name = of.removesuffix(")").strip()
    if how not in {"min", "max", "avg"}:
        return ""
    if (call := _OF_GROUP.fullmatch(name)) is not None:
        return {"age": "s", "as_of": "us"}.get(call[1], "")
    held = KINDS[kind].field(name)
    return "us" if held is not None and held[1].dtype == Dtype.TIME else ""
