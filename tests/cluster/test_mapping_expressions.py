from datetime import UTC, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.expressions import (
    EPOCH,
    Batch,
    Scope,
    compile_condition,
    compile_value,
    micros,
    slug,
)
from cluster.rows import _blank_is_absent
from twin.errors import BadRequest

COLUMNS = {"id": 0, "pq date": 1, "po / so #": 2, "unit of measure (per pack)": 3}
BEGIN = EPOCH.replace(tzinfo=None)
ROW = ["7", "Pre-PQ Process", "2013-03-05", " 12 "]


TABLES = {"t": {"7": "seven"}, "all": {"*": "any"}}


def batch(*rows):
    columns = [_blank_is_absent(pa.array(cells, pa.string())) for cells in zip(*rows, strict=True)]
    return Batch(columns, len(rows))


def vector(text, *rows):
    return compile_value(text, Scope(COLUMNS, TABLES)).read(batch(*rows))


def value(text, row=ROW):
    """Return what an expression says of one row; or why it says nothing, as a Flaw."""
    found = vector(text, row)
    return found.flaws[0] if found.flaws else found.values[0].as_py()


def holds(text, row=ROW):
    return compile_condition(text, Scope(COLUMNS, TABLES)).read(batch(row)).values[0].as_py()


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
    assert holds(text) is expected


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


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_a_number_is_read_or_the_row_is_flawed_but_there_is_never_another_error(texts):
    for function in ("integer", "number", "cents"):
        found = vector(f"{function}(id)", *([text, "", "", ""] for text in texts))

        for i, text in enumerate(texts):
            known = found.values[i].as_py() is not None
            assert known + (i in found.flaws) + (not text.strip()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add(id, 3)", 10),
        ("add(id, 0.5)", 7.5),
        ("subtract(id, 10, '1')", -4),
        ("multiply(id, id)", 49),
        ("modulo(subtract(id, 8), 1440)", 1439),
        ("12.5", 12.5),
        ("clock('5')", 5),
        ("clock('0005')", 5),
        ("clock('13:45')", 825),
        ("clock('2400')", 1440),
        ("flag('yes')", True),
        ("flag('0')", False),
        ("epoch('1377993600', 's')", micros("2013-09-01")),
        ("epoch('1377993600000', 'ms')", micros("2013-09-01")),
        ("time('01/09/2013 02:00', '%d/%m/%Y %H:%M', 'Europe/Paris')", micros("2013-09-01")),
        ("time('2013-09-01 02:00 +0200', '%Y-%m-%d %H:%M %z')", micros("2013-09-01")),
        ("time('2013-09-01', '%Y-%m-%d', 'America/New_York')", micros("2013-09-01T04:00Z")),
        ("later(date('2013-09-01'), 90, 'min')", micros("2013-09-01T01:30Z")),
        ("later('2013-09-01', '-1.5', 'h')", micros("2013-08-31T22:30Z")),
        (
            "at(date('2014-01-05'), clock('2130'), 'America/Los_Angeles')",
            micros("2014-01-06T05:30Z"),
        ),
        ("at(date('2014-07-05'), 0, 'America/Los_Angeles')", micros("2014-07-05T07:00Z")),
        ("at(date('2014-03-09'), 150, 'America/Los_Angeles')", micros("2014-03-09T10:00Z")),
        ("at(date('2014-11-02'), 90, 'America/Los_Angeles')", micros("2014-11-02T08:30Z")),
        (
            "next(clock('0030'), 'America/New_York', date('2014-01-05'))",
            micros("2014-01-05T05:30Z"),
        ),
        (
            "next(clock('1900'), 'America/New_York', date('2014-01-05'))",
            micros("2014-01-05T00:00Z"),
        ),
        (
            "next(clock('1859'), 'America/New_York', date('2014-01-05'))",
            micros("2014-01-05T23:59Z"),
        ),
        ("first(min_date(pq date), '2014-01-01')", "2014-01-01"),
        ("join(add(id, 1), '-', '0.5')", "8-0.5"),
    ],
)
def test_a_function_says_what_its_name_says(text, expected):
    found = value(text)

    assert found == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("add(pq date, 1)", "VALUE_UNREADABLE"),
        ("time(po / so #, '%d.%m.%Y', 'UTC')", "VALUE_UNREADABLE"),
        ("time(po / so #, '%Y-%m-%d')", "VALUE_UNREADABLE"),
        ("clock('2460')", "VALUE_UNREADABLE"),
        ("clock('96.0')", "VALUE_UNREADABLE"),
        ("clock('24:01')", "VALUE_UNREADABLE"),
        ("flag('maybe')", "VALUE_UNREADABLE"),
        ("at(date(po / so #), 5, pq date)", "VALUE_UNKNOWN"),
        ("lookup(t, po / so #)", "VALUE_UNKNOWN"),
    ],
)
def test_what_cannot_be_read_is_a_flaw_of_the_row_and_no_guess(text, reason):
    assert value(text).reason == reason


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("later(po / so #, id, 'mins')", "did you mean 'min'?"),
        ("later(po / so #, id, id)", "is a 'constant'"),
        ("time(id, '%Y', 'Europe/Pariss')", "did you mean 'Europe/Paris'?"),
        ("at(id, 5, 'America/Los_Angelos')", "did you mean 'America/Los_Angeles'?"),
        ("epoch(id, 'm')", "did you mean"),
    ],
)
def test_a_constant_that_nobody_knows_is_refused_before_a_row_is_read(text, hint):
    with pytest.raises(BadRequest) as caught:
        value(text)

    assert caught.value.code == "MAPPING_INVALID"
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id >= 7", True),
        ("id > 7", False),
        ("id < 7.5 and pq date is known", True),
        ("id != '7'", False),
        ("id = 7", True),
        ("pq date = 'Pre-PQ Process'", True),
        ("pq date = 'this and that'", False),
        ("unless(id, '7') >= 0", False),
        ("po / so # >= '2013-01-01' and po / so # < '2014-01-01'", True),
    ],
)
def test_a_condition_compares_numbers_with_numbers_and_texts_with_texts(text, expected):
    assert holds(text) is expected


rows_of_cells = st.lists(
    st.tuples(*[st.sampled_from(["", "7", "x", "2013-09-01", "1e3", "-4.50"])] * 4), min_size=1
)


@given(rows_of_cells)
def test_a_batch_says_what_its_rows_say_one_by_one(rows):
    for text in (
        "first(integer(id), number(`unit of measure (per pack)`))",
        "join(slug(id), '-', pq date)",
        "min_date(id, pq date, po / so #)",
        "lookup(all, id)",
        "unless(id, pq date)",
        "add(id, pq date)",
        "cents(id)",
        "equals(id, pq date)",
    ):
        whole = vector(text, *rows)
        for i, row in enumerate(rows):
            alone = vector(text, row)
            assert whole.flaws.get(i) == alone.flaws.get(0)
            assert whole.values[i].as_py() == alone.values[0].as_py()
