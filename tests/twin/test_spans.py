"""A span passes what its comparison passes, in every column, and nothing absent."""

import math
import operator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin.kinds import ABSENT
from twin.spans import span

SIGNS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
numbers = st.one_of(
    st.integers(-(2**65), 2**65),
    st.integers(-3, 3),
    st.floats(),
    st.floats(-3, 3),
    st.sampled_from([0.5, -0.5, math.inf, -math.inf, math.nan, 127, 128, -1, ABSENT]),
)


@pytest.mark.parametrize(("kind", "absent"), [("i8", ABSENT), ("i4", -1), ("i1", -1)])
@given(st.sampled_from(sorted(SIGNS)), numbers, st.data())
def test_a_column_of_whole_numbers(kind, absent, sign, value, data):
    dtype = np.dtype(kind)
    most = int(np.iinfo(dtype).max)
    held = data.draw(
        st.lists(st.one_of(st.integers(absent, most), st.integers(-1, 3), st.just(most)))
    )

    low, high = span(dtype, sign, value)

    column = np.array(held, dtype)
    passes = (column >= dtype.type(low)) & (column <= dtype.type(high))
    compare = SIGNS[sign]
    assert passes.tolist() == [h > absent and bool(compare(h, value)) for h in held]


@given(st.sampled_from(sorted(SIGNS)), numbers, st.lists(st.one_of(st.floats(), st.floats(-3, 3))))
@example("<", -math.inf, [-math.inf])
@example(">", math.inf, [math.inf])
def test_a_column_of_any_numbers(sign, value, held):
    low, high = span(np.dtype("f8"), sign, value)

    column = np.array(held, np.float64)
    compare = SIGNS[sign]
    passes = (column >= low) & (column <= high)
    assert passes.tolist() == [bool(compare(h, float(value))) for h in held]
