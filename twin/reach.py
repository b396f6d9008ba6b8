"""Reach: what depends on goods that are late, hop by hop: they are late where they were going, and
with them whatever was to leave there with that product.

Each (site, product) is reached once, by the fewest hops. A shipment leaves one site with one
product, so it, and its money, is counted once too, however many ways lead to it, and round and
round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Place = tuple[str, str]  # a site, and a product that is late there
CONDITION = 6000  # characters of a filter that names places
PARTS = 12  # of it, each two comparisons


class Way(NamedTuple):
    """The open shipments from one site to another with one product; "" where that is unknown."""

    origin: str
    product: str
    site: str
    shipments: int
    quantity: int  # packs
    value: float  # USD
    earliest: int  # of the times promised; 0 if none is


class Hop(NamedTuple):
    """What one hop reaches. Places and sites are those that no hop before it reached."""

    left: list[Place]  # whose shipments are reached
    ways: list[Way]
    sites: list[str]
    places: list[Place]


def hops(
    start: Iterable[Place], sites: Iterable[str], ways: Iterable[Way], most: int
) -> tuple[list[Hop], bool]:
    """Return what is reached from some places, and whether there is more than `most` places.

    `sites`: those that are reached already.
    """
    leaving: dict[Place, list[Way]] = {}
    for way in ways:
        leaving.setdefault((way.origin, way.product), []).append(way)
    first = sorted(set(start))
    front, cut = first[:most], len(first) > most
    met, known = set(front), set(sites)
    found: list[Hop] = []
    while left := [place for place in front if place in leaving and all(place)]:
        taken = [way for place in left for way in leaving[place]]
        new = sorted({(w.site, w.product) for w in taken if w.site and w.product} - met)
        front = new[: most - len(met)]
        cut |= len(front) < len(new)
        met |= set(front)
        others = sorted({way.site for way in taken if way.site} - known)
        known |= set(others)
        found.append(Hop(left, taken, others, front))
    return found, cut


def conditions(site: str, product: str, places: Iterable[Place]) -> list[str]:
    """Return filters that together hold of what is at some places, each of one of them alone.

    `site`, `product`: the fields that say where it is, and what.
    """
    of: dict[str, list[str]] = {}
    for where, what in places:
        of.setdefault(where, []).append(what)
    alike: dict[tuple[str, ...], list[str]] = {}
    for where, whats in of.items():
        alike.setdefault(tuple(sorted(set(whats))), []).append(where)
    parts = []
    for whats_, sites in sorted(alike.items()):
        said = f"{product} IN ({_listed(whats_)})"
        for some in _cut(sorted(sites), CONDITION - len(said)):
            parts.append(f"({site} IN ({_listed(some)}) AND {said})")
    return [" OR ".join(some) for some in _cut(parts, CONDITION, PARTS)]


def among(field: str, values: Sequence[str]) -> list[str]:
    """Return filters that together hold where a field is one of some values."""
    return [f"{field} IN ({_listed(some)})" for some in _cut(values, CONDITION)]


def quoted(text: str) -> str:
    """Return a text as a filter has it."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def total(ways: Iterable[Way]) -> Way:
    """Return some ways as one."""
    every = list(ways)
    return Way(
        "",
        "",
        "",
        sum(way.shipments for way in every),
        sum(way.quantity for way in every),
        sum(way.value for way in every),
        min((way.earliest for way in every if way.earliest), default=0),
    )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(quoted(value) for value in values)


def _cut(texts: Sequence[str], characters: int, most: int = 1000) -> list[list[str]]:
    """Return texts in parts of so many characters, and of `most` texts."""
    parts: list[list[str]] = []
    size = 0
    for text in texts:
        if not parts or size + len(text) > characters or len(parts[-1]) >= most:
            parts.append([])
            size = 0
        parts[-1].append(text)
        size += len(text) + 6
    return parts
