"""Boxes and circles on the earth, with distances that others have measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import BadRequest
from twin.geography import RADIUS_KM, box, circle, distance_km

LAGOS, NAIROBI, SUVA, APIA = (
    (6.4550, 3.3841),
    (-1.2864, 36.8172),
    (-18.1416, 178.4419),
    (-13.8333, -171.7667),
)
latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)
places = st.tuples(latitudes, longitudes)


def km(a, b):
    return float(distance_km(*a, np.array([b[0]]), np.array([b[1]]))[0])


def plain_km(a, b):
    """The angle between two vectors from the centre of the earth."""
    one, other = (
        np.array([np.cos(p) * np.cos(q), np.cos(p) * np.sin(q), np.sin(p)])
        for p, q in (np.radians(a), np.radians(b))
    )
    return RADIUS_KM * np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (LAGOS, NAIROBI, 3817),
        (SUVA, APIA, 1150),  # across the antimeridian
        ((0, 0), (0, 180), np.pi * RADIUS_KM),
        ((90, 0), (-90, 77), np.pi * RADIUS_KM),
        ((0, 0), (0, 1), 111.195),
    ],
)
def test_distances_are_those_of_the_sphere(a, b, expected):
    assert km(a, b) == pytest.approx(expected, rel=0.01)


@given(places, places)
def test_a_distance_is_the_angle_between_two_places_times_the_radius(a, b):
    assert km(a, b) == pytest.approx(plain_km(a, b), abs=0.2)
    assert km(a, b) == pytest.approx(km(b, a), abs=1e-6)


@given(places, latitudes, latitudes, longitudes, longitudes)
def test_a_box_holds_what_lies_between_its_edges(place, one, other, west, east):
    south, north = sorted((one, other))
    lat, lon = place
    within = (west <= lon <= east) if west <= east else (lon >= west or lon <= east)
    on_the_antimeridian = abs(lon) == 180 or 180 in {abs(west), abs(east)}
    found = box(south, west, north, east).holds(np.array([lat]), np.array([lon]))[0]

    assert on_the_antimeridian or found == (south <= lat <= north and within)


def test_the_antimeridian_is_one_meridian():
    lat, lon = np.zeros(4), np.array([180.0, -180.0, 179.0, -179.0])

    assert box(-1, 170, 1, -175).holds(lat, lon).tolist() == [True] * 4
    assert box(-1, -180, 1, -179.5).holds(lat, lon).tolist() == [True, True, False, False]
    assert box(-90, -180, 90, 180).holds(lat, lon).all()


def test_what_has_no_place_lies_nowhere():
    lat, lon = np.array([np.nan, 1.0]), np.array([1.0, np.nan])

    assert not box(-90, -180, 90, 180).holds(lat, lon).any()
    assert not circle(0, 0, 20_000).holds(lat, lon).any()


@pytest.mark.parametrize(
    "edges", [(2, 0, 1, 0), (-91, 0, 0, 0), (0, -181, 0, 0), (0, 0, 0, np.nan)]
)
def test_a_box_of_no_place_is_refused(edges):
    with pytest.raises(BadRequest):
        box(*edges)


@pytest.mark.parametrize(
    "given", [(91, 0, 1), (0, 999, 1), (0, 0, -1), (0, 0, 1e6), (0, 0, np.nan)]
)
def test_a_circle_of_no_place_is_refused(given):
    with pytest.raises(BadRequest):
        circle(*given)
