"""Arrow columns as arrays: the buffers themselves where they can be had, a cast where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.kinds import ABSENT, BLANKS, Dtype
from twin.texts import Texts

Column = NDArray[Any]
FAR = 2**62  # integers and times lie between -FAR and FAR
NO_NUMBER = 2**63 - 1  # in a column of integers: NaN or infinity was given


def valid(column: pa.Array) -> NDArray[np.bool_]:
    """Say where a column (n,) is not null."""
    bitmap = column.buffers()[0] if column.null_count and column.type != pa.null() else None
    if bitmap is None:
        return np.full(len(column), column.type != pa.null())
    start, end = column.offset, column.offset + len(column)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=end, bitorder="little")
    return bits[start:].view(np.bool_)


def text_column(column: pa.Array) -> Texts:
    """Return a column of texts; "" where it is null."""
    if column.type == pa.string() and not column.null_count:
        width: type[np.signedinteger[Any]] = np.int32
    else:
        column, width = column.cast(pa.large_string()).fill_null(""), np.int64
    offsets, content = column.buffers()[1:]
    if not len(column):
        return Texts(np.zeros(1, np.int64), np.empty(0, np.uint8))
    start = column.offset
    ends = np.frombuffer(offsets, width, len(column) + 1, start * np.dtype(width).itemsize)
    ends = ends.astype(np.int64)
    raw = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
    return Texts(ends - ends[0], raw[ends[0] : ends[-1]])


def coded_column(column: pa.Array) -> tuple[NDArray[np.int32], list[str]]:
    """Return texts as codes (n,) and their words; -1 where null or ""."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    held = column.dictionary
    if held.type != pa.string():
        held = held.cast(pa.string())
    words = held.to_pylist()
    if held.null_count:
        words = [word or "" for word in words]
    codes = _codes(column)
    if "" in words:
        codes = np.where(np.array([*words, "?"])[codes] == "", -1, codes).astype(np.int32)
    return codes, words


def _codes(column: pa.Array) -> NDArray[np.int32]:
    indices = column.indices
    if indices.type != pa.int32():
        indices = indices.cast(pa.int32())  # of an unsigned type: there is no -1 in it
    codes = plain(indices, np.int32)
    return np.where(valid(indices), codes, np.int32(-1)) if indices.null_count else codes


def wordy(type_: pa.DataType) -> bool:
    """Say whether a column of this type holds texts."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return any(
        test(type_) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    )


def plain(column: pa.Array, dtype: Any) -> Column:
    """Return the values of a column (n,) as they lie there: where it is null, anything."""
    data = column.buffers()[1]
    if data is None:
        return np.zeros(len(column), dtype)
    return np.frombuffer(data, dtype, len(column), column.offset * np.dtype(dtype).itemsize)


def cell_list(column: pa.Array) -> list[Any]:
    """Return the values of a column as Python has them, None where null; times as integers, us."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        kind = column.type
    if pa.types.is_dictionary(kind):
        words = [*column.dictionary.to_pylist(), None]
        return [words[code] for code in _codes(column).tolist()]
    if kind not in {pa.int64(), pa.float64()}:
        return list(column.to_pylist())
    values: list[Any] = plain(column, np.int64 if kind == pa.int64() else np.float64).tolist()
    if not column.null_count:
        return values
    return [v if there else None for v, there in zip(values, valid(column).tolist(), strict=True)]


def number_column(
    column: pa.Array, dtype: Dtype
) -> tuple[Column, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return values (n,) as a field of `dtype` has them, where they are there, and where sound."""
    present, kind = valid(column), column.type
    fractional = pa.types.is_floating(kind)
    if pa.types.is_null(kind):
        return np.full(present.size, BLANKS[dtype]), present, ~present
    if dtype is Dtype.FLAG and pa.types.is_boolean(kind):
        values = np.asarray(column.cast(pa.int8()).fill_null(-1))
        return values, present, np.ones(present.size, np.bool_)
    if dtype is Dtype.NUMBER and (fractional or pa.types.is_integer(kind)):
        return _fractions(column, present), present, np.ones(present.size, np.bool_)
    if dtype in {Dtype.INTEGER, Dtype.TIME} and fractional:
        given = np.asarray(column.cast(pa.float64()).fill_null(0.0))
        sound = (np.abs(given) < FAR) & (given == np.floor(given))
        values = np.where(sound, given, 0.0).astype(np.int64)
        values = np.where(sound, values, np.where(np.isfinite(given), ABSENT, NO_NUMBER))
        return np.where(present, values, ABSENT), present, sound | ~present
    if dtype is Dtype.TIME and pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif dtype not in {Dtype.INTEGER, Dtype.TIME} or not pa.types.is_integer(kind):
        return np.full(present.size, BLANKS[dtype]), present, ~present
    if column.type == pa.int64():
        values = plain(column, np.int64)
    else:
        values = np.asarray(column.cast(pa.int64(), safe=False).fill_null(0))
    sound = (values > -FAR) & (values < FAR)
    if pa.types.is_uint64(kind):
        sound &= values >= 0  # what is beyond an int64 has wrapped
    return np.where(present & sound, values, ABSENT), present, sound | ~present


def _fractions(column: pa.Array, present: NDArray[np.bool_]) -> Column:
    if column.type != pa.float64():
        return np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan))
    values = plain(column, np.float64)
    return np.where(present, values, np.nan) if column.null_count else values
