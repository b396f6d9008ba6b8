"""Splitting an Arrow batch over shards."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from numpy.typing import NDArray


def split_arrow(batch: pa.RecordBatch, at: NDArray[Any]) -> bytes:
    """Return the rows `at` of a batch as one IPC stream."""
    part = batch.take(pa.array(at))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_batch(part)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw
