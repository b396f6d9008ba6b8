import pytest

from cluster import load, mapping
from cluster.expressions import micros
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


def rows(text, toml=ONE, format_="csv"):
    header, found = load.parse(text, format_, "test.csv")
    return mapping.apply(mapping.parse(toml), header, found)


def refusal(toml, text="id,at,site,packs\n"):
    with pytest.raises(BadRequest) as caught:
        rows(text, toml)
    return caught.value.code, str(caught.value)


def test_a_row_becomes_the_event_that_the_mapping_declares():
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
def test_an_unmappable_row_is_parked_with_its_line_reason_and_column(row, reason, column):
    result = rows(f"id,at,site,packs\nA,2013-09-01,NGLOS,7\n{row}\nB,2013-09-01,NGLOS,7\n")

    assert [mapped.event.subject for mapped in result.events] == ["A", "B"]
    assert [(p.line, p.reason, p.column) for p in result.parked] == [(3, reason, column)]
    assert result.rows == 3


def test_a_value_that_no_table_lists_parks_the_row():
    toml = (
        ONE.replace("\"'west'\"", '"lookup(region, site)"') + '[tables.region.rows]\nX = "east"\n'
    )

    result = rows("id,at,site,packs\nA,2013-09-01,X,7\nB,2013-09-01,Y,7\n", toml)

    assert [mapped.event.region for mapped in result.events] == ["east"]
    assert [(p.reason, p.column, p.value) for p in result.parked] == [
        ("VALUE_UNKNOWN", "site", "Y")
    ]


def test_a_line_of_json_that_is_no_object_is_parked_and_its_neighbours_are_not():
    toml = ONE + '[reader]\nformat = "jsonl"\n'
    good = '{"id": "A", "at": "2013-09-01", "site": "NGLOS", "packs": 7}'

    result = rows(f'{good}\n[1]\n{{"id": \n{good.replace("A", "B", 1)}\n', toml, "jsonl")

    assert [mapped.event.data["quantity"] for mapped in result.events] == [7, 7]
    assert [(p.line, p.reason) for p in result.parked] == [
        (2, "ROW_MALFORMED"),
        (3, "ROW_MALFORMED"),
    ]


def test_an_event_whose_condition_does_not_hold_is_not_made():
    toml = ONE.replace('time = "date(at)"', 'time = "date(\'2013-09-01\')"\nwhen = "at is date"')

    result = rows("id,at,site,packs\nA,2013-09-01,X,7\nB,N/A - From RDC,X,7\n", toml)

    assert [mapped.event.subject for mapped in result.events] == ["A"]
    assert result.parked == []


def test_an_event_made_once_stands_for_the_row_that_became_known_first():
    toml = ONE.replace('subject = "id"', 'subject = "id"\nonce = true')

    result = rows("id,at,site,packs\nA,2013-09-03,X,3\nA,2013-09-01,X,1\nB,2013-09-02,X,2\n", toml)

    assert [(m.event.subject, m.event.data["quantity"]) for m in result.events] == [
        ("A", 1),
        ("B", 2),
    ]


def test_an_unknown_column_is_refused_with_the_nearest_name():
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
def test_a_malformed_mapping_is_refused_and_says_what_to_correct(old, new, hint):
    code, message = refusal(ONE.replace(old, new))

    assert code == "MAPPING_INVALID"
    assert hint in message


def test_brackets_in_brackets_have_a_bound():
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
    assert mapping.names() == ["places", "scms"]
    assert [mapping.find(name).name for name in mapping.names()] == mapping.names()
