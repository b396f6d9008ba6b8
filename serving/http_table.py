"""A table over HTTP, as Arrow, Parquet, CSV or JSON: which one is asked for, and how it is written.

JSON has whole numbers as they are, times as RFC 3339, null where nothing is known.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from twin.errors import BadRequest

ARROW, PARQUET, CSV, JSON = "arrow", "parquet", "csv", "json"
MEDIA = {
    ARROW: "application/vnd.apache.arrow.stream",
    PARQUET: "application/vnd.apache.parquet",
    CSV: "text/csv; charset=utf-8",
    JSON: "application/json",
}
_ACCEPTED = {kind.partition(";")[0]: name for name, kind in MEDIA.items()} | {
    "application/*": JSON,
    "text/*": CSV,
    "*/*": JSON,
}
UNWRITABLE = (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError)
_Writer = Callable[[pa.Table, dict[str, Any]], bytes]
_encode = msgspec.json.Encoder(enc_hook=str, decimal_format="number").encode
LONGEST_JSON = 10_000  # rows: a text for every cell; the other forms take a million


def form(said: str, accept: str) -> str:
    """Return which form is asked for, by its name or by an Accept header. Raises BadRequest."""
    if said:
        if said not in MEDIA:
            raise BadRequest(f"no format is called {said[:40]!r}; there are {', '.join(MEDIA)}")
        return said
    if not accept.strip():
        return JSON
    ranked = []
    for place, part in enumerate(accept.split(",")):
        kind, _, more = part.strip().partition(";")
        ranked.append((-_weight(more), place, kind.strip().lower()))
    for weight, _, kind in sorted(ranked):
        if weight and kind in _ACCEPTED:
            return _ACCEPTED[kind]
    known = ", ".join(kind.partition(";")[0] for kind in MEDIA.values())
    raise BadRequest(
        f"nothing that Accept names is written here; ask for {known}", "NOT_ACCEPTABLE"
    )


def write(name: str, table: pa.Table, told: dict[str, Any]) -> bytes:
    """Return a table as `name` says. `told`: what JSON says beside the rows."""
    return _WRITERS[name](table, told)


def _parquet(table: pa.Table, told: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, compression="zstd")
    except UNWRITABLE as e:
        raise _unwritable("Parquet", table, _parquet) from e
    return sink.getvalue().to_pybytes()


def _csv(table: pa.Table, told: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    head = io.StringIO()
    csv.writer(head).writerow(table.column_names)
    sink.write(head.getvalue().encode())
    try:
        options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
        pacsv.write_csv(_texts(table), sink, options)
    except UNWRITABLE as e:
        raise _unwritable("CSV", table, _csv) from e
    return sink.getvalue().to_pybytes()


def _texts(table: pa.Table) -> pa.Table:
    """Return a table whose times are RFC 3339."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            zone = "Z" if field.type.tz else ""
            text = pc.strftime(table.column(i), f"%Y-%m-%dT%H:%M:%S{zone}")
            table = table.set_column(i, field.name, text)
    return table


def _json(table: pa.Table, told: dict[str, Any]) -> bytes:
    columns = [{"name": field.name, "type": str(field.type)} for field in table.schema]
    names = table.column_names
    values = [column.to_pylist() for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    found = {"columns": columns, "rows": rows, **told}
    return _encode(found)


def _unwritable(what: str, table: pa.Table, write: _Writer) -> BadRequest:
    """Return the refusal of the first column that cannot be written so."""
    if table.num_columns > 1:
        for name in table.column_names:
            try:
                write(table.select([name]).slice(0, 1), {})
            except BadRequest as e:
                return e
    return BadRequest(
        f"the column {table.column_names[0]} has no form in {what}; CAST it to VARCHAR",
        "SQL_INVALID",
    )


_WRITERS: dict[str, _Writer] = {
    PARQUET: _parquet,
    CSV: _csv,
    JSON: _json,
}


def _weight(more: str) -> float:
    for part in more.split(";"):
        name, _, value = part.strip().partition("=")
        if name == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
