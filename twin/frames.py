"""Frames: what one commit adds to a journal, as bytes. Little-endian columns behind a head.

    head (64 bytes)  magic, version, epoch, first offset, count, witness, ingest time, length, CRCs
    index (msgpack)  new words and names, and for each column its name, dtype and length
    columns          raw, each padded to 8 bytes

One form serves one event and a hundred thousand: nothing is copied on reading, and nothing
names a Python class. `witness` is the offset up to which everything was acknowledged when the
frame was written. A frame is good when both CRCs are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twin.errors import JournalNewer
from twin.texts import Texts

Column = NDArray[Any]
MAGIC = b"TWJF"
VERSION = 1
HEAD = struct.Struct("<4sHHqqqqqqI")  # ... and the CRC of the head itself
HEAD_SIZE = HEAD.size + 4
NAMES = "names/"  # columns of new names, by kind
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Frame(NamedTuple):
    """Journaled events, and what has to be known to read them."""

    epoch: int
    first: int  # offset of the first event
    size: int
    witness: int
    ingest_time: int
    words: list[str]  # new in the lexicon, in the order of their codes
    names: Mapping[str, Texts]  # kind -> twins met for the first time, in the order of their rows
    contracts: list[str]  # what the column `contract` counts into
    columns: Mapping[str, Column]


class Head(NamedTuple):
    """What the head of a frame says; `length`: its bytes, the head and the last zeroes included."""

    first: int
    size: int
    ingest_time: int
    length: int


class Found(NamedTuple):
    """A good frame, and the bytes it lies in."""

    start: int
    end: int
    frame: Frame


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame, a multiple of 8 long."""
    index: list[Any] = []
    pieces: list[Any] = []
    columns = dict(frame.columns)
    for kind, names in frame.names.items():
        columns |= text_columns(f"{NAMES}{kind}", names)
    for name, column in columns.items():
        index.append([name, column.dtype.str, list(column.shape)])
        if column.nbytes:
            pieces.append(np.ascontiguousarray(column).data.cast("B"))
        pieces.append(bytes(-column.nbytes % 8))
    head = _encode([frame.words, list(frame.names), frame.contracts, index])
    start = struct.pack("<I", len(head)) + head + bytes(-(len(head) + 4) % 8)
    crc, length = 0, 0
    for piece in (start, *pieces):
        crc, length = zlib.crc32(piece, crc), length + len(piece)
    packed = HEAD.pack(
        MAGIC,
        VERSION,
        0,
        frame.epoch,
        frame.first,
        frame.size,
        frame.witness,
        frame.ingest_time,
        length,
        crc,
    )
    return b"".join((packed, struct.pack("<I", zlib.crc32(packed)), start, *pieces))


def read(content: memoryview, start: int) -> Found | None:
    """Return the frame that starts at `start`, or None if there is no good one.

    Raises JournalNewer for a whole head of a later format.
    """
    if len(content) - start < HEAD_SIZE:
        return None
    packed = bytes(content[start : start + HEAD.size])
    (head_crc,) = struct.unpack_from("<I", content, start + HEAD.size)
    if packed[:4] != MAGIC or zlib.crc32(packed) != head_crc:
        return None
    _, version, _, epoch, first, count, witness, ingest_time, length, crc = HEAD.unpack(packed)
    body_at = start + HEAD_SIZE
    if version > VERSION:
        raise JournalNewer(
            f"a frame has format {version}, this version reads {VERSION} at most; "
            "install the version that wrote it, or a later one"
        )
    if version != VERSION or not 0 <= length <= len(content) - body_at:
        return None
    body = content[body_at : body_at + length]
    if zlib.crc32(body) != crc:
        return None
    (size,) = struct.unpack_from("<I", body)
    words, kinds, contracts, index = _decode(body[4 : 4 + size])
    columns: dict[str, Column] = {}
    at = 4 + size + -(4 + size) % 8
    for name, dtype, shape in index:
        column = np.frombuffer(body, dtype, prod(shape), at).reshape(shape)
        columns[name] = column
        at += column.nbytes + -column.nbytes % 8
    names = {kind: column_texts(columns, f"{NAMES}{kind}") for kind in kinds}
    columns = {name: c for name, c in columns.items() if not name.startswith(NAMES)}
    frame = Frame(epoch, first, count, witness, ingest_time, words, names, contracts, columns)
    end = body_at + length
    return Found(start, end + -end % 8, frame)


def head(content: memoryview, start: int) -> Head | None:
    """Return what the head of the frame at `start` says, its own checksum right, or None."""
    if len(content) - start < HEAD_SIZE:
        return None
    packed = bytes(content[start : start + HEAD.size])
    (crc,) = struct.unpack_from("<I", content, start + HEAD.size)
    if packed[:4] != MAGIC or zlib.crc32(packed) != crc:
        return None
    _, _, _, _, first, size, _, ingest_time, length, _ = HEAD.unpack(packed)
    return Head(first, size, ingest_time, HEAD_SIZE + length + -length % 8)


def places(content: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first offset, size, start, end) of each frame, its head checked and no more."""
    start = 0
    while (found := head(content, start)) is not None:
        yield found.first, found.size, start, start + found.length
        start += found.length


def scan(content: memoryview, start: int = 0) -> Iterator[Found]:
    """Yield good frames, one behind the other, up to the first place where there is none."""
    found = read(content, start)
    while found is not None:
        yield found
        found = read(content, found.end)


def later(content: memoryview, start: int) -> int:
    """Return where a good frame lies at or behind `start` (frames start at 8s), or -1.

    Tells a torn tail, with nothing behind it, from damage in the middle.
    """
    raw = bytes(content[start:])
    at = raw.find(MAGIC)
    while at >= 0:
        if (start + at) % 8 == 0 and read(content, start + at) is not None:
            return start + at
        at = raw.find(MAGIC, at + 1)
    return -1


def text_columns(name: str, values: Texts) -> dict[str, Column]:
    """Return texts as two columns of a frame."""
    return {f"{name}.offsets": values.offsets, f"{name}.content": values.content}


def column_texts(columns: Mapping[str, Column], name: str) -> Texts:
    return Texts(columns[f"{name}.offsets"], columns[f"{name}.content"])
