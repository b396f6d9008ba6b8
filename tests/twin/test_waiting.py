"""What waits: offsets and effects by row, and rows in line, against plain forms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.waiting import Line, Marks

ROWS = 12
FAR = 1 << 33  # more than four bytes tell apart
rows = st.integers(0, ROWS - 1)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.dictionaries(rows, st.integers(1, 3), min_size=1),
            st.sampled_from([1, 5, 1 << 29, 1 << 31, FAR]),
        ),
        st.tuples(st.just("clear"), rows, st.integers(0, 1)),
        st.tuples(st.just("drop"), rows, st.just(0)),
        st.tuples(st.just("empty"), st.just(0), st.just(0)),
    )
)


@given(steps)
def test_marks_are_a_dictionary_from_rows_to_an_offset_and_effects(steps):
    marks, plain, offset = Marks(), {}, 0
    marks.reserve(ROWS)
    for does, what, more in steps:
        if does == "put":
            offset += more
            some = sorted(what)
            plain |= {row: (offset + row, what[row]) for row in some}
            at = np.array(some)
            marks.put(at, offset + at, np.array([what[row] for row in some]))
        elif does == "clear" and what in plain and plain[what][1] >> more & 1:
            marks.clear(np.array([what]), np.array([more]))
            plain[what] = plain[what][0], plain[what][1] & ~(1 << more)
            if not plain[what][1]:
                del plain[what]
        elif does == "drop":
            marks.drop(np.array([what]))
            plain.pop(what, None)
        elif does == "empty":
            marks.empty()
            plain.clear()
        found = marks.rows()
        held = zip(marks.offsets(found).tolist(), marks.bits(found).tolist(), strict=True)
        assert dict(zip(found.tolist(), held, strict=True)) == plain
        assert marks.least() == min((first for first, _ in plain.values()), default=None)
        assert not marks.bits(np.setdiff1d(np.arange(ROWS), found)).any()


@given(st.lists(st.lists(st.integers(0, 1 << 20), max_size=40)), st.integers(1, 30))
def test_a_line_gives_out_what_came_in_and_what_came_first_before_the_rest(batches, most):
    line, left = Line(), []
    for batch in batches:
        line.add(np.array(batch, np.int64))
        left += sorted(batch)

    while left:
        assert line.take(most).tolist() == sorted(set(left[:most]))
        left = left[most:]
    assert line.take(most).size == 0


def test_a_long_batch_in_line_is_taken_piece_by_piece():
    line = Line()
    line.add(np.arange(10_000) * 300)

    taken = [line.take(999) for _ in range(11)]

    assert np.concatenate(taken).tolist() == list(range(0, 3_000_000, 300))
