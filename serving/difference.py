"""Differences between two moments: of one twin, or of every twin that matches at either of them.

Rows keep their numbers for ever, so two snapshots of one shard are compared column by column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serving import encode
from serving.course import state
from serving.past import Then
from serving.wire import twin_pb2 as pb
from twin.errors import UnknownKey
from twin.fields import check_field
from twin.kinds import Kind
from twin.merge import TENANT
from twin.query import View

LIMIT, MOST = 100, 10_000  # twins in an answer
APPEARED, DISAPPEARED, CHANGED = "appeared", "disappeared", "changed"
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


def of_one(then: Then, kind: Kind, request: pb.DiffRequest, tenant: str) -> pb.DiffReply:
    """Return what differs of one twin. Raises UnknownKey where it was there at neither moment."""
    before, after = (
        state(then, kind, request.id, tenant, when, request.fields)
        for when in (request.before, request.after)
    )
    if before is None and after is None:
        raise UnknownKey(f"no {kind.name} was called {request.id} at either moment")
    then.shard.require_marker()
    found = between(before, after)
    there = found.change != CHANGED or bool(found.before or found.after)
    return pb.DiffReply(
        differences=[found] if there else [],
        shown=int(there),
        total=int(there),
        now=then.now(pb.When()),
    )


def of_table(
    then: Then, kind: Kind, request: pb.DiffRequest, before: View, after: View
) -> pb.DiffReply:
    """Return what differs of the twins that match at either moment, the first `limit` of them."""
    fields = _fields(kind, request.fields)
    rows = np.union1d(before.rows(request.where), after.rows(request.where))
    was, is_ = _there(before, rows), _there(after, rows)
    differs = was != is_
    both = np.flatnonzero(was & is_)
    for name in fields:
        old, new = (view.of(name, rows[both]) for view in (before, after))
        unlike = old.known != new.known
        unlike |= old.known & new.known & (old.column != new.column)
        differs[both] |= unlike
    chosen = np.flatnonzero(differs)
    shown = chosen[: min(request.limit or LIMIT, MOST)]
    earlier, later = (
        _twins(then, view, rows[shown], there[shown], fields)
        for view, there in ((before, was), (after, is_))
    )
    then.shard.require_marker()
    return pb.DiffReply(
        differences=[between(old, new) for old, new in zip(earlier, later, strict=True)],
        shown=shown.size,
        total=chosen.size,
        now=then.now(pb.When()),
    )


def between(before: pb.TwinState | None, after: pb.TwinState | None) -> pb.Difference:
    """Return what differs between two states of a twin; None: it was not there."""
    named = after or before
    assert named is not None
    found = pb.Difference(key=named.key, id=named.id, region=named.region)
    found.change = APPEARED if before is None else DISAPPEARED if after is None else CHANGED
    old: Mapping[str, pb.Value] = before.values if before is not None else {}
    new: Mapping[str, pb.Value] = after.values if after is not None else {}
    for name in dict.fromkeys([*old, *new]):
        if _value(old, name) != _value(new, name):
            if name in old:
                found.before[name].CopyFrom(old[name])
            if name in new:
                found.after[name].CopyFrom(new[name])
    return found


def _value(values: Mapping[str, pb.Value], name: str) -> object:
    held = values.get(name)
    return None if held is None else getattr(held, held.WhichOneof("value") or "state")


def _there(view: View, rows: Rows) -> Mask:
    table = view.snapshot.tables[view.kind]
    there = rows < table.size
    code = view.snapshot.lexicon.code(view.tenant)
    there[there] = table.take(TENANT, rows[there]) == code
    return there


def _twins(
    then: Then, view: View, rows: Rows, there: Mask, fields: Iterable[str]
) -> list[pb.TwinState | None]:
    """Return the rows of a view as messages, None for those that are not there."""
    shard = then.shard
    some = encode.twins(view, rows[there], fields, shard=shard.name, epoch=shard.epoch)
    left = iter(some)
    return [next(left) if one else None for one in there.tolist()]


def _fields(kind: Kind, asked: Sequence[str]) -> list[str]:
    for name in asked:
        check_field(kind.name, name)
    return encode.fields_of(kind.name, asked)
