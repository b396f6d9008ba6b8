"""Arrow streams from outside: read only when what they claim to hold fits, and checked whole.

Lengths are looked up in the messages before anything is decompressed or joined: a few kilobytes
may claim gigabytes, by compression, by one long text that many rows share, or by rows without
buffers. Then every offset of every column is validated: a crafted one reads beyond its buffer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.errors import ArrowInvalid, BadRequest, Malformed, TooMany
from twin.skim import MOST_EVENTS, WIDEST

LARGEST = 64 << 20  # bytes that a message of 16 MiB may become
MOST_PARTS = 4096  # record batches and dictionaries of one stream
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
_DICTIONARY, _RECORDS = 2, 3  # of the messages' headers
_UNREADABLE = (pa.ArrowException, OSError, EOFError, ValueError, NotImplementedError, MemoryError)


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)  # may stand for any of the others


_NESTED = (
    pa.types.is_nested,  # struct alone is taken, of plain fields
    _is_extension,
    pa.types.is_dictionary,
    pa.types.is_run_end_encoded,
    pa.types.is_string_view,
    pa.types.is_binary_view,
)


# What nearly every column is of, by its id: told from the others without a call for each.
_USUAL = frozenset(
    kind.id
    for kind in (
        *(pa.string(), pa.large_string(), pa.null(), pa.bool_(), pa.timestamp("us")),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    )
)


class Part(NamedTuple):
    """What one message of a stream claims: rows, and bytes once it is decompressed."""

    rows: int
    size: int


def read_stream(message: bytes) -> tuple[list[pa.RecordBatch], pa.Schema]:
    """Return the batches of one IPC stream. Raises ArrowInvalid, TooMany, DECOMPRESSED_TOO_LARGE.

    What is returned can be read anywhere, and every column has plain values or coded texts.
    """
    if message[-8:] != END_OF_STREAM:
        raise ArrowInvalid("the stream has no end, so part of it may be missing; send it whole")
    _require_room(message)
    try:
        reader = pa.ipc.open_stream(message)
        schema = reader.schema
        schema.names  # noqa: B018 - raises here if one is no text
        _require_plain(schema)
        batches = list(reader)
        for batch in batches:
            batch.validate(full=True)
    except _UNREADABLE as e:
        raise ArrowInvalid(f"the message is no Arrow stream ({e}); send one IPC stream") from e
    for batch in batches:
        _require_short(batch)
    return batches, schema


def parts(message: bytes) -> Iterator[Part]:
    """Yield what each record batch and dictionary claims. Raises ValueError or struct.error."""
    at = 0
    while True:
        (size,) = struct.unpack_from("<i", message, at)
        at += 4
        if size == -1:
            (size,) = struct.unpack_from("<i", message, at)
            at += 4
        if size == 0:
            return
        head = _Table(message, at + struct.unpack_from("<I", message, at)[0])
        sort, body = head.number(1, "<B"), at + size
        length = head.number(3, "<q")
        if size < 0 or length < 0 or body + length > len(message):
            raise ValueError("a message reaches beyond the stream")
        if sort in {_DICTIONARY, _RECORDS}:
            records = head.table(2)
            if sort == _DICTIONARY:
                records = records.table(1)
            yield Part(records.number(0, "<q"), _size(records, message, body, length))
        at = body + length


def _require_room(message: bytes) -> None:
    rows = size = count = 0
    try:
        for part in parts(message):
            rows, size, count = rows + max(part.rows, 0), size + part.size, count + 1
            if size > LARGEST:
                raise _too_large()
            if rows > 2 * MOST_EVENTS or count > MOST_PARTS:  # with the words of dictionaries
                raise TooMany(f"a message has at most {MOST_EVENTS} events; split it")
    except (struct.error, ValueError) as e:
        raise ArrowInvalid(f"the message is no Arrow stream ({e}); send one IPC stream") from e


def _require_plain(schema: pa.Schema) -> None:
    if len(schema) > WIDEST:
        raise TooMany(f"a batch has at most {WIDEST} columns; drop those that nobody reads")
    for field in schema:
        kind = field.type
        if kind.id in _USUAL:
            continue
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
            coded = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        elif pa.types.is_struct(kind):
            coded = not any(test(inner.type) for inner in kind.fields for test in _NESTED)
        else:
            coded = not any(test(kind) for test in _NESTED)
        if not coded:
            raise Malformed(f"column {field.name[:40]!r} is nested; send plain values or texts")


def _require_short(batch: pa.RecordBatch) -> None:
    """Refuse columns whose rows share a text so long that writing it out would take too much."""
    for column in batch.columns:
        if not pa.types.is_dictionary(column.type):
            continue
        if column.dictionary.nbytes * len(column) <= LARGEST:  # were each row all of its texts
            continue
        lengths = pc.fill_null(pc.binary_length(column.dictionary), 0).to_numpy()
        if not lengths.size or int(lengths.max()) * len(column) <= LARGEST:
            continue
        codes = column.indices.drop_null().to_numpy()
        if int(lengths.astype(np.int64)[codes].sum()) > LARGEST:
            raise _too_large()


def _too_large() -> BadRequest:
    return BadRequest(
        f"the stream holds more than {LARGEST >> 20} MiB once it is unpacked; split it",
        "DECOMPRESSED_TOO_LARGE",
    )


def _size(records: _Table, message: bytes, body: int, length: int) -> int:
    if not records.place(3):  # not compressed
        return length
    total = 0
    for at in records.structs(2, 16):
        start, stored = struct.unpack_from("<qq", message, at)
        if not 0 <= start <= length - max(stored, 0):
            raise ValueError("a buffer reaches beyond its message")
        if stored >= 8:
            (size,) = struct.unpack_from("<q", message, body + start)
            total += stored if size < 0 else size
    return total


class _Table:
    """A table of a flatbuffer: fields by their number, absent ones 0."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self._at = at
        self._fields = at - struct.unpack_from("<i", raw, at)[0]
        if at < 0 or self._fields < 0:
            raise ValueError("a table lies outside the stream")
        (self._size,) = struct.unpack_from("<H", raw, self._fields)

    def place(self, field: int) -> int:
        """Return where a field is, or 0."""
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return 0
        (offset,) = struct.unpack_from("<H", self._raw, self._fields + slot)
        return self._at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        at = self.place(field)
        return int(struct.unpack_from(form, self._raw, at)[0]) if at else 0

    def table(self, field: int) -> _Table:
        at = self.place(field)
        if not at:
            raise ValueError("a message has no content")
        return _Table(self._raw, at + struct.unpack_from("<I", self._raw, at)[0])

    def structs(self, field: int, size: int) -> Iterator[int]:
        """Yield where each entry of a vector of structs is."""
        at = self.place(field)
        if not at:
            return
        at += struct.unpack_from("<I", self._raw, at)[0]
        (count,) = struct.unpack_from("<I", self._raw, at)
        if count * size > len(self._raw) - at:
            raise ValueError("a list reaches beyond the stream")
        yield from range(at + 4, at + 4 + count * size, size)
