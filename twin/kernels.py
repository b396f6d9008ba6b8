"""Kernels: the few loops that run once per event, compiled with numba.

Each has a plain reference in tests/twin/plain.py that a property test holds equal. Nothing
compiles at import; `warm` calls each kernel once, so that a cache on disk serves the rest.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

jit = numba.njit(cache=True, nogil=True)


_ONES, _REST = np.uint64(0x0101010101010101), np.uint64(0x7F7F7F7F7F7F7F7F)
_WIDTH = 8  # bytes of a word


@intrinsic
def load(typing: Any, content: Any, at: Any) -> Any:
    """Return the 8 bytes of `content` at a position, wherever they lie, as one word."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        word = ir.IntType(64)
        found = builder.load(
            builder.bitcast(builder.gep(array.data, [given[1]]), word.as_pointer())
        )
        found.align = 1
        return found

    return types.uint64(content, at), build


@intrinsic
def store(typing: Any, content: Any, at: Any, word: Any) -> Any:
    """Put a word into the 8 bytes of `content` at a position, wherever they lie."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        to = builder.bitcast(builder.gep(array.data, [given[1]]), ir.IntType(64).as_pointer())
        builder.store(given[2], to).align = 1
        return context.get_dummy_value()

    return types.void(content, at, types.uint64), build


@jit
def _turn(word: Any, bits: Any) -> Any:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@jit
def _rounds(v0: Any, v1: Any, v2: Any, v3: Any, times: int) -> Any:
    for _ in range(times):
        v0, v2 = v0 + v1, v2 + v3
        v1, v3 = _turn(v1, 13) ^ v0, _turn(v3, 16) ^ v2
        v0, v2 = _turn(v0, 32) + v3, v2 + v1
        v3, v1 = _turn(v3, 21) ^ v0, _turn(v1, 17) ^ v2
        v2 = _turn(v2, 32)
    return v0, v1, v2, v3


@jit
def siphash(offsets: I64, content: U8, salt: U64, out: U64) -> None:
    """Fill `out` (n, 2) with SipHash-2-4-128 of each text, keyed by `salt` of its row.

    The key is (K0 ^ salt, K1), K as in the SipHash paper's test vectors; a salt of 0 gives
    exactly those vectors. Little endian, as the paper says.
    """
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        k0 = np.uint64(0x0706050403020100) ^ salt[i]
        k1 = np.uint64(0x0F0E0D0C0B0A0908)
        v0 = k0 ^ np.uint64(0x736F6D6570736575)
        v1 = k1 ^ np.uint64(0x646F72616E646F6D) ^ np.uint64(0xEE)
        v2 = k0 ^ np.uint64(0x6C7967656E657261)
        v3 = k1 ^ np.uint64(0x7465646279746573)
        length = end - start
        whole = length // 8
        for w in range(whole + 1):
            first = start + 8 * w
            if w < whole:
                word = load(content, first)
            else:
                word = np.uint64(length & 0xFF) << np.uint64(56)
                for j in range(first, end):
                    word |= np.uint64(content[j]) << np.uint64(8 * (j - first))
            v3 ^= word
            v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 2)
            v0 ^= word
        v2 ^= np.uint64(0xEE)
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 4)
        out[i, 0] = v0 ^ v1 ^ v2 ^ v3
        v1 ^= np.uint64(0xDD)
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 4)
        out[i, 1] = v0 ^ v1 ^ v2 ^ v3


@jit
def mixed(a: Any, b: Any, word: Any) -> Any:
    """Return (a, b) with a 64-bit word folded in: two rounds of MurmurHash3's mixer."""
    w = word * np.uint64(0x87C37B91114253D5)
    a = _turn(a ^ (_turn(w, 31) * np.uint64(0x4CF5AD432745937F)), 27) + b
    a = a * np.uint64(5) + np.uint64(0x52DCE729)
    b = _turn(b ^ (_turn(a, 33) * np.uint64(0x4CF5AD432745937F)), 31) + a
    b = b * np.uint64(5) + np.uint64(0x38495AB5)
    return a, b


@jit
def decide_latest(
    number: I32, new: I64, new_tie: U64, held: I64, held_tie: U64, winner: I32, applied: Any
) -> None:
    """Let events compete in order of arrival, each with what holds its row when it comes.

    `new`, `held` (n, 3): value, event_time, source rank; then the tie decides. `winner`: per row
    number the last event that won, -1 if none did.
    """
    for i in range(number.size):
        w = winner[number[i]]
        if w < 0:
            a, b, c, t = held[i, 0], held[i, 1], held[i, 2], held_tie[i]
        else:
            a, b, c, t = new[w, 0], new[w, 1], new[w, 2], new_tie[w]
        if new[i, 0] != a:
            won = new[i, 0] > a
        elif new[i, 1] != b:
            won = new[i, 1] > b
        elif new[i, 2] != c:
            won = new[i, 2] > c
        else:
            won = new_tie[i] > t
        if won:
            winner[number[i]] = i
            applied[i] = True


@jit
def compete(
    at: I64,
    place: I64,
    first: int,
    time: I64,
    source: I32,
    hash_: U64,
    confidence: Any,
    rank: I64,
    seen_offset: I64,
    seen_tie: U64,
    held_time: I64,
    held_offset: I64,
    held_source: I32,
    held_confidence: Any,
    won: Any,
) -> None:
    """Let the events at `at` of a frame compete for `place`, in order; write down who decides.

    The greatest (time, rank of the source, tie) wins; `first` is the offset of the frame. The tie
    of what is held is in the frame itself, or in `seen_tie` where `seen_offset`, sorted, has it.
    """
    for i in range(at.size):
        e, p = at[i], place[i]
        if time[e] != held_time[p]:
            wins = time[e] > held_time[p]
        else:
            mine, held = rank[source[e]], held_source[p]
            other = rank[held] if held >= 0 else -1
            if mine != other:
                wins = mine > other
            else:
                own = held_offset[p] - first
                if 0 <= own < time.size:
                    tie = hash_[own, 0]
                else:
                    tie = seen_tie[np.searchsorted(seen_offset, held_offset[p])]
                wins = hash_[e, 0] > tie
        won[i] = wins
        if wins:
            held_time[p], held_offset[p], held_source[p] = time[e], first + e, source[e]
            held_confidence[p] = confidence[e]


@jit
def chain(slots: I32, row: I64, offset: I64, prev: I64) -> None:
    """Turn `prev`, the newest event of each row so far, into the one before each event."""
    mask = np.uint64(slots.size - 1)
    for i in range(row.size):
        at = (np.uint64(row[i]) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while slots[at] >= 0 and row[slots[at]] != row[i]:
            at = (at + np.uint64(1)) & mask
        if slots[at] >= 0:
            prev[i] = offset[slots[at]]
        slots[at] = i


@jit
def prefixed(prefix: U8, offsets: I64, content: U8, at: I64, out: U8) -> None:
    """Write `prefix` and the text at each position into `out`, one behind the other."""
    to = 0
    for i in range(at.size):
        for j in range(prefix.size):
            out[to + j] = prefix[j]
        to += prefix.size
        for j in range(offsets[at[i]], offsets[at[i] + 1]):
            out[to] = content[j]
            to += 1


@jit
def take_texts(offsets: I64, content: U8, at: I64, skip: int) -> Any:
    """Return the offsets and the content of the texts at `at`, without their first `skip` bytes.

    They are copied by words, each up to 7 bytes beyond its text, where the next one comes; the
    first pass waits for no text, so that what it reads at random is read side by side.
    """
    ends = np.empty(at.size + 1, np.int64)
    begins = np.empty(at.size, np.int64)
    ends[0] = 0
    for i in range(at.size):
        begins[i] = offsets[at[i]] + skip
        ends[i + 1] = ends[i] + offsets[at[i] + 1] - begins[i]
    out = np.empty(ends[-1] + 8, np.uint8)
    for i in range(at.size):
        start, base = begins[i], ends[i]
        length = ends[i + 1] - base
        if start + length + 8 <= content.size:
            for j in range(0, length, 8):
                store(out, base + j, load(content, start + j))
        else:
            for j in range(length):
                out[base + j] = content[start + j]
    return ends, out[: ends[-1]]


@jit
def well_formed(offsets: I64, content: U8, first: Any, inner: Any, longest: int, good: Any) -> None:
    """Say of each text whether it has 1 to `longest` allowed bytes."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        fine = start < end and end - start <= longest and first[content[start]]
        j = start + 1
        while fine and j < end:
            fine = inner[content[j]]
            j += 1
        good[i] = fine


@jit
def spread(may: Any, contract: Any, reason: Any, held: Any, blank: Any, out: Any) -> None:
    """Put what is held, a value for each event that carries one, where those events are.

    An event carries one if it has no reason against it, and its contract may; the others are blank.
    """
    at = 0
    for i in range(out.size):
        if reason[i] == 0 and may[contract[i]]:
            out[i] = held[at]
            at += 1
        else:
            out[i] = blank


@jit
def places(bits: int, pages: I64, frozen: Any, rows: I64, out: I64, met: Any) -> int:
    """Put where each row lies into `out`; mark the frozen chunks, return whether there are any."""
    some = 0
    for i in range(rows.size):
        chunk = rows[i] >> bits
        out[i] = (pages[chunk] << bits) + (rows[i] & ((1 << bits) - 1))
        if frozen[chunk]:
            met[chunk] = True
            some = 1
    return some


@jit
def _lower(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else byte


@jit
def _other(byte: int, fold: bool) -> int:
    """Return a byte, or with `fold` its other case, if it has one."""
    if fold and 65 <= _lower(byte) - 32 <= 90:
        return byte ^ 32
    return byte


@jit
def _places(word: Any, byte: Any, other: Any) -> Any:
    """Return the high bit of each byte of a word that is one of two; each of them fills a word."""
    a, b = word ^ byte, word ^ other
    return ~(((a & _REST) + _REST) | a | _REST) | ~(((b & _REST) + _REST) | b | _REST)


@jit
def _ends(
    offsets: I64, content: U8, rows: I64, pattern: U8, kinds: U8, fold: bool, span: Any, begin: I64
) -> None:
    """Put where each text goes on behind the head of a pattern, -1 if head or tail do not fit."""
    skip, head, tail = span
    whole = head == kinds.size
    for r in range(begin.size):
        row = rows[r] if rows.size else r
        at, last = offsets[row] + skip, offsets[row + 1]
        fits = last - at == head if whole else last - at >= head + tail
        j, to = kinds.size - tail, last - tail
        while fits and j < kinds.size:
            byte, wanted = content[to], pattern[j]
            fits = kinds[j] == 1 or byte == wanted or (fold and _lower(byte) == _lower(wanted))
            j, to = j + 1, to + 1
        j, to = 0, at
        while fits and j < head:
            byte, wanted = content[to], pattern[j]
            fits = kinds[j] == 1 or byte == wanted or (fold and _lower(byte) == _lower(wanted))
            j, to = j + 1, to + 1
        begin[r] = at + head if fits else -1


@jit
def _seek(
    offsets: I64, content: U8, rows: I64, tail: int, piece: U8, kinds: U8, fold: bool, begin: I64
) -> None:
    """Put where each text goes on behind the first place of a piece, -1 if it has none.

    Its first two bytes are looked for at seven places at a time, if they are given.
    """
    size = piece.size
    two = size > 1 and kinds[0] == 0 and kinds[1] == 0
    a = a_ = b = b_ = np.uint64(0)
    if two:
        a, a_ = _ONES * np.uint64(piece[0]), _ONES * np.uint64(_other(piece[0], fold))
        b, b_ = _ONES * np.uint64(piece[1]), _ONES * np.uint64(_other(piece[1], fold))
    for r in range(begin.size):
        at, found = begin[r], -1
        if at < 0:
            continue
        last = offsets[(rows[r] if rows.size else r) + 1] - tail - size
        while at <= last and found < 0:
            met, step = np.uint64(0x80), 1
            if two and at + _WIDTH <= content.size:
                word = load(content, at)
                met, step = _places(word, a, a_) & _places(word, b, b_) >> np.uint64(8), _WIDTH - 1
            i = at
            while met and found < 0 and i <= last:
                fits = met & np.uint64(0x80) != np.uint64(0)
                k = 0
                while fits and k < size:
                    byte, wanted = content[i + k], piece[k]
                    fits = (
                        kinds[k] == 1 or byte == wanted or (fold and _lower(byte) == _lower(wanted))
                    )
                    k += 1
                if fits:
                    found = i
                met, i = met >> np.uint64(8), i + 1
            at += step
        begin[r] = found + size if found >= 0 else -1


@jit
def id_like(
    offsets: I64, content: U8, rows: I64, skip: int, pattern: U8, kinds: U8, fold: bool, out: Any
) -> None:
    """Say of each text without its first `skip` bytes whether it matches a pattern of bytes.

    Kinds: 0 that byte, 1 any byte, 2 any bytes. What is behind the last 2 is looked at first, as
    ids differ at their ends. `rows`: which texts; all, from the first on, if empty. No array is
    handed to a function for a single text: that would take longer than to look at it.
    """
    head = tail = 0
    while head < kinds.size and kinds[head] != 2:
        head += 1
    while head < kinds.size and kinds[kinds.size - 1 - tail] != 2:
        tail += 1
    begin = np.empty(out.size, np.int64)
    _ends(offsets, content, rows, pattern, kinds, fold, (skip, head, tail), begin)
    first, last = head + 1, kinds.size - tail
    while first < last:
        end = first
        while kinds[end] != 2:
            end += 1
        _seek(offsets, content, rows, tail, pattern[first:end], kinds[first:end], fold, begin)
        first = end + 1
    for r in range(out.size):
        out[r] = begin[r] >= 0
