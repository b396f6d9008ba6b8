"""Batch: many twins by id, or the rows of a search, in the form that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.shard import Shard
from serving import encode, tabular
from serving.fresh import NO_DEMAND, Demand, judged
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest
from twin.fields import Mask, check_field
from twin.gather import named
from twin.keys import qualified
from twin.query import View
from twin.texts import Texts, texts

MOST = 10_000  # twins by id in one call
BRIEF_BYTES = 64 << 10  # of ids: their columns take a millisecond


def chosen(
    shard: Shard, kind: str, tenant: str, now_us: int, request: pb.BatchGetRequest
) -> pb.SearchReply:
    """Return the twins a BatchGet names, in its order, and how many it named."""
    for name in request.fields:
        check_field(kind, name)
    names = asked(request, tenant)
    row = shard.rows(kind, names)
    view = View(shard.snapshot(), kind, tenant, shard.rule.region, now_us)  # later: it has the rows
    at = np.flatnonzero(row >= 0)
    place = {"asked": tabular.Cells(at.astype(np.int32))}
    fields = list(dict.fromkeys(request.fields))
    reply = answer(shard, view, row[at], fields, request.format, place)
    reply.total = names.size
    return reply


def answer(
    shard: Shard,
    view: View,
    rows: NDArray[np.int64],
    fields: Sequence[str],
    form: int,
    first: Mapping[str, pa.Array | tabular.Cells],
    demand: Demand = NO_DEMAND,
) -> pb.SearchReply:
    """Return fields (all if none are named) of rows, as messages or as columns after `first`.

    Raises Stale or TOO_UNSURE where values fail a `demand` that refuses them.
    """
    reply = pb.SearchReply(shown=rows.size, now=view.now_us)
    failing, names = judged(view, rows, fields, demand)
    if failing and demand.fallback == pb.LABEL:
        reply.mode = pb.DEGRADED
    hidden: dict[str, Mask] = {}
    if failing and demand.fallback == pb.WITHHOLD:
        hidden = {name: old | unsure for name, (old, unsure) in failing.items()}
        failing = {}
        reply.withheld.extend(names)
    if form == pb.ARROW:
        columns = reply.columns.add(shard=shard.name, region=view.region, epoch=shard.epoch)
        columns.offset, columns.now = view.snapshot.offset, view.now_us
        columns.arrow = tabular.stream(view, rows, fields, first, hidden)
    else:
        named = encode.fields_of(view.kind, fields)
        twins = encode.twins(
            view, rows, named, shard=shard.name, epoch=shard.epoch, hidden=hidden, failing=failing
        )
        reply.twins.extend(twins)
    shard.require_marker()
    return reply


def brief(request: pb.BatchGetRequest) -> bool:
    """Say whether an answer takes less time than handing the work to a thread costs."""
    return request.format == pb.ARROW and len(request.lines) < BRIEF_BYTES


def asked(request: pb.BatchGetRequest, tenant: str) -> Texts:
    """Return tenant/id for each id that a BatchGet names, either way. Raises BadRequest."""
    if request.ids and request.lines:
        raise BadRequest("name twins by `ids` or by `lines`, not by both")
    if len(request.ids) > MOST or request.lines.count(b"\n") > MOST:
        raise BadRequest(f"at most {MOST} twins by id at a time; ask in parts")
    if request.lines:
        return named(tenant, request.lines)
    return qualified(tenant, texts(list(request.ids)))
