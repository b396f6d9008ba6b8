"""Dedup: every (source, id) ever journaled, by its 128-bit hash. Exact, and without horizon.

An open-addressed table over columns that only grow: 34 bytes an id, and 6 to 11 of slots.
Entries are in the order of offsets. A parked event that is offered again with new content gets a
new one: the old one stays, marked, and is not found any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.arena import untouched
from twin.slots import EMPTY, enter_ids, find_ids, place_live

Column = NDArray[Any]
UNSEEN = -1
REPLACED = -1  # an outcome of none: new content has taken the place of what was parked


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
        """Remember events, in the order of their offsets; one of a known offset is rewritten."""
        self.reserve(self.size + hash_.shape[0])
        high, low, *known = self._columns.values()
        given = (content, offset, outcome, reason)
        near = np.empty(hash_.shape[0], np.int32)
        self.size = enter_ids(
            self._slots, high, low, tuple(known), hash_, given, self.size, REPLACED, near
        )

    def judge(self, first: int, outcome: NDArray[np.int8]) -> None:
        """Say anew what became of the events from offset `first` on, those at the end."""
        start = int(np.searchsorted(self.places()[0], first))
        held = self._columns["outcome"][start : self.size]
        held[held != REPLACED] = outcome[held != REPLACED]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the offsets of all events, in order, and half of the hash of each."""
        return self._columns["offset"][: self.size], self._columns["high"][: self.size]

    def ties(self, offset: Column) -> NDArray[np.uint64]:
        """Return half of the hash of the event at each offset; 0 of a negative one."""
        offsets, high = self.places()
        if not offsets.size:
            return np.zeros(offset.size, np.uint64)
        found = high[np.minimum(np.searchsorted(offsets, offset), self.size - 1)]
        return np.where(offset >= 0, found, np.uint64(0))

    def outcomes(self, offset: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return what became of the event at each offset; REPLACED of one that is not found."""
        if not self.size:
            return np.full(offset.size, REPLACED, np.int8)
        offsets = self.places()[0]
        entry = np.minimum(np.searchsorted(offsets, offset), self.size - 1)
        found = self._columns["outcome"][entry]
        return np.where(offsets[entry] == offset, found, np.int8(REPLACED))

    def offsets(self, outcome: int) -> Column:
        """Return where everything of one outcome was journaled."""
        columns = self._columns
        offsets: Column = columns["offset"][: self.size][columns["outcome"][: self.size] == outcome]
        return offsets

    def dump(self) -> dict[str, Column]:
        """Return all that is remembered, in the order of offsets."""
        live = self._columns["outcome"][: self.size] != REPLACED
        return {name: column[: self.size][live] for name, column in self._columns.items()}

    def load(self, columns: Mapping[str, Column]) -> None:
        size = columns["high"].size
        self.reserve(size)
        order = np.argsort(columns["offset"], kind="stable")
        for name, column in self._columns.items():
            column[:size] = columns[name][order]
        self.size = size
        self._rehash(size)

    def bytes(self) -> int:
        """Return the memory taken: what is not filled yet takes none."""
        return self._slots.nbytes + sum(c[: self.size].nbytes for c in self._columns.values())

    def reserve(self, size: int) -> None:
        """Have room for `size` ids."""
        room = self._columns["high"].size
        if size > room:
            for name, column in self._columns.items():
                grown = untouched(max(size, 2 * room), column.dtype)
                grown[: self.size] = column[: self.size]
                self._columns[name] = grown
        if 10 * size > 7 * self._slots.size:
            self._rehash(size)

    def _rehash(self, size: int) -> None:
        slots = 1 << int(np.ceil(np.log2(max(size, 1024) / 0.6)))
        self._slots = untouched(slots, np.int32)
        self._slots[:] = EMPTY
        place_live(
            self._slots, self._columns["high"], self._columns["outcome"], self.size, REPLACED
        )
