import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.lanes import LEVELS, delay_days, from_plain, look_up, measure, to_plain

DAY = 86_400_000_000
ABSENT = -(2**63)
T0 = 1_325_376_000_000_000


def rows_of(rows):
    """(supplier, country, mode, delay in days, day of recording) -> columns."""
    text = {
        name: np.array([row[part] for row in rows], dtype=object)
        for part, name in enumerate(("supplier", "country", "mode"))
    }
    size = len(rows)
    delay = np.array([row[3] for row in rows], dtype=np.int64)
    return text | {
        "origin": np.full(size, "", dtype=object),
        "product_group": np.full(size, "", dtype=object),
        "promised_at": np.full(size, T0, dtype=np.int64),
        "delivered_at": T0 + delay * DAY,
        "recorded_at": T0 + np.array([row[4] for row in rows], dtype=np.int64) * DAY,
    }


FEW = rows_of([("A", "KE", "air", d, 0) for d in (1, 2, 9)] + [("B", "KE", "air", 30, 0)])


def test_the_finest_level_with_enough_deliveries_answers():
    lanes = measure(FEW, T0 + DAY)
    asked = rows_of([("A", "KE", "air", 0, 0), ("B", "KE", "air", 0, 0), ("C", "UG", "sea", 0, 0)])

    found = look_up(lanes, asked, least=3)

    assert [list(LEVELS)[depth] for depth in found.depth] == ["lane", "country_mode", "all"]
    np.testing.assert_array_equal(found.stats[:, 1], [2.0, 5.5, 5.5])
    np.testing.assert_array_equal(found.stats[:, 4], [3, 4, 4])


def test_a_delivery_recorded_at_the_cut_or_later_is_not_counted():
    columns = rows_of([("A", "KE", "air", 1, 0), ("A", "KE", "air", 50, 10)])

    lanes = measure(columns, T0 + 10 * DAY)

    assert look_up(lanes, columns, least=1).stats[0, 4] == 1


def test_without_any_delivery_nothing_is_known():
    found = look_up(measure(FEW, 0), FEW)

    assert np.isnan(found.stats[:, :4]).all()
    assert (found.stats[:, 4] == 0).all()
    assert (found.depth == len(LEVELS)).all()


def test_delays_are_counted_in_days_of_the_calendar():
    promised = np.array([T0 + DAY // 2, T0, ABSENT, T0])
    delivered = np.array([T0 + DAY - 1, T0 + DAY + 1, T0, ABSENT])

    delay = delay_days(delivered, promised)

    np.testing.assert_array_equal(delay, [0, 1, np.nan, np.nan])


ROW = st.tuples(
    st.sampled_from(["A", "B", ""]),
    st.sampled_from(["KE", "UG"]),
    st.sampled_from(["air", ""]),
    st.integers(-30, 60),
    st.integers(0, 20),
)


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(-1, 22))
def test_a_table_is_the_same_after_json(rows, day):
    columns = rows_of(rows)
    lanes = measure(columns, T0 + day * DAY)

    again = from_plain(json.loads(json.dumps(to_plain(lanes))))

    first, second = look_up(lanes, columns), look_up(again, columns)
    np.testing.assert_allclose(first.stats, second.stats, atol=1e-5)
    np.testing.assert_array_equal(first.depth, second.depth)


@given(st.lists(ROW, min_size=1, max_size=30))
def test_a_lane_answers_what_its_own_rows_did(rows):
    columns = rows_of(rows)
    lanes = measure(columns, T0 + 100 * DAY)

    stats = look_up(lanes, columns, least=1).stats

    for index, row in enumerate(rows):
        own = [other[3] for other in rows if other[:3] == row[:3]]
        assert stats[index, 1] == np.median(own)
        assert stats[index, 3] == np.mean(np.array(own) > 0)
        assert stats[index, 4] == len(own)
