"""Encoding: rows of a snapshot as messages and plain columns. Every value has its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.wire import twin_pb2 as pb
from twin.fields import SURE_DIGITS, Mask, Values, surety, unit
from twin.kinds import ABSENT, KINDS, Dtype, Group, Milestone
from twin.query import View

Column = NDArray[Any]
NONE: Mapping[str, Any] = MappingProxyType({})


def fields_of(kind: str, asked: Sequence[str]) -> list[str]:
    """Return the fields to show: those asked for, or all real ones."""
    return list(dict.fromkeys(asked)) or [field.name for field in KINDS[kind].fields]


def twins(
    view: View,
    rows: NDArray[np.int64],
    fields: Iterable[str],
    *,
    shard: str,
    epoch: int,
    hidden: Mapping[str, Mask] = NONE,
    failing: Mapping[str, tuple[Mask, Mask]] = NONE,
) -> list[pb.TwinState]:
    """Return some rows of a view as messages, values with as_of, age, source and confidence.

    By group: values of rows that are `hidden` are left out; those `failing` are labelled.
    """
    found = [
        pb.TwinState(
            key=f"{view.tenant}/{view.kind}/{view.region}/{id}",
            id=id,
            region=view.region,
            shard=shard,
            offset=view.snapshot.offset,
            epoch=epoch,
        )
        for id in view.ids(rows)
    ]
    for name in fields:
        if name in {"id", "region"}:
            continue
        add(found, view, rows, name, hidden, failing)
    return found


def plain(view: View, rows: NDArray[np.int64], fields: Sequence[str]) -> dict[str, Column]:
    """Return plain columns (see serving.client.ColumnSet) of some rows, provenance included."""
    columns: dict[str, Column] = {
        "id": np.array(view.ids(rows), object),
        "region": np.full(rows.size, view.region, object),
    }
    wanted = set(fields)
    for group in KINDS[view.kind].groups:
        if wanted and not wanted & {field.name for field in group.fields}:
            continue
        for field in group.fields:
            if not wanted or field.name in wanted:
                columns[field.name] = _plain(view, view.values(field.name), rows)
        columns |= _provenance(view, group, rows)
    for name in fields:  # what is computed: a virtual field, age(GROUP), stale, ...
        if KINDS[view.kind].field(name) is None and name not in columns:
            columns[name] = _plain(view, view.values(name), rows)
    return columns


def of_rows(view: View, name: str, rows: Column) -> Values:
    """Return one field of some rows, and where it is known."""
    return view.of(name, rows)


def add(
    found: Sequence[pb.TwinState],
    view: View,
    rows: Column,
    name: str,
    hidden: Mapping[str, Mask] = NONE,
    failing: Mapping[str, tuple[Mask, Mask]] = NONE,
) -> None:
    """Put one field of some rows, where it is known, into the message of each."""
    column, is_known, dtype, group = of_rows(view, name, rows)
    if group is not None and (left_out := hidden.get(group.name)) is not None:
        is_known = is_known & ~left_out
    label = unit(view.kind, name)
    if group is None:
        provenance = [np.full(rows.size, view.now_us), None, None, None]
    else:
        table = view.snapshot.tables[view.kind]
        names = ("as_of", "source", "confidence", "offset")
        provenance = [table.take(f"{group.name}.{n}", rows) for n in names]
    for i in np.flatnonzero(is_known).tolist():
        value = found[i].values[name]
        _set(value, view, dtype, column[i])
        value.unit = label
        _stamp(value, view, group, [p if p is None else p[i].item() for p in provenance])
        if group is not None and (fails := failing.get(group.name)) is not None:
            old, unsure = fails
            if old[i] or unsure[i]:
                value.state = "unsure" if unsure[i] else "stale"


def _set(value: pb.Value, view: View, dtype: Dtype, held: Any) -> None:
    if dtype is Dtype.TEXT:
        value.text = view.snapshot.lexicon.word(int(held))
    elif dtype is Dtype.MILESTONE:
        value.text = Milestone(int(held)).name
    elif dtype is Dtype.TIME:
        value.time = int(held)
    elif dtype is Dtype.INTEGER:
        value.integer = int(held)
    elif dtype is Dtype.FLAG:
        value.flag = bool(held)
    else:
        value.number = float(held)


def _stamp(value: pb.Value, view: View, group: Group | None, provenance: Sequence[Any]) -> None:
    as_of, source, confidence, offset = provenance
    value.as_of = as_of
    value.age_ms = max(0, (view.now_us - as_of) // 1000)
    stale = group is not None and value.age_ms > group.sla_s * 1000
    value.state = "stale" if stale else "live"
    if source is not None:
        value.source = view.snapshot.lexicon.word(source)
        value.confidence = round(confidence, SURE_DIGITS)
        value.offset = offset


def _plain(view: View, values: Values, rows: Column) -> Column:
    column = values.column[rows]
    if values.dtype is Dtype.TEXT:
        return np.array(view.snapshot.lexicon.words(column), object)
    blank: dict[Dtype, Any] = {Dtype.NUMBER: np.nan, Dtype.TIME: ABSENT, Dtype.INTEGER: ABSENT}
    return np.where(values.known[rows], column, blank.get(values.dtype, -1)).astype(column.dtype)


def _provenance(view: View, group: Group, rows: Column) -> dict[str, Column]:
    table = view.snapshot.tables[view.kind]
    source = table.take(f"{group.name}.source", rows)
    return {
        f"{group.name}_as_of": table.take(f"{group.name}.as_of", rows),
        f"{group.name}_source": np.array(view.snapshot.lexicon.words(source), object),
        f"{group.name}_confidence": surety(table.take(f"{group.name}.confidence", rows)),
        f"{group.name}_offset": table.take(f"{group.name}.offset", rows),
    }
