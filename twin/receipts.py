"""Receipts: what became of every event offered, with proof. Nothing is dropped silently."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import Admitted
from twin.dedup import UNSEEN
from twin.outcomes import DUPLICATE
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
    offsets = np.concatenate([answer.offset for answer in answers])
    for admitted, answer in zip(plan.admitted, answers, strict=True):
        repeat = admitted.twin >= 0
        answer.offset[repeat] = offsets[admitted.twin[repeat]]
    return answers


def _receipt(admitted: Admitted, kept: Any, first: int, decided: NDArray[Any]) -> Receipt:
    outcome, reason = admitted.outcome.copy(), admitted.reason.copy()
    offset = np.full(outcome.size, NOWHERE, np.int64)
    outcome[kept] = decided
    offset[kept] = np.arange(first, first + kept.size)
    known = admitted.known
    before = (outcome == DUPLICATE) & (known.entry != UNSEEN)
    offset[before] = known.offset[before]
    return Receipt(outcome, reason, offset)
