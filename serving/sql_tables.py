"""The tables of SQL: a table a kind of twin, events and quarantine, and what their columns are.

Every value's provenance is a column beside it. Absent is NULL, times are instants in UTC, money
and counts are exact integers.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from serving import events_table
from serving.sql_columns import INSTANT, NEWEST
from twin.fields import VIRTUAL
from twin.kinds import KINDS, Dtype

EVENTS, QUARANTINE = "events", "quarantine"
AGE = "age_s"  # of the newest group, when the question was asked
CODED = pa.dictionary(pa.int32(), pa.string())
_TYPES = {
    Dtype.TIME: INSTANT,
    Dtype.INTEGER: pa.int64(),
    Dtype.NUMBER: pa.float64(),
    Dtype.TEXT: CODED,
    Dtype.FLAG: pa.bool_(),
    Dtype.MILESTONE: CODED,
}
_PARTS = {"as_of": INSTANT, "source": CODED, "confidence": pa.float64(), "offset": pa.int64()}


class SqlTable(NamedTuple):
    """One table. `kind`: of twin, "" of events."""

    name: str
    kind: str
    columns: dict[str, pa.DataType]

    def schema(self) -> pa.Schema:
        return pa.schema(self.columns.items())


def _of_kind(kind: str) -> dict[str, pa.DataType]:
    columns = {"id": pa.large_string(), "region": CODED, NEWEST: INSTANT, AGE: pa.float64()}
    for group in KINDS[kind].groups:
        columns |= {field.name: _TYPES[field.dtype] for field in group.fields}
        columns |= {f"{group.name}_{part}": type_ for part, type_ in _PARTS.items()}
    return columns | {name: _TYPES[one.dtype] for name, one in VIRTUAL.get(kind, {}).items()}


def plural(kind: str) -> str:
    """Return what a kind is called as a table, and as an address."""
    return kind if kind == "stock" else f"{kind}s"


TABLES: dict[str, SqlTable] = {
    plural(kind): SqlTable(plural(kind), kind, _of_kind(kind)) for kind in KINDS
} | {
    EVENTS: SqlTable(EVENTS, "", events_table.COLUMNS),
    QUARANTINE: SqlTable(QUARANTINE, "", events_table.PARKED),
}
