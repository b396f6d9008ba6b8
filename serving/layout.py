"""Layouts: where the columns of an Arrow stream lie, so that streams alike are not parsed again.

A stream of one batch in which every value is known is a head and then its columns. Two of equal
heads and equal length differ in nothing but the columns: writing one is joining bytes, and
reading one is looking at them. Arrow itself writes and reads the first of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

Plain = dict[str, Any]
MOST_HEAD = 64 << 10  # bytes: more are words, and those hardly come again
_NUMBERS: dict[Any, np.dtype[Any]] = {
    pa.int8(): np.dtype(np.int8),
    pa.int32(): np.dtype(np.int32),
    pa.int64(): np.dtype(np.int64),
    pa.float32(): np.dtype(np.float32),
    pa.float64(): np.dtype(np.float64),
}


class Place(NamedTuple):
    name: str
    dtype: np.dtype[Any]
    at: int  # in the stream, in bytes
    words: Any  # of codes: (n + 1,), the last one absent; else None


class Layout(NamedTuple):
    head: bytes
    places: tuple[Place, ...]
    gaps: tuple[bytes, ...]  # behind each column; the last one ends the stream
    rows: int
    length: int  # of the stream, in bytes

    def fits(self, raw: bytes) -> bool:
        return len(raw) == self.length and raw.startswith(self.head)

    def write(self, columns: Sequence[Any]) -> bytes:
        """Return the stream of these columns, of the dtypes and rows of `places`."""
        pieces: list[Any] = [self.head]
        for column, gap in zip(columns, self.gaps, strict=True):
            pieces.append(column)
            if gap:
                pieces.append(gap)
        return b"".join(pieces)

    def read(self, raw: bytes) -> Plain:
        """Return the columns of a stream that fits; they share its memory."""
        columns = {}
        for name, dtype, at, words in self.places:
            column = np.frombuffer(raw, dtype, self.rows, at)
            columns[name] = column if words is None else words.take(column)
        return columns


def layout_of(raw: bytes, batch: pa.RecordBatch) -> Layout | None:
    """Return the layout of a stream of which `batch`, read without copies, is all; if it has one.

    It has none where a value is absent, or a column has no fixed width or less than a byte.
    """
    base, rows = pa.py_buffer(raw).address, batch.num_rows
    places: list[Place] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        words = None
        if pa.types.is_dictionary(column.type):
            words = np.array([*column.dictionary.to_pylist(), ""], object)
            column = column.indices
        dtype = _NUMBERS.get(column.type)
        if dtype is None or column.null_count or column.offset or not rows:
            return None
        places.append(Place(name, dtype, column.buffers()[1].address - base, words))
    ends = [place.at + rows * place.dtype.itemsize for place in places]
    begins = [*(place.at for place in places[1:]), len(raw)]
    ordered = all(e <= b for e, b in zip(ends, begins, strict=True))
    if not places or not 0 < places[0].at <= MOST_HEAD or not ordered:
        return None
    gaps = tuple(raw[end:begin] for end, begin in zip(ends, begins, strict=True))
    return Layout(raw[: places[0].at], tuple(places), gaps, rows, len(raw))
