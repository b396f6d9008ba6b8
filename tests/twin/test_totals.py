"""What the kernels of totals add up, against a loop that anybody can read."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.gather import add_up, earliest, mark, reach, renumber, tally
from twin.grouping import numbered

values = st.one_of(
    st.lists(st.integers(-(2**62), 2**62), max_size=40).map(lambda v: np.array(v, np.int64)),
    st.lists(st.integers(-1, 127), max_size=40).map(lambda v: np.array(v, np.int8)),
    st.lists(st.floats(-1e9, 1e9), max_size=40).map(lambda v: np.array(v, np.float64)),
)


@given(values, st.data())
def test_groups_come_to_what_their_known_rows_say(column, data):
    n = column.size
    which = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), np.int64)
    known = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
    counts, sums, rows = np.zeros(5), np.zeros(5), np.zeros(5)
    least, most = np.full(5, np.nan), np.full(5, np.nan)

    add_up(which, column, known, counts, sums)
    tally(which, rows)
    reach(which, column, known, True, least)
    reach(which, column, known, False, most)

    for group in range(5):
        mine = [float(v) for v, w, k in zip(column, which, known, strict=True) if w == group and k]
        total = 0.0
        for value in mine:
            total += value
        assert counts[group] == len(mine)
        assert sums[group] == total
        assert rows[group] == (which == group).sum()
        assert least[group] == min(mine) if mine else math.isnan(least[group])
        assert most[group] == max(mine) if mine else math.isnan(most[group])


@given(st.lists(st.integers(-1, 60), max_size=50), st.sampled_from([np.int8, np.int32, np.int64]))
def test_values_are_numbered_in_their_order(held, kind):
    column = np.array(held, kind)
    column.flags.writeable = False

    distinct, which = numbered(column, 62, -1)

    assert distinct.tolist() == sorted(set(held))
    assert [distinct[at] for at in which.tolist()] == held


def test_a_number_is_looked_up_where_the_value_is_moved_to():
    met, out = np.zeros(4, np.bool_), np.empty(3, np.int64)
    column = np.array([-1, 2, -1], np.int32)

    mark(column, 1, met)
    renumber(column, 1, np.array([5, 6, 7, 8]), out)

    assert met.tolist() == [True, False, False, True]
    assert out.tolist() == [5, 8, 5]


@given(st.lists(st.integers(-3, 3)))
def test_the_earliest_time_is_one_that_is_known(times):
    known = [time for time in times if time != -2]

    assert earliest(np.array(times, np.int64), -2) == min(known, default=-2)
