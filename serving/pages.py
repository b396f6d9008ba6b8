"""Pages: parts of several shards as one answer in one order, and the cursor that goes on with it.

Every shard sends its first rows with their places; places compare as bytes, whoever sent them.
Where no order is asked it is by shard, then as twins came: nothing is compared.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from serving import cursors
from serving.access import Identity
from serving.wire import twin_pb2 as pb
from twin.errors import Unavailable

AGAIN_S = 0.5


def question(request: pb.SearchRequest, who: Identity) -> list[bytes | str]:
    """Return what a cursor belongs to: what may be changed from page to page is left out."""
    when = request.when.SerializeToString(deterministic=True)
    return [who.tenant, request.kind, request.where, request.order, request.region, when]


def begin(request: pb.SearchRequest, who: Identity, key: Path) -> pb.SearchRequest:
    """Return what shards are asked for. Raises BadRequest CURSOR_INVALID."""
    asked = pb.SearchRequest()
    asked.CopyFrom(request)
    asked.place = b""
    asked.cursor = ""
    if request.cursor:
        asked.place = cursors.opened(key, question(request, who), request.cursor)
    return asked


def require_written(after: Sequence[str], missing: Sequence[str]) -> None:
    """Raise Unavailable where a shard did not answer whose writes the answer must have."""
    if away := sorted(set(after) & set(missing)):
        raise Unavailable(f"{', '.join(away)} did not answer; ask again", AGAIN_S)


def joined(
    request: pb.SearchRequest,
    answers: Sequence[pb.SearchReply],
    missing: Sequence[str],
    now: int,
) -> tuple[pb.SearchReply, bytes]:
    """Return the answers of shards, in the order of their names, as one; and the place it ends at.

    The place is empty where nothing follows.
    """
    shown = _shares(request, answers)
    reply = pb.SearchReply(
        total=sum(answer.total for answer in answers),
        shown=sum(shown),
        now=now,
        missing=missing,
        withheld=dict.fromkeys(name for answer in answers for name in answer.withheld),
    )
    degraded = missing or any(answer.mode == pb.DEGRADED for answer in answers)
    reply.mode = pb.DEGRADED if degraded else pb.NORMAL
    for answer in answers:
        reply.offsets.update(answer.offsets)
    if request.format == pb.ARROW:
        reply.columns.extend(_columns(answers, shown))
        for answer, count in zip(answers, shown, strict=True):  # each part is in order, not all
            reply.places.extend(answer.places[:count])
    elif request.order:
        parts = (zip(a.places, a.twins, strict=True) for a in answers)
        merged = heapq.merge(*parts, key=lambda part: part[0])
        reply.twins.extend(twin for _, (_, twin) in zip(range(reply.shown), merged, strict=False))
    else:
        for answer, count in zip(answers, shown, strict=True):
            reply.twins.extend(answer.twins[:count])
    return reply, _end(request, answers, shown)


def _shares(request: pb.SearchRequest, answers: Sequence[pb.SearchReply]) -> list[int]:
    """Return how many rows of each answer are among the first `limit` of all."""
    left = request.limit
    if not request.order:
        shown = []
        for answer in answers:
            shown.append(min(left, answer.shown))
            left -= shown[-1]
        return shown
    places = sorted((place, at) for at, a in enumerate(answers) for place in a.places)[:left]
    shown = [0] * len(answers)
    for _, at in places:
        shown[at] += 1
    return shown


def _columns(answers: Sequence[pb.SearchReply], shown: Sequence[int]) -> list[pb.Columns]:
    parts = []
    for answer, count in zip(answers, shown, strict=True):
        for part in answer.columns:
            if count < answer.shown:
                part.arrow = _head(part.arrow, count)
            parts.append(part)
    return parts


def _head(stream: bytes, count: int) -> bytes:
    """Return the first rows of an Arrow stream."""
    with pa.ipc.open_stream(stream) as reader:
        table = reader.read_all()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.slice(0, count).combine_chunks())
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def _end(
    request: pb.SearchRequest, answers: Sequence[pb.SearchReply], shown: Sequence[int]
) -> bytes:
    """Return the place of the last row shown; empty if no shard has more."""
    more = any(
        count < answer.shown or answer.left for answer, count in zip(answers, shown, strict=True)
    )
    if not more or not sum(shown):
        return b""
    if request.order:
        return max(a.places[count - 1] for a, count in zip(answers, shown, strict=True) if count)
    at = max(i for i, count in enumerate(shown) if count)
    answer, count = answers[at], shown[at]
    (shard,) = answer.offsets
    if request.format != pb.ARROW:
        return f"{shard}\0{answer.twins[count - 1].id}".encode()
    with pa.ipc.open_stream(answer.columns[0].arrow) as reader:
        return f"{shard}\0{reader.read_all()['id'][count - 1].as_py()}".encode()
