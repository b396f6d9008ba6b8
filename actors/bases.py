"""Bases: tables of earlier offsets, kept so that a question about the past need not begin at zero.

They are checkpoints without what only a writer needs: dedup and outbox. Nothing depends on them: a
lost or damaged one costs time, and the journal says the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from actors.checkpoints import UNREADABLE, Checkpoints
from actors.disk import Disk
from twin import checkpoint
from twin.admission import Rule
from twin.fold import KindState
from twin.frames import HEAD_SIZE, head
from twin.revisions import Revisions
from twin.transition import Snapshot

MICROS = 1_000_000
DAY_US = 86_400 * MICROS
PREFIX, SUFFIX = "base-", ".twc"
LEFT_OUT = ("seen.", "outbox.")  # columns that only a writer needs
Tables = tuple[int, dict[str, KindState], Revisions]  # as of an offset; theirs who asks


class Schedule(NamedTuple):
    """When a base is made, and how long it is kept. `every_s` 0: none is ever made."""

    every_s: float = 3600.0  # by the twin's clock, if anything was journaled; or
    events: int = 500_000  # after so many events
    days: float = 30.0  # of those older than a day one a day is kept, for so long
    mib: int = 1024  # of disk, for one shard


class Base(NamedTuple):
    offset: int
    ingest_time: int
    bytes: int


class Bases:
    """One shard's. Its writer makes them; reader threads load them."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        rule: Rule,
        schedule: Schedule | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """`checkpoints`: those for recovery serve as well, while they are there."""
        self._disk = disk
        self._folder = folder
        self._rule = rule
        self._schedule = schedule or Schedule()
        self._checkpoints = checkpoints
        self._lock = threading.Lock()
        self._held: list[Base] | None = None

    @property
    def bytes_bound(self) -> int:
        return self._schedule.mib << 20

    def held(self) -> list[Base]:
        """Return what there is, oldest first."""
        with self._lock:
            if self._held is None:
                names = self._disk.names(self._folder)
                found = [self._look(n) for n in names if n.startswith(PREFIX)]
                self._held = sorted(base for base in found if base is not None)
            return list(self._held)

    def consider(self, snapshot: Snapshot, extra: dict[str, Any], epoch: int) -> bool:
        """Keep a captured state (twin.checkpoint) as a base, if one is due; say whether it was."""
        held = self.held()
        if not _due(held, snapshot, self._schedule):
            return False
        told = {n: column for n, column in extra.items() if not n.startswith(LEFT_OUT)}
        raw = checkpoint.write(snapshot, told, epoch)
        self._disk.replace(self._folder / _name(snapshot.offset), raw)
        made = Base(snapshot.offset, snapshot.ingest_time, len(raw))
        kept = thinned([*held, made], snapshot.ingest_time, self._schedule)
        for base in (*held, made):
            if base not in kept:
                with suppress(FileNotFoundError):
                    self._disk.remove(self._folder / _name(base.offset))
        with self._lock:
            self._held = kept
        return True

    def before(self, offset: int) -> Tables | None:
        """Return the tables of the greatest readable offset that is not beyond `offset`."""
        names = {base.offset: _name(base.offset) for base in self.held()}
        if self._checkpoints is not None:
            names |= self._checkpoints.names()
        for at in sorted((at for at in names if at <= offset), reverse=True):
            try:
                return checkpoint.tables(self._disk.read(self._folder / names[at]), self._rule)
            except UNREADABLE:
                continue  # the one before it, and more of the journal
        return None

    def _look(self, name: str) -> Base | None:
        """Return a base by its head alone."""
        with suppress(FileNotFoundError, ValueError):
            found = head(memoryview(self._disk.read(self._folder / name, 0, HEAD_SIZE)), 0)
            if found is not None and name == _name(found.first):
                return Base(found.first, found.ingest_time, found.length)
        return None


def thinned(bases: Sequence[Base], now_us: int, schedule: Schedule) -> list[Base]:
    """Return which bases to keep, oldest first: all of a day, then one a day, within the bound.

    Beyond the bound of bytes the one goes whose absence makes the least gap; the newest stays.
    """
    kept: dict[int, Base] = {}
    for base in sorted(bases):
        age = now_us - base.ingest_time
        if age <= schedule.days * DAY_US or age <= DAY_US:
            day = base.ingest_time // DAY_US
            kept.setdefault(day if age > DAY_US else -1 - base.offset, base)
    left = sorted(kept.values())
    while len(left) > 1 and sum(base.bytes for base in left) > schedule.mib << 20:
        ends = [0, *(base.offset for base in left)]
        gaps = [ends[i + 2] - ends[i] for i in range(len(left) - 1)]
        del left[gaps.index(min(gaps))]
    return left


def _due(held: Sequence[Base], snapshot: Snapshot, schedule: Schedule) -> bool:
    if not schedule.every_s or not snapshot.offset:
        return False
    if not held:
        return True
    last = held[-1]
    if snapshot.offset <= last.offset:
        return False
    since_us = snapshot.ingest_time - last.ingest_time
    events = snapshot.offset - last.offset
    return events >= schedule.events or since_us >= schedule.every_s * MICROS


def _name(offset: int) -> str:
    return f"{PREFIX}{offset:020d}{SUFFIX}"
