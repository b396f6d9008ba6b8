"""Cells: one row as a Get answer, every value with its provenance.

What does not change from row to row is laid out once per kind: a point read is most of what a
gateway and a page ask for, and is worth little more than the call that carries it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from actors.shard import Row, Shard
from serving.fresh import AGAIN_S, demand
from serving.placing import place
from serving.wire import twin_pb2 as pb
from twin.admission import good_ids
from twin.alerts import keeper
from twin.errors import BadRequest, NotOwner, Stale, TwinError, UnknownKey
from twin.fields import SURE_DIGITS, VIRTUAL, unknown_field
from twin.kinds import ABSENT, KINDS, Dtype, Group, Kind, Milestone
from twin.texts import texts

_MILESTONES = {int(milestone): milestone.name for milestone in Milestone}
_NUMBER, _TIME = Dtype.NUMBER, Dtype.TIME
_LEAST = {Dtype.NUMBER: -math.inf, Dtype.TIME: ABSENT + 1, Dtype.INTEGER: ABSENT + 1}


class _Cell(NamedTuple):
    """Which column a value is in, and what it is at least if it is known."""

    name: str
    dtype: Dtype
    unit: str
    column: str
    known_from: float


class _Plan(NamedTuple):
    """Where the cells of a group are, and how old they may be."""

    as_of: str
    confidence: str
    source: str
    offset: str
    sla_ms: float
    fields: tuple[_Cell, ...]


def point(
    shard: Shard,
    kind: Kind,
    request: pb.GetRequest,
    tenant: str,
    clock: Callable[[], int],
    look: Callable[[str, str, str], Row] | None = None,
) -> pb.GetReply:
    """Return one twin. Raises UnknownKey; NotOwner where another shard would hold it; BAD_ID.

    `look` finds the row of (kind, tenant, id): the shard's own, if it is not given.
    """
    require_region(shard, request.region)
    region = shard.rule.region
    try:
        row = (look or shard.row)(kind.name, tenant, request.id)
    except UnknownKey as e:
        raise why_absent(shard, kind.name, tenant, request.id, e) from e
    reply = pb.GetReply(now=clock())
    twin = reply.twin
    twin.key = f"{tenant}/{kind.name}/{region}/{request.id}"
    twin.id, twin.region = request.id, region
    twin.shard, twin.offset, twin.epoch = shard.name, row.offset, shard.epoch
    fill(reply, kind, row, request, shard.word)
    return reply


def require_region(shard: Shard, region: str) -> None:
    """Raise NotOwner if a request names another region than the shard's."""
    if region and region != shard.rule.region:
        raise _not_owner(shard, f"twins of {region}")


def why_absent(shard: Shard, kind: str, tenant: str, id: str, e: UnknownKey) -> TwinError:
    """Return why a shard has no such twin: BAD_ID, NotOwner where another would hold it, `e`."""
    _, id_ = keeper(kind, id)
    if not good_ids(texts([id_]))[0]:
        return BadRequest("an id is 1 to 128 letters, digits and . _ : -; send such", "BAD_ID")
    rule = shard.rule
    if rule.shards > 1 and place(tenant, id_, rule.shards) != rule.number:
        return _not_owner(shard, id)
    return e


def _not_owner(shard: Shard, what: str) -> NotOwner:
    return NotOwner(f"{shard.name} does not hold {what}; locate it again", 0.1)


def fill(
    reply: pb.GetReply, kind: Kind, row: Row, request: pb.GetRequest, word: Callable[[int], str]
) -> None:
    """Put every known value of a twin, or those of `request.fields`, into `reply`.

    Raises UnknownField; Stale where a value is older than asked, unless a fallback is.
    """
    cells, values, now = row.cells, reply.twin.values, reply.now
    max_age_s, least, fallback = demand(request)
    most_ms = max_age_s * 1000
    plans = _chosen(kind.name, tuple(request.fields)) if request.fields else _plans(kind.name)
    for as_of_at, confidence_at, source_at, offset_at, sla_ms, fields in plans:
        as_of = cells.get(as_of_at)
        if as_of is None:
            continue  # nothing is known of this group
        age_ms = max(0, (now - as_of) // 1000)
        confidence = round(cells[confidence_at], SURE_DIGITS)
        state = "stale" if age_ms > sla_ms else "live"
        old, unsure = most_ms and age_ms > most_ms, confidence < least
        if old or unsure:
            if old and fallback == pb.REFUSE:
                age_s = age_ms / 1000
                raise Stale(f"{fields[0].name} is {age_s:.15g} s old; allow more, or wait", AGAIN_S)
            if fallback != pb.LABEL:
                reply.withheld.extend([field.name for field in fields])
                continue
            state, reply.mode = "unsure" if unsure else "stale", pb.DEGRADED
        source, offset = cells[source_at], cells[offset_at]
        for name, dtype, unit, column, known_from in fields:
            cell = cells[column]
            if not cell >= known_from:  # NaN, too
                continue
            value = values[name]
            if dtype is _NUMBER:
                value.number = cell
            elif dtype is _TIME:
                value.time = cell
            else:
                _put(value, cell, dtype, word)
            value.as_of, value.age_ms, value.confidence = as_of, age_ms, confidence
            value.source, value.offset, value.state = source, offset, state
            if unit:
                value.unit = unit
    if request.fields:
        _compute(values, kind, request.fields)


def _compute(values: Any, kind: Kind, fields: Iterable[str]) -> None:
    """Put virtual fields that are asked for beside the values that they are computed from.

    An input that nobody asked for is taken out again.
    """
    for name in fields:
        virtual = VIRTUAL.get(kind.name, {}).get(name)
        if virtual is None or not all(one in values for one in virtual.inputs):
            continue
        held = [np.array([_said(values[one])]) for one in virtual.inputs]
        value, like = values[name], values[virtual.inputs[0]]
        value.CopyFrom(like)
        value.unit = virtual.unit
        computed = virtual.compute(*held)[0]
        if virtual.dtype is Dtype.FLAG:
            value.flag = bool(computed)
        else:
            value.number = float(computed)
    for name in set(values) - set(fields):
        del values[name]


def _said(value: pb.Value) -> float:
    number: float = getattr(value, value.WhichOneof("value") or "time")
    return number


@lru_cache(1024)
def _chosen(kind: str, fields: tuple[str, ...]) -> list[_Plan]:
    """Return where some fields are, and what is computed of. Raises UnknownField."""
    wanted = set(fields) - {"id", "region"}
    for name in wanted:
        virtual = VIRTUAL.get(kind, {}).get(name)
        if virtual is None and KINDS[kind].field(name) is None:
            raise unknown_field(kind, name)
        wanted = wanted | set(virtual.inputs if virtual else ())
    plans = []
    for plan in _plans(kind):
        if held := tuple(cell for cell in plan.fields if cell.name in wanted):
            plans.append(plan._replace(fields=held))
    return plans


@cache
def _plans(kind: str) -> list[_Plan]:
    return [_plan(group) for group in KINDS[kind].groups]


def _plan(group: Group) -> _Plan:
    as_of, confidence, source, offset = (
        f"{group.name}.{part}" for part in ("as_of", "confidence", "source", "offset")
    )
    fields = tuple(
        _Cell(
            field.name,
            field.dtype,
            field.unit,
            as_of if field.is_as_of else field.name,
            _LEAST.get(field.dtype, 0),
        )
        for field in group.fields
    )
    return _Plan(as_of, confidence, source, offset, group.sla_s * 1000, fields)


def _put(value: pb.Value, cell: int, dtype: Dtype, word: Callable[[int], str]) -> None:
    if dtype is Dtype.INTEGER:
        value.integer = cell
    elif dtype is Dtype.FLAG:
        value.flag = bool(cell)
    elif dtype is Dtype.MILESTONE:
        value.text = _MILESTONES[cell]
    else:
        value.text = word(cell)
