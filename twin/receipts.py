"""Receipts: what became of every event offered, with proof. Nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import Admitted
from twin.dedup import UNSEEN
from twin.outcomes import Outcome
from twin.transition import Plan

NOWHERE = -1  # the offset of an event that was not journaled


class Receipt(NamedTuple):
    """The answer to one message: a value for each event, in the order offered."""

    outcome: NDArray[np.int8]
    reason: NDArray[np.int8]
    offset: NDArray[np.int64]  # where it was first journaled


def receipts(plan: Plan, decided: NDArray[Any]) -> list[Receipt]:
    """Answer for every message of `plan`, whose journaled events were `decided`."""
    answers: list[Receipt] = []
    start = 0
    for admitted, kept in zip(plan.admitted, plan.kept, strict=True):
        end = start + kept.size
        answers.append(_receipt(admitted, kept, plan.frame.first + start, decided[start:end]))
        start = end
    return answers


def unjournaled(admitted: Sequence[Admitted]) -> list[Receipt]:
    """Answer for messages none of whose events had to be journaled."""
    none = np.empty(0, np.int64)
    return [_receipt(one, none, 0, np.empty(0, np.int8)) for one in admitted]


def _receipt(admitted: Admitted, kept: Any, first: int, decided: NDArray[Any]) -> Receipt:
    outcome, reason = admitted.outcome.copy(), admitted.reason.copy()
    offset = np.full(outcome.size, NOWHERE, np.int64)
    outcome[kept] = decided
    offset[kept] = np.arange(first, first + kept.size)
    known = admitted.known
    before = (outcome == Outcome.DUPLICATE) & (known.entry != UNSEEN) & (admitted.twin < 0)
    offset[before] = known.offset[before]
    inside = np.flatnonzero(admitted.twin >= 0)
    offset[inside] = offset[admitted.twin[inside]]
    return Receipt(outcome, reason, offset)
