"""Skimming: what a msgpack message claims to hold, before anything of it takes memory.

One pass over the bytes, and nothing is built: depth, widths and kinds of values are judged here,
so that what is decoded afterwards is no larger than its message allows. The number of pairs in
its maps tells whether one of them names a field twice, which decoding alone keeps silent about.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest, Malformed, TooMany

DEEPEST = 16  # levels of lists and maps in a message
MOST_EVENTS = 1_000_000  # in one message; a row of msgpack is at least 16 bytes of its 16 MiB
WIDEST = 1024  # entries of a list or map inside a row: no contract has as many fields
MOST_LISTS = 3 * MOST_EVENTS + 1  # each row is a list of its own and has at most two maps
_GOOD, _BROKEN, _DEEP, _WIDE, _EXTENSION, _NAME = range(6)

_jit = numba.njit(cache=True, nogil=True)


@_jit
def _number(raw: Any, at: int, width: int) -> int:
    """Return a big-endian number of `width` bytes."""
    value = 0
    for i in range(width):
        value = value << 8 | int(raw[at + i])
    return value


@_jit
def _token(raw: Any, at: int) -> tuple[int, int, int, int]:
    """Return (sort, where its head ends, entries, bytes behind the head) of the value at `at`.

    Sorts: 0 plain, 1 text, 2 list, 3 map, 4 extension, 5 no value at all or cut off.
    """
    size, first = raw.size, int(raw[at])
    if 0xA0 <= first < 0xC0:
        return 1, at + 1, 0, first & 31
    if first < 0x80 or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3):
        return 0, at + 1, 0, 0
    if first < 0x90:
        return 3, at + 1, first & 15, 0
    if first < 0xA0:
        return 2, at + 1, first & 15, 0
    if first in (0xCC, 0xD0):
        return 0, at + 1, 0, 1
    if first in (0xCD, 0xD1):
        return 0, at + 1, 0, 2
    if first in (0xCE, 0xD2, 0xCA):
        return 0, at + 1, 0, 4
    if first in (0xCF, 0xD3, 0xCB):
        return 0, at + 1, 0, 8
    if first in (0xC7, 0xC8, 0xC9) or 0xD4 <= first <= 0xD8:
        return 4, at + 1, 0, 0
    if first == 0xC1:
        return 5, at, 0, 0
    sort, width = 0, 1 << (first - 0xC4)  # byte strings: 8, 16 or 32 bits of length
    if 0xD9 <= first <= 0xDB:
        sort, width = 1, 1 << (first - 0xD9)
    elif first in (0xDC, 0xDD):
        sort, width = 2, 2 << (first - 0xDC)
    elif first in (0xDE, 0xDF):
        sort, width = 3, 2 << (first - 0xDE)
    if at + 1 + width > size:
        return 5, at, 0, 0
    value = _number(raw, at + 1, width)
    return (sort, at + 1 + width, 0, value) if sort < 2 else (sort, at + 1 + width, value, 0)


@_jit
def _walk(raw: Any, deepest: int, rows: int, widest: int, lists: int) -> tuple[int, int]:
    """Return (verdict, pairs in all maps) of a message that should be one value."""
    left = np.zeros(deepest + 2, np.int64)  # values that each open list or map still wants
    names = np.zeros(deepest + 2, np.bool_)  # whether it is a map
    depth, at, pairs, size = 0, 0, 0, raw.size
    want, named = 1, False  # of the innermost
    while True:
        while want == 0 and depth > 0:
            depth -= 1
            want, named = left[depth], names[depth]
        if want == 0:
            return (_GOOD if at == size else _BROKEN), pairs
        if at >= size:
            return _BROKEN, pairs
        if depth > deepest:
            return _DEEP, pairs
        sort, at, entries, behind = _token(raw, at)
        if sort == 5 or behind > size - at:
            return _BROKEN, pairs
        if sort == 4:
            return _EXTENSION, pairs
        if named and want & 1 == 0 and sort != 1:
            return _NAME, pairs
        want -= 1
        at += behind
        if sort >= 2:
            values = entries * (sort - 1)
            if values > size - at:
                return _BROKEN, pairs
            lists -= 1
            if entries > (rows if depth == 0 else widest) or lists < 0:
                return _WIDE, pairs
            left[depth], names[depth] = want, named
            depth += 1
            want, named = values, sort == 3
            if named:
                pairs += entries


def skim(message: bytes) -> int:
    """Return how many pairs the maps of a message have. Raises Malformed, TooMany, TOO_DEEP."""
    raw: NDArray[np.uint8] = np.frombuffer(message, np.uint8)
    verdict, pairs = _walk(raw, DEEPEST, MOST_EVENTS, WIDEST, MOST_LISTS)
    if verdict == _GOOD:
        return int(pairs)
    if verdict == _DEEP:
        raise BadRequest(f"the message nests deeper than {DEEPEST}; flatten it", "TOO_DEEP")
    if verdict == _WIDE:
        raise TooMany(
            f"a message has at most {MOST_EVENTS} events and a row {WIDEST} values; split it"
        )
    if verdict == _EXTENSION:
        raise Malformed("an extension type is no value of an event; send plain msgpack")
    if verdict == _NAME:
        raise Malformed("the name of a field is no text; name fields by texts")
    raise Malformed("the message is no msgpack, or part of it is missing; send a list of rows")


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    skim(b"\x90")
