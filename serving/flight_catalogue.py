"""The catalogue as Flight SQL clients ask for it: tables, their columns, and what this server is.

What stands above the tables there has no name here: one catalogue and one schema, both "".
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from serving.sql_tables import TABLES, SqlTable
from serving.wire import flight_sql_pb2 as fsql

KIND = "VIEW"
CATALOGS = pa.schema([pa.field("catalog_name", pa.string(), nullable=False)])
SCHEMAS = pa.schema(
    [pa.field("catalog_name", pa.string()), pa.field("db_schema_name", pa.string(), nullable=False)]
)
KINDS = pa.schema([pa.field("table_type", pa.string(), nullable=False)])
_TABLE_FIELDS = [
    pa.field("catalog_name", pa.string()),
    pa.field("db_schema_name", pa.string()),
    pa.field("table_name", pa.string(), nullable=False),
    pa.field("table_type", pa.string(), nullable=False),
]
_VALUE = pa.dense_union(
    [
        pa.field("string_value", pa.string()),
        pa.field("bool_value", pa.bool_()),
        pa.field("bigint_value", pa.int64()),
        pa.field("int32_bitmask", pa.int32()),
        pa.field("string_list", pa.list_(pa.string())),
        pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
    ]
)
INFO = pa.schema(
    [pa.field("info_name", pa.uint32(), nullable=False), pa.field("value", _VALUE, nullable=False)]
)


def answer(command: Any, version: str) -> pa.Table:
    """Return what a CommandGet... asks for; KeyError for any other message."""
    return _ANSWERS[type(command)](command, version)


def flat(table: SqlTable) -> pa.Schema:
    """Return the columns of a table as a query answers them: texts are texts."""
    return pa.schema(
        [
            pa.field(
                name,
                pa.string() if pa.types.is_dictionary(t) or pa.types.is_large_string(t) else t,
            )
            for name, t in table.columns.items()
        ]
    )


def _tables(command: fsql.CommandGetTables, version: str) -> pa.Table:
    wanted = [table for name, table in TABLES.items() if _like(command, name)]
    if command.HasField("catalog") and command.catalog:
        wanted = []
    if command.table_types and KIND not in command.table_types:
        wanted = []
    columns: dict[str, list[Any]] = {
        "catalog_name": [""] * len(wanted),
        "db_schema_name": [""] * len(wanted),
        "table_name": [table.name for table in wanted],
        "table_type": [KIND] * len(wanted),
    }
    fields = list(_TABLE_FIELDS)
    if command.include_schema:
        fields.append(pa.field("table_schema", pa.binary(), nullable=False))
        columns["table_schema"] = [flat(table).serialize().to_pybytes() for table in wanted]
    return pa.table(columns, pa.schema(fields))


def _like(command: fsql.CommandGetTables, name: str) -> bool:
    if not command.HasField("table_name_filter_pattern"):
        return True
    wanted = re.escape(command.table_name_filter_pattern).replace("%", ".*").replace("_", ".")
    return re.fullmatch(wanted, name) is not None


def _info(command: fsql.CommandGetSqlInfo, version: str) -> pa.Table:
    known: dict[int, Any] = {
        0: "supply-twin",  # the server's name, version, Arrow version
        1: version,
        2: pa.__version__,
        3: True,  # read only
        4: True,  # SQL
        5: False,  # Substrait
        8: 0,  # transactions: none
        9: False,  # cancelling a statement
        100: 0,  # the longest statement, in ms: not told
        500: False,  # DDL: catalogues, schemas, tables
        501: False,
        502: False,
        503: 3,  # identifiers: their case does not count
        504: '"',
    }
    names = [name for name in command.info or known if name in known]
    kinds: list[int] = []
    places: list[int] = []
    children: list[list[Any]] = [[] for _ in range(6)]
    for name in names:
        value = known[name]
        kind = 0 if isinstance(value, str) else 1 if isinstance(value, bool) else 3
        kinds.append(kind)
        places.append(len(children[kind]))
        children[kind].append(value)
    arrays = [pa.array(child, _VALUE.field(i).type) for i, child in enumerate(children)]
    value = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()),
        pa.array(places, pa.int32()),
        arrays,
        [_VALUE.field(i).name for i in range(6)],
    )
    return pa.Table.from_arrays([pa.array(names, pa.uint32()), value], schema=INFO)


_ANSWERS = {
    fsql.CommandGetCatalogs: lambda _, __: pa.table({"catalog_name": [""]}, CATALOGS),
    fsql.CommandGetDbSchemas: lambda _, __: pa.table(
        {"catalog_name": [""], "db_schema_name": [""]}, SCHEMAS
    ),
    fsql.CommandGetTableTypes: lambda _, __: pa.table({"table_type": [KIND]}, KINDS),
    fsql.CommandGetTables: _tables,
    fsql.CommandGetSqlInfo: _info,
}
