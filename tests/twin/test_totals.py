"""What the kernels of totals add up, and how rows are numbered, against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import NOW, ORDER, T0, Ledger, event, message
from twin.errors import TooMany
from twin.grouping import groups
from twin.kinds import ABSENT
from twin.query import View
from twin.tallies import FLAT, ONE, add_up, combine, lowest, reach, tally
from twin.totals import Totals, earliest

values = st.one_of(
    st.lists(st.integers(-(2**62), 2**62), max_size=40).map(lambda v: np.array(v, np.int64)),
    st.lists(st.integers(-1, 127), max_size=40).map(lambda v: np.array(v, np.int8)),
    st.lists(st.floats(-1e9, 1e9), max_size=40).map(lambda v: np.array(v, np.float64)),
)


@given(values, st.data())
def test_groups_come_to_what_their_known_rows_say(column, data):
    n = column.size
    which = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), np.int32)
    known_from = data.draw(st.sampled_from([*column.tolist(), 0]))
    counts, sums, rows = np.zeros(5, np.int64), np.zeros(5), np.zeros(5, np.int64)
    least, most = np.full(5, np.nan), np.full(5, np.nan)

    add_up(which, column, known_from, counts, sums)
    tally(which, rows)
    reach(which, column, known_from, True, least)
    reach(which, column, known_from, False, most)

    for group in range(5):
        mine = [
            float(v) for v, w in zip(column, which, strict=True) if w == group and v >= known_from
        ]
        total = 0.0
        for value in mine:
            total += value
        assert counts[group] == len(mine)
        assert sums[group] == total
        assert rows[group] == (which == group).sum()
        assert least[group] == min(mine) if mine else math.isnan(least[group])
        assert most[group] == max(mine) if mine else math.isnan(most[group])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 6)), max_size=50), st.data())
def test_pairs_are_numbered_as_they_come(pairs, data):
    bits, stride = 2, 6
    chunks = -(-len(pairs) // 4)
    pages = np.array(data.draw(st.permutations(range(chunks))), np.int64)
    kind = data.draw(st.sampled_from([np.int8, np.int32]))
    which = np.array([group for group, _ in pairs], np.int32)
    held = np.zeros((chunks, 4), kind)
    for row, (_, code) in enumerate(pairs):
        held[pages[row // 4], row % 4] = code
    met, table = np.empty(24, np.int64), np.full(24, -1, np.int32)

    count = combine(bits, pages, held.reshape(-1), stride, table, met, 0, which)

    # a code that is newer than who asks counts as absent
    plain = [(group, code if code < stride - 1 else -1) for group, code in pairs]
    known = list(dict.fromkeys(plain))
    assert [(pair // stride, pair % stride - 1) for pair in met[:count].tolist()] == known
    assert which.tolist() == [known.index(pair) for pair in plain]


def test_no_more_pairs_are_numbered_than_there_is_room_for():
    codes, which = np.arange(3, dtype=np.int32), np.zeros(3, np.int32)
    met = np.empty(2, np.int64)

    assert combine(FLAT, ONE, codes, 4, np.full(4, -1, np.int32), met, 0, which) == -1


@given(st.lists(st.integers(-3, 3), max_size=40), st.data())
def test_the_lowest_is_one_that_is_known(times, data):
    held = np.array([ABSENT if time == -2 else time for time in times], np.int64)
    chunks = -(-len(times) // 4)
    pages = np.array(data.draw(st.permutations(range(chunks))), np.int64)
    arena = np.full((chunks, 4), ABSENT)
    for row, time in enumerate(held.tolist()):
        arena[pages[row // 4], row % 4] = time
    known = [time for time in times if time != -2]

    row, time = lowest(2, pages, arena.reshape(-1), ABSENT + 1, len(times))

    assert (row >= 0) == bool(known)
    if known:
        assert time == min(known) == times[row]


# what is read where it lies, while more is written there


facts = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(["ACME", "BOLT", "C"]),
        st.sampled_from(["s", "t", None]),
        st.integers(0, 50),
    ),
    max_size=12,
)


def offer(ledger, said, first):
    for at, (key, supplier, product, second) in enumerate(said):
        data = {**ORDER, "supplier": supplier, "quantity": key}
        data |= {"product": product} if product else {}
        time = T0 + second * 1_000_000 + first + at
        one = event(id=f"{first}.{at}", subject=f"S{key}", type="shipment.ordered", data=data)
        ledger.offer(message({**one, "time": time}))


@given(facts, facts)
def test_groups_are_of_a_moment_whatever_is_written_later(before, after):
    ledger = Ledger()
    offer(ledger, before, 0)
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)
    by = ["supplier", "product"]
    was, times = told(view, by), view.column("order.as_of").tolist()

    offer(ledger, after, 100)

    assert told(view, by) == was
    assert earliest(view, "order.as_of") == min(times, default=ABSENT)


@given(facts.filter(len), facts)
def test_a_group_of_no_row_is_none_of_too_many(before, after):
    ledger = Ledger()
    offer(ledger, before, 0)
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)
    most = len(told(view, ["supplier"]))

    offer(ledger, after, 100)

    assert len(groups(view, ["supplier"], most)[0]) == most
    with pytest.raises(TooMany):
        groups(view, ["supplier"], most - 1)


def told(view, by):
    names, which = groups(view.matching(), by)
    totals = Totals(view.matching(), which, len(names))
    return dict(zip(names, totals.count().tolist(), strict=True))
