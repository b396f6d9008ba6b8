"""SQL and tables over HTTP: in the form that is asked for, with the words that gRPC has."""

import contextlib
import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving import http_table
from serving.sql_tables import TABLES
from tests.serving.http_gateway import HttpGateway
from tests.serving.querying import querying
from tests.serving.several import position, several
from twin.errors import BadRequest

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
TEXT = "SELECT id, lat, position_as_of, status, position_offset FROM shipments ORDER BY id"


class World:
    def __init__(self, twin, http):
        self.http, self.client = http, twin.client()
        self.client.ingest([position(f"e{i}", f"S{i}", lat=i + 0.5) for i in range(20)])

    def sql(self, text, accept="", **more):
        return self.http.post("/v1/sql", {"sql": text, **more}, headers={"accept": accept})

    def refused(self, answer):
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["code"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("http")
    with (
        several(folder) as twin,
        querying(folder),
        contextlib.closing(HttpGateway(folder)) as http,
    ):
        found = World(twin, http)
        yield found
        found.client.close()


def test_one_answer_is_the_same_in_every_form(world):
    wanted = world.client.sql(TEXT)

    arrow = pa.ipc.open_stream(world.sql(TEXT, ARROW).content).read_all()
    parquet = pq.read_table(io.BytesIO(world.sql(TEXT, PARQUET).content))
    plain = world.sql(TEXT, "application/json").json()
    lines = list(csv.DictReader(io.StringIO(world.sql(TEXT, "text/csv").text)))

    assert arrow.to_pylist() == parquet.to_pylist() == wanted.to_pylist()
    assert (plain["shown"], plain["truncated"], plain["mode"]) == (20, False, "normal")
    assert plain["columns"][:2] == [{"name": "id", "type": "string"},
                                    {"name": "lat", "type": "double"}]  # fmt: skip
    for row, line, told in zip(wanted.to_pylist(), lines, plain["rows"], strict=True):
        at = row["position_as_of"].isoformat().replace("+00:00", "Z").replace("999000", "999")
        assert told["position_as_of"].replace("999000", "999") == at
        assert line["position_as_of"].replace("999000", "999") == at
        assert (told["id"], told["lat"], told["status"]) == (row["id"], row["lat"], None)
        assert (line["id"], float(line["lat"]), line["status"]) == (row["id"], row["lat"], "")


def test_headers_say_how_an_answer_came_about(world):
    answer = world.sql(TEXT, "text/csv", limit=3)

    assert answer.headers["twin-rows"] == "3"
    assert answer.headers["twin-truncated"] == "true"
    assert answer.headers["twin-mode"] == "normal"
    assert answer.headers["twin-now"] == "2023-11-14T22:13:20Z"
    assert '"shipment/east/0":' in answer.headers["twin-offsets"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == 'attachment; filename="answer.csv"'


def test_exact_integers_stay_exact_in_json(world):
    row = world.sql("SELECT 9007199254740993 AS n, sum(x) AS s, NULL AS z, 'nan'::DOUBLE AS f "
                    "FROM (VALUES (9007199254740993), (1)) t(x)").json()["rows"][0]  # fmt: skip

    assert row == {"n": 9007199254740993, "s": 9007199254740994, "z": None, "f": None}


def test_columns_of_one_name_are_told_apart_in_every_form(world):
    text = "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a, 5 AS b"
    names = {"a": 1, "a_2": 2, "a_1": 3, "a_3": 4, "b": 5}
    joined = "SELECT x.id, y.id FROM shipments x JOIN shipments y ON y.lat = x.lat + 1 LIMIT 1"

    assert world.sql(text).json()["rows"] == [names]
    assert world.client.sql(text).to_pylist() == [names]
    assert pa.ipc.open_stream(world.sql(text, ARROW).content).read_all().to_pylist() == [names]
    assert world.sql(text, "text/csv").text.splitlines()[0] == "a,a_2,a_1,a_3,b"
    assert list(world.sql(joined).json()["rows"][0]) == ["id", "id_1"]


@pytest.mark.parametrize("form", ["text/csv", PARQUET])
def test_a_column_that_has_no_form_is_named(world, form):
    answer = world.sql("SELECT 1 AS n, INTERVAL 1 MONTH AS span, [1] AS l", form)

    assert world.refused(answer) == (400, "SQL_INVALID")
    assert "the column span has no form in" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/v1/tables/shipments", "application/json"),
        ("/v1/tables/shipments?format=csv", "text/csv; charset=utf-8"),
        ("/v1/tables/shipments.csv", "text/csv; charset=utf-8"),
        ("/v1/tables/shipments.parquet", PARQUET),
        ("/v1/tables/shipments.arrow", ARROW),
        ("/v1/tables/events.json", "application/json"),
        ("/v1/tables/quarantine.csv", "text/csv; charset=utf-8"),
    ],
)
def test_a_table_is_had_by_its_name_and_ending(world, path, media):
    answer = world.http.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, media)


@pytest.mark.parametrize("name", ["shipments", "sites", "stock", "alerts", "events", "quarantine"])
def test_every_table_is_written_in_every_form(world, name):
    for form in http_table.MEDIA:
        assert world.http.get(f"/v1/tables/{name}.{form}").status_code == 200, form


def test_some_of_a_table_is_asked_as_search_is_asked(world):
    path = "/v1/tables/shipments?fields=id,lat&where=lat > 3 AND lat < 7&order=-lat&limit=3"

    answer = world.http.get(path).json()

    assert [row["lat"] for row in answer["rows"]] == [6.5, 5.5, 4.5]
    assert answer["truncated"]
    assert list(answer["rows"][0]) == ["id", "lat"]
    comment = world.http.get("/v1/tables/shipments", params={"where": "lat = 3.5 -- )"})
    assert comment.json()["shown"] == 1
    assert world.http.get("/v1/tables/shipments?region=west").json()["shown"] == 0


def test_what_is_wrong_is_told_as_a_problem(world):
    get, refused = world.http.get, world.refused
    out = {"where": "1=1) UNION SELECT * FROM read_csv('/etc/passwd') --"}
    inside = {"where": "id IN (SELECT content FROM read_text('/etc/passwd'))"}

    assert refused(world.sql("SELEC 1")) == (400, "SQL_SYNTAX")
    assert refused(world.sql("SELECT nope FROM stock")) == (400, "SQL_UNKNOWN")
    assert refused(world.sql("DROP TABLE stock")) == (403, "SQL_FORBIDDEN")
    assert refused(world.sql("SELECT list(range) FROM range(100000000)")) == (413, "SQL_TOO_LARGE")
    assert refused(world.sql("SELECT 1", "image/png")) == (406, "NOT_ACCEPTABLE")
    assert refused(world.sql("SELECT 1", format="xls")) == (400, "INVALID_ARGUMENT")
    assert refused(world.sql("SELECT 1", format=1)) == (400, "INVALID_ARGUMENT")
    assert refused(world.sql("SELECT 1", limit=0)) == (400, "INVALID_ARGUMENT")
    assert refused(world.sql("SELECT 1", limit=20_000)) == (400, "INVALID_ARGUMENT")
    assert refused(world.sql("")) == (400, "INVALID_ARGUMENT")
    assert refused(world.http.post("/v1/sql", {"query": "SELECT 1"})) == (400, "INVALID_ARGUMENT")
    assert refused(world.sql("SELECT [1] AS l", "text/csv")) == (400, "SQL_INVALID")
    assert refused(get("/v1/tables/nope")) == (404, "NOT_FOUND")
    assert refused(get("/v1/tables/stock.xls")) == (400, "INVALID_ARGUMENT")
    assert refused(get("/v1/tables/stock?fields=nope")) == (400, "SQL_UNKNOWN")
    assert refused(get("/v1/tables/stock?wher=1")) == (400, "INVALID_ARGUMENT")
    assert refused(get("/v1/tables/stock?order=id; DROP TABLE stock")) == (400, "SQL_UNKNOWN")
    assert refused(get("/v1/tables/stock", params=out)) == (400, "SQL_SYNTAX")
    assert refused(get("/v1/tables/stock", params=inside)) == (403, "SQL_FORBIDDEN")
    assert refused(get("/v1/tables/stock", scopes=("write",))) == (403, "SCOPE_MISSING")


def test_a_tenant_sees_its_own_tables(world):
    for name in TABLES:
        if name != "suppliers":  # nobody holds any in this twin
            path = f"/v1/tables/{name}"
            assert world.http.get(path, tenant="other").json()["rows"] == []


def test_without_its_query_process_a_gateway_says_when_to_ask_again(tmp_path):
    with several(tmp_path, 1), contextlib.closing(HttpGateway(tmp_path)) as http:
        answer = http.post("/v1/sql", {"sql": "SELECT 1"})

        assert (answer.status_code, answer.json()["code"]) == (503, "SQL_UNAVAILABLE")
        assert answer.json()["retry_after"] > 0


def test_the_description_of_the_surface_has_these_addresses(world):
    found = world.http.get("/v1/openapi.json").json()["paths"]

    content = found["/v1/sql"]["post"]["responses"]["200"]["content"]
    assert set(content) == {ARROW, PARQUET, "text/csv", "application/json"}
    parameters = {p["name"] for p in found["/v1/tables/{name}"]["get"]["parameters"]}
    assert parameters == {
        "name", "fields", "where", "order", "limit", "region", "as_of", "known_at", "format",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "accept", "wanted"),
    [
        ("", "", "json"),
        ("", "*/*", "json"),
        ("csv", "application/json", "csv"),
        ("", "text/html, text/csv;q=0.9, application/json;q=0.1", "csv"),
        ("", "application/json;q=0.2, application/vnd.apache.parquet", "parquet"),
        ("", "application/vnd.apache.arrow.stream", "arrow"),
        ("", "text/csv;q=0, application/json", "json"),
        ("", "text/*", "csv"),
    ],
)
def test_the_form_that_accept_prefers_is_written(said, accept, wanted):
    assert http_table.form(said, accept) == wanted


def test_accept_of_nothing_there_is_refused():
    for accept in ("image/png", "text/csv;q=0", "text/csv;q=x"):
        with pytest.raises(BadRequest) as e:
            http_table.form("", accept)
        assert e.value.code == "NOT_ACCEPTABLE"
