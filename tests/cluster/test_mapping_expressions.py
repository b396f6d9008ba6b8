from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.expressions import (
    EPOCH,
    UnmappableError,
    compile_condition,
    compile_value,
    micros,
    slug,
)

COLUMNS = {"id": 0, "pq date": 1, "po / so #": 2, "unit of measure (per pack)": 3}
BEGIN = EPOCH.replace(tzinfo=None)
ROW = ["7", "Pre-PQ Process", "2013-03-05", " 12 "]


def value(text, row=ROW):
    return compile_value(text, COLUMNS, {"t": {"7": "seven"}, "all": {"*": "any"}}).read(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id", "7"),
        ("'id'", "id"),
        ("po / so #", "2013-03-05"),
        ("`unit of measure (per pack)`", "12"),
        ("integer(`unit of measure (per pack)`)", 12),
        ("date(po / so #)", micros("2013-03-05")),
        ("min_date(pq date, po / so #)", micros("2013-03-05")),
        ("min_date(pq date)", None),
        ("first(min_date(pq date), date('2014-01-01'))", micros("2014-01-01")),
        ("join(id, ':', 'ordered')", "7:ordered"),
        ("slug('ABBVIE, SRL (formally  Abbott)')", "abbvie-srl-formally-abbott"),
        ("slug('Côte d’Ivoire')", "cote-divoire"),
        ("snake('Air Charter')", "air_charter"),
        ("cents('734.705')", 73470),
        ("number('1e3')", 1000.0),
        ("equals(id, '7')", True),
        ("unless(pq date, 'Pre-PQ Process')", None),
        ("lookup(t, id)", "seven"),
        ("lookup(all, pq date)", "any"),
    ],
)
def test_an_expression_says_what_a_row_says(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize("text", ["date(id)", "integer(id)", "slug(id)", "join(id, 'x')", "id"])
def test_an_empty_cell_is_absent_whatever_is_asked_of_it(text):
    assert value(text, ["", "", "", ""]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pq date is date", False),
        ("pq date is not date", True),
        ("po / so # is date", True),
        ("pq date is known", True),
        ("unless(id, '7') is not known", True),
    ],
)
def test_a_condition_is_about_a_date_or_about_absence(text, expected):
    assert compile_condition(text, COLUMNS, {}).read(ROW) is expected


@pytest.mark.parametrize(
    "text", ["2013-13-01", "05/03/2013", "", "2013", "2013-09-01T00:00:00", "1e999", "20130901"]
)
def test_a_text_that_is_no_date_or_has_no_zone_is_not_guessed(text):
    assert micros(text) is None


@given(st.datetimes(BEGIN, BEGIN.replace(year=2200)), st.integers(-14, 14))
def test_a_time_with_its_zone_is_read_to_the_microsecond(moment, hours):
    utc = moment.replace(tzinfo=UTC)
    text = f"{(moment + timedelta(hours=hours)).isoformat(timespec='microseconds')}{hours:+03d}:00"

    assert micros(text) == (utc - EPOCH) // timedelta(microseconds=1)


@given(st.text())
def test_a_slug_is_an_id_or_nothing(text):
    made = slug(text)

    assert len(made) <= 128
    assert made == slug(made)
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in made)


@given(st.text(max_size=30))
def test_a_number_is_read_or_the_row_is_unmappable_but_never_another_error(text):
    for function in ("integer", "number", "cents"):
        try:
            found = value(f"{function}(id)", [text, "", "", ""])
        except UnmappableError:
            continue
        assert found is None or isinstance(found, int | float)
