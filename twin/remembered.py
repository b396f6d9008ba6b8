"""Remembered: what is known of the rows that one rule holds of, or held of, in one shard.

A row that goes on as it was costs no Python: a mark says what could change it. And a rule says a
bounded number of things: what it may say comes back with the clock, so that one that misfires
takes a small share of the writer, whatever is offered.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.kinds import ABSENT

SECOND_US = 1_000_000
MOST_HELD = 10_000  # twins that one rule holds of in one shard
MOST_TOLD = 10_000  # beginnings that a rule journals at once; an end follows a beginning
TOLD_A_SECOND = 50  # ... and that it may journal more with each second: some 1 % of a core
ROOM = 0.1  # of both has to be free again before all twins are looked at
UNKNOWN, QUIET, STEADY, RESTLESS = range(4)  # a row's mark
SMALLEST = 1024  # rows


class Held(NamedTuple):
    """What is remembered of a rule and a row, while its condition holds or it is raised."""

    raised: bool
    since: int  # event time since which the condition holds; ABSENT while it does not
    from_us: int  # the clock when that was seen
    out_s: int  # for how long it held before, of a rule that counts all of it
    offset: int  # what was judged last, when anything changed


class Remembered:
    """The rows of one rule. `most`: of them; `burst`: beginnings at once, None without end.

    While it is full nothing begins: what would have is found when all twins are looked at.
    """

    def __init__(self, most: int, burst: int | None) -> None:
        self.full = False  # it holds of more than is remembered, or said more than it may
        self._most, self._burst = most, burst
        self._left, self._asked_us = float(burst or 0), ABSENT
        self._held: dict[int, Held] = {}
        self._quiet = 0  # of them, those that are over
        self._marks = np.zeros(0, np.int8)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, row: int) -> Held | None:
        return self._held.get(row)

    def items(self) -> list[tuple[int, Held]]:
        return list(self._held.items())

    def put(self, row: int, held: Held) -> None:
        self._reach(row)
        mark = _mark(held)
        self._quiet += (mark == QUIET) - (self._marks.item(row) == QUIET)
        self._held[row] = held
        self._marks[row] = mark

    def drop(self, row: int) -> None:
        if self._held.pop(row, None) is not None:
            self._quiet -= self._marks.item(row) == QUIET
            self._marks[row] = UNKNOWN

    def emptied(self) -> Remembered:
        """Return one of no rows, that may say what this one may."""
        other = Remembered(self._most, self._burst)
        other.full, other._left, other._asked_us = self.full, self._left, self._asked_us
        return other

    def begin_anew(self) -> None:
        """Let it say all again: the rule is another one."""
        self.full, self._left = False, float(self._burst or 0)

    def forget(self) -> None:
        """Forget rows that are over, where many are in the way: their alerts remember them."""
        if len(self._held) >= self._most and self._quiet > ROOM * self._most:
            for row in np.flatnonzero(self._marks == QUIET).tolist():
                self.drop(row)

    def marks(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return what could change each row (n,).

        UNKNOWN and QUIET: that its condition holds. STEADY: that it is over. RESTLESS: anything.
        """
        if rows.size:
            self._reach(int(rows.max()))
        return self._marks.take(rows)

    def ripe(self, rows: NDArray[np.int64], held_us: int) -> NDArray[np.int64]:
        """Return from which event time on each RESTLESS row has held for long enough (n,)."""
        every = (self._held[row] for row in rows.tolist())
        when = (
            ABSENT if one.raised else one.since + held_us - one.out_s * SECOND_US for one in every
        )
        return np.fromiter(when, np.int64, rows.size)

    def has_room(self) -> bool:
        """Say whether one more row may be remembered."""
        self.full |= len(self._held) >= self._most
        return not self.full

    def may_tell(self, now_us: int) -> bool:
        """Say whether one more beginning may be journaled, and count it."""
        if self._burst is None:
            return True
        self._refill(now_us)
        if self._left < 1:
            self.full = True
            return False
        self._left -= 1
        return True

    def is_free_again(self, now_us: int) -> bool:
        """Say whether it was full and is so no longer: all twins are to be looked at."""
        if not self.full or len(self._held) >= (1 - ROOM) * self._most:
            return False
        if self._burst is not None:
            self._refill(now_us)
            if self._left < ROOM * self._burst:
                return False
        self.full = False
        return True

    def _refill(self, now_us: int) -> None:
        if self._asked_us == ABSENT:
            self._asked_us = now_us
        if now_us > self._asked_us:
            more = (now_us - self._asked_us) * TOLD_A_SECOND / SECOND_US
            self._left = min(float(self._burst or 0), self._left + more)
            self._asked_us = now_us

    def _reach(self, row: int) -> None:
        """Have a mark for a row."""
        if row >= self._marks.size:
            grown = np.zeros(max(SMALLEST, 2 * row), np.int8)
            grown[: self._marks.size] = self._marks
            self._marks = grown


def _mark(held: Held) -> int:
    if held.raised:
        return STEADY if held.since != ABSENT else RESTLESS
    return QUIET if held.since == ABSENT else RESTLESS
