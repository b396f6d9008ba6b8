"""`twin sql`: read-only SQL over the twins, their events, and what is in quarantine."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.cli import DEGRADED
from cluster.commands.search import show_mode
from serving import http_table
from serving.client import connect, patiently
from serving.sql_client import told
from twin.compare import time_us

PATIENCE_S = 10.0  # a query process starts a few seconds after its twin
SHOWN = 100  # rows, where a person reads them


@click.command()
@click.argument("statement", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 1_000_000), help="Rows at most.")
@click.option("--as-of", default="", help="What was true then: 2013-09-01T12:00:00Z.")
@click.option("--known-at", default="", help="As it was known then.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option(
    "--parquet", type=click.Path(path_type=Path, dir_okay=False), help="Write a Parquet file."
)
@show.region_option
@show.folder_option
@show.json_option
def command(
    statement: tuple[str, ...],
    limit: int | None,
    as_of: str,
    known_at: str,
    as_csv: bool,
    parquet: Path | None,
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print what STATEMENT answers; - reads it from standard input.

    twin sql "select region, count(*) n, sum(value_cents) / 100 usd from shipments group by 1"

    SHOW TABLES lists the tables, DESCRIBE TABLE the columns of one. Values have GROUP_as_of,
    GROUP_source, GROUP_confidence and GROUP_offset beside them.
    """
    text = " ".join(statement)
    if text == "-":
        text = sys.stdin.read()
    reading = not (as_json or as_csv or parquet)
    at, known = (time_us(moment) if moment else 0 for moment in (as_of, known_at))
    most = limit or (SHOWN if reading else 0)
    with connect(folder, name="cli") as client:
        table = patiently(
            lambda: client.sql(text, region, most, as_of=at, known_at=known), PATIENCE_S
        )
    about = told(table)
    plain = table.replace_schema_metadata(None)
    if parquet is not None:
        parquet.write_bytes(http_table.write("parquet", plain, {}))
        click.echo(f"  {plain.num_rows} rows in {parquet}")
    elif as_csv:
        click.echo(http_table.write("csv", plain, {}), nl=False)
    elif as_json:
        shown = {"shown": plain.num_rows, **about, "now": show.instant(about["now"])}
        click.echo(http_table.write("json", plain, shown))
    else:
        _print(plain, about)
    if not reading and about["truncated"]:
        click.echo(f"  there are more than these {plain.num_rows} rows; see --limit", err=True)
    return DEGRADED if about["mode"] == "degraded" else 0


def _print(table: Any, about: dict[str, Any]) -> None:
    if table.num_columns and table.num_rows:
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        show.table(table.column_names, [[_cell(value) for value in row] for row in rows])
    more = ", and there are more (--limit)" if about["truncated"] else ""
    click.echo(f"  shown {table.num_rows}{more}   now {show.instant(about['now'])}")
    show_mode(about["mode"], about["missing"])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value.tzinfo else str(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    return show.plain("", value) if isinstance(value, int | float) else str(value)
