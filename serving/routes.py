"""Routes: which shard writes a key, and where it answers now, as the supervisor says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import place
from twin.contracts import CONTRACTS
from twin.errors import Unavailable
from twin.kinds import KINDS, SHARD_KINDS
from twin.texts import Texts

RETRY_AFTER_S = 0.3  # a takeover with a started spare takes about that long
SHARD_OF = {kind: shard for shard, kinds in SHARD_KINDS.items() for kind in kinds}
KIND_OF_TYPE = {contract.type: contract.kind for contract in CONTRACTS}


class Route(NamedTuple):
    """A shard, and who writes it now."""

    name: str
    epoch: int
    address: str
    pid: int
    state: str
    note: str

    @property
    def region(self) -> str:
        return self.name.split("/")[1]


class Routes:
    """The routing table of a data directory. Cheap to ask: read again only when it changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "routes.json"
        self._seen: tuple[int, int] | None = None
        self._table: dict[str, Route] = {}

    def all(self) -> dict[str, Route]:
        """Return every known shard by name."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return {}
        if (seen := (stat.st_ino, stat.st_mtime_ns)) != self._seen:
            shards: dict[str, Any] = json.loads(self._path.read_text())["shards"]
            self._table = {
                name: Route(name, r["epoch"], r["address"], r["pid"], r["state"], r["note"])
                for name, r in sorted(shards.items())
            }
            self._seen = seen
        return self._table

    def of_kind(self, kind: str, region: str = "") -> list[Route]:
        """Return the shards that hold `kind`, of one region or of all."""
        prefix = f"{SHARD_OF[kind]}/"
        return [
            route
            for route in self.all().values()
            if route.name.startswith(prefix) and region in {"", route.region}
        ]

    def regions(self) -> list[str]:
        return sorted({route.region for route in self.all().values()})

    def owner(self, kind: str, region: str, tenant: str, id: Texts) -> list[Route]:
        """Return who writes each id of `kind` in `region`. Raises Unavailable if nobody does."""
        routes = self.of_kind(kind, region)
        if not routes:
            raise Unavailable(f"no shard of {region or 'any region'} is known yet", RETRY_AFTER_S)
        return [routes[number] for number in place(tenant, id, len(routes)).tolist()]

    def split(
        self, types: Sequence[str], regions: Sequence[str], here: str, tenant: str, ids: Texts
    ) -> dict[str, NDArray[np.int64]]:
        """Return for each shard which of the events go to it.

        An unknown region or type goes to a shard of this region, which says what is wrong.
        """
        known = set(self.regions())
        pairs = [
            (kind_of(type_), region if region in known else here)
            for type_, region in zip(types, regions, strict=True)
        ]
        parts: dict[str, list[int]] = {}
        for pair in dict.fromkeys(pairs):
            at = np.array([i for i, other in enumerate(pairs) if other == pair], np.int64)
            for i, route in zip(at.tolist(), self.owner(*pair, tenant, ids.take(at)), strict=True):
                parts.setdefault(route.name, []).append(i)
        return {name: np.array(at, np.int64) for name, at in parts.items()}


def kind_of(type_: str) -> str:
    """Return the kind of twin an event type is about; shipment if nobody can tell."""
    prefix = type_.partition(".")[0]
    return KIND_OF_TYPE.get(type_) or (prefix if prefix in KINDS else "shipment")
