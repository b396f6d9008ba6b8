import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.features import FEATURES, INPUTS, features, schema_hash
from twin.lanes import measure

DAY = 86_400_000_000
ABSENT = -(2**63)
T0 = 1_325_376_000_000_000


def order(**changes):
    row = {
        "supplier": "A",
        "origin": "Nashik",
        "country": "KE",
        "mode": "air",
        "product_group": "ARV",
        "quantity": 100,
        "value_cents": 5_000,
        "ordered_at": T0,
        "promised_at": T0 + 60 * DAY,
        "delivered_at": T0 + 64 * DAY,
        "recorded_at": T0 + 65 * DAY,
    } | changes
    return {
        name: np.array([value], dtype=object if isinstance(value, str) else np.int64)
        for name, value in row.items()
    }


LANES = measure(order(), T0 + 100 * DAY)


def named(columns, now_us=T0):
    return dict(zip(FEATURES, features(columns, LANES, now_us)[0].tolist(), strict=True))


def test_a_row_of_the_matrix_is_what_its_names_say():
    row = named(order(), T0 + 10 * DAY)

    assert row["lane_p50_days"] == 4.0
    assert row["lane_late_rate"] == 1.0
    assert row["lead_days"] == 60.0
    assert row["days_to_promise"] == 50.0
    assert row["mode_air"] == 1.0
    assert row["mode_truck"] == row["mode_absent"] == row["ordered_absent"] == 0.0
    assert row["log_quantity"] == pytest.approx(np.log(101), rel=1e-6)


def test_what_is_absent_stays_absent_and_says_so():
    row = named(order(mode="", ordered_at=ABSENT, value_cents=ABSENT, quantity=ABSENT))

    assert np.isnan([row["lead_days"], row["log_value"], row["log_quantity"]]).all()
    assert row["ordered_absent"] == row["value_absent"] == row["mode_absent"] == 1.0


def test_without_a_promise_nothing_is_counted_from_it():
    row = named(order(promised_at=ABSENT))

    names = ("lead_days", "days_to_promise", "promise_month_sin", "promise_month_cos")
    assert np.isnan([row[name] for name in names]).all()


def test_an_order_dated_after_now_is_not_known_yet():
    assert named(order(ordered_at=T0 + 5 * DAY), T0 + 4 * DAY)["ordered_absent"] == 1.0


@given(st.integers(-400, 400), st.integers(0, 400))
def test_no_outcome_is_ever_read(delay, lag):
    outcome = {"delivered_at": T0 + delay * DAY, "recorded_at": T0 + (delay + lag) * DAY}

    changed = features(order(**outcome), LANES, T0)

    np.testing.assert_array_equal(changed, features(order(), LANES, T0))


def test_only_the_named_inputs_are_read():
    inputs = {name: values for name, values in order().items() if name in INPUTS}

    assert features(inputs, LANES, T0).shape == (1, len(FEATURES))


def test_the_schema_is_another_when_names_or_their_order_change():
    assert schema_hash() != schema_hash(FEATURES[::-1])
    assert schema_hash() == schema_hash(tuple(FEATURES))
