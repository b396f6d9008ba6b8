"""Tables for analysts: answers as pyarrow, with one schema whatever is known.

A null is a value that is not known; nothing is filled in. Each table says in its metadata, under
`twin`, how it came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from serving.wire import twin_pb2 as pb
from twin.fields import SURE_DIGITS, VIRTUAL
from twin.kinds import KINDS, Dtype, Group

TIME = pa.timestamp("us", "UTC")
ABSENT = pa.list_(pa.string())
TYPES = {
    Dtype.TIME: TIME,
    Dtype.INTEGER: pa.int64(),
    Dtype.NUMBER: pa.float64(),
    Dtype.TEXT: pa.string(),
    Dtype.FLAG: pa.bool_(),
    Dtype.MILESTONE: pa.string(),
}
EVENT = {
    "offset": pa.int64(),
    "event_time": TIME,
    "ingest_time": TIME,
    "type": pa.string(),
    "source": pa.string(),
    "id": pa.string(),
    "confidence": pa.float64(),
    "writer": pa.string(),
    "outcome": pa.string(),
    "receipt": pa.string(),
    "amends": pa.string(),
    "amended_by": pa.string(),
}


def twins(kind: str, fields: Sequence[str], replies: Sequence[pb.SearchReply]) -> pa.Table:
    """Return pages of a search with format ARROW as one table, in their order."""
    schema = pa.schema(
        {"id": pa.string(), "region": pa.string(), **_fields(kind, fields), "shard": pa.string()}
    )
    tables = [_page(schema, reply) for reply in replies]
    last = replies[-1]
    told = {
        "mode": _mode(replies),
        "now": last.now,
        "offsets": _least(reply.offsets for reply in replies),
        "total": last.total,
        "missing": sorted({name for reply in replies for name in reply.missing}),
        "withheld": sorted({name for reply in replies for name in reply.withheld}),
    }
    return _telling(pa.concat_tables(tables).combine_chunks(), told)


def history(kind: str, replies: Sequence[pb.HistoryReply]) -> pa.Table:
    """Return pages of a history as one table."""
    entries = [entry for reply in replies for entry in reply.entries]
    columns = _events(entries)
    for prefix, part in (("", "became"), ("said_", "said")):
        values = [getattr(entry, part) for entry in entries]
        named = {name for some in values for name in some}
        for name, type_ in _types(kind).items():
            if name in named:
                columns[f"{prefix}{name}"] = _cells(values, name, type_)
    told: dict[str, Any] = {"total": 0}
    if replies:
        last = replies[-1]
        told = {
            "key": last.key,
            "now": last.now,
            "total": last.total,
            "offsets": {last.shard: last.offset},
        }
    return _telling(pa.table(columns), told)


def reasons(reply: pb.ExplainReply) -> pa.Table:
    """Return why a value is what it is, a row per event."""
    events, roles = [], []
    values: list[str | None] = []
    rules: list[str | None] = []
    if reply.HasField("decided_by"):
        events.append(reply.decided_by)
        held = reply.value.WhichOneof("value")
        roles.append("decided")
        values.append(_text(reply.value) if held else None)
        rules.append(reply.rule)
    for loser in reply.losers:
        events.append(loser.event)
        roles.append("lost")
        values.append(loser.value)
        rules.append(loser.rule)
    for entry in reply.inputs:
        events.append(entry)
        roles.append("input")
        said = entry.said.get(reply.field)
        values.append(None if said is None else _text(said))
        rules.append(None)
    columns = {
        "role": pa.array(roles, pa.string()),
        "value": pa.array(values, pa.string()),
        "rule": pa.array(rules, pa.string()),
    }
    told = {
        "key": reply.key,
        "field": reply.field,
        "unit": reply.unit,
        "merge": reply.merge,
        "contract": reply.contract,
        "upcast": reply.upcast,
        "sla_s": reply.sla_s,
        "sensitivity": reply.sensitivity,
        "losers_total": reply.losers_total,
        "now": reply.now,
        "offsets": {reply.shard: reply.offset},
    }
    return _telling(pa.table(columns | _events(events)), told)


def changes(kind: str, fields: Sequence[str], reply: pb.SubscribeReply) -> pa.Table:
    """Return one message of a subscription as a table."""
    states = [change.twin for change in reply.changes]
    columns = {
        "change": pa.array([change.change for change in reply.changes], pa.string()),
        "offset": pa.array([change.offset for change in reply.changes], pa.int64()),
        "absent": pa.array([list(change.absent) for change in reply.changes], ABSENT),
        "id": pa.array([state.id for state in states], pa.string()),
        "region": pa.array([state.region for state in states], pa.string()),
    }
    columns |= _valued(kind, fields, [state.values for state in states], reply.now)
    columns["shard"] = pa.array([state.shard for state in states], pa.string())
    told = {
        "mode": pb.Mode.Name(reply.mode).lower(),
        "now": reply.now,
        "cursor": reply.cursor,
        "snapshot": reply.snapshot,
        "synced": reply.synced,
    }
    return _telling(pa.table(columns), told)


def _fields(kind: str, fields: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the columns that fields have, all of a kind if none are named."""
    columns: dict[str, pa.DataType] = {}
    for group in KINDS[kind].groups:
        if wanted := [f for f in group.fields if not fields or f.name in fields]:
            columns |= {field.name: TYPES[field.dtype] for field in wanted}
            columns |= _provenance(group)
    for name, virtual in VIRTUAL.get(kind, {}).items():
        if name in fields:
            columns[name] = TYPES[virtual.dtype]
    return columns


def _provenance(group: Group) -> dict[str, pa.DataType]:
    return {
        f"{group.name}_as_of": TIME,
        f"{group.name}_age_s": pa.float64(),
        f"{group.name}_source": pa.string(),
        f"{group.name}_confidence": pa.float64(),
        f"{group.name}_offset": pa.int64(),
    }


def _page(schema: pa.Schema, reply: pb.SearchReply) -> pa.Table:
    parts = [_part(schema, part) for part in reply.columns]
    table = pa.concat_tables(parts) if parts else schema.empty_table()
    if len(reply.places) == table.num_rows and len(parts) > 1:  # each part is in order, not all
        order = sorted(range(table.num_rows), key=reply.places.__getitem__)
        table = table.take(pa.array(order, pa.int64()))
    return table


def _part(schema: pa.Schema, part: pb.Columns) -> pa.Table:
    with pa.ipc.open_stream(part.arrow) as reader:
        found = reader.read_all()
    n = found.num_rows
    given = {name: found[name] for name in found.schema.names}
    for name in [name for name in given if name.endswith("_as_of")]:
        age = pc.subtract(pa.scalar(part.now, pa.int64()), given[name])
        group = name.removesuffix("_as_of")
        given[f"{group}_age_s"] = pc.divide(age.cast(pa.float64()), 1e6)
        sure = given[f"{group}_confidence"].cast(pa.float64())
        given[f"{group}_confidence"] = pc.round(sure, SURE_DIGITS)
    given["region"] = pa.repeat(pa.scalar(part.region), n)
    given["shard"] = pa.repeat(pa.scalar(part.shard), n)
    columns = [
        given[field.name].cast(field.type) if field.name in given else pa.nulls(n, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _valued(
    kind: str, fields: Sequence[str], rows: Sequence[Mapping[str, pb.Value]], now: int
) -> dict[str, pa.Array]:
    """Return columns of values as messages have them."""
    columns: dict[str, pa.Array] = {}
    for group in KINDS[kind].groups:
        wanted = [f for f in group.fields if not fields or f.name in fields]
        if not wanted:
            continue
        for field in wanted:
            columns[field.name] = _cells(rows, field.name, TYPES[field.dtype])
        first = [next((row[f.name] for f in wanted if f.name in row), None) for row in rows]
        told = {
            "as_of": [None if v is None else v.as_of for v in first],
            "age_s": [None if v is None else (now - v.as_of) / 1e6 for v in first],
            "source": [None if v is None else v.source for v in first],
            "confidence": [None if v is None else v.confidence for v in first],
            "offset": [None if v is None else v.offset for v in first],
        }
        for (name, type_), values in zip(_provenance(group).items(), told.values(), strict=True):
            columns[name] = pa.array(values, type_)
    for name, virtual in VIRTUAL.get(kind, {}).items():
        if name in fields:
            columns[name] = _cells(rows, name, TYPES[virtual.dtype])
    return columns


def _types(kind: str) -> dict[str, pa.DataType]:
    return {field.name: TYPES[field.dtype] for field in KINDS[kind].fields}


def _cells(rows: Sequence[Mapping[str, pb.Value]], name: str, type_: pa.DataType) -> pa.Array:
    return pa.array([_bare(row[name]) if name in row else None for row in rows], type_)


def _bare(value: pb.Value) -> Any:
    held = value.WhichOneof("value")
    return None if held is None else getattr(value, held)


def _text(value: pb.Value) -> str:
    held = value.WhichOneof("value")
    if held == "time":
        return str(np.datetime64(value.time, "us")) + "Z"
    return str(_bare(value))


def _events(entries: Sequence[pb.HistoryEntry]) -> dict[str, pa.Array]:
    columns = {}
    for name, type_ in EVENT.items():
        values = [getattr(entry, name) for entry in entries]
        if name in {"amends", "amended_by"}:  # few events do, or are
            values = [value or None for value in values]
        columns[name] = pa.array(values, type_)
    return columns


def _mode(replies: Sequence[pb.SearchReply]) -> str:
    return "degraded" if any(reply.mode == pb.DEGRADED for reply in replies) else "normal"


def _least(offsets: Iterator[Mapping[str, int]]) -> dict[str, int]:
    """Return what every page has of each shard."""
    found: dict[str, int] = {}
    for some in offsets:
        for shard, offset in some.items():
            found[shard] = min(found.get(shard, offset), offset)
    return found


def _telling(table: pa.Table, told: Mapping[str, Any]) -> pa.Table:
    return table.replace_schema_metadata({"twin": msgspec.json.encode(told)})
