"""Geography: boxes and circles on the earth, over columns of latitude and longitude in degrees.

Distances are great circles by the haversine formula on a sphere of the mean radius of WGS 84,
R1 = (2a + b) / 3 (Moritz, Geodetic Reference System 1980, J. Geodesy 74, 2000): at most 0.6 %
off the ellipsoid. Longitudes are of any turn; a box whose west is greater than its east crosses
the antimeridian.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest

RADIUS_KM = 6371.0088
FARTHEST_KM = 20_100.0  # half around the earth, and some
Column = NDArray[Any]
Mask = NDArray[np.bool_]


class Box(NamedTuple):
    """Between two parallels and two meridians, edges included."""

    south: float
    west: float
    north: float
    east: float

    def holds(self, lat: Column, lon: Column) -> Mask:
        """Say which points lie within; one that is not known (NaN) does not."""
        width = self.east - self.west
        if width < 0:
            width += 360.0
        found: Mask = (lat >= self.south) & (lat <= self.north)
        at = np.flatnonzero(found)
        found[at] = np.mod(lon[at] - self.west, 360.0) <= width
        return found


class Circle(NamedTuple):
    """Within `km` of a point, along the ground."""

    lat: float
    lon: float
    km: float

    def holds(self, lat: Column, lon: Column) -> Mask:
        """Say which points lie within; one that is not known (NaN) does not."""
        reach = np.degrees(self.km / RADIUS_KM) + 1e-9  # farther north or south is farther away
        found: Mask = (lat >= self.lat - reach) & (lat <= self.lat + reach)
        at = np.flatnonzero(found)
        found[at] = distance_km(self.lat, self.lon, lat[at], lon[at]) <= self.km
        return found


def box(south: float, west: float, north: float, east: float) -> Box:
    """Return a box. Raises BadRequest for edges that are none."""
    _latitude(south)
    _latitude(north)
    if south > north:
        raise BadRequest("in_box is south, west, north, east: its south lies north of its north")
    for edge in (west, east):
        _longitude(edge)
    return Box(south, west, north, east)


def circle(lat: float, lon: float, km: float) -> Circle:
    """Return a circle. Raises BadRequest for a centre or a radius that is none."""
    _latitude(lat)
    _longitude(lon)
    if not 0 <= km <= FARTHEST_KM:
        raise BadRequest(f"a radius is 0 to {FARTHEST_KM:g} km, not {km:g}")
    return Circle(lat, lon, km)


def distance_km(lat: float, lon: float, lats: Column, lons: Column) -> Column:
    """Return the great circle distance of a point from others (n,), NaN where one is not known."""
    a, b = np.radians(lat), np.radians(lats)
    half_lat, half_lon = (b - a) / 2, np.radians(lons - lon) / 2
    h = np.sin(half_lat) ** 2 + np.cos(a) * np.cos(b) * np.sin(half_lon) ** 2
    km: Column = 2 * RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))
    return km


def _latitude(degrees: float) -> None:
    if not -90 <= degrees <= 90:
        raise BadRequest(f"a latitude is -90 to 90 degrees, not {degrees:g}")


def _longitude(degrees: float) -> None:
    if not -180 <= degrees <= 180:
        raise BadRequest(f"a longitude is -180 to 180 degrees, not {degrees:g}")
