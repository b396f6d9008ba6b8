"""Arrow at the edge: pieces of column streams into plain numpy columns, and back.

Absent stays absent: NULL on the wire is ABSENT, NaN, "" or -1 in plain columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from serving.layout import Layout, layout_of
from serving.records import Batch
from serving.wire import twin_pb2 as pb
from twin.kinds import ABSENT

Plain = dict[str, Any]
AS_OF = "_as_of"
_met: deque[Layout] = deque(maxlen=8)  # of the latest streams, each unlike the others


def encode(columns: Mapping[str, Any]) -> bytes:
    """Return plain columns as one Arrow IPC stream."""
    batch = pa.record_batch({name: _arrow(values) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def decode(raw: bytes) -> Plain:
    for layout in list(_met):  # threads may share it
        if layout.fits(raw):
            return layout.read(raw)
    with pa.ipc.open_stream(raw) as reader:
        batches = list(reader)
    if len(batches) == 1:
        if (new := layout_of(raw, batches[0])) is not None:
            _met.appendleft(new)
        names = batches[0].schema.names
        return {n: _plain(c) for n, c in zip(names, batches[0].columns, strict=True)}
    table = pa.Table.from_batches(batches, reader.schema).combine_chunks()
    return {name: _plain(table[name].combine_chunks()) for name in table.column_names}


def table(raw: bytes) -> pa.Table:
    """Return an Arrow stream as a table."""
    with pa.ipc.open_stream(raw) as reader:
        return reader.read_all()


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


def batch(reply: pb.SearchReply, ids: Sequence[str]) -> Batch:
    """Return the answer to a BatchGet of `ids` as the client's columns."""
    names = np.array([*ids, ""], object)[:-1]
    tables = []
    for part in reply.columns:
        table = decode(part.arrow)
        table["id"] = names if table["asked"].size == names.size else names[table["asked"]]
        for name in [name for name in table if name.endswith(AS_OF)]:
            as_of = table[name]
            age = (part.now - as_of) / 1e6
            age[as_of == ABSENT] = np.nan
            table[name.removesuffix(AS_OF) + "_age_s"] = age
        tables.append(table)
    columns = tables[0] if len(tables) == 1 else _below(tables)
    asked, missing = columns.pop("asked", np.empty(0, np.int32)), []
    if asked.size < names.size:
        is_missing = np.ones(names.size, np.bool_)
        is_missing[asked] = False
        missing = names[is_missing].tolist()
    offsets = {part.shard: part.offset for part in reply.columns}
    epochs = {part.shard: part.epoch for part in reply.columns}
    mode = pb.Mode.Name(reply.mode).lower()
    return Batch(columns, missing, offsets, epochs, reply.now, mode)


def _below(tables: Sequence[Plain]) -> Plain:
    """Return the rows of all tables; what one of them knows nothing of is absent there."""
    kinds = {name: column.dtype for table in tables for name, column in table.items()}
    return {
        name: np.concatenate(
            [t[name] if name in t else _absent(dtype, t["asked"].size) for t in tables]
        )
        for name, dtype in kinds.items()
    }


def _absent(dtype: np.dtype[Any], n: int) -> Any:
    if dtype.kind == "O":
        return np.full(n, "", object)
    if dtype.kind == "f":
        return np.full(n, np.nan, dtype)
    return np.full(n, ABSENT if dtype == np.int64 else -1, dtype)


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
    if pa.types.is_dictionary(kind):
        words = np.array([*column.dictionary.to_pylist(), ""], object)
        codes = column.indices
        return words[(codes.fill_null(-1) if codes.null_count else codes).to_numpy()]
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).fill_null(-1).to_numpy()
    if not column.null_count:
        return column.to_numpy(zero_copy_only=False)  # texts become objects, the rest is shared
    if pa.types.is_string(kind):
        return np.array(column.fill_null("").to_pylist(), object)
    if pa.types.is_int64(kind):
        return column.fill_null(ABSENT).to_numpy()
    if pa.types.is_int8(kind):
        return column.fill_null(-1).to_numpy()
    return column.fill_null(float("nan")).to_numpy()
