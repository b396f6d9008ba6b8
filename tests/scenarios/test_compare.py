"""Intervals, and who is hit worst."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.compare import differences, hits, interval, student
from scenarios.run import run
from tests.scenarios.forks import forked, past, port, shipment


@pytest.mark.parametrize(
    ("freedom", "table"),
    [(4, 2.776445), (9, 2.262157), (30, 2.042272), (199, 1.971957), (10_000, 1.960201)],
)
def test_the_quantile_of_student_is_that_of_the_tables(freedom, table):
    assert student(freedom) == pytest.approx(table, abs=1e-3)


def test_the_interval_is_that_of_a_worked_example():
    low, high = interval(np.arange(1.0, 11.0))  # mean 5.5, s = 3.02765, t = 2.262157

    assert (low, high) == pytest.approx((3.334149, 7.665851), abs=1e-4)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(2, 50))
def test_equal_differences_leave_no_doubt(value, count):
    assert interval(np.full(count, value)) == (value, value)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    samples = rng.exponential(2.0, (2000, 200))

    covered = [low <= 2.0 <= high for low, high in map(interval, samples)]

    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_groups_are_ranked_by_the_delay_they_suffer_and_sum_to_the_whole():
    rows = [
        shipment("a", country="KE"),
        shipment("b", country="KE"),
        shipment("c", country="TZ"),
        shipment("d", country="NG"),
    ]
    what = port(where='countries = ["KE", "TZ"]')
    done = run(what, forked(*rows, *past([0] * 12)), futures=20, days=90, seed=7)

    found = hits(done, "port", ("country",))

    assert [(hit.name, hit.shipments, hit.late) for hit in found] == [
        ("KE", 2, 2.0),
        ("TZ", 1, 1.0),
        ("NG", 1, 0.0),
    ]
    late = next(one for one in differences(done, "port") if one.measure == "late_shipments")
    assert sum(hit.late for hit in found) == late.diff
    assert late.worst == "acme → KE (+2.0 late of 2)"
