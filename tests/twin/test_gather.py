"""Every gathering kernel against its plain form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import BadRequest
from twin.gather import SHORT, held_at, meet, named, number_codes, sift, told

numbers = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(numbers, min_size=1, max_size=32), st.data())
def test_what_is_gathered_lies_where_the_pages_say(cells, data):
    bits = 2
    chunks = -(-len(cells) // 4)
    pages = data.draw(st.permutations(range(chunks)))
    rows = data.draw(st.lists(st.integers(0, 4 * chunks - 1), max_size=20))
    least = data.draw(numbers)
    held = np.resize(np.array(cells, np.int64), 4 * chunks)
    at, out = np.empty(len(rows), np.uint64), np.empty(len(rows), np.int64)

    count = told(bits, np.array(pages), np.array(rows, np.int64), held, least, at, out)

    assert at.tolist() == [4 * pages[row // 4] + row % 4 for row in rows]
    assert out.tolist() == [held[place] for place in at]
    assert count == sum(value >= least for value in out.tolist())


@given(st.integers(1, 80), st.integers(-2, 2), st.integers(1, 200), st.data())
def test_rows_are_found_chunk_by_chunk_where_a_mask_says_so(size, least, room, data):
    bits, chunks = 4, -(-size // 16)
    pages = np.array(data.draw(st.permutations(range(chunks))), np.int64)
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    cells = (draw.integers(-3, 4, 16 * chunks), draw.integers(-3, 4, 16 * chunks).astype(np.int8))
    given_ = (
        (pages, pages[::-1].copy()),
        tuple(one.view(np.uint8) for one in cells),
        np.array([8, 1]),
        np.array([least, -1]),
        np.array([2, 3]),
    )
    mask, found = np.empty(size, np.bool_), np.zeros(max(room, 16), np.int64)

    meet(bits, *given_, mask)
    count, chunk = sift(bits, *given_, (0, 0, size), found)

    rows = np.flatnonzero(mask)
    assert found[:count].tolist() == rows[rows < 16 * chunk].tolist()
    assert chunk == chunks or count + 16 > found.size or count + size % 16 > found.size


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_what_is_no_number_is_not_known(values):
    held, at = np.array(values), np.arange(len(values), dtype=np.uint64)
    out = np.empty(len(values))

    count = held_at(at, held, -np.inf, out)

    assert count == sum(value == value for value in values)  # noqa: PLR0124 - NaN differs
    assert np.array_equal(out, held, equal_nan=True)


@given(st.lists(st.integers(-1, 2**31 - 1), max_size=300))
def test_codes_are_numbered_as_they_come(codes):
    given_, out = np.array(codes, np.int32), np.empty(len(codes), np.int8)
    distinct = np.empty(SHORT, np.int32)

    count = number_codes(given_, out, distinct)

    known = list(dict.fromkeys(codes))
    if len(known) > SHORT:
        assert count == -1
        return
    assert distinct[:count].tolist() == known
    assert out.tolist() == [known.index(code) for code in codes]


@given(st.text(max_size=4), st.lists(st.text(max_size=6).filter(lambda t: "\n" not in t)))
def test_lines_become_names_of_a_tenant(tenant, ids):
    lines = "".join(f"{id}\n" for id in ids).encode()

    assert named(tenant, lines).list() == [f"{tenant}/{id}" for id in ids]


def test_a_line_without_an_end_is_refused():
    with pytest.raises(BadRequest, match="newline"):
        named("t", b"a\nb")
