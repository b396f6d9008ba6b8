"""Tallies: what became of the rows and events of a file, counted, with examples by line.

Only what was answered is counted, so a tally that is kept and gone on with is never ahead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cluster.rows import Parked
from serving import faults
from serving.client import OUTCOMES
from twin import redrive
from twin.events import decode_arrow
from twin.outcomes import Reason

EXAMPLES = 10  # for each reason
BAD = [OUTCOMES.index("PARKED"), OUTCOMES.index("REJECTED")]


class Message(NamedTuple):
    """Some events on their way, and what became of the rows that they are from.

    `rows`: how many of the file are answered for once this is; `parked`, `left`: rows of these
    that no event could be made of, and events that were not asked for.
    """

    arrow: bytes
    lines: NDArray[np.int64]
    rows: int
    position: int  # in the file, in bytes
    parked: list[Parked]
    left: int
    types: dict[str, int]


class Refused(NamedTuple):
    """An event that was parked or rejected: of which line, why, and which field is the cause."""

    line: int
    outcome: str
    reason: str
    field: str
    expected: str
    got: str


class Tally:
    def __init__(self) -> None:
        self.rows = 0  # read and answered for
        self.events = 0
        self.left = 0
        self.position = 0
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.parked_rows: Counter[str] = Counter()  # by reason
        self.parked: list[Parked] = []
        self.refused: list[Refused] = []

    @property
    def whole(self) -> bool:
        """Say whether every row came through."""
        return not self.parked_rows and not self.refused

    def answer(self, message: Message, outcomes: bytes, reasons: bytes) -> None:
        """Count the answer to a message: a byte an event."""
        outcome = np.frombuffer(outcomes, np.uint8)
        for name, n in zip(OUTCOMES, np.bincount(outcome, minlength=5).tolist(), strict=True):
            self.outcomes[name] += n
        self.events += outcome.size
        self.rows, self.position = message.rows, message.position
        self.left += message.left
        self.types.update(message.types)
        for row in message.parked:
            self.parked_rows[row.reason] += 1
            if self.parked_rows[row.reason] <= EXAMPLES:
                self.parked.append(row)
        bad = np.flatnonzero(np.isin(outcome, BAD))
        if bad.size:
            self._refuse(message, bad, outcome, np.frombuffer(reasons, np.uint8))

    def plain(self) -> dict[str, Any]:
        """Return a tally as plain values; `restored` reads them."""
        return {
            **{name: getattr(self, name) for name in ("rows", "events", "left", "position")},
            **{name: dict(getattr(self, name)) for name in _COUNTERS},
            "parked": [row._asdict() for row in self.parked],
            "refused": [row._asdict() for row in self.refused],
        }

    @classmethod
    def restored(cls, held: dict[str, Any]) -> Tally:
        tally = cls()
        tally.rows, tally.events = int(held["rows"]), int(held["events"])
        tally.left, tally.position = int(held["left"]), int(held["position"])
        for name in _COUNTERS:
            getattr(tally, name).update(held[name])
        tally.parked = [Parked(**row) for row in held["parked"]]
        tally.refused = [Refused(**row) for row in held["refused"]]
        return tally

    def _refuse(self, message: Message, bad: NDArray[np.intp], outcome: Any, reasons: Any) -> None:
        shown = []
        for i in bad.tolist():
            reason = faults.REASONS[reasons[i]]
            self.reasons[reason] += 1
            if self.reasons[reason] <= EXAMPLES:
                shown.append(i)
        if not shown:
            return
        raws = decode_arrow(message.arrow).raws(np.array(shown))
        for i, raw in zip(shown, raws, strict=True):
            reason = Reason(int(reasons[i]))
            flaw = redrive.flaw(msgspec.msgpack.decode(raw), reason)
            line = int(message.lines[i])
            self.refused.append(Refused(line, OUTCOMES[outcome[i]], reason.name, *flaw))


_COUNTERS = ("outcomes", "reasons", "types", "parked_rows")
