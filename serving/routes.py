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
from twin.errors import RegionAway, Unavailable
from twin.kinds import KINDS, SHARD_KINDS
from twin.texts import Texts

RETRY_AFTER_S = 0.3  # a takeover with a started spare takes about that long
SHARD_OF = {kind: shard for shard, kinds in SHARD_KINDS.items() for kind in kinds}
KIND_OF_TYPE = {contract.type: contract.kind for contract in CONTRACTS}
HOLDERS = {type_: SHARD_OF[kind] for type_, kind in KIND_OF_TYPE.items()} | SHARD_OF


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

    @property
    def number(self) -> int:
        return int(self.name.split("/")[2])


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
        found = [
            route
            for route in self.all().values()
            if route.name.startswith(prefix) and region in {"", route.region}
        ]
        return sorted(found, key=lambda route: (route.region, route.number))

    def named(self, name: str) -> Route:
        """Return one shard's present writer. Raises Unavailable if the shard is not known."""
        if (route := self.all().get(name)) is None:
            raise Unavailable(f"{name} is not known yet; ask again", RETRY_AFTER_S)
        return route

    def regions(self) -> list[str]:
        return sorted({route.region for route in self.all().values()})

    def owner(self, kind: str, region: str, tenant: str, id: Texts) -> list[Route]:
        """Return who writes each id of `kind` in `region`. Raises RegionAway if nobody does."""
        routes = self._written(kind, region)
        return [routes[number] for number in place(tenant, id, len(routes)).tolist()]

    def split(
        self,
        types: tuple[NDArray[np.int32], Sequence[str]],
        regions: tuple[NDArray[np.int32], Sequence[str]],
        ids: Texts,
        here: str,
        tenant: str,
    ) -> dict[str, NDArray[np.int64]]:
        """Return for each shard which of the events go to it, in the order they came.

        Types and regions are codes (n,), -1 where absent, and their words. An unknown region or
        type goes to a shard of this region, which says what is wrong.
        """
        kinds, places = list(SHARD_KINDS), sorted({*self.regions(), here})
        kind_at = {kind: i for i, kind in enumerate(kinds)}
        place_at = {region: i for i, region in enumerate(places)}
        kind = [kind_at[SHARD_OF[kind_of(word)]] for word in [*types[1], ""]]
        region = [place_at.get(word, place_at[here]) for word in [*regions[1], here]]
        which = np.array(kind)[types[0]] * len(places) + np.array(region)[regions[0]]
        parts: dict[str, NDArray[np.int64]] = {}
        for pair in np.unique(which).tolist():
            at = np.flatnonzero(which == pair)
            owners = self._written(kinds[pair // len(places)], places[pair % len(places)])
            if len(owners) == 1:
                parts[owners[0].name] = at
                continue
            numbers = place(tenant, ids.take(at), len(owners))
            for own in np.unique(numbers).tolist():
                parts[owners[own].name] = at[numbers == own]
        return parts

    def _written(self, kind: str, region: str) -> list[Route]:
        """Return who writes `kind` in `region`, by number. Raises RegionAway if nobody does."""
        if not (routes := self.of_kind(kind, region)):
            raise RegionAway(f"no shard of {region or 'any region'} is known yet", RETRY_AFTER_S)
        return routes


def kind_of(type_: str) -> str:
    """Return the kind of twin an event type is about; shipment if nobody can tell."""
    prefix = type_.partition(".")[0]
    return KIND_OF_TYPE.get(type_) or (prefix if prefix in KINDS else "shipment")
