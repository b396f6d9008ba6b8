"""What may still happen to a shipment, counted from what happened to others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.history import BEYOND, lead_days, outlook, transit
from tests.scenarios.forks import day, delivered, forked, past, shipment
from twin.lanes import LEVELS

DEPTHS = {name: depth for depth, name in enumerate(LEVELS)}


def seen(rows, earliest=-1e4):
    """Return the pool of the first open shipment of `rows`, and the level it came from."""
    state = forked(*rows)
    some = np.flatnonzero(state.open)[:1]
    found = outlook(state, some, np.array([float(earliest)]))
    end = found.start[0] + found.length[0]
    return found.values[found.start[0] : end].tolist(), int(found.depth[0])


def test_a_lane_with_enough_deliveries_answers_for_itself():
    rows = [shipment("a"), *past(range(10)), *past([90] * 50, supplier="other")]

    assert seen(rows) == ([float(i) for i in range(10)], DEPTHS["lane"])


def test_a_lane_with_too_few_gives_way_to_its_country_and_mode():
    rows = [shipment("a"), *past([1] * 9), *past([5] * 3, supplier="other")]

    assert seen(rows) == ([1.0] * 9 + [5.0] * 3, DEPTHS["country_mode"])


def test_the_whole_history_answers_with_a_single_delivery():
    rows = [shipment("a"), *past([4], supplier="x", country="NG", mode="ocean")]

    assert seen(rows) == ([4.0], DEPTHS["all"])


def test_a_delay_that_has_passed_already_is_not_drawn():
    rows = [shipment("a"), *past(range(20))]

    assert seen(rows, earliest=8) == ([float(i) for i in range(8, 20)], DEPTHS["lane"])


def test_a_shipment_later_than_anything_recorded_comes_now():
    assert seen([shipment("a"), *past(range(20))], earliest=50) == ([50.0], BEYOND)


def test_without_any_delivery_a_shipment_comes_as_soon_as_it_can():
    assert seen([shipment("a")], earliest=-3) == ([-3.0], BEYOND)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(-30, 30))),
    st.integers(-35, 35),
)
def test_the_pool_is_what_a_plain_loop_would_collect(facts, earliest):
    rows = [delivered(f"{i}", d, supplier=s, country=c) for i, (s, c, d) in enumerate(facts)]
    fits = [
        [d for s, c, d in facts if d >= earliest and s == "a" and c == "x"],
        [d for s, c, d in facts if d >= earliest and c == "x"],
        [d for s, c, d in facts if d >= earliest and c == "x"],
        [d for s, c, d in facts if d >= earliest],
    ]
    plain = ([float(earliest)], BEYOND)
    for depth in (3, 2, 1, 0):
        if len(fits[depth]) >= (10 if depth < 3 else 1):
            plain = (sorted(map(float, fits[depth])), depth)

    assert seen([shipment("open", supplier="a", country="x"), *rows], earliest) == plain


def test_an_even_share_draws_every_observation_alike():
    state = forked(shipment("a"), *past(range(10)))
    found = outlook(state, np.flatnonzero(state.open), np.array([-99.0]))

    drawn = found.quantile(((np.arange(1000) + 0.5) / 1000)[:, None])

    assert np.bincount(drawn[:, 0].astype(int)).tolist() == [100] * 10


def journeys(days, **facts):
    """Return delivered shipments that took `days` from departure to delivery."""
    return [
        delivered(f"j{i}", 0, promised=-50, departed_at=day(-50 - took), **facts)
        for i, took in enumerate(days)
    ]


def test_transit_is_counted_from_departure_to_delivery():
    state = forked(shipment("a"), *journeys([6, 7, 7, 8, 8, 8, 9, 9, 10, 30]))

    found = transit(state, np.flatnonzero(state.open))

    assert (found.shortest.tolist(), found.median.tolist()) == ([6.0], [8.0])


@pytest.mark.parametrize(
    ("facts", "days"),
    [
        ({"supplier": "other"}, 6.0),
        ({"supplier": "other", "country": "NG"}, 6.0),
        ({"mode": "ocean"}, None),
    ],
)
def test_the_transit_of_a_lane_is_that_of_its_mode_and_never_of_another(facts, days):
    state = forked(shipment("a"), *journeys([6] * 10, **facts))

    found = transit(state, np.flatnonzero(state.open)).shortest

    assert [None if np.isnan(value) else value for value in found] == [days]


def test_a_few_journeys_say_nothing_about_transit():
    state = forked(shipment("a"), *journeys([6] * 9))

    assert np.isnan(transit(state, np.flatnonzero(state.open)).shortest).all()


def test_transit_is_absent_where_no_departure_is_known():
    state = forked(shipment("a"), *past(range(10)))

    assert np.isnan(transit(state, np.flatnonzero(state.open)).median).all()


def test_lead_times_leave_out_the_suppliers_that_are_lost():
    orders = [
        delivered("1", 0, promised=-50, ordered_at=day(-80), supplier="b"),
        delivered("2", 0, promised=-50, ordered_at=day(-150), supplier="c"),
        delivered("3", 0, promised=-50, ordered_at=day(-51), supplier="acme"),
        delivered("4", 0, promised=-50, supplier="b"),
    ]

    assert lead_days(forked(*orders), frozenset({"acme"})) == pytest.approx([30.0, 100.0])
