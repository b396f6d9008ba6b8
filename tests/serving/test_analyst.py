"""Tables for analysts: what a search says, column by column, with the provenance of each value."""

from datetime import UTC, date, datetime

import duckdb
import polars
import pyarrow as pa
import pytest

from serving import analyst
from serving.analyst import micros, told
from serving.client import Event
from tests.serving.several import NOW, position, several
from twin.errors import BadRequest, TooMany, Unavailable, UnknownField
from twin.kinds import KINDS

ROWS = 300
SECOND = 1_000_000


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with several(tmp_path_factory.mktemp("analyst") / "twin") as twin, twin.client() as client:
        client.ingest(
            [
                position(f"e{n}", f"S{n}", n / 10, time=NOW - n * SECOND, region=region(n))
                for n in range(ROWS)
            ]
        )
        client.ingest([promise(n) for n in range(0, ROWS, 3)])
        yield client


def region(n):
    return ("east", "west")[n % 2]


def promise(n):
    said = {"promised_at": NOW + n * SECOND}
    return Event("shipment.promised", "erp", f"S{n}", NOW - 9, said, f"p{n}", region(n), 1)


def test_a_table_has_every_row_and_each_value_as_a_search_says_it(client):
    table = client.shipments(fields=["lat", "promised_at"])

    found = {twin.id: twin for twin in client.search_all("shipment", page=70)}
    assert table.num_rows == len(found) == ROWS
    for row in table.to_pylist():
        twin = found[row["id"]]
        lat = twin.values["lat"]
        assert (row["region"], row["shard"]) == (twin.region, twin.shard)
        assert row["lat"] == lat.value
        assert row["position_as_of"] == at(lat.as_of)
        assert row["position_age_s"] == pytest.approx(lat.age_s, abs=0.001)
        assert (row["position_source"], row["position_offset"]) == (lat.source, lat.offset)
        assert row["position_confidence"] == lat.confidence
        promised = twin.values.get("promised_at")
        assert row["promised_at"] == (None if promised is None else at(promised.value))
        assert row["promise_as_of"] == (None if promised is None else at(promised.as_of))


def test_a_table_says_what_it_is_of(client):
    table = client.shipments("lat < 1", limit=5)

    said = told(table)
    assert (said["mode"], said["now"], said["total"], table.num_rows) == ("normal", NOW, 10, 5)
    assert set(said["offsets"]) == {f"shipment/{r}/{n}" for r in ("east", "west") for n in (0, 1)}
    assert said["missing"] == []


def test_columns_and_their_types_are_the_same_whatever_is_known(client):
    all_of_it = client.shipments()
    none = client.shipments("lat > 80")

    fields = [field.name for field in KINDS["shipment"].fields]
    assert all_of_it.schema == none.schema
    assert [name for name in none.schema.names if name in fields] == fields
    assert none.num_rows == 0
    assert none.schema.field("promised_at").type == pa.timestamp("us", "UTC")
    assert none.schema.field("status").type == pa.string()
    assert none.schema.field("quantity").type == pa.int64()


@pytest.mark.parametrize("page", [1, 7, 64, 10_000])
@pytest.mark.parametrize("order", ["lat", "-lat", "region, -lat", "promised_at, id"])
def test_rows_are_in_the_order_asked_for_over_all_shards_and_pages(
    client, monkeypatch, page, order
):
    monkeypatch.setattr(analyst, "PAGE", page)

    table = client.shipments("lat < 4", ["lat", "promised_at"], order)

    expected = client.search("shipment", "lat < 4", order=order, limit=1000).twins
    assert table["id"].to_pylist() == [twin.id for twin in expected]


@pytest.mark.parametrize("limit", [1, 69, 70, 71, 500])
def test_a_limit_counts_rows_over_pages(client, monkeypatch, limit):
    monkeypatch.setattr(analyst, "PAGE", 35)

    table = client.shipments(order="-lat", limit=limit)

    assert table["id"].to_pylist() == [f"S{n}" for n in range(ROWS - 1, -1, -1)][:limit]


def test_more_rows_than_are_wanted_at_most_are_refused_not_cut(client):
    with pytest.raises(TooMany, match="300 twins match"):
        client.shipments(most=299)

    assert client.shipments(most=300).num_rows == 300


def test_a_region_and_a_demand_narrow_what_is_told(client):
    west = client.shipments(region="west", fields=["lat"])
    fresh = client.shipments(fields=["lat"], max_age_s=100.0, fallback="withhold")

    assert set(west["region"].to_pylist()) == {"west"}
    assert fresh.num_rows == ROWS
    assert fresh["lat"].null_count == ROWS - 101
    assert told(fresh)["withheld"] == ["lat"]


def test_a_table_has_what_its_asker_wrote_before(client):
    receipt = client.ingest([position("new", "fresh", 5.0)])[0]

    table = client.shipments("id = 'fresh'", ["lat"], after=[receipt.name])

    assert table["lat"].to_pylist() == [5.0]
    client.ingest(
        [Event("shipment.position", "test/a", "fresh", NOW, {}, "r", "east", retracts="new")]
    )


def test_pandas_polars_and_duckdb_read_a_table_as_it_is(client):
    table = client.shipments("lat < 4", ["lat", "promised_at"], "id")

    frame, polar = table.to_pandas(), polars.from_arrow(table)
    (row,) = duckdb.from_arrow(table).aggregate("count(*), max(lat), count(promised_at)").fetchall()

    assert frame["promised_at"].dtype.tz is not None
    assert (len(frame), polar.height, row[0]) == (40, 40, 40)
    assert frame["lat"].max() == polar["lat"].max() == row[1] == 3.9
    assert polar["promised_at"].null_count() == 40 - row[2] == 26


def test_other_kinds_have_tables_of_their_own(client):
    for kind, table in (
        ("site", client.sites()),
        ("stock", client.stock()),
        ("alert", client.alerts()),
    ):
        assert {field.name for field in KINDS[kind].fields} <= set(table.schema.names)
        assert table.num_rows == 0


def test_a_kind_that_nobody_answers_for_is_told_and_not_taken_for_none(client):
    with pytest.raises(Unavailable):
        client.suppliers()


@pytest.mark.parametrize(
    ("moment", "us"),
    [
        (5, 5),
        ("1970-01-02", 86_400 * SECOND),
        ("1970-01-01T00:00:01.000002+00:00", SECOND + 2),
        ("1970-01-01T02:00:00+02:00", 0),
        (datetime(1970, 1, 1, 0, 0, 3, 4), 3 * SECOND + 4),  # noqa: DTZ001 - UTC is meant
        (datetime(2013, 9, 1, tzinfo=UTC), 1_377_993_600 * SECOND),
        (date(2013, 9, 1), 1_377_993_600 * SECOND),
    ],
)
def test_a_moment_is_a_number_a_text_a_day_or_a_datetime(moment, us):
    assert micros(moment) == us


def test_a_view_of_another_moment_changes_nothing_of_the_one_it_is_from(client):
    view = client.as_of("2013-09-01", known_at=NOW)
    again = view.as_of(5)

    assert repr(view) == f"Analyst(as_of=1377993600000000, known_at={NOW})"
    assert repr(again) == "Analyst(as_of=5, known_at=0)"
    assert client.shipments(limit=1).num_rows == 1


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda c: c.shipments("nonsense = 1"), "FIELD_UNKNOWN"),
        (lambda c: c.shipments(fields=["nonsense"]), "FIELD_UNKNOWN"),
        (lambda c: c.shipments("lat >"), "INVALID_ARGUMENT"),
        (lambda c: c.as_of("yesterday"), "INVALID_ARGUMENT"),
        (lambda c: c.as_of(1.5e15), "INVALID_ARGUMENT"),
        (lambda c: c.shipments(fallback="guess"), "INVALID_ARGUMENT"),
        (lambda c: c.shipments(after=["57"]), "INVALID_ARGUMENT"),
        (lambda c: c.as_of(5).watch(), "INVALID_ARGUMENT"),
        (lambda c: c.as_of(0).twins("wagon"), "INVALID_ARGUMENT"),
    ],
)
def test_a_bad_question_is_refused_with_its_code_word(client, ask, code):
    with pytest.raises((BadRequest, UnknownField)) as caught:
        ask(client)

    assert caught.value.code == code


def at(us):
    return datetime.fromtimestamp(us / 1e6, UTC).replace(microsecond=us % SECOND)


@pytest.mark.parametrize(
    ("where", "total"),
    [
        ("region = 'west'", 150),
        ("region != 'west' AND lat IS KNOWN", 150),
        ("region IN ('west', 'north')", 150),
        ("region NOT IN ('west', 'east')", 0),
        ("region LIKE 'w%' AND lat < 1", 5),
        ("region > 'f'", 150),
        ("region = 'nowhere'", 0),
    ],
)
def test_a_filter_may_name_regions_though_no_shard_knows_their_words(client, where, total):
    assert client.search("shipment", where).total == total
