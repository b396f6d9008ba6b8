"""The history: what the clients of a drill wrote down, read by another process.

A batch counts as answered only by its answer: what the twin did with one that was not, only the
journal can tell. Times are of this machine's monotonic clock, in microseconds, in both processes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

RECENT = 100  # batches of a shard among which those on their way at some moment are


class Run(NamedTuple):
    """Consecutive events of a batch that were answered alike, at consecutive offsets."""

    shard: str
    epoch: int
    outcome: int
    offset: int
    size: int


@dataclass
class Offer:
    """One batch: `count` events of one client, from number `first` on."""

    client: int
    first: int
    count: int
    shard: str
    invoked_at: int
    answered_at: int = 0
    runs: list[Run] = field(default_factory=list)
    lost_answers: int = 0  # attempts of which nobody knows what became
    refused: str = ""

    @property
    def epoch(self) -> int:
        """The epoch that answered, 0 if none has."""
        return max((run.epoch for run in self.runs), default=0)


class History:
    """Grows with the file; `more` reads what was written since."""

    def __init__(self, path: Path) -> None:
        self.offers: dict[tuple[int, int], Offer] = {}
        self.ended = False
        self.path = path
        self._at = 0
        self._by_shard: dict[str, list[Offer]] = {}

    def more(self) -> None:
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                raw = file.read()
        except FileNotFoundError:
            return
        whole = raw[: raw.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def on_way(self, shard: str, at: int) -> list[Offer]:
        """Return the batches that were offered before `at` and not answered then."""
        return [
            offer
            for offer in self._by_shard.get(shard, [])[-RECENT:]
            if offer.invoked_at < at and not 0 < offer.answered_at <= at
        ]

    def unanswered_by(self, shard: str, epoch: int, at: int) -> list[Offer]:
        """Return the batches on their way at `at` that `epoch` never answered, nor one before."""
        return [offer for offer in self.on_way(shard, at) if not 0 < offer.epoch <= epoch]

    def answer_of(self, shard: str, epoch: int, since: int = 0) -> int:
        """Return when an epoch of at least `epoch` first answered after `since`, 0: not yet."""
        times = [
            offer.answered_at
            for offer in self._by_shard.get(shard, [])
            if offer.epoch >= epoch and offer.answered_at > since
        ]
        return min(times, default=0)

    def refusals(self) -> dict[str, int]:
        """Return how many batches were refused, by the code word they were told."""
        return dict(Counter(offer.refused for offer in self.offers.values() if offer.refused))

    def by_client(self) -> Iterator[tuple[int, list[Offer]]]:
        """Yield the batches of each client, in the order they were offered."""
        clients: dict[int, list[Offer]] = {}
        for offer in self.offers.values():
            clients.setdefault(offer.client, []).append(offer)
        yield from sorted(clients.items())

    def _take(self, said: dict[str, Any]) -> None:
        do = said["do"]
        if do == "end":
            self.ended = said["answered"]
            return
        name = (said["c"], said["n"])
        if do == "invoke":
            if name not in self.offers:
                offer = Offer(said["c"], said["n"], said["k"], said["shard"], said["at"])
                self.offers[name] = offer
                self._by_shard.setdefault(offer.shard, []).append(offer)
            return
        offer = self.offers[name]
        if do == "ok":
            offer.answered_at, offer.runs = said["at"], [Run(*run) for run in said["runs"]]
        elif do == "info":
            offer.lost_answers += 1
        else:
            offer.answered_at, offer.refused = said["at"], said["why"]
