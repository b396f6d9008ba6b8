"""Since when, and until when: of all changes, against asking at every moment."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.course import crossing

MOMENTS = range(12)
changes = st.dictionaries(st.integers(0, 10), st.booleans(), min_size=1).map(
    lambda held: sorted(held.items())
)


def at(changes, moment):
    """Say whether it held at a moment: as the last change left it."""
    return [holds for time, holds in changes if time <= moment][-1:] == [True]


def asked(changes, since, *, last):
    times, holds = (np.array(column) for column in zip(*changes, strict=True))
    turn = crossing(holds, times, since, last=last)
    if turn is None:
        return None
    return "to this day" if turn == len(changes) else max(since, changes[turn][0])


@given(changes, st.integers(-1, 11))
def test_the_first_moment_is_the_first_of_all_at_which_it_held(changes, since):
    held = [moment for moment in range(since, 12) if at(changes, moment)]

    assert asked(changes, since, last=False) == (held[0] if held else None)


@given(changes, st.integers(-1, 11))
def test_the_last_moment_is_the_one_after_the_last_at_which_it_held(changes, since):
    held = [moment for moment in range(since, 12) if at(changes, moment)]
    expected = None if not held else "to this day" if held[-1] == 11 else held[-1] + 1

    assert asked(changes, since, last=True) == expected
