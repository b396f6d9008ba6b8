"""The atlas: the places of the demo, and the way between two of them.

A place has a published position or is not in here; a lane is the great circle between its ends.
"""

from __future__ import annotations

import csv
import math
from importlib.resources import files
from typing import NamedTuple

EARTH_KM = 6371.0
DEPOT, DESTINATION = "depot", "destination"


class Place(NamedTuple):
    """`lat`, `lon`: degrees, WGS 84."""

    id: str
    country: str
    function: str
    lat: float
    lon: float


def places() -> dict[str, Place]:
    """Return every place by its id."""
    return {
        row["id"]: Place(
            row["id"], row["country"], row["function"], float(row["lat"]), float(row["lon"])
        )
        for row in _rows("places.csv")
    }


def origins() -> dict[str, str]:
    """Return which place a manufacturing site's text names, for texts that name one."""
    return {row["origin"]: row["place"] for row in _rows("origins.csv")}


def distance_km(a: Place, b: Place) -> float:
    """Return the length of the great circle (haversine formula)."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    rise, run = lat_b - lat_a, math.radians(b.lon - a.lon)
    h = math.sin(rise / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(run / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(h)))


def along(a: Place, b: Place, share: float) -> tuple[float, float]:
    """Return latitude and longitude (degrees) after `share` of the way from `a` to `b`.

    Spherical linear interpolation; places that lie opposite each other have no one way.
    """
    angle = distance_km(a, b) / EARTH_KM
    if angle < 1e-9:
        return a.lat, a.lon
    share = min(1.0, max(0.0, share))
    one, two = math.sin((1 - share) * angle), math.sin(share * angle)
    start, end = _vector(a), _vector(b)
    x, y, z = ((one * p + two * q) / math.sin(angle) for p, q in zip(start, end, strict=True))
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def nearest(to: Place, of: list[Place]) -> Place:
    return min(of, key=lambda place: (distance_km(place, to), place.id))


def _vector(place: Place) -> tuple[float, float, float]:
    lat, lon = math.radians(place.lat), math.radians(place.lon)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("cluster") / "assets" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
