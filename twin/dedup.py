"""Dedup: every (source, id) ever journaled, by its 128-bit hash. Exact, and without horizon.

An open-addressed table over columns that only grow: 34 bytes an id, and 6 to 11 of slots.
A parked event that is offered again with new content is replaced: its entry is rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.kernels import EMPTY, enter_ids, find_ids, place_ids

Column = NDArray[Any]
UNSEEN = -1


class Known(NamedTuple):
    """What is remembered of some ids; `entry` is UNSEEN where nothing is."""

    entry: NDArray[np.int32]
    content: NDArray[np.uint64]
    offset: NDArray[np.int64]
    outcome: NDArray[np.int8]
    reason: NDArray[np.int8]


class Seen:
    def __init__(self, room: int = 1024) -> None:
        self.size = 0
        self._columns: dict[str, Column] = {
            "high": np.empty(room, np.uint64),
            "low": np.empty(room, np.uint64),
            "content": np.empty(room, np.uint64),
            "offset": np.empty(room, np.int64),
            "outcome": np.empty(room, np.int8),
            "reason": np.empty(room, np.int8),
        }
        self._slots = np.full(2 * room, EMPTY)

    def find(self, hash_: NDArray[np.uint64]) -> Known:
        """Return what is known of each hash (n, 2)."""
        entry = np.empty(hash_.shape[0], np.int32)
        columns = self._columns
        find_ids(self._slots, columns["high"], columns["low"], hash_, entry)
        names = ("content", "offset", "outcome", "reason")
        return Known(entry, *(columns[name][entry] for name in names))

    def add(
        self, hash_: Column, content: Column, offset: Column, outcome: Column, reason: Column
    ) -> None:
        """Remember events; one that is known already (it was parked) is rewritten."""
        self._reserve(self.size + hash_.shape[0])
        entry = np.empty(hash_.shape[0], np.int32)
        columns = self._columns
        high, low = columns["high"], columns["low"]
        self.size = enter_ids(self._slots, high, low, hash_, self.size, entry)
        values = {"content": content, "offset": offset, "outcome": outcome, "reason": reason}
        for name, value in values.items():
            columns[name][entry] = value  # in order: the last one stands, as when replayed

    def dump(self) -> dict[str, Column]:
        return {name: column[: self.size].copy() for name, column in self._columns.items()}

    def load(self, columns: Mapping[str, Column]) -> None:
        size = columns["high"].size
        self._reserve(size)
        for name, column in self._columns.items():
            column[:size] = columns[name]
        self.size = size
        self._rehash(size)

    def bytes(self) -> int:
        """Return the memory taken: what is not filled yet takes none."""
        return self._slots.nbytes + sum(c[: self.size].nbytes for c in self._columns.values())

    def _reserve(self, size: int) -> None:
        room = self._columns["high"].size
        if size > room:
            for name, column in self._columns.items():
                grown = np.empty(max(size, 2 * room), column.dtype)
                grown[: self.size] = column[: self.size]
                self._columns[name] = grown
        if 10 * size > 7 * self._slots.size:
            self._rehash(size)

    def _rehash(self, size: int) -> None:
        slots = 1 << int(np.ceil(np.log2(max(size, 1024) / 0.6)))
        self._slots = np.full(slots, EMPTY)
        place_ids(self._slots, self._columns["high"], 0, self.size)
