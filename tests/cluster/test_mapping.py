import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import load, mapping
from cluster.expressions import micros
from cluster.maker import Maker
from cluster.rows import Rows, _blank_is_absent
from twin.errors import BadRequest

ONE = """
name = "one"
source = "test"
region = "'west'"

[[events]]
type = "stock.counted"
id = "join(id, ':counted')"
subject = "id"
time = "date(at)"

[events.payload]
site = "site"
product = "'kit'"
quantity = "integer(packs)"
"""


@pytest.fixture
def rows(tmp_path):
    def read(text, toml=ONE, name="rows.csv"):
        content = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        (tmp_path / name).write_bytes(content)
        return load.read(tmp_path / name, mapping.parse(toml))

    return read


@pytest.fixture
def refusal(rows):
    def read(toml, text="id,at,site,packs\n"):
        with pytest.raises(BadRequest) as caught:
            rows(text, toml)
        return caught.value.code, str(caught.value)

    return read


def test_a_row_becomes_the_event_that_the_mapping_declares(rows):
    result = rows("id,at,site,packs\nA,2013-09-01,NGLOS,7\n")

    event = result.events[0].event
    assert (event.type, event.source, event.subject, event.id, event.region) == (
        "stock.counted",
        "test",
        "A",
        "A:counted",
        "west",
    )
    assert event.time == micros("2013-09-01") == 1_377_993_600_000_000
    assert event.data == {"site": "NGLOS", "product": "kit", "quantity": 7}


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        ("A,2013-09-01,NGLOS", "ROW_MALFORMED", ""),
        ("A,2013-09-01,NGLOS,7,8", "ROW_MALFORMED", ""),
        ("A,soon,NGLOS,7", "VALUE_UNREADABLE", "at"),
        ("A,2013-09-01,NGLOS,many", "VALUE_UNREADABLE", "packs"),
        ("A,2013-09-01,NGLOS,1.5", "VALUE_UNREADABLE", "packs"),
        ("A,2013-09-01,NGLOS,NaN", "VALUE_UNREADABLE", "packs"),
        ("A,2013-09-01,,7", "FIELD_MISSING", "site"),
        (",2013-09-01,NGLOS,7", "FIELD_MISSING", "id"),
        ("A,,NGLOS,7", "FIELD_MISSING", "at"),
        ("A,2013-09-01,\udcff,7", "ROW_MALFORMED", ""),
    ],
)
def test_an_unmappable_row_is_parked_with_its_line_reason_and_column(rows, row, reason, column):
    result = rows(f"id,at,site,packs\nA,2013-09-01,NGLOS,7\n{row}\nB,2013-09-01,NGLOS,7\n")

    assert [mapped.event.subject for mapped in result.events] == ["A", "B"]
    assert [(p.line, p.reason, p.column) for p in result.parked] == [(3, reason, column)]
    assert result.rows == 3


def test_a_value_that_no_table_lists_parks_the_row(rows):
    toml = (
        ONE.replace("\"'west'\"", '"lookup(region, site)"') + '[tables.region.rows]\nX = "east"\n'
    )

    result = rows("id,at,site,packs\nA,2013-09-01,X,7\nB,2013-09-01,Y,7\n", toml)

    assert [mapped.event.region for mapped in result.events] == ["east"]
    assert [(p.reason, p.column, p.value) for p in result.parked] == [
        ("VALUE_UNKNOWN", "site", "Y")
    ]


def test_a_line_of_json_that_is_no_object_is_parked_and_its_neighbours_are_not(rows):
    toml = ONE + '[reader]\nformat = "jsonl"\n'
    good = '{"id": "A", "at": "2013-09-01", "site": "NGLOS", "packs": 7}'

    result = rows(f'{good}\n[1]\n{{"id": \n{good.replace("A", "B", 1)}\n', toml, "rows.txt")

    assert [mapped.event.data["quantity"] for mapped in result.events] == [7, 7]
    assert [(p.line, p.reason) for p in result.parked] == [
        (2, "ROW_MALFORMED"),
        (3, "ROW_MALFORMED"),
    ]


def test_an_event_whose_condition_does_not_hold_is_not_made(rows):
    toml = ONE.replace('time = "date(at)"', 'time = "date(\'2013-09-01\')"\nwhen = "at is date"')

    result = rows("id,at,site,packs\nA,2013-09-01,X,7\nB,N/A - From RDC,X,7\n", toml)

    assert [mapped.event.subject for mapped in result.events] == ["A"]
    assert result.parked == []


def test_an_event_made_once_stands_for_the_row_that_became_known_first(rows):
    toml = ONE.replace('subject = "id"', 'subject = "id"\nonce = true')

    result = rows("id,at,site,packs\nA,2013-09-03,X,3\nA,2013-09-01,X,1\nB,2013-09-02,X,2\n", toml)

    assert [(m.event.subject, m.event.data["quantity"]) for m in result.events] == [
        ("A", 1),
        ("B", 2),
    ]


def test_an_unknown_column_is_refused_with_the_nearest_name(refusal):
    code, message = refusal(ONE.replace("integer(packs)", "integer(pack)"))

    assert code == "COLUMN_UNKNOWN"
    assert "did you mean 'packs'?" in message


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("source =", "sauce =", "did you mean 'source'?"),
        ("subject =", "subjekt =", "did you mean 'subject'?"),
        ("stock.counted", "stock.cuonted", "did you mean 'stock.counted'?"),
        ("quantity =", "quantitty =", "did you mean 'quantity'?"),
        ("integer(", "interger(", "did you mean 'integer'?"),
        ("integer(packs)", "integer(packs", "not closed"),
        ("integer(packs)", "integer(packs, id)", "takes 1 values, not 2"),
        ("integer(packs)", "lookup(nothing, packs)", "no table 'nothing'"),
        ("product = \"'kit'\"", "", "needs a payload field 'product'"),
        ("[[events]]", "[[events]", "no TOML"),
        ('name = "one"', "name = 1", "Expected `str`"),
    ],
)
def test_a_malformed_mapping_is_refused_and_says_what_to_correct(refusal, old, new, hint):
    code, message = refusal(ONE.replace(old, new))

    assert code == "MAPPING_INVALID"
    assert hint in message


def test_brackets_in_brackets_have_a_bound(refusal):
    code, message = refusal(ONE.replace("integer(packs)", "first(" * 40 + "packs" + ")" * 40))

    assert code == "MAPPING_INVALID"
    assert "brackets in brackets" in message


def test_an_unknown_mapping_names_those_there_are():
    with pytest.raises(BadRequest, match="did you mean 'scms'") as caught:
        mapping.find("smcs")

    assert caught.value.code == "MAPPING_UNKNOWN"


def test_a_mapping_file_that_is_not_there_is_unknown(tmp_path):
    with pytest.raises(BadRequest) as caught:
        mapping.find(str(tmp_path / "none.toml"))

    assert caught.value.code == "MAPPING_UNKNOWN"


def test_a_mapping_may_be_a_file(tmp_path):
    (tmp_path / "one.toml").write_text(ONE)

    assert mapping.find(str(tmp_path / "one.toml")).name == "one"


def test_every_packaged_mapping_is_valid():
    assert mapping.names() == ["legs", "places", "scms"]
    assert [mapping.find(name).name for name in mapping.names()] == mapping.names()


def test_a_payload_is_read_as_its_contract_has_it_without_being_told(rows):
    result = rows("id,at,site,packs\nA,2013-09-01,X,7\nB,2013-09-01,X,7.5\n", PLAIN)

    assert [mapped.event.data["quantity"] for mapped in result.events] == [7]
    assert [(p.reason, p.column, p.value) for p in result.parked] == [
        ("VALUE_UNREADABLE", "packs", "7.5")
    ]


PLAIN = ONE.replace("integer(packs)", "packs").replace("date(at)", "at")


def test_a_derived_column_is_named_once_and_used_everywhere(rows):
    toml = PLAIN.replace("'west'", "home").replace('subject = "id"', 'subject = "key"') + (
        """
[columns]
home = "lookup(home, site)"
key = "join(home, '-', slug(id))"

[tables.home.rows]
X = "east"
Y = "west"
"""
    )

    result = rows("id,at,site,packs\nA b,2013-09-01,X,1\nC,2013-09-01,Y,2\n", toml)

    assert [(m.event.subject, m.event.region) for m in result.events] == [
        ("east-a-b", "east"),
        ("west-c", "west"),
    ]


def test_a_derived_column_may_use_those_above_it_and_no_other(refusal):
    code, message = refusal(PLAIN + '\n[columns]\nfirst = "second"\nsecond = "id"\n')

    assert code == "COLUMN_UNKNOWN"
    assert "'second'" in message


WARM = """
name = "warm"
source = "test"
region = "'east'"

[[events]]
type = "shipment.condition"
id = "join(id, ':warm')"
subject = "id"
time = "time(at, '%d.%m.%Y %H:%M', 'Europe/Berlin')"
version = 2

[events.payload]
temp_c = { value = "temp", unit = "degF" }
humidity_pct = { value = "wet", unit = "1" }
"""


def test_a_value_is_converted_from_the_unit_of_the_file_to_that_of_the_contract(rows):
    result = rows("id,at,temp,wet\nA,01.09.2013 02:00,98.6,0.55\nB,01.09.2013 02:00,hot,\n", WARM)

    (mapped,) = result.events
    assert mapped.event.data == {"temp_c": 37.0, "humidity_pct": 55.0}
    assert mapped.event.time == micros("2013-09-01")
    assert [(p.line, p.reason, p.column) for p in result.parked] == [
        (3, "VALUE_UNREADABLE", "temp")
    ]


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("degF", "degf", "did you mean 'degF'?"),
        ("degF", "lb", "lb measures mass"),
        ('unit = "degF"', 'unti = "degF"', "did you mean 'unit'?"),
        ('value = "temp", ', "", "value"),
    ],
)
def test_a_unit_that_cannot_be_is_refused(refusal, old, new, hint):
    code, message = refusal(WARM.replace(old, new))

    assert code == "MAPPING_INVALID"
    assert hint in message


def test_rows_of_csv_json_and_parquet_become_the_same_events(rows, tmp_path):
    lines = [{"id": f"A{n}", "at": "2013-09-01", "site": "X", "packs": n} for n in range(5)]
    csv = "id,at,site,packs\n" + "".join(f"A{n},2013-09-01,X,{n}\n" for n in range(5))
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "rows.parquet")

    found = [
        rows(csv, PLAIN),
        rows("".join(json.dumps(line) + "\n" for line in lines), PLAIN, "rows.jsonl"),
        load.read(tmp_path / "rows.parquet", mapping.parse(PLAIN)),
    ]

    events = [[mapped.event for mapped in result.events] for result in found]
    assert events[0] == events[1] == events[2]
    assert len(events[0]) == 5


EVERYTHING = """
name = "everything"
source = "test"
region = "'east'"

[columns]
moved = "later(epoch(n, 's'), multiply(n, n, n), 'h')"
local = "at(date(day), multiply(n, n), 'Europe/Berlin')"
soon = "next(clock(n), 'Asia/Tokyo', first(time(day, '%d.%m.%Y', 'UTC'), local))"
sum = "add(n, modulo(n, x), subtract(x, n))"

[[events]]
type = "stock.counted"
id = "join(slug(name), '-', snake(name), '-', cents(x))"
subject = "join('s', integer(n))"
time = "first(moved, local, soon)"
when = "unless(name, 'x') is known and flag(yes) = 'True' and sum >= 0"

[events.payload]
site = "name"
product = "'kit'"
quantity = { value = "x", unit = "dozen" }
"""
words = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=9),
    st.sampled_from(["1e18", "9" * 18, "-9e17", "4611686018427387903", "nan", "inf", "0.1"]),
    st.sampled_from(["2013-09-01", "31.02.2013", "9999-12-31T23:59:59.999999+00:00", "24:00"]),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["yes", "no", "x", ""]),
)


@given(st.lists(st.tuples(*[words] * 5), min_size=1, max_size=9))
def test_whatever_cells_hold_each_row_is_mapped_left_out_or_parked(rows_of):
    everything = mapping.parse(EVERYTHING)
    columns = [
        _blank_is_absent(pa.array(cells, pa.string())) for cells in zip(*rows_of, strict=True)
    ]
    found = Rows(columns, np.arange(2, 2 + len(rows_of)), [], 0)
    maker = Maker(everything, ["n", "x", "day", "name", "yes"])

    events = maker.events(found)

    at = [*events.lines.tolist(), *(parked.line for parked in events.parked)]
    assert events.rows == len(rows_of)
    assert len(set(at)) == len(at)
    for i in range(len(rows_of)):
        alone = maker.events(found.part(i, i + 1))
        assert alone.lines.tolist() == [line for line in events.lines.tolist() if line == i + 2]


def test_a_row_whose_numbers_no_integer_holds_is_parked_alone(rows):
    toml = PLAIN.replace('quantity = "packs"', 'quantity = "multiply(packs, packs, packs)"')

    result = rows("id,at,site,packs\nA,2013-09-01,X,7\nB,2013-09-01,X,9999999999\n", toml)

    assert [mapped.event.data["quantity"] for mapped in result.events] == [343]
    assert [(p.line, p.reason) for p in result.parked] == [(3, "VALUE_UNREADABLE")]


def test_an_encoding_that_nobody_knows_is_refused(refusal):
    code, message = refusal(PLAIN + '\n[reader]\nencoding = "latin-99"\n')

    assert code == "MAPPING_INVALID"
    assert "'latin-99'" in message
