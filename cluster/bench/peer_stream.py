"""The peers' own stream: the events that Redis and PostgreSQL were measured with, unchanged.

An event is about 200 bytes as a msgpack map. 5 % are repeats, 5 % are locally out of order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
KINDS = ["position", "eta", "temperature", "inventory", "customs", "dwell", "handover", "delay"]
SOURCES = [f"carrier-{r}-{i:02d}" for r in ("eu", "us", "ap") for i in range(8)]
FIELDS = (
    "event_id",
    "entity_id",
    "kind",
    "event_time",
    "seq",
    "source",
    "lat",
    "lon",
    "eta",
    "temperature",
    "quantity",
)
BEGIN_US = 1_780_000_000_000_000


class Truth(NamedTuple):
    """What a right result looks like."""

    unique: int  # events
    seq_sum: int  # of the winning sequence numbers


class Events(NamedTuple):
    """Columns, and the rows that peers take."""

    columns: dict[str, Column]
    entities: int

    def rows(self) -> list[tuple[Any, ...]]:
        c = self.columns
        ids = c["event_id"].tobytes()
        return list(
            zip(
                [ids[i : i + 16] for i in range(0, len(ids), 16)],
                [f"shp-{i:08d}" for i in c["entity"].tolist()],
                [KINDS[i] for i in c["kind"].tolist()],
                c["event_time"].tolist(),
                c["seq"].tolist(),
                [SOURCES[i] for i in c["source"].tolist()],
                *(c[name].tolist() for name in FIELDS[6:]),
                strict=True,
            )
        )

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(FIELDS, row, strict=True)) for row in self.rows()]

    def truth(self) -> Truth:
        unique = len(np.unique(self.columns["event_id"][:, 0]))
        top = np.zeros(self.entities, np.int64)
        np.maximum.at(top, self.columns["entity"], self.columns["seq"])
        return Truth(unique, int(top.sum()))


def events(
    n: int, entities: int, *, repeats: float = 0.05, disorder: float = 0.05, each: bool = False
) -> Events:
    """Return n events over `entities`; `each`: the first ones are about every entity once."""
    r = np.random.default_rng([7, n, entities])
    entity = r.integers(0, entities, n, dtype=np.int32)
    if each:
        entity[: min(n, entities)] = np.arange(min(n, entities), dtype=np.int32)
    columns: dict[str, Column] = {
        "event_id": r.integers(0, 2**63, (n, 2), dtype=np.int64).view(np.uint64),
        "entity": entity,
        "kind": r.integers(0, len(KINDS), n, dtype=np.int8),
        "event_time": BEGIN_US + np.arange(n, dtype=np.int64) * 1000,
        "seq": _sequence(entity),
        "source": r.integers(0, len(SOURCES), n, dtype=np.int8),
        "lat": r.uniform(-60, 70, n),
        "lon": r.uniform(-180, 180, n),
        "eta": r.integers(1_780_000_000, 1_790_000_000, n, dtype=np.int64),
        "temperature": r.normal(4, 3, n),
        "quantity": r.integers(0, 5000, n, dtype=np.int64),
    }
    at = np.arange(n)
    if (k := int(n * disorder)) and n > 64:  # swap with a neighbour up to 50 positions on
        a = r.integers(0, n - 51, k)
        b = a + r.integers(1, 51, k)
        for i, j in zip(a.tolist(), b.tolist(), strict=True):
            at[i], at[j] = at[j], at[i]
    if (k := int(n * repeats)) and n > 64:  # overwrite with a copy of an earlier event
        p = r.integers(n // 8, n, k)
        at[p] = at[np.maximum(0, p - r.integers(1, 1000, k))]
    return Events({name: column[at] for name, column in columns.items()}, entities)


def _sequence(entity: Column) -> Column:
    """Return for each event the how-many-th of its entity it is."""
    n = entity.size
    order = np.argsort(entity, kind="stable")
    start = np.r_[0, np.flatnonzero(np.diff(entity[order])) + 1]
    before = np.arange(n) - np.repeat(start, np.diff(np.r_[start, n]))
    seq = np.empty(n, np.int64)
    seq[order] = before + 1
    return seq
