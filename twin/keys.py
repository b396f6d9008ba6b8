"""Keys: which row holds which twin. One look-up for each event, over bytes, not strings.

A name is tenant/id; rows are given in the order twins are first met and never move.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.arena import untouched
from twin.gather import find_name
from twin.kernels import prefixed
from twin.slots import EMPTY, find_names, first_same, place_names, room
from twin.texts import Texts, hashes, texts


class Located(NamedTuple):
    row: NDArray[np.int64]  # (n,); twins met for the first time get the next rows
    new: Texts  # the names of those, in the order of their rows


class Keys:
    def __init__(self) -> None:
        self.size = 0
        self._starts = np.zeros(1025, np.int64)
        self._arena = np.zeros(16_384, np.uint8)
        self._slots = np.full(2048, EMPTY)

    def find(self, names: Texts, wanted: NDArray[np.uint64] | None = None) -> NDArray[np.int32]:
        """Return the row of each name, or -1. `wanted`: their hashes (n, 2), if known."""
        out = np.empty(names.size, np.int32)
        if wanted is None:
            wanted = hashes(names)
        find_names(
            self._slots,
            self._starts,
            self._arena,
            wanted,
            names.offsets,
            names.content,
            out,
        )
        return out

    def row(self, name: str) -> int:
        """Return the row of one name, or -1: what a point read costs least."""
        content = np.frombuffer(name.encode(), np.uint8)
        row: int = find_name(self._slots, self._starts, self._arena, content)
        return row

    def locate(self, names: Texts, at: NDArray[np.int64]) -> Located:
        """Return the row of the name at each position, without changing anything."""
        if 2 * at.size < names.size:  # else looking up the others costs less than a copy
            names, at = names.take(at), np.arange(at.size)
        wanted = hashes(names)
        row = self.find(names, wanted)[at].astype(np.int64)
        strange = (row < 0).nonzero()[0]
        if not strange.size:
            return Located(row, texts([]))
        same = np.empty(strange.size, np.int32)
        first_same(room(strange.size), wanted[at[strange]], same)
        is_first = same == np.arange(same.size)
        number = np.cumsum(is_first) - 1  # how many were met before each first one
        row[strange] = self.size + number[same]
        return Located(row, names.take(at[strange[is_first]]))

    def add(self, names: Texts) -> None:
        """Give the next rows to `names`, none of which is known."""
        first, last = self.size, self.size + names.size
        if not names.size:
            return
        end = int(self._starts[first])
        self._reserve(last, end + names.content.size + 8)  # the kernel reads whole words
        self._starts[first + 1 : last + 1] = end + names.offsets[1:]
        self._arena[end : end + names.content.size] = names.content
        self.size = last
        place_names(self._slots, hashes(names), first)

    def names(self) -> Texts:
        """Return every name, by row. Shares memory that is never rewritten."""
        starts = self._starts[: self.size + 1]
        return Texts(starts, self._arena[: starts[-1]])

    def name(self, row: int) -> str:
        return self.names().get(row)

    def bytes(self) -> int:
        """Return the memory taken: what is not filled yet takes none."""
        used = (self._starts[: self.size + 1], self._arena[: self._starts[self.size]])
        return self._slots.nbytes + sum(a.nbytes for a in used)

    def _reserve(self, size: int, content: int) -> None:
        if size >= self._starts.size:
            starts = untouched(max(size, 2 * self._starts.size) + 1, np.int64)
            starts[: self.size + 1] = self._starts[: self.size + 1]
            self._starts = starts
        if content > self._arena.size:
            arena = untouched(max(content, 2 * self._arena.size), np.uint8)
            used = int(self._starts[self.size])
            arena[:used] = self._arena[:used]
            self._arena = arena
        if 10 * size > 7 * self._slots.size:
            slots = 1 << int(np.ceil(np.log2(size / 0.6)))
            self._slots = untouched(slots, np.int32)
            self._slots[:] = EMPTY
            place_names(self._slots, hashes(self.names()), 0)


def qualified(tenant: str, ids: Texts, at: NDArray[np.int64] | None = None) -> Texts:
    """Return tenant/id for each id, or for those at some positions."""
    prefix = np.frombuffer(f"{tenant}/".encode(), np.uint8)
    if at is None:
        at = np.arange(ids.size)
    offsets = np.zeros(at.size + 1, np.int64)
    np.cumsum(ids.offsets[at + 1] - ids.offsets[at] + prefix.size, out=offsets[1:])
    content = np.empty(offsets[-1], np.uint8)
    prefixed(prefix, ids.offsets, ids.content, at, content)
    return Texts(offsets, content)
