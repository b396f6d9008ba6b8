"""Showing: how commands print values, times, tables and JSON.

Every value is shown with its age and source; every list says how many there are in all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from cluster.config import FILE, load
from serving.client import TwinState, Value
from serving.http_json import rfc3339
from twin.kinds import ABSENT

MICROS = 1_000_000
WIDEST = 48  # characters of one cell; --json has the whole
OF_ANSWER = ("mode", "withheld")  # of a TwinState: what is said of an answer, not of the twin


def _folder(ctx: click.Context, parameter: click.Parameter, given: Path | None) -> Path:
    """Return the data directory: the option, else what the configuration says."""
    return given or Path(load(Path(FILE), os.environ).config.folder)


folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_folder,
    help="The data directory of the twin (default: ./.twin, or as twin.toml says).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
region_option = click.option("--region", default="", help="One region only; all if not given.")


def instant(us: int) -> str:
    """Return RFC 3339 to the second, or the date alone at midnight; - if absent."""
    if us in (ABSENT, 0):
        return "-"
    text = datetime.fromtimestamp(us / MICROS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text.removesuffix("T00:00:00Z")


def exact(us: int) -> str | None:
    """Return the same for JSON, with what it has below a second; None, which is null, if absent."""
    told = rfc3339(us)
    return told.removesuffix("T00:00:00Z") if told is not None else None


def span(seconds: float) -> str:
    """Return a duration as people say it: 1.8 s, 12 min, 4 h, 51 d."""
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def plain(name: str, value: Any, unit: str = "") -> str:
    """Return a value as text. Times are RFC 3339; a number is as short as it can be."""
    if value is None or value == ABSENT:
        return "-"
    if unit == "us" or name.endswith("_at") or name == "as_of":
        return instant(int(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.0f}".replace(",", " ")
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}".replace(",", " ")
    return str(value)


def freshest(twin: TwinState) -> Value | None:
    """Return the value of a twin that was decided last."""
    held = [value for value in twin.values.values() if value.as_of != ABSENT]
    return max(held, key=lambda value: value.as_of, default=None)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads; a column of figures is set to the right."""
    cells = [[clipped(cell) for cell in row] for row in rows]
    for line in lines(heads, cells):
        click.echo(line)


def lines(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, without trailing blanks."""
    columns = list(zip(heads, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [len(c) > 1 and all(_figure(cell) for cell in c[1:]) for c in columns]
    out = []
    for number, row in enumerate([heads, *cells]):
        parts = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        text = "  " + "  ".join(parts).rstrip()
        out.append(dim(text) if number == 0 else text)
    return out


def clipped(cell: str) -> str:
    return cell if len(cell) <= WIDEST else cell[: WIDEST - 1] + "…"


def dim(text: str) -> str:
    return click.style(text, dim=True) if colours() else text


def warn(text: str) -> str:
    return click.style(text, fg="yellow") if colours() else text


def colours() -> bool:
    return "NO_COLOR" not in os.environ and sys.stdout.isatty()


def json(value: Any) -> None:
    """Print one JSON object. Absent numbers are null: JSON has no NaN."""
    click.echo(msgspec.json.encode(value))


def state(twin: TwinState) -> dict[str, Any]:
    """Return a twin for JSON, by itself; times as RFC 3339, everything else as it is."""
    values = {name: told(name, value) for name, value in sorted(twin.values.items())}
    held = twin._asdict() | {"values": values}
    return {name: held[name] for name in held if name not in OF_ANSWER}


def told(name: str, value: Value) -> dict[str, Any]:
    held = value.value
    if value.unit == "us" and isinstance(held, int):
        held = exact(held)
    return value._asdict() | {"value": held, "as_of": exact(value.as_of)}


def _figure(cell: str) -> bool:
    return (
        cell[:1] in "-+0123456789"
        and not any(mark in cell for mark in ("T", ":", "/"))
        and (cell.count("-") <= 1)
    )
