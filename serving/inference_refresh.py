"""Refreshing: every open shipment of a region is predicted again and again, as events.

A prediction is a fact like any other: its source is the model's version or the rule, its id is the
same for one shipment, one version and one stretch of time, so that a round twice changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from serving.client import Event
from serving.inference import Inference, Outlook, TwinPort
from twin.errors import TwinError
from twin.features import INPUTS
from twin.kinds import ABSENT, Milestone

log = logging.getLogger(__name__)

TYPE = "shipment.predicted"
OPEN = "delivered_at IS ABSENT AND promised_at IS KNOWN"
BATCH = 500  # events of one message
LOOK_S = 1.0  # between two looks at the registry: a promoted model answers within seconds


class Round(NamedTuple):
    """What became of one round: shipments open, events offered, outcomes by word."""

    open: int
    offered: int
    outcomes: dict[str, int]


def event_id(answered_by: str, region: str, id: str, stretch: int) -> str:
    """The id of a prediction: one for each shipment, version and stretch of time."""
    text = "\x1f".join((answered_by, region, id, str(stretch)))
    return f"eta-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def event(id: str, expected: Outlook, row: int, region: str, stretch_us: int) -> Event | None:
    """One prediction as an event; None where a time is not known, which is no prediction."""
    when = expected.arrival
    times = {
        "eta_p10": int(when.p10[row]),
        "eta_p50": int(when.p50[row]),
        "eta_p90": int(when.p90[row]),
        "eta_baseline": int(expected.baseline[row]),
    }
    late, by = float(expected.forecast.late_p[row]), expected.forecast.answered_by
    if ABSENT in times.values() or not np.isfinite(late):
        return None
    return Event(
        TYPE,
        by,
        id,
        expected.now_us,
        {**times, "late_p": late},
        event_id(by, region, id, expected.now_us // stretch_us),
        region,
        confidence=round(float(expected.forecast.confidence[row]), 4),
    )


class Refresher:
    """Predicts the open shipments of one region, at most `most` a round, in turn.

    `every_s`: wall seconds between rounds. `stretch_us`: of the twin's clock, in which a shipment
    has one prediction a version.
    """

    def __init__(
        self,
        inference: Inference,
        twin: TwinPort,
        *,
        every_s: float = 10.0,
        most: int = 2000,
        stretch_us: int = 60_000_000,
    ) -> None:
        self.last = Round(0, 0, {})
        self.rounds = 0
        self.fault = ""
        self._inference = inference
        self._twin = twin
        self._every_s, self._most, self._stretch_us = every_s, most, stretch_us
        self._after = ""  # the last id predicted; the next round goes on from there
        self._done: dict[str, str] = {}  # id -> id of the last event offered for it

    def round(self) -> Round:
        """Predict and offer once. Raises what the gateway raises."""
        region = self._inference.region
        found = self._twin.columns("shipment", (*INPUTS, "status"), OPEN, region)
        chosen = self._chosen(found.columns)
        offered: list[Event] = []
        if len(chosen):
            columns = {name: values[chosen] for name, values in found.columns.items()}
            expected = self._inference.expect(columns, self._inference.held)
            for row, id in enumerate(columns["id"]):
                made = event(id, expected, row, region, self._stretch_us)
                if made is not None and self._done.get(id) != made.id:
                    offered.append(made)
        outcomes: Counter[str] = Counter()
        for start in range(0, len(offered), BATCH):
            batch = offered[start : start + BATCH]
            outcomes.update(receipt.outcome for receipt in self._twin.ingest(batch))
            self._done.update((one.subject, one.id) for one in batch)
        self._forget(found.columns)
        self.last = Round(len(found.columns.get("id", ())), len(offered), dict(outcomes))
        self.rounds += 1
        return self.last

    def run(self, stop: threading.Event) -> None:
        """Follow the registry and predict, until `stop`. Never raises: a failed round is told."""
        due = 0.0
        while not stop.is_set():
            try:
                changed = self._inference.shelf.look()
                if changed or time.monotonic() >= due:
                    due = time.monotonic() + self._every_s
                    self.round()
                self.fault = ""
            except TwinError as e:
                self.fault = f"{e.code}: {e}"
            except Exception:
                log.exception("a round of predictions failed")
                self.fault = "INTERNAL: a round of predictions failed; see the log"
            stop.wait(min(LOOK_S, self._every_s))

    def _chosen(self, columns: dict[str, Any]) -> Any:
        """Rows of this round: those after the last one predicted, and then from the start again."""
        if not columns:
            return np.array([], dtype=np.int64)
        open_rows = np.flatnonzero(columns["status"] < Milestone.CANCELLED)
        ids = columns["id"][open_rows].astype(str)
        order = np.argsort(ids, kind="stable")
        start = int(np.searchsorted(ids[order], self._after, side="right"))
        turn = np.roll(order, -start)[: self._most]
        if len(order) > self._most:
            self._after = str(ids[turn[-1]])
        return open_rows[turn]

    def _forget(self, columns: dict[str, Any]) -> None:
        """Keep what was offered for shipments still open, and nothing else."""
        still = set(columns.get("id", ()))
        self._done = {id: made for id, made in self._done.items() if id in still}
