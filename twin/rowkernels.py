"""Row kernels: one pass over the bytes of msgpack rows, compiled with numba. See twin.rowscan.

Bounds are checked before every read, so that no message makes them read beyond it; an end of -1
says that something is not what they read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.arrow_columns import FAR
from twin.kernels import I32, I64, U8, jit, load, mixed
from twin.kinds import ABSENT

FLAG, FRACTION, WHOLE, TEXT = range(4)  # sorts of fields
ID, SOURCE, TYPE, SUBJECT, REGION, TENANT, TARGET = range(7)  # texts; those of payloads are behind
UNREAD = -1
_VERSION, _TIME = 3, 6  # places in a row
_CORRECTS, _RETRACTS = 1, 2  # as in twin.events


class Plan(NamedTuple):
    """The fields of all contracts: their names, sorts, and what stands for none."""

    offsets: I64
    content: U8
    sort: NDArray[np.int8]
    text_row: I32  # of a text: its row among the texts
    blank: I64  # of a number, as bits


class Rows(NamedTuple):
    """What is read of n rows. `values` and `fractions` are the same memory."""

    begin: I64  # (n + 1,)
    start: I64  # (texts, n)
    length: I64  # (texts, n)
    version: I64
    time: I64
    confidence: NDArray[np.float64]
    does: NDArray[np.int8]
    slots: I32  # of each field: which row of the values it has
    met: I64  # of each field: the row of the message that named it last
    values: I64  # (fields, n)
    fractions: NDArray[np.float64]
    present: NDArray[np.bool_]


@jit
def _big(raw: U8, at: int, width: int) -> Any:
    value = np.uint64(0)
    for i in range(width):
        value = value << np.uint64(8) | np.uint64(raw[at + i])
    return value


@jit
def _text(raw: U8, at: int) -> Any:
    """Return (start, length, end) of the text or nil at `at`; end is -1 if it is neither."""
    size = raw.size
    if at >= size:
        return np.int64(0), np.int64(0), np.int64(-1)
    first = np.int64(raw[at])
    if first == 0xC0:
        return np.int64(at), np.int64(0), np.int64(at + 1)
    start, length = np.int64(at + 1), first & 31
    if 0xD9 <= first <= 0xDB:
        width = 1 << (first - 0xD9)
        if at + 1 + width > size:
            return np.int64(0), np.int64(0), np.int64(-1)
        start, length = np.int64(at + 1 + width), np.int64(_big(raw, at + 1, width))
    elif not 0xA0 <= first < 0xC0:
        return np.int64(0), np.int64(0), np.int64(-1)
    if length > size - start:
        return np.int64(0), np.int64(0), np.int64(-1)
    return np.int64(start), np.int64(length), np.int64(start + length)


@jit
def _whole(raw: U8, at: int) -> Any:
    """Return (value, end) of the integer at `at`; end is -1 if it is none between -FAR and FAR."""
    if at >= raw.size:
        return np.int64(0), np.int64(-1)
    first = np.int64(raw[at])
    if first < 0x80:
        return first, np.int64(at + 1)
    if first >= 0xE0:
        return first - 256, np.int64(at + 1)
    if not (0xCC <= first <= 0xCF or 0xD0 <= first <= 0xD3):
        return np.int64(0), np.int64(-1)
    width = 1 << (first & 3)
    end = at + 1 + width
    if end > raw.size:
        return np.int64(0), np.int64(-1)
    given = _big(raw, at + 1, width)
    if first < 0xD0:
        return np.int64(given), np.int64(end if given < np.uint64(FAR) else -1)
    value = np.int64(given << np.uint64(64 - 8 * width)) >> np.int64(64 - 8 * width)
    return value, np.int64(end if -FAR < value < FAR else -1)


@jit
def _pairs(raw: U8, at: int) -> Any:
    """Return (pairs, end of its head) of the small map at `at`; end is -1 if it is none."""
    if at >= raw.size or not 0x80 <= raw[at] < 0x90:
        return np.int64(0), np.int64(-1)
    return np.int64(raw[at]) & 15, np.int64(at + 1)


@jit
def _field(raw: U8, start: int, length: int, offsets: I64, content: U8) -> int:
    """Return which of the names stands there, or -1."""
    for k in range(offsets.size - 1):
        a = offsets[k]
        if offsets[k + 1] - a != length:
            continue
        same = True
        for j in range(length):
            if content[a + j] != raw[start + j]:
                same = False
                break
        if same:
            return k
    return -1


@jit
def _extension(raw: U8, start: int, length: int) -> int:
    """Tell tenant 0, confidence 1, corrects 2, retracts 3 by length and first letter, or -1."""
    names = (b"tenant", b"confidence", b"corrects", b"retracts")
    for k in range(4):
        if len(names[k]) == length:
            same = True
            for j in range(length):
                same &= names[k][j] == raw[start + j]
            if same:
                return k
    return -1


@jit
def _number(raw: U8, at: int, sort: int, values: I64, fractions: Any, slot: int, i: int) -> Any:
    """Read one number into `values[slot, i]`; return where it ends, or -1."""
    if at >= raw.size:
        return -1
    first = np.int64(raw[at])
    if sort == FLAG:
        if not 0xC2 <= first <= 0xC3:
            return -1
        values[slot, i] = first - 0xC2
        return at + 1
    if first == 0xCB:
        if sort != FRACTION or at + 9 > raw.size:
            return -1
        values[slot, i] = np.int64(_big(raw, at + 1, 8))
        return at + 9
    value, end = _whole(raw, at)
    if end < 0:
        return -1
    if sort == FRACTION:
        fractions[slot, i] = float(value)
    else:
        values[slot, i] = value
    return end


@jit
def _payload(raw: U8, at: int, i: int, plan: Plan, rows: Rows, used: int) -> tuple[int, int]:
    """Read the payload of row `i`; return where it ends, or -1, and how many fields were met."""
    start, length, slots = rows.start, rows.length, rows.slots
    pairs, at = _pairs(raw, at)
    if at < 0:
        return -1, used
    for _ in range(pairs):
        name, size, at = _text(raw, at)
        k = _field(raw, name, size, plan.offsets, plan.content) if at >= 0 else -1
        if k < 0 or rows.met[k] == i or at >= raw.size:
            return -1, used
        rows.met[k] = i
        if slots[k] < 0:
            slots[k] = used
            rows.values[used, :] = plan.blank[k]
            rows.present[used, :] = False
            if plan.sort[k] == TEXT:
                length[plan.text_row[k], :] = 0
                start[plan.text_row[k], :] = 0
            used += 1
        if raw[at] == 0xC0:
            at += 1
            continue
        if plan.sort[k] == TEXT:
            row = plan.text_row[k]
            start[row, i], length[row, i], at = _text(raw, at)
        else:
            at = _number(raw, at, plan.sort[k], rows.values, rows.fractions, slots[k], i)
            rows.present[slots[k], i] = True
        if at < 0:
            return -1, used
    return at, used


@jit
def _extensions(
    raw: U8, at: int, i: int, start: I64, length: I64, confidence: Any, does: Any
) -> int:
    """Read the extensions of row `i`; return where they end, or -1."""
    pairs, at = _pairs(raw, at)
    met = 0
    for _ in range(pairs):
        if at < 0:
            return -1
        name, size, at = _text(raw, at)
        k = _extension(raw, name, size) if at >= 0 else -1
        if k < 0 or met >> k & 1 or at >= raw.size:
            return -1
        met |= 1 << k
        if raw[at] == 0xC0:
            at += 1
        elif k == 1:
            given = np.empty((1, 1), np.int64)
            at = _number(raw, at, FRACTION, given, given.view(np.float64), 0, 0)
            confidence[i] = given.view(np.float64)[0, 0]
        else:
            found, size, at = _text(raw, at)
            if at < 0:
                return -1
            if k == 0:
                start[TENANT, i], length[TENANT, i] = found, size
            elif size > 0 and (k == 2 or does[i] != _CORRECTS):
                does[i] = _CORRECTS if k == 2 else _RETRACTS
                start[TARGET, i], length[TARGET, i] = found, size
    return at


@jit
def _envelope(raw: U8, at: int, i: int, rows: Rows) -> Any:
    """Read what is before the payload of row `i`; return where it ends, or -1."""
    row = 0
    for place in range(7):
        if at < 0 or at >= raw.size:
            return -1
        if place not in (_VERSION, _TIME):
            rows.start[row, i], rows.length[row, i], at = _text(raw, at)
            row += 1
        elif raw[at] == 0xC0:
            at += 1
            if place == _VERSION:
                rows.version[i] = 1
            else:
                rows.time[i] = ABSENT
        elif place == _VERSION:
            rows.version[i], at = _whole(raw, at)
        else:
            rows.time[i], at = _whole(raw, at)
    return at


@jit
def scan(raw: U8, at: int, plan: Plan, rows: Rows) -> int:
    """Read all rows; return how many fields were met, or UNREAD."""
    used = 0
    for i in range(rows.version.size):
        rows.begin[i] = at
        if at >= raw.size or (raw[at] != 0x98 and raw[at] != 0x99):
            return UNREAD
        more = raw[at] == 0x99
        rows.confidence[i] = 1.0
        rows.length[TENANT, i] = rows.length[TARGET, i] = 0
        rows.start[TENANT, i] = rows.start[TARGET, i] = 0
        at = _envelope(raw, at + 1, i, rows)
        if at >= 0:
            at, used = _payload(raw, at, i, plan, rows, used)
        if at >= 0 and more:
            at = _extensions(raw, at, i, rows.start, rows.length, rows.confidence, rows.does)
        if at < 0:
            return UNREAD
    rows.begin[rows.version.size] = at
    return used if at == raw.size else UNREAD


@jit
def copy_spans(raw: U8, start: I64, offsets: I64, out: U8) -> None:
    """Copy the spans that begin at `start` into `out`; `offsets` says where each goes."""
    for i in range(start.size):
        for j in range(offsets[i + 1] - offsets[i]):
            out[offsets[i] + j] = raw[start[i] + j]


@jit
def encode_spans(slots: I32, raw: U8, start: I64, length: I64, codes: I32, first: I32) -> int:
    """Number the distinct spans as they come, into `codes`, -1 of an empty one; return how many.

    `first`: of each, where it was met first.
    """
    mask = np.uint64(slots.size - 1)
    count = 0
    for i in range(start.size):
        size, begin = length[i], start[i]
        if size == 0:
            codes[i] = -1
            continue
        a, b = np.uint64(size), np.uint64(0)
        for w in range(size // 8):
            a, b = mixed(a, b, load(raw, begin + 8 * w))
        word = np.uint64(0)
        for j in range(begin + size // 8 * 8, begin + size):
            word = word << np.uint64(8) | np.uint64(raw[j])
        a, b = mixed(a, b, word)
        at = a & mask
        while True:
            known = slots[at]
            if known < 0:
                slots[at], first[count], codes[i] = count, i, count
                count += 1
                break
            other = first[known]
            if length[other] == size:
                same = True
                for j in range(size):
                    same &= raw[start[other] + j] == raw[begin + j]
                if same:
                    codes[i] = known
                    break
            at = (at + np.uint64(1)) & mask
    return count
