"""Cells: one row as a Get answer, every value with its provenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.shard import Row
from serving.wire import twin_pb2 as pb
from twin.errors import Stale
from twin.kinds import ABSENT, Dtype, Kind, Milestone


def fill(
    reply: pb.GetReply, kind: Kind, row: Row, request: pb.GetRequest, word: Callable[[int], str]
) -> None:
    """Put every known value of a twin into `reply`. Raises Stale where one is older than asked."""
    cells = row.cells
    for group in kind.groups:
        as_of = cells.get(f"{group.name}.as_of")
        if not isinstance(as_of, int):
            continue  # nothing is known of this group
        age_ms = max(0, (reply.now - as_of) // 1000)
        confidence = float(cells[f"{group.name}.confidence"])
        names = [f.name for f in group.fields]
        if request.max_age_s and age_ms > request.max_age_s * 1000:
            raise Stale(f"{names[0]} is {age_ms / 1000:g} s old; allow more, or wait", 1.0)
        if confidence < request.min_confidence:
            reply.withheld.extend(names)
            continue
        for field in group.fields:
            _put(reply, field.name, field.dtype, cells[field.name], word)
            if field.name in reply.twin.values:
                value = reply.twin.values[field.name]
                value.as_of, value.age_ms, value.unit = as_of, age_ms, field.unit
                value.confidence = round(confidence, 6)
                value.source = str(cells[f"{group.name}.source"])
                value.offset = int(cells[f"{group.name}.offset"])
                value.state = "stale" if age_ms > group.sla_s * 1000 else "live"


def _put(
    reply: pb.GetReply, name: str, dtype: Dtype, cell: Any, word: Callable[[int], str]
) -> None:
    values = reply.twin.values
    if dtype is Dtype.NUMBER:
        if cell == cell:  # noqa: PLR0124 - NaN differs from itself
            values[name].number = cell
    elif dtype in {Dtype.TIME, Dtype.INTEGER}:
        if cell != ABSENT:
            if dtype is Dtype.TIME:
                values[name].time = cell
            else:
                values[name].integer = cell
    elif cell >= 0:
        if dtype is Dtype.FLAG:
            values[name].flag = bool(cell)
        else:
            milestone = dtype is Dtype.MILESTONE
            values[name].text = Milestone(cell).name if milestone else word(cell)
