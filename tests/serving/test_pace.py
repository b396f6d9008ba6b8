"""How long the watch rests, by clocks that a test writes down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.pace import Pace


def test_who_has_little_to_do_never_rests():
    pace = Pace(0.1, 0.02, 0.04)

    assert [pace.rest(0.1 * tenth, 0.01) for tenth in range(1, 40)] == [0.0] * 39


def test_who_has_much_to_do_rests_until_it_is_its_share_again_but_never_longer_than_allowed():
    pace = Pace(0.1, 0.02, 0.04)

    assert pace.rest(1.0, 0.021) == pytest.approx(0.01)
    assert pace.rest(1.01, 0.002) == pytest.approx(0.02)
    assert pace.rest(1.03, 0.5) == pytest.approx(0.04)
    assert pace.rest(1.07, 0.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 0.1), st.floats(0, 0.01)), max_size=60))
def test_over_time_no_more_is_computed_than_the_share_and_what_was_kept(steps):
    pace, now_s, used = Pace(0.1, 0.02, 1.0), 0.0, 0.0
    for gap_s, used_s in steps:
        now_s += gap_s
        used += used_s
        now_s += pace.rest(now_s, used_s)

    assert used <= 0.02 + 0.1 * now_s + 1e-9
