"""Shelves: items of stock that are empty, and the shipments that would fill them.

What is consumed is in no snapshot, so nothing here foretells a stock-out: it only counts how
long what is empty now stays empty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scenarios.fork import Fork
from scenarios.history import Floats, Ints
from twin.kinds import ABSENT


class Shelves(NamedTuple):
    """`empty`: items with nothing on hand; `ships`, `starts`: the open shipments on their way to
    such items, item by item, and where each item's begin; `known`: items whose level is known."""

    known: int
    empty: int
    ships: Ints
    starts: Ints


def shelves(state: Fork, rows: Ints) -> Shelves:
    """Return the empty items of `state`, and what is on its way to them.

    Shipments are indices into `rows`. They fill an item of their site whose product is theirs, or
    their product group: stock is often kept by group.
    """
    level = state.stock["on_hand"]
    site, product = state.stock["site"], state.stock["product"]
    named = (site != "") & (product != "")
    bare = np.flatnonzero((level != ABSENT) & (level <= 0) & named).tolist()
    coming: dict[tuple[str, str], list[int]] = {(site[i], product[i]): [] for i in bare}
    where = state.columns["site"][rows].tolist()
    for field in ("product", "product_group"):
        what = state.columns[field][rows].tolist()
        for at, item in enumerate(zip(where, what, strict=True)):
            if item in coming:
                coming[item].append(at)
    filled = [ships for ships in coming.values() if ships]
    sizes = np.array([0, *map(len, filled)], np.int64)
    ships = np.array([at for ships in filled for at in ships], np.int64)
    return Shelves(int((level != ABSENT).sum()), len(coming), ships, sizes.cumsum()[:-1])


def empty_days(held: Shelves, arrival: Floats, end: float) -> Floats:
    """Return, per future, the days that items stay empty until `end`, summed: (f, n) -> (f,)."""
    alone = (held.empty - held.starts.size) * end
    if not held.ships.size:
        return np.full(arrival.shape[0], alone)
    first = np.minimum.reduceat(np.take(arrival, held.ships, axis=1), held.starts, axis=1)
    return np.asarray(np.clip(first, 0.0, end).sum(axis=1) + alone)
