"""Find: the twins of one shard that match, as a part of what a gateway puts together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from serving import batch, fresh, tabular
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Behind
from twin.fields import check_field
from twin.keys import qualified
from twin.ordering import ordered, parse_order
from twin.query import View
from twin.texts import texts
from twin.transition import Snapshot

LIMIT, MOST = 20, 10_000  # twins in an answer
MOST_COLUMNS = 100_000  # of them as columns, which cost a fifth of a microsecond each
BEHIND_S = 0.5


def check(kind: str, request: pb.SearchRequest) -> None:
    """Raise UnknownField or BadRequest unless this can be asked of `kind`."""
    for name in request.fields:
        check_field(kind, name)
    parse_order(kind, request.order)
    fresh.demand(request)
    if request.limit < 0:
        raise BadRequest("limit is 1 or more; leave it out for the usual number")


def limit_of(request: pb.SearchRequest) -> int:
    """Return how many twins an answer has at most."""
    return min(request.limit or LIMIT, MOST_COLUMNS if request.format == pb.ARROW else MOST)


def require_after(name: str, snapshot: Snapshot, after: Mapping[str, int]) -> None:
    """Raise Behind unless a snapshot has what its asker wrote, or read, before."""
    if (wanted := after.get(name)) is not None and snapshot.offset <= wanted:
        raise Behind(
            f"{name} holds what is before offset {snapshot.offset}, not yet {wanted}; ask again",
            BEHIND_S,
        )


def find(shard: Shard, view: View, request: pb.SearchRequest) -> pb.SearchReply:
    """Return the first rows that match, in order, from `request.place` on."""
    require_after(shard.name, view.snapshot, request.after)
    by = parse_order(view.kind, request.order)
    limit = limit_of(request)
    rows = view.rows(request.where)
    total = rows.size
    if by:
        rows, places, follow = ordered(view, rows, by, limit, request.place)
    else:
        rows = _following(shard, view, rows, request.place)
        rows, places, follow = rows[:limit], [], rows.size
    fields = list(dict.fromkeys(request.fields))
    first = {"id": tabular.words_of(view.names(rows))}
    demand = fresh.demand(request)
    reply = batch.answer(shard, view, rows, fields, request.format, first, demand)
    reply.total, reply.left = total, follow - rows.size
    reply.offsets[shard.name] = view.snapshot.offset
    reply.places.extend(places)
    return reply


def _following(
    shard: Shard, view: View, rows: NDArray[np.int64], place: bytes
) -> NDArray[np.int64]:
    """Return the rows that follow a place where no order was asked: by shard, then as they came."""
    if not place:
        return rows
    name, _, id = place.decode("utf-8", "replace").partition("\0")
    if name != shard.name:
        return rows if name < shard.name else rows[:0]
    row = int(shard.rows(view.kind, qualified(view.tenant, texts([id])))[0])
    if row < 0:
        raise BadRequest("the cursor names no twin; ask from the start", "CURSOR_INVALID")
    return rows[rows > row]
