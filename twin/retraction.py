"""Retractions: events that withdraw an earlier one, and corrections that also say what is true.

An event speaks unless a standing retraction names it; a retraction stands unless a standing one
with a greater key names it, so a retraction can be retracted and no two can undo each other. A
retraction may come before its original: then it is a tombstone, and the original never speaks.
It names an event of its own twin: one of another twin is not withdrawn, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import CONTRACTS
from twin.events import RETRACTS
from twin.frames import Frame
from twin.kinds import KINDS

Event = tuple[int, int, int, int]  # the hash of (tenant, source, id), and its twin: kind and row
_KINDS = [list(KINDS).index(contract.kind) for contract in CONTRACTS]
Key = tuple[int, int, int]  # event_time, source rank, half of the hash


class Withdrawal(NamedTuple):
    """One retraction, or the withdrawing half of a correction."""

    target: Event
    by: Event
    key: Key


class Withdrawn:
    """Every retraction a shard knows, by the event it names."""

    def __init__(self) -> None:
        self._of: dict[Event, list[Withdrawal]] = {}

    def __len__(self) -> int:
        return sum(len(found) for found in self._of.values())

    def add(self, entry: Withdrawal) -> bool:
        """Take a retraction in; False if it was known."""
        known = self._of.setdefault(entry.target, [])
        if entry in known:
            return False
        known.append(entry)
        return True

    def silenced(self, event: Event, key: Key | None = None) -> bool:
        """Say whether a standing retraction names `event`. `key`: of it, if it is one."""
        return any(
            (key is None or entry.key > key) and not self.silenced(entry.by, entry.key)
            for entry in self._of.get(event, ())
        )

    def standing(self, event: Event) -> list[Withdrawal]:
        """Return the standing retractions of an event, the one with the greatest key last."""
        found = [e for e in self._of.get(event, ()) if not self.silenced(e.by, e.key)]
        return sorted(found, key=lambda entry: entry.key)

    def speaks(self, frame: Frame) -> NDArray[np.bool_]:
        """Say of each event of a frame whether what it states counts."""
        speaks = np.ones(frame.size, np.bool_)
        if "does" in frame.columns:
            speaks &= frame.columns["does"] != RETRACTS
        if self._of:
            named = np.array([target[0] for target in self._of], np.uint64)
            for i in np.flatnonzero(np.isin(frame.columns["hash"][:, 0], named)).tolist():
                speaks[i] &= not self.silenced(event_of(frame, "hash", i))
        return speaks

    def rows(self) -> dict[str, NDArray[np.int64]]:
        """Return kind -> the rows of the twins that a retraction was ever about, ascending."""
        found: dict[str, set[int]] = {kind: set() for kind in KINDS}
        names = list(KINDS)
        for _, _, kind, row in self._of:
            found[names[kind]].add(row)
        return {kind: np.array(sorted(rows), np.int64) for kind, rows in found.items()}

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return every retraction as two tables of numbers."""
        entries = [entry for found in self._of.values() for entry in found]
        hashes = [(*entry.target[:2], *entry.by[:2], entry.key[2]) for entry in entries]
        times = [(*entry.key[:2], *entry.by[2:]) for entry in entries]
        return {
            "withdrawn.hashes": np.array(hashes, np.uint64).reshape(-1, 5),
            "withdrawn.times": np.array(times, np.int64).reshape(-1, 4),
        }

    def load(self, columns: Mapping[str, NDArray[Any]]) -> None:
        hashes, times = columns["withdrawn.hashes"].tolist(), columns["withdrawn.times"].tolist()
        for (t0, t1, b0, b1, tie), (time, rank, *twin) in zip(hashes, times, strict=True):
            self.add(Withdrawal((t0, t1, *twin), (b0, b1, *twin), (time, rank, tie)))


def withdrawal(frame: Frame, i: int, rank: int) -> Withdrawal:
    """Return what event `i` of a frame withdraws."""
    columns = frame.columns
    by = event_of(frame, "hash", i)
    return Withdrawal(event_of(frame, "target", i), by, (int(columns["time"][i]), rank, by[0]))


def event_of(frame: Frame, name: str, i: int) -> Event:
    """Return event `i` of a frame as a retraction names it; `name`: hash, or target."""
    columns = frame.columns
    high, low = columns[name][i].tolist()
    return high, low, _KINDS[int(columns["contract"][i])], int(columns["row"][i])
