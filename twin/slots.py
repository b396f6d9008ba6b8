"""Slots: open-addressed tables from hashes to entries, as kernels (see twin.kernels).

Slots are a power of two; EMPTY where there is no entry. Which hash an entry has is in columns of
the caller, or follows from its text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twin.kernels import I32, I64, U8, U64, jit, load

EMPTY = np.int32(-1)


def room(n: int) -> I32:
    """Return an empty open-addressed table for `n` entries."""
    slots: I32 = np.full(1 << max(3, (2 * n).bit_length()), EMPTY)
    return slots


@jit
def find_ids(slots: I32, high: U64, low: U64, hashes: U64, out: I32) -> None:
    """Put into `out` the entry of each hash in an open-addressed table, or EMPTY."""
    mask = np.uint64(slots.size - 1)
    for i in range(hashes.shape[0]):  # reads that wait for nothing go side by side
        out[i] = slots[hashes[i, 0] & mask]
    for i in range(hashes.shape[0]):
        at, entry = hashes[i, 0] & mask, out[i]
        while entry >= 0 and (high[entry] != hashes[i, 0] or low[entry] != hashes[i, 1]):
            at = (at + np.uint64(1)) & mask
            entry = slots[at]
        out[i] = entry


@jit
def enter_ids(
    slots: I32,
    high: U64,
    low: U64,
    known: tuple[U64, I64, Any, Any],
    hashes: U64,
    given: tuple[U64, I64, Any, Any],
    size: int,
    gone: int,
    near: I32,
) -> int:
    """Enter (content, offset, outcome, reason) of each hash from `size` on; return the new size.

    An entry of the same offset is rewritten. One of another is `gone`: a new one takes its place,
    so that offsets are in order. `near` (n,) is overwritten.
    """
    content, offset, outcome, reason = known
    mask = np.uint64(slots.size - 1)
    for i in range(hashes.shape[0]):  # reads that wait for nothing go side by side
        near[i] = slots[hashes[i, 0] & mask]
    for i in range(hashes.shape[0]):
        at = hashes[i, 0] & mask
        entry = slots[at]
        while entry >= 0 and (high[entry] != hashes[i, 0] or low[entry] != hashes[i, 1]):
            at = (at + np.uint64(1)) & mask
            entry = slots[at]
        if entry < 0 or offset[entry] != given[1][i]:
            if entry >= 0:
                outcome[entry] = gone
            entry = size
            slots[at] = entry
            high[entry], low[entry] = hashes[i, 0], hashes[i, 1]
            size += 1
        content[entry], offset[entry] = given[0][i], given[1][i]
        outcome[entry], reason[entry] = given[2][i], given[3][i]
    return size


@jit
def place_ids(slots: I32, high: U64, first: int, last: int) -> None:
    """Enter the entries first..last-1, whose hashes are not in the table, into `slots`."""
    mask = np.uint64(slots.size - 1)
    for entry in range(first, last):
        at = high[entry] & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = entry


@jit
def place_names(slots: I32, hashes: U64, first: int) -> None:
    """Enter entries from `first` on, one for each hash (n, 2) of a name not in the table."""
    mask = np.uint64(slots.size - 1)
    for i in range(hashes.shape[0]):
        at = hashes[i, 0] & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = first + i


@jit
def place_live(slots: I32, high: U64, outcome: Any, size: int, gone: int) -> None:
    """Enter the entries 0..size-1 but those that are gone."""
    mask = np.uint64(slots.size - 1)
    for entry in range(size):
        if outcome[entry] == gone:
            continue
        at = high[entry] & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = entry


@jit
def find_names(
    slots: I32, starts: I64, arena: U8, wanted: U64, offsets: I64, content: U8, out: I32
) -> None:
    """Put into `out` the entry whose text equals each wanted one, or EMPTY.

    In passes: where memory is read at random, reads that wait for nothing go side by side. The
    last 8 bytes tell most texts apart; `arena` has 8 more than its texts.
    """
    n = wanted.shape[0]
    mask = np.uint64(slots.size - 1)
    for i in range(n):
        out[i] = slots[wanted[i, 0] & mask]
    end = np.empty(n, np.int64)
    for i in range(n):
        end[i] = starts[out[i] + 1] if out[i] >= 0 else 8
    tail = np.empty(n, np.uint64)
    for i in range(n):
        tail[i] = load(arena, max(end[i] - 8, 0))
    for i in range(n):
        at, entry = wanted[i, 0] & mask, out[i]
        length = offsets[i + 1] - offsets[i]
        if entry >= 0 and length >= 8 and tail[i] != load(content, offsets[i + 1] - 8):
            at = (at + np.uint64(1)) & mask
            entry = slots[at]
        while entry >= 0 and not (
            starts[entry + 1] - starts[entry] == length
            and _equal(arena, starts[entry], content, offsets[i], length)
        ):
            at = (at + np.uint64(1)) & mask
            entry = slots[at]
        out[i] = entry


@jit
def _equal(left: U8, a: int, right: U8, b: int, length: int) -> bool:
    whole = length // 8
    for w in range(whole):
        if load(left, a + 8 * w) != load(right, b + 8 * w):
            return False
    same = True
    for j in range(8 * whole, length):
        same &= left[a + j] == right[b + j]
    return same


@jit
def first_same(slots: I32, hashes: U64, out: I32) -> None:
    """Put into `out` the first position of each hash (n, 2); `slots` are EMPTY, over 2n of them."""
    mask = np.uint64(slots.size - 1)
    for i in range(hashes.shape[0]):
        at = hashes[i, 0] & mask
        while True:
            entry = slots[at]
            if entry < 0:
                slots[at] = i
                out[i] = i
                break
            if hashes[entry, 0] == hashes[i, 0] and hashes[entry, 1] == hashes[i, 1]:
                out[i] = entry
                break
            at = (at + np.uint64(1)) & mask


@jit
def number_rows(slots: I32, rows: I64, out: I32) -> int:
    """Number the distinct rows as they come, into `out`; return how many there are."""
    mask = np.uint64(slots.size - 1)
    met = np.empty(rows.size, np.int64)
    count = 0
    for i in range(rows.size):
        at = (np.uint64(rows[i]) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while True:
            entry = slots[at]
            if entry < 0:
                slots[at] = count
                met[count] = rows[i]
                out[i] = count
                count += 1
                break
            if met[entry] == rows[i]:
                out[i] = entry
                break
            at = (at + np.uint64(1)) & mask
    return count
