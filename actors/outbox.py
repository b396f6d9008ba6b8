"""The courier: brings what follows from a shard's twins to the twins it is about.

At least once, and at most a few hundred facts at a time; what counts once is decided where it
arrives (twin.revisions). It works beside the writer and never makes it wait, and says that a fact
arrived only once it is durable there: killed at any moment, it brings it again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from twin.arena import untouched
from twin.derived import SUPPLIER
from twin.errors import Retryable, TwinError
from twin.events import Row
from twin.letters import Due, Letter
from twin.outcomes import Outcome

log = logging.getLogger(__name__)
MOST = 256  # rows of one parcel: what it holds the writer up for stays under a millisecond
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0  # before a shard that did not take a parcel gets one again
LOOK_AGAIN_S = 5.0  # for a supplier whom nobody has registered


class Post(Protocol):
    """How other shards are found and reached."""

    def owners(self, kind: str, region: str, tenant: str, ids: Sequence[str]) -> list[str]:
        """Return the shard that writes each twin. Raises Retryable if nobody does now."""

    def homes(self, tenant: str, suppliers: Sequence[str]) -> dict[str, str]:
        """Return the region of each supplier that is registered in one. Raises Retryable."""

    def send(self, shard: str, tenant: str, rows: Sequence[Row]) -> NDArray[np.int8]:
        """Offer events to a shard once; return their outcomes. Raises TwinError."""


@dataclass
class Away:
    """A shard that did not take its last parcel: when it gets one again, and what waits for it."""

    until_s: float = 0.0
    wait_s: float = FIRST_WAIT_S / 2
    rows: list[NDArray[np.int64]] = field(default_factory=list)


class Courier:
    """Brings facts out of one shard of shipments. One thread; `step` is all it does."""

    def __init__(self, shard: Shard, post: Post) -> None:
        self.refused = 0  # facts that the shard they are for did not take: a fault of this program
        self._shard = shard
        self._post = post
        self._away: dict[str, Away] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self._missing: set[tuple[str, str]] = set()  # suppliers that were looked for in vain
        self._unknown = untouched(0, np.bool_)  # by row: a shipment of theirs
        self.homeless = 0  # facts about suppliers whom nobody has registered: as many rows
        self._look_s = 0.0

    def step(self, now_s: float) -> bool:
        """Bring one parcel of facts; say whether there was any. `now_s`: any steady clock.

        Raises Fenced if the shard was replaced.
        """
        self._recall(now_s)
        taken = self._shard.due(MOST)
        if taken is None:
            return False
        due, letters = taken
        arrived = np.zeros(due.size, np.bool_)
        try:
            for shard, at in self._sorted(due, letters, arrived, now_s).items():
                self._bring(shard, due, letters, at, arrived, now_s)
        finally:
            self._shard.settle(due, arrived)
        return True

    def _recall(self, now_s: float) -> None:
        """Let facts be due again for shards and suppliers that are asked for once more."""
        for away in self._away.values():
            if away.rows and now_s >= away.until_s:
                self._shard.unsettled(away.rows.pop(0))  # the rest follows when this is taken
        if now_s >= self._look_s and (self.homeless or self._missing):
            self._shard.unsettled(np.flatnonzero(self._unknown))
            self._unknown, self.homeless = untouched(0, np.bool_), 0
            self._missing.clear()

    def _sorted(
        self, due: Due, letters: list[Letter], arrived: NDArray[np.bool_], now_s: float
    ) -> dict[str, list[int]]:
        """Return for each shard which facts are for it. What is for nobody counts as arrived."""
        groups: dict[tuple[str, str, str], list[int]] = {}
        unknown: list[int] = []
        self._find_homes(due, letters, now_s)
        for i, letter in enumerate(letters):
            region = self._shard.rule.region
            if not letter.subject:
                arrived[i] = True
                continue
            if due.effect[i] == SUPPLIER:
                region = self._homes.get((letter.tenant, letter.subject), "")
            if region:
                groups.setdefault((letter.kind, region, letter.tenant), []).append(i)
            else:
                unknown.append(i)
        self._miss(due.row[unknown])
        parcels: dict[str, list[int]] = {}
        for (kind, region, tenant), at in groups.items():
            try:
                owners = self._post.owners(kind, region, tenant, [letters[i].subject for i in at])
            except Retryable:
                self._turned(f"{kind}/{region}", due, at, now_s)
                continue
            for i, owner in zip(at, owners, strict=True):
                letters[i].event[5] = region
                parcels.setdefault(owner, []).append(i)
        return parcels

    def _miss(self, rows: NDArray[np.int64]) -> None:
        """Remember shipments of suppliers who live nowhere; they may be all there are."""
        size = int(rows.max(initial=-1)) + 1
        if size > self._unknown.size:
            held = self._unknown
            self._unknown = untouched(size + size // 4, np.bool_)
            self._unknown[: held.size] = held
        self.homeless += int((~self._unknown[rows]).sum())
        self._unknown[rows] = True

    def _find_homes(self, due: Due, letters: list[Letter], now_s: float) -> None:
        """Ask where the suppliers live that are met for the first time."""
        wanted: dict[str, set[str]] = {}
        for letter, effect in zip(letters, due.effect.tolist(), strict=True):
            name = letter.tenant, letter.subject
            known = name in self._homes or name in self._missing or not letter.subject
            if effect == SUPPLIER and not known:
                wanted.setdefault(letter.tenant, set()).add(letter.subject)
        for tenant, suppliers in wanted.items():
            if not self._missing:
                self._look_s = now_s + LOOK_AGAIN_S
            try:
                found = self._post.homes(tenant, sorted(suppliers))
            except Retryable as e:
                log.info("%s: suppliers cannot be found now: %s", self._shard.name, e)
                found = {}
            self._homes |= {(tenant, supplier): region for supplier, region in found.items()}
            self._missing |= {(tenant, supplier) for supplier in suppliers - found.keys()}

    def _bring(
        self,
        shard: str,
        due: Due,
        letters: list[Letter],
        at: list[int],
        arrived: NDArray[np.bool_],
        now_s: float,
    ) -> None:
        """Offer facts to the shard they are for, unless it is left alone for a while."""
        away = self._away.get(shard)
        if away is not None and now_s < away.until_s:
            away.rows.append(due.row[at])
            return
        by_tenant: dict[str, list[int]] = {}
        for i in at:
            by_tenant.setdefault(letters[i].tenant, []).append(i)
        for tenant, mine in by_tenant.items():
            try:
                outcomes = self._post.send(shard, tenant, [letters[i].event for i in mine])
            except TwinError as e:
                log.info("%s: %s did not take %d facts: %s", self._shard.name, shard, len(mine), e)
                self._turned(shard, due, mine, now_s)
                continue
            arrived[mine] = True
            if bad := int(np.isin(outcomes, [Outcome.PARKED, Outcome.REJECTED]).sum()):
                self.refused += bad
                log.error("%s: %s refused %d derived events", self._shard.name, shard, bad)
        if arrived[at].all() and away is not None:
            del self._away[shard]
            for rows in away.rows:
                self._shard.unsettled(rows)

    def _turned(self, shard: str, due: Due, at: list[int], now_s: float) -> None:
        """Leave a shard alone for a while, each time for twice as long."""
        away = self._away.setdefault(shard, Away())
        if now_s >= away.until_s:
            away.wait_s = min(2 * away.wait_s, LONGEST_WAIT_S)
            away.until_s = now_s + away.wait_s
        away.rows.append(due.row[at])
