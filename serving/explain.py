"""Explain: why one value of a twin is what it is, from its chain, in sentences.

What a value was computed or derived from is named by the events themselves. What a prediction of
ours read of its shipment is what had decided its inputs when it was made; what a model had learned
of other shipments is in no event.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from actors.past import Found
from serving.course import one_row
from serving.entries import Entries
from serving.past import Then
from serving.wire import twin_pb2 as pb
from twin.chain import END
from twin.contracts import CONTRACTS
from twin.course import NONE, Course
from twin.errors import BadRequest, TwinError
from twin.features import INPUTS
from twin.fields import check_field, reads, unit
from twin.forecast import RULE
from twin.kinds import Dtype, Field, Group, Kind, Milestone
from twin.why import Names, Why, explain, instant, lifted

LIMIT, MOST = 20, 1000  # losers, and inputs, in an answer
MODEL = "model/"
PREDICTED = "shipment.predicted"


def answer(then: Then, kind: Kind, request: pb.ExplainRequest, tenant: str) -> pb.ExplainReply:
    """Return why a field is what it is. Raises UnknownKey, UnknownField, BadRequest."""
    moment, now = then.moment(request.when), then.now(request.when)
    found = then.past.find(kind.name, tenant, request.id, moment.known_at)
    name = request.field  # looked at later: whoever names no kind asks one after the other
    check_field(kind.name, name)
    if name in {"id", "region"}:
        raise BadRequest(f"{name} is part of the twin's key; nothing decides it")
    view = one_row(then, found, tenant, request.id, moment, now)
    told = Entries(then.shard, found, tenant, request.id, now)
    reply = pb.ExplainReply(
        key=told.key,
        field=name,
        unit=unit(kind.name, name),
        shard=then.shard.name,
        epoch=then.shard.epoch,
        offset=found.cut,
        now=now,
    )
    twin = told.twins(view, np.zeros(1, np.int64), [name])[0]
    if name in twin.values:
        reply.value.CopyFrom(twin.values[name])
    held = kind.field(name)
    limit = min(request.limit or LIMIT, MOST)
    if held is None:
        _computed(reply, told, kind, name, moment.at)
    else:
        _decided(reply, told, *held, moment.at, limit)
        _predicted(reply, then, told, kind, limit)
    then.shard.require_marker()
    return reply


def _decided(
    reply: pb.ExplainReply, told: Entries, group: Group, field: Field, at: int, limit: int
) -> None:
    """Say which event decides a field, and what beat the others."""
    why = explain(told.course, group, _names(told, group, field), at)
    reply.merge, reply.rule = group.merge.value, why.rule
    reply.sla_s, reply.sensitivity = group.sla_s, field.sensitivity
    reply.losers_total = len(why.losers)
    for loser in why.losers[:limit]:
        value = _stated(told, group, field, loser.event)
        reply.losers.add(event=told.entry(loser.event), value=value, rule=loser.rule)
    reply.inputs.extend(told.entry(i) for i in why.inputs[:limit])
    _source(reply, told, why)


def _source(reply: pb.ExplainReply, told: Entries, why: Why) -> None:
    """Say of the deciding event by which contract it is read, and what it is itself made of."""
    if why.decided == NONE:
        return
    number = int(told.found.chain.column("contract")[why.decided])
    reply.decided_by.CopyFrom(told.entry(why.decided))
    reply.contract, reply.upcast = CONTRACTS[number].name, lifted(number)


def _predicted(reply: pb.ExplainReply, then: Then, told: Entries, kind: Kind, limit: int) -> None:
    """Say of a prediction of ours what it read of its shipment: what was known when it was made."""
    by, made = reply.decided_by.source, reply.decided_by.event_time
    if not reply.contract.startswith(PREDICTED) or not (by.startswith(MODEL) or by == RULE):
        return
    try:
        found = then.past.find(kind.name, told.tenant, told.id, made, reply.decided_by.offset)
    except TwinError as e:
        reply.rule += f"; {by} predicted it, and what it read is not to be found: {e}"
        return
    read = _read(found, kind)
    at = np.searchsorted(told.found.chain.offset, found.chain.offset[read])
    reply.inputs.extend(told.entry(i) for i in at[:limit].tolist())
    reply.rule += f"; {by} predicted it from what had decided these inputs by {instant(made)}"


def _read(found: Found, kind: Kind) -> list[int]:
    """Return the events that decide what a forecast reads, by their place in the chain."""
    turns = Course(found.kind, found.chain, found.ranks).at(END)
    about = [group.name for group in kind.groups if {f.name for f in group.fields} & set(INPUTS)]
    winners = (int(turns.tracks[name].winner[0]) for name in about)
    return sorted({winner for winner in winners if winner != NONE})


def _computed(reply: pb.ExplainReply, told: Entries, kind: Kind, name: str, at: int) -> None:
    """Say what a computed field is computed from: the events that decide its inputs."""
    fields, groups = reads(kind.name, name)
    about = [g for g in kind.groups if g.name in groups or fields & {f.name for f in g.fields}]
    turns = told.course.at(at)
    winners = [int(turns.tracks[group.name].winner[0]) for group in about]
    inputs = dict.fromkeys(winner for winner in winners if winner != NONE)
    named = sorted(fields) or [group.name for group in about]
    reply.merge = "computed"
    reply.rule = f"computed from {', '.join(named)}, when it is asked for"
    reply.inputs.extend(told.entry(i) for i in inputs)


def _names(told: Entries, group: Group, field: Field) -> Names:
    def value(i: int) -> str:
        return _stated(told, group, field, i)

    return Names(told.receipt, told.source, value)


def _stated(told: Entries, group: Group, field: Field, i: int) -> str:
    """Return what an event states of a field, as text; "" where it leaves it open."""
    if field.is_as_of:
        return instant(int(told.found.chain.column("time")[i]))
    held: Any = told.course.facts[group.name].values[field.name][i]
    blank = field.blank
    if held == blank or held != held:  # noqa: PLR0124 - NaN is not itself
        return ""
    if field.dtype is Dtype.TEXT:
        return told.word(int(held))
    if field.dtype is Dtype.MILESTONE:
        return Milestone(int(held)).name
    if field.dtype is Dtype.TIME:
        return instant(int(held))
    if field.dtype is Dtype.FLAG:
        return "true" if held else "false"
    if field.dtype is Dtype.NUMBER:
        return f"{held:g}"
    adds = group.name == "level" and not told.course.facts[group.name].counts[i]
    return f"{int(held):+d}" if adds else str(int(held))
