"""Levels: the latest count of something, and the movements with event_time after it.

Equal times: the movement came first, so the count includes it. For any order of arrival the
level is the same: movements behind the latest count are kept until a later count covers them.
"""

from __future__ import annotations

from typing import NamedTuple

from twin.kinds import ABSENT

FAR = 2**62  # a level beyond it stands at it: what is journaled must never fail to apply


class Entry(NamedTuple):
    """A count, or a movement, and the event it is from."""

    time: int
    rank: int
    tie: int
    amount: int
    offset: int
    source: int
    confidence: float

    @property
    def key(self) -> tuple[int, int, int]:
        return self[:3]


class Level(NamedTuple):
    """What is known of one level. `on_hand` is unknown before the first count."""

    counted: Entry | None
    moves: tuple[Entry, ...]  # with event_time after the count

    @property
    def on_hand(self) -> int:
        """Return the level now, or ABSENT before the first count. It stays within an int64."""
        if self.counted is None:
            return ABSENT
        total = self.counted.amount + sum(move.amount for move in self.moves)
        return max(-FAR, min(total, FAR))

    @property
    def newest(self) -> Entry:
        """Return the entry with the greatest key: it gives the level its as_of."""
        entries = self.moves if self.counted is None else (self.counted, *self.moves)
        return max(entries, key=lambda entry: entry.key)


UNKNOWN = Level(None, ())


def count(level: Level, entry: Entry) -> Level | None:
    """Return the level after a count, or None if a later one is known."""
    if level.counted is not None and entry.key <= level.counted.key:
        return None
    return Level(entry, tuple(move for move in level.moves if move.time > entry.time))


def move(level: Level, entry: Entry) -> Level | None:
    """Return the level after a movement, or None if the count includes it."""
    if level.counted is not None and entry.time <= level.counted.time:
        return None
    return Level(level.counted, (*level.moves, entry))
