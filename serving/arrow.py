"""Arrow at the edge: pieces of column streams into plain numpy columns, and back.

Absent stays absent: NULL on the wire is ABSENT, NaN, "" or -1 in plain columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from serving.wire import twin_pb2 as pb
from twin.kinds import ABSENT

Plain = dict[str, Any]


def encode(columns: Mapping[str, Any]) -> bytes:
    """Return plain columns as one Arrow IPC stream."""
    batch = pa.record_batch({name: _arrow(values) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def decode(raw: bytes) -> Plain:
    table = pa.ipc.open_stream(raw).read_all().combine_chunks()
    return {name: _plain(table[name]) for name in table.column_names}


def gather(replies: Iterable[pb.ColumnsReply]) -> tuple[Plain, dict[str, int], int]:
    """Return (columns, offset of each shard's snapshot, now) from the pieces of all shards."""
    pieces: dict[str, list[bytes]] = {}
    offsets: dict[str, int] = {}
    now = 0
    for reply in replies:
        pieces.setdefault(reply.shard, []).append(reply.arrow)
        offsets[reply.shard] = reply.offset
        now = max(now, reply.now)
    tables = [decode(b"".join(parts)) for parts in pieces.values()]
    names = tables[0].keys() if tables else ()
    return {name: np.concatenate([t[name] for t in tables]) for name in names}, offsets, now


def _arrow(values: Any) -> pa.Array:
    if values.dtype == object:
        return pa.array(values, pa.string(), mask=values == "")
    if values.dtype == np.int64:
        return pa.array(values, mask=values == ABSENT)
    if values.dtype == np.int8:
        return pa.array(values, mask=values < 0)
    return pa.array(values, from_pandas=True)


def _plain(column: Any) -> Any:
    kind = column.type
    if pa.types.is_string(kind):
        return np.array(column.fill_null("").to_pylist(), object)
    if pa.types.is_int64(kind):
        return column.fill_null(ABSENT).to_numpy()
    if pa.types.is_int8(kind):
        return column.fill_null(-1).to_numpy()
    return column.fill_null(float("nan")).to_numpy()
