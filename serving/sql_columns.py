"""Exact columns of a shard's twins, for the query process: what is named, and nothing else.

All tables of one answer are of one snapshot. What the asker has already of an unchanged shard is
not sent again, and then no snapshot is taken.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.shard import Shard
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, UnknownField
from twin.fields import VIRTUAL, known, surety
from twin.kinds import ABSENT, KINDS, Dtype, Milestone
from twin.lexicon import Lexicon
from twin.query import View
from twin.texts import Texts
from twin.transition import Snapshot

RUN = 65_536  # rows of a batch
PIECE = 1 << 20  # bytes of a column stream in one message
PARTS = ("as_of", "source", "confidence", "offset")
INSTANT = pa.timestamp("us", tz="UTC")
NEWEST = "as_of"  # of the group of a twin that was decided last
Rows = NDArray[np.int64]


class Asked(NamedTuple):
    """Who asks, and when. `snapshot` gives the shard's state as of some moment."""

    snapshot: Callable[[pb.When], Snapshot]
    tenant: str
    now_us: int


def pieces(shard: Shard, request: pb.ColumnsRequest, asked: Asked) -> Iterator[pb.ColumnsReply]:
    """Yield the tables asked for, each one an Arrow stream.

    Raises BadRequest or UnknownField for what the shard does not hold, Fenced.
    """
    for table in request.tables:
        if table.kind not in shard.rule.kinds:
            raise BadRequest(f"{shard.name} holds no {table.kind}; ask a gateway")
        for name in table.columns:
            part_of(table.kind, name)
    lacking = any(set(table.columns) - set(table.have) for table in request.tables)
    past = request.when.at or request.when.known_at
    snapshot, offset = None, shard.next
    if past or lacking or not _same(shard, request, offset):
        snapshot = asked.snapshot(request.when)
        offset = snapshot.offset
    same = _same(shard, request, offset)
    told: dict[str, Any] = {
        "shard": shard.name,
        "offset": offset,
        "epoch": shard.epoch,
        "now": asked.now_us,
    }
    for table in request.tables:
        wanted = [name for name in table.columns if not same or name not in table.have]
        if snapshot is not None and (wanted or not same):
            region = shard.rule.region
            view = View(snapshot, table.kind, asked.tenant, region, asked.now_us)
            for raw in stream(view, wanted):
                shard.require_marker()  # after computing, before answering
                for at in range(0, len(raw), PIECE):
                    piece = raw[at : at + PIECE]
                    yield pb.ColumnsReply(kind=table.kind, arrow=piece, unchanged=same, **told)
        shard.require_marker()
        yield pb.ColumnsReply(kind=table.kind, last=True, unchanged=same, **told)


def _same(shard: Shard, request: pb.ColumnsRequest, offset: int) -> bool:
    return bool(request.have_epoch == shard.epoch and request.have_offset == offset)


def part_of(kind: str, name: str) -> tuple[str, str]:
    """Return (what, name): field, virtual, newest, id, region; or a PART and its group.

    Raises UnknownField.
    """
    if name in {"id", "region"}:
        return name, name
    if name == NEWEST:
        return "newest", name
    if KINDS[kind].field(name) is not None:
        return "field", name
    if name in VIRTUAL.get(kind, {}):
        return "virtual", name
    for group in KINDS[kind].groups:
        if name.startswith(f"{group.name}_") and name[len(group.name) + 1 :] in PARTS:
            return name[len(group.name) + 1 :], group.name
    raise UnknownField(f"{kind} has no column {name}; `twin sql 'describe TABLE'` lists them")


def stream(view: View, names: Sequence[str]) -> Iterator[bytes]:
    """Yield columns of every twin of a view as one Arrow stream: texts as codes and words.

    A run of rows at a time, so that a shard of any size takes little memory for it.
    """
    rows, sink = view.rows(), io.BytesIO()
    writer = None
    for at in range(0, max(1, rows.size), RUN):
        some = rows[at : at + RUN]
        arrays = [_array(view, some, name) for name in names]
        batch = pa.RecordBatch.from_arrays(arrays, list(names))
        if not names:  # how many there are is all that is asked
            batch = pa.RecordBatch.from_arrays([pa.nulls(some.size)], [""])
        writer = writer or pa.ipc.new_stream(sink, batch.schema)
        writer.write_batch(batch)
        yield drained(sink)
    assert writer is not None
    writer.close()
    yield drained(sink)


def drained(sink: io.BytesIO) -> bytes:
    """Return what was written, and leave nothing."""
    raw = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return raw


def coded(codes: NDArray[np.int32], lexicon: Lexicon) -> pa.Array:
    """Return codes of a lexicon as a dictionary of the words among them; null where absent."""
    there = codes >= 0
    used = np.zeros(int(codes.max(initial=-1)) + 1, np.bool_)
    used[codes[there]] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    place = np.where(there, number[codes], 0) if number.size else np.zeros(codes.size, np.int32)
    words = pa.array([lexicon.word(c) for c in np.flatnonzero(used).tolist()], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(place.astype(np.int32), mask=~there), words)


def text_array(values: Texts, skip: int = 0) -> pa.Array:
    """Return texts as strings, the first `skip` bytes of each left out."""
    offsets, content = values.offsets, values.content
    if skip and values.size:
        kept = np.ones(content.size, np.bool_)
        kept[(offsets[:-1, None] + np.arange(skip)).ravel() - int(offsets[0])] = False
        content = content[kept]
        offsets = offsets - skip * np.arange(values.size + 1)
    held = pa.py_buffer(np.ascontiguousarray(offsets, np.int64))
    body = pa.py_buffer(np.ascontiguousarray(content))
    return pa.LargeStringArray.from_buffers(values.size, held, body)


def instants(values: NDArray[np.int64]) -> pa.Array:
    """Return int64 us as instants; null where absent."""
    return pa.array(values, mask=values == ABSENT).cast(INSTANT)


def _array(view: View, rows: Rows, name: str) -> pa.Array:
    what, of = part_of(view.kind, name)
    table = view.snapshot.tables[view.kind]
    if what == "id":
        skip = len(f"{view.tenant}/".encode())
        return text_array(view.snapshot.names[view.kind].take(rows), skip)
    if what == "region":
        place = pa.array(np.zeros(rows.size, np.int32))
        return pa.DictionaryArray.from_arrays(place, pa.array([view.region], pa.string()))
    if what == "newest":
        groups = (group.name for group in KINDS[view.kind].groups)
        newest = np.full(rows.size, ABSENT)
        for group in groups:
            np.maximum(newest, table.take(f"{group}.as_of", rows), out=newest)
        return instants(newest)
    if what == "field":
        found = KINDS[view.kind].field(of)
        assert found is not None
        column = table.take(of, rows)
        return _typed(view, column, known(column, found[1].dtype), found[1].dtype)
    if what == "virtual":
        values = view.of(of, rows)
        return _typed(view, values.column, values.known, values.dtype)
    as_of = table.take(f"{of}.as_of", rows)
    if what == "as_of":
        return instants(as_of)
    column = table.take(f"{of}.{what}", rows)
    if what == "source":
        return coded(column, view.snapshot.lexicon)
    wide = surety(column) if what == "confidence" else column.astype(np.int64)
    return pa.array(wide, mask=as_of == ABSENT)


def _typed(view: View, column: NDArray[Any], there: NDArray[np.bool_], dtype: Dtype) -> pa.Array:
    if dtype is Dtype.TEXT:
        return coded(np.where(there, column, -1).astype(np.int32), view.snapshot.lexicon)
    if dtype is Dtype.TIME:
        return instants(np.where(there, column, ABSENT).astype(np.int64))
    if dtype is Dtype.FLAG:
        return pa.array(column > 0, mask=~there)
    if dtype is Dtype.MILESTONE:
        steps = [int(milestone) for milestone in Milestone]
        place = np.searchsorted(steps, np.where(there, column, steps[0])).astype(np.int32)
        words = pa.array([milestone.name for milestone in Milestone], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(place, mask=~there), words)
    return pa.array(column, mask=~there)
