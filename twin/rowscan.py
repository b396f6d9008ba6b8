"""Row scanning: msgpack rows as columns in one pass over their bytes, and no object per event.

It reads what a sound producer sends: the fields of the contracts, each of its own type and once.
Anything else, be it wrong or only unusual, is left to the plain path in `twin.events`, which says
what is wrong with it. For what it reads, the two agree: a property test holds them equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import CONTRACTS
from twin.kernels import I64
from twin.kinds import ABSENT, BLANKS, Dtype
from twin.rowkernels import (
    FLAG,
    FRACTION,
    TEXT,
    UNREAD,
    WHOLE,
    Plan,
    Rows,
    copy_spans,
    encode_spans,
    scan,
)
from twin.slots import room
from twin.texts import Texts

_FIELDS = {p.name: p.dtype for c in CONTRACTS for p in c.payload}
_NAMES = list(_FIELDS)
_SORT = {Dtype.NUMBER: FRACTION, Dtype.TEXT: TEXT, Dtype.FLAG: FLAG}
_HEADS = 7  # texts of the envelope and the extensions; those of payloads lie behind them


class Scanned(NamedTuple):
    """n rows as columns; `fields` in the order they were first met."""

    message: bytes
    begin: I64  # (n + 1,) where each row lies in the message
    texts: tuple[I64, I64]  # start and length (7 + texts of payloads, n) in the message
    version: I64
    time: I64
    confidence: NDArray[np.float64]
    does: NDArray[np.int8]
    fields: Sequence[str]
    values: I64  # (fields, n): bits of numbers; of a text nothing
    present: NDArray[np.bool_]  # (fields, n)

    def raws(self, at: I64) -> list[bytes]:
        """Return the rows at these positions."""
        begin = self.begin.tolist()
        return [self.message[begin[i] : begin[i + 1]] for i in at.tolist()]

    def text(self, row: int) -> Texts:
        """Return one column of texts, as it is."""
        start, length = self.texts[0][row], self.texts[1][row]
        offsets = np.zeros(start.size + 1, np.int64)
        np.cumsum(length, out=offsets[1:])
        content = np.empty(offsets[-1], np.uint8)
        copy_spans(np.frombuffer(self.message, np.uint8), start, offsets, content)
        return Texts(offsets, content)

    def words(self, row: int) -> tuple[NDArray[np.int32], list[str]]:
        """Return one column of texts as codes and words; -1 where there is none."""
        raw = np.frombuffer(self.message, np.uint8)
        start, length = self.texts[0][row], self.texts[1][row]
        codes, first = np.empty(start.size, np.int32), np.empty(start.size, np.int32)
        count = encode_spans(room(start.size), raw, start, length, codes, first)
        at = first[:count]
        spans = zip(start[at].tolist(), length[at].tolist(), strict=True)
        return codes, [self.message[a : a + size].decode() for a, size in spans]


def _plan() -> Plan:
    raw = [name.encode() for name in _NAMES]
    sort = np.array([_SORT.get(_FIELDS[name], WHOLE) for name in _NAMES], np.int8)
    blank = np.full(len(_NAMES), ABSENT, np.int64)
    blank[sort == FLAG] = -1
    blank[sort == FRACTION] = np.array([np.nan]).view(np.int64)[0]
    text_row = np.where(sort == TEXT, _HEADS - 1 + np.cumsum(sort == TEXT), -1)
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)
    content = np.frombuffer(b"".join(raw), np.uint8)
    return Plan(offsets, content, sort, text_row.astype(np.int32), blank)


_PLAN = _plan()
_TEXTS = _HEADS + int((_PLAN.sort == TEXT).sum())


def scan_rows(message: bytes, most: int) -> Scanned | None:
    """Return the rows of a message as columns; None if they are not what this reads."""
    n, at = _length(message)
    if not 0 < n <= most or n * 9 > len(message):
        return None
    start, length = np.empty((_TEXTS, n), np.int64), np.empty((_TEXTS, n), np.int64)
    begin, version, time = (np.empty(size, np.int64) for size in (n + 1, n, n))
    confidence, does = np.empty(n, np.float64), np.zeros(n, np.int8)
    slots = np.full(len(_NAMES), -1, np.int32)
    values, present = np.empty((len(_NAMES), n), np.int64), np.empty((len(_NAMES), n), np.bool_)
    met = np.full(len(_NAMES), -1, np.int64)
    rows = Rows(
        begin,
        start,
        length,
        version,
        time,
        confidence,
        does,
        slots,
        met,
        values,
        values.view(np.float64),
        present,
    )
    used = scan(np.frombuffer(message, np.uint8), at, _PLAN, rows)
    if used == UNREAD:
        return None
    order = np.argsort(slots)[slots.size - used :]
    return Scanned(
        message,
        begin,
        (start, length),
        version,
        time,
        confidence,
        does,
        [_NAMES[i] for i in order.tolist()],
        values[:used],
        present[:used],
    )


def text_row(name: str) -> int:
    """Return the row among the texts of a payload field, or -1 of a number."""
    return int(_PLAN.text_row[_NAMES.index(name)])


def number(name: str, bits: I64) -> NDArray[Any]:
    """Return a column of numbers as its field has them."""
    dtype = BLANKS[_FIELDS[name]].dtype
    return bits.view(np.float64) if dtype == np.float64 else bits.astype(dtype)


def _length(message: bytes) -> tuple[int, int]:
    """Return how many rows a message says it has, and where they begin."""
    first = message[0] if message else 0
    if 0x90 <= first <= 0x9F:
        return first & 15, 1
    if first == 0xDC:
        return int.from_bytes(message[1:3], "big"), 3
    if first == 0xDD:
        return int.from_bytes(message[1:5], "big"), 5
    return 0, 0
