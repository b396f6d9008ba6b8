"""Sub-queries: what a filter must be told of other twins, which are in other shards.

They select one field of a table, and nothing else of SQL: no join, no limit, no second name.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlglot import exp

from twin import fields, where
from twin.errors import BadRequest
from twin.kinds import KINDS, TABLES, Dtype


class Need(NamedTuple):
    """What a filter must be told of other twins: values of `field` of those that match."""

    key: str  # in `sets`
    kind: str
    fields: tuple[str, ...]
    where: str


def need(select: where.Tree) -> Need:
    """Return what a sub-query asks. Raises BadRequest, UnknownField."""
    given = {name for name, value in select.args.items() if value}
    plain = given <= {"expressions", "from_", "where", "distinct", "kind"}
    table = select.args["from_"].this if plain and "from_" in given else None
    if not isinstance(table, exp.Table) or len(select.expressions) != 1 or len(table.parts) != 1:
        raise BadRequest("a sub-query reads SELECT FIELD FROM TABLE [WHERE ...]; write it so")
    name = table.name.lower()
    kind = TABLES.get(name, name)
    if kind not in KINDS:
        tables = ", ".join(table_names())
        raise BadRequest(f"there is no table {name[:40]}; there are {tables}", "TABLE_UNKNOWN")
    field = select.expressions[0]
    if table.args.get("alias") or not isinstance(field, exp.Column) or len(field.parts) != 1:
        raise BadRequest("a sub-query selects one field, and nothing has another name; write it so")
    if fields.dtype_of(kind, field.name) is not Dtype.TEXT:
        raise BadRequest(f"a sub-query selects ids or texts, and {field.name} is none")
    condition = select.args.get("where")
    text = condition.this.sql() if condition is not None else ""
    return Need(select.sql(), kind, (field.name,), text)


def table_names() -> list[str]:
    named = {kind: table for table, kind in TABLES.items()}
    return [named.get(kind, kind) for kind in KINDS]
