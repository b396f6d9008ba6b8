"""Units: exact where it can be, refused where it makes no sense."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.units import UNITS, converter
from twin.contracts import CONTRACTS
from twin.errors import BadRequest
from twin.kinds import Dtype


@pytest.mark.parametrize(
    ("unit", "to", "text", "expected"),
    [
        ("degF", "degC", "32", 0.0),
        ("degF", "degC", "-40", -40.0),
        ("degF", "degC", "98.6", 37.0),
        ("K", "degC", "273.15", 0.0),
        ("lb", "kg", "1", 0.45359237),
        ("oz", "lb", "16", 1.0),
        ("in", "cm", "1", 2.54),
        ("1", "%", "0.55", 55.0),
        ("%", "%", "0.1", 0.1),
    ],
)
def test_a_number_is_what_the_definition_of_its_unit_says(unit, to, text, expected):
    assert converter(unit, to, Dtype.NUMBER, "x")(text) == expected


@pytest.mark.parametrize(
    ("unit", "to", "text", "expected"),
    [
        ("USD", "USD 0.01", "1.10", 110),
        ("USD", "USD 0.01", "734.705", None),
        ("dozen", "pack", "2.5", 30),
        ("week", "d", "3", 21),
        ("h", "d", "36", None),
        ("pack/year", "pack/month", "1200", 100),
        ("USD", "USD 0.01", "twelve", None),
    ],
)
def test_a_whole_field_takes_only_what_comes_out_whole(unit, to, text, expected):
    assert converter(unit, to, Dtype.INTEGER, "x")(text) == expected


@given(st.sampled_from(sorted(UNITS)), st.integers(-(10**6), 10**6))
def test_there_and_back_again_is_where_it_was(name, number):
    base = next(
        n for n, u in UNITS.items() if u.dimension == UNITS[name].dimension and u.factor == 1
    )
    there = Fraction(number) * UNITS[name].factor + UNITS[name].shift

    back = converter(base, name, Dtype.NUMBER, "x")(str(float(there)))

    assert back == pytest.approx(number, rel=1e-9, abs=1e-3)


@pytest.mark.parametrize(
    ("unit", "to", "hint"),
    [
        ("lbs", "kg", "did you mean 'lb'?"),
        ("degf", "degC", "did you mean 'degF'?"),
        ("lb", "degC", "lb measures mass, and x is in degC (temperature)"),
        ("lb", "", "x has no unit to convert lb to"),
    ],
)
def test_a_unit_that_cannot_be_is_refused_and_says_why(unit, to, hint):
    with pytest.raises(BadRequest) as caught:
        converter(unit, to, Dtype.NUMBER, "x")

    assert caught.value.code == "MAPPING_INVALID"
    assert hint in str(caught.value)


def test_every_unit_of_a_contract_is_known():
    promises = [p for c in CONTRACTS for p in c.payload if p.dtype in {"integer", "number"}]

    assert {p.unit for p in promises if p.unit} <= UNITS.keys()
