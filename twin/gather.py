"""Gathering: values of some rows out of chunked columns, and how many of them are known.

Each kernel is one pass over the rows where numpy takes several (see twin.kernels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest
from twin.kernels import I32, I64, U8, U64, id_like, jit, load, siphash
from twin.slots import EMPTY, find_names, number_rows
from twin.tallies import unwritten
from twin.texts import Texts, texts

NEWLINE = 10
SHORT = 127  # codes that one byte can name
WORDS = {1: np.int8, 4: np.int32, 8: np.int64}  # values are put back as words of their size
KINDS = {"b": 1, "i": 4, "f": 5, "l": 8, "d": 9}  # of columns in `meet`, by their dtype's char
TOGETHER = 4  # columns in one `meet`: each number of them is compiled apart
_ROOM = 256


@jit
def held_at(at: U64, held: Any, least: Any, out: Any) -> int:
    """Put what is held at each place into `out`; return how many are `least` or more, no NaN.

    Places are unsigned: an index that may be negative takes twice as long.
    """
    for i in range(at.size):
        out[i] = held[at[i]]
    known = 0
    for i in range(at.size):
        known += out[i] >= least
    return known


@jit
def at_least(values: Any, least: Any) -> int:
    """Return how many values are `least` or more, no NaN."""
    known = 0
    for i in range(values.size):
        known += values[i] >= least
    return known


@jit
def told(bits: int, pages: I64, rows: Any, held: Any, least: Any, at: U64, out: Any) -> int:
    """Put where each row lies into `at`, what is held there into `out`; return how many know.

    Known is what is `least` or more.
    """
    within = np.uint64((1 << bits) - 1)
    for i in range(rows.size):
        row = np.uint64(rows[i])
        at[i] = (np.uint64(pages[row >> np.uint64(bits)]) << np.uint64(bits)) + (row & within)
    known: int = held_at(at, held, least, out)
    return known


@jit
def meet(bits: int, pages: Any, cells: Any, kinds: I64, least: I64, most: I64, out: Any) -> None:
    """Say of each row whether its value in every column is `least` to `most`; NaN never is.

    `cells`: the columns as bytes, `kinds` says of what (see KINDS), ends as words of 8 bytes.
    """
    for c in range(-(-out.size >> bits)):
        first = c << bits
        _chunk_meets(bits, pages, cells, kinds, least, most, c, out[first : first + (1 << bits)])


@jit
def sift(
    bits: int,
    pages: Any,
    cells: Any,
    kinds: I64,
    least: I64,
    most: I64,
    span: tuple[int, int, int],
    out: I64,
) -> Any:
    """Put the rows that `meet` would be true of into `out`; return how many there are by then.

    `span`: how many there are already, the chunk to go on with, and the rows in all. Where `out`
    may not hold those of a chunk it stops before; returned too is which chunk that is.
    """
    count, begin, size = span
    chunks = -(-size >> bits)
    mask = np.empty(1 << bits, np.uint8)
    for c in range(begin, chunks):
        first = c << bits
        mine = mask[: min(1 << bits, size - first)]
        if count + mine.size > out.size:
            return count, c
        _chunk_meets(bits, pages, cells, kinds, least, most, c, mine.view(np.bool_))
        words = mine.size // 8
        for w in range(words):  # of few rows: most words are empty
            if load(mine, 8 * w):
                for i in range(8 * w, 8 * w + 8):
                    out[count] = first + i
                    count += mine[i]
        for i in range(8 * words, mine.size):
            out[count] = first + i
            count += mine[i]
    return count, chunks


@jit
def _chunk_meets(
    bits: int, pages: Any, cells: Any, kinds: I64, least: I64, most: I64, c: int, mine: Any
) -> None:
    mine[:] = True
    for s in range(len(cells)):
        wide = 1 if kinds[s] == 1 else 4 if kinds[s] <= 5 else 8
        at = (pages[s][c] << bits) * wide
        raw = cells[s][at : at + (wide << bits)]
        if wide == 1:
            _within(raw.view(np.int8), np.int8(least[s]), np.int8(most[s]), mine)
        elif kinds[s] == 4:
            _within(raw.view(np.int32), np.int32(least[s]), np.int32(most[s]), mine)
        elif kinds[s] == 8:
            _within(raw.view(np.int64), least[s], most[s], mine)
        else:
            low = least[s : s + 1].view(np.float64)[0]
            high = most[s : s + 1].view(np.float64)[0]
            if wide == 8:
                _within(raw.view(np.float64), low, high, mine)
            else:
                _within(raw.view(np.float32), low, high, mine)


@jit
def _within(chunk: Any, least: Any, most: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] &= (chunk[i] >= least) & (chunk[i] <= most)


@jit
def enter(slots: I32, at: I64, first: int) -> None:
    """Enter the positions of `at` from `first` on; where a place repeats, the first stands."""
    mask = np.uint64(slots.size - 1)
    for i in range(first, at.size):
        slot = (np.uint64(at[i]) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while slots[slot] >= 0 and at[slots[slot]] != at[i]:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i


@jit
def put_back(slots: I32, noted: I64, held: Any, at: Any, values: Any) -> int:
    """Replace the values whose places are noted by what was held there; return how many."""
    mask = np.uint64(slots.size - 1)
    count = 0
    for i in range(at.size):
        place = np.int64(at[i])
        slot = (np.uint64(place) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while slots[slot] >= 0 and noted[slots[slot]] != place:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] >= 0:
            values[i] = held[slots[slot]]
            count += 1
    return count


@jit
def put_whole(bits: int, chunk: I64, at: I64, held: Any, whole: Any) -> None:
    """Put what was held at places into a whole column, where their chunks are among its own."""
    for i in range(at.size):
        mine = chunk[at[i] >> bits]
        row = (mine << bits) + (at[i] & ((1 << bits) - 1))
        if mine >= 0 and row < whole.size:
            whole[row] = held[i]


@jit
def number_codes(codes: Any, out: Any, distinct: Any) -> int:
    """Number the distinct codes as they come, into `out`; return how many, or -1 if over SHORT."""
    slots = np.full(_ROOM, -1, np.int16)
    count = 0
    for i in range(codes.size):
        at = codes[i] & (_ROOM - 1)
        while slots[at] >= 0 and distinct[slots[at]] != codes[i]:
            at = (at + 1) & (_ROOM - 1)
        if slots[at] < 0:
            if count == SHORT:
                return -1
            slots[at] = count
            distinct[count] = codes[i]
            count += 1
        out[i] = slots[at]
    return count


@jit
def find_name(slots: I32, starts: I64, arena: U8, content: U8) -> int:
    """Return the entry whose text is `content`, or EMPTY (see twin.slots)."""
    offsets = np.zeros(2, np.int64)
    offsets[1] = content.size
    wanted, out = np.empty((1, 2), np.uint64), np.empty(1, np.int32)
    siphash(offsets, content, np.zeros(1, np.uint64), wanted)
    find_names(slots, starts, arena, wanted, offsets, content, out)
    found: int = out[0]
    return found


@jit
def id_signs(
    offsets: I64, content: U8, rows: I64, skip: int, wanted: U8, begin: bool, out: U8
) -> None:
    """Put into `out` how each text without its first `skip` bytes is to another: 0 less, 1, 2.

    `begin`: 1 where it begins with the other.
    """
    for i in range(rows.size):
        first = offsets[rows[i]] + skip
        length = offsets[rows[i] + 1] - first
        shorter = min(length, wanted.size)
        sign = 1
        for j in range(shorter):
            if content[first + j] != wanted[j]:
                sign = 2 if content[first + j] > wanted[j] else 0
                break
        if sign == 1 and length != wanted.size and not (begin and length > wanted.size):
            sign = 2 if length > wanted.size else 0
        out[i] = sign


@jit
def id_words(offsets: I64, content: U8, rows: I64, skip: int, out: U64) -> None:
    """Put the eight bytes behind the first `skip` of each text into `out`, 0 beyond its end.

    The first of them counts most, so that they are in the order of the texts.
    """
    for i in range(rows.size):
        first, last = offsets[rows[i]] + skip, offsets[rows[i] + 1]
        word = np.uint64(0)
        for j in range(8):
            byte = content[first + j] if first + j < last else 0
            word = word << np.uint64(8) | np.uint64(byte)
        out[i] = word


@jit
def _named(prefix: U8, lines: U8, offsets: I64, out: U8) -> None:
    to, count = 0, 0
    begins = True
    for i in range(lines.size):
        if begins:
            for j in range(prefix.size):
                out[to + j] = prefix[j]
            to += prefix.size
        begins = lines[i] == NEWLINE
        if begins:
            count += 1
            offsets[count] = to
        else:
            out[to] = lines[i]
            to += 1


def named(tenant: str, lines: bytes) -> Texts:
    """Return tenant/id for each id in `lines`, every one of which ends with a newline.

    Raises BadRequest where the last one does not.
    """
    count = lines.count(b"\n")
    if lines and not lines.endswith(b"\n"):
        raise BadRequest("name twins by `ids` or by `lines`, each of which ends with a newline")
    prefix = np.frombuffer(f"{tenant}/".encode(), np.uint8)
    offsets: NDArray[np.int64] = np.zeros(count + 1, np.int64)
    content = np.empty(len(lines) + count * (prefix.size - 1), np.uint8)
    _named(prefix, np.frombuffer(lines, np.uint8), offsets, content)
    return Texts(offsets, content)


def warm() -> None:
    """Compile every kernel here for what shards hold, or load it."""
    rows, at = np.zeros(1, np.int64), np.empty(1, np.uint64)
    pages, times = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for one in (rows, rows.astype(np.int32)):
        told(0, pages, one, times, 0, at, times.copy())
    for kind in (np.int64, np.int32, np.int8, np.float64, np.float32):
        held = np.zeros(1, kind)
        held_at(at, held, 0, held.copy())
        at_least(held, 0)
    held_at(at, np.zeros(1), -np.inf, np.zeros(1))
    at_least(np.zeros(1), -np.inf)
    number_codes(np.zeros(1, np.int32), np.zeros(1, np.int8), np.zeros(SHORT, np.int32))
    name = named("t", b"a\n")
    content = np.frombuffer(name.content.tobytes(), np.uint8)
    find_name(np.full(8, EMPTY), name.offsets, np.zeros(16, np.uint8), content)
    number_rows(np.full(8, EMPTY), unwritten(np.int64), np.zeros(1, np.int32))
    for some in range(1, TOGETHER + 1):
        zeros, cells = np.zeros(some, np.int64), np.zeros(8, np.uint8)
        given = ((pages,) * some, (cells,) * some, zeros + 8, zeros, zeros)
        meet(0, *given, np.zeros(1, np.bool_))
        sift(0, *given, (0, 0, 1), np.zeros(1, np.int64))
    slots, places = np.full(8, EMPTY), np.zeros(1, np.int64)
    enter(slots, places, 0)
    for word in WORDS.values():
        value = np.zeros(1, word)
        for where in (places, at):
            put_back(slots, places, value, where, value.copy())
        put_whole(0, places, places, value, value.copy())
    ids = texts(["t/a"])
    for content in (ids.content, ids.content.copy()):
        id_signs(ids.offsets, content, rows, 2, ids.content, False, np.empty(1, np.uint8))
        id_words(ids.offsets, content, rows, 2, np.empty(1, np.uint64))
        plain, fits = ids.content.copy(), np.empty(1, np.bool_)
        id_like(ids.offsets, content, rows, 2, plain, np.zeros(plain.size, np.uint8), True, fits)
