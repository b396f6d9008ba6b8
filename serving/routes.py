"""Routes: which shard writes a key, and where it answers now, as the supervisor says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import place
from twin.alerts import ALERT, TYPE, keeper
from twin.contracts import CONTRACTS
from twin.errors import RegionAway, Unavailable, UnknownKey
from twin.kinds import SHARD_KINDS
from twin.texts import Texts, texts

RETRY_AFTER_S = 0.3  # a takeover with a started spare takes about that long
# An alert is held by the shard of its subject: by every kind of them.
SHARD_OF = {kind: shard for shard, kinds in SHARD_KINDS.items() for kind in kinds if kind != ALERT}
KIND_OF_TYPE = {contract.type: contract.kind for contract in CONTRACTS if contract.kind != ALERT}
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
        holders = list(SHARD_KINDS) if kind == ALERT else [SHARD_OF[kind]]
        found = [
            (holders.index(holder), route)
            for route in self.all().values()
            if (holder := route.name.partition("/")[0]) in holders and region in {"", route.region}
        ]
        found.sort(key=lambda pair: (pair[1].region, pair[0], pair[1].number))
        return [route for _, route in found]

    def named(self, name: str) -> Route:
        """Return one shard's present writer. Raises Unavailable if the shard is not known."""
        if (route := self.all().get(name)) is None:
            raise Unavailable(f"{name} is not known yet; ask again", RETRY_AFTER_S)
        return route

    def regions(self) -> list[str]:
        return sorted({route.region for route in self.all().values()})

    def owner(self, kind: str, region: str, tenant: str, id: Texts) -> list[Route]:
        """Return who writes each id of `kind` in `region`.

        Raises RegionAway if nobody does; UnknownKey for what names no alert.
        """
        if kind == ALERT:
            return [self._keeper(region, tenant, alert) for alert in id.list()]
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
        holder = np.array(kind)[types[0]]
        alerts = np.array([*(word.startswith(TYPE) for word in types[1]), False])[types[0]]
        if alerts.any():  # from outside: to whoever would write it, and says that nobody may
            about, names = [], ids.list()
            for i in np.flatnonzero(alerts).tolist():
                of, names[i] = keeper(ALERT, names[i])
                about.append(kind_at[SHARD_OF[of or "shipment"]])
            holder[alerts], ids = about, texts(names)
        which = holder * len(places) + np.array(region)[regions[0]]
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

    def _keeper(self, region: str, tenant: str, alert: str) -> Route:
        kind, id = keeper(ALERT, alert)
        if not kind:
            raise UnknownKey(f"{alert[:60]!r} names no alert; KIND:ID:RULE does")
        return self.owner(kind, region, tenant, texts([id]))[0]

    def _written(self, kind: str, region: str) -> list[Route]:
        """Return who writes `kind` in `region`, by number. Raises RegionAway if nobody does."""
        if not (routes := self.of_kind(kind, region)):
            raise RegionAway(f"no shard of {region or 'any region'} is known yet", RETRY_AFTER_S)
        return routes


def kind_of(type_: str) -> str:
    """Return the kind of twin an event type is about; shipment if nobody can tell."""
    prefix = type_.partition(".")[0]
    return KIND_OF_TYPE.get(type_) or (prefix if prefix in SHARD_OF else "shipment")
