"""Tallies: rows numbered by the values that they have in common, and what each number adds up to.

Columns are read where they lie, chunk by chunk, or as one chunk of all rows (FLAT). Each kernel is
one pass over the rows (see twin.kernels).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twin.kernels import I32, I64, jit

FLAT = 62  # bits of a chunk that holds every row
ONE = np.zeros(1, np.int64)  # the page of it


@jit
def combine(
    bits: int, pages: I64, codes: Any, stride: int, table: I32, met: I64, count: int, which: I32
) -> int:
    """Turn the number of each row in `which` into one of it and its code together.

    Such pairs (number * stride + code + 1) are numbered as they come, `count` of them before:
    `table` says which number a pair has, or -1, and `met` which pair each number is. Codes are -1
    to stride - 2; others, which are newer than who asks, count as -1. Returns how many pairs there
    are by then, or -1 if over what `met` holds.
    """
    for c in range(-(-which.size >> bits)):
        first = c << bits
        mine = which[first : first + (1 << bits)]
        at = pages[c] << bits
        held = codes[at : at + mine.size]
        for i in range(mine.size):
            code = held[i] + 1
            pair = mine[i] * stride + (code if code < stride else 0)
            number = table[pair]
            if number < 0:
                if count == met.size:
                    return -1
                number = count
                table[pair] = number
                met[count] = pair
                count += 1
            mine[i] = number
    return count


@jit
def tally(which: I32, counts: I64) -> None:
    """Add to `counts` how many rows each group has."""
    for i in range(which.size):
        counts[np.uint32(which[i])] += 1


@jit
def add_up(which: I32, values: Any, least: Any, counts: I64, sums: Any) -> None:
    """Add to `counts` and `sums` of each group its rows' values of `least` or more, in order."""
    for i in range(which.size):
        group = np.uint32(which[i])  # an index that may be negative takes half as long again
        known = values[i] >= least
        counts[group] += known
        sums[group] += float(values[i]) if known else 0.0


@jit
def reach(which: I32, values: Any, least: Any, low: bool, out: Any) -> None:
    """Put the lowest, or highest, value of `least` or more of each group into `out`, NaN before."""
    for i in range(which.size):
        if values[i] >= least:
            held = out[which[i]]
            value = float(values[i])
            if np.isnan(held) or (value < held if low else value > held):
                out[which[i]] = value


@jit
def lowest(bits: int, pages: I64, held: I64, least: int, size: int) -> Any:
    """Return the row with the least value that is `least` or more, and the value; -1 if none is.

    `least` is one more than the least number there is.
    """
    base, best, chunk = np.uint64(least), np.uint64(0xFFFFFFFFFFFFFFFF), -1
    for c in range(-(-size >> bits)):
        at = pages[c] << bits
        mine = held[at : at + min(1 << bits, size - (c << bits))]
        low = np.uint64(0xFFFFFFFFFFFFFFFF)
        for i in range(mine.size):
            low = min(low, np.uint64(mine[i]) - base)  # what is less comes out as the greatest
        if low < best:
            best, chunk = low, c
    value = np.int64(best + base)
    if chunk >= 0:
        at = pages[chunk] << bits
        for i in range(min(1 << bits, size - (chunk << bits))):
            if held[at + i] == value:
                return (chunk << bits) + i, value
    return -1, value


def warm() -> None:
    """Compile every kernel here for what shards hold, or load it."""
    which, one = np.zeros(1, np.int32), np.zeros(1)
    for kind in (np.int8, np.int32):
        for codes in (np.zeros(1, kind), unwritten(kind)):
            combine(FLAT, ONE, codes, 2, np.full(2, -1, np.int32), ONE.copy(), 0, which.copy())
    tally(which, ONE.copy())
    for of in (np.int8, np.int32, np.int64, np.float32, np.float64):
        least = -np.inf if np.dtype(of).kind == "f" else 0
        for values in (np.zeros(1, of), unwritten(of)):
            add_up(which, values, least, ONE.copy(), one.copy())
            reach(which, values, least, True, one.copy())
    for times in (ONE, unwritten(np.int64)):
        lowest(FLAT, ONE, times, 1, 1)


def unwritten(kind: Any) -> Any:
    """Return an array as snapshots give columns: not to be written, which is a type of its own."""
    values = np.zeros(1, kind)
    values.flags.writeable = False
    return values
