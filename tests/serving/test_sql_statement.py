"""Statements: what they read, what is refused and by which word, before a row is touched."""

import pytest

from serving.sql import Parser, Sandbox, empty
from serving.sql_statement import LONGEST, Bounds
from serving.sql_tables import TABLES
from tests.serving.several import NOW
from twin.compare import time_us
from twin.errors import BadRequest

DAY = "2013-09-01"


@pytest.fixture(scope="module")
def parser():
    return Parser()


@pytest.fixture(scope="module")
def sandbox():
    return Sandbox()


def reads(parser, text):
    """Return table -> the columns that a statement may need; * for all of them."""
    found = parser.read(text).reads
    return {
        name: "*" if columns == set(TABLES[name].columns) else " ".join(sorted(columns))
        for name, columns in found.items()
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SELECT 1", {}),
        ("VALUES (1, 'a')", {}),
        ("SELECT count(*) FROM shipments", {"shipments": ""}),
        ("SELECT id FROM shipments WHERE Status = 'LATE'", {"shipments": "id status"}),
        ("SELECT s.lat FROM shipments AS s ORDER BY s.lon", {"shipments": "lat lon"}),
        ("SELECT * FROM stock", {"stock": "*"}),
        ("FROM stock", {"stock": "*"}),
        ("SELECT s.*, t.name FROM stock s, sites t", {"stock": "*", "sites": "name"}),
        ("SELECT s FROM stock s", {"stock": "*"}),
        ("SELECT COLUMNS('lat|lon') FROM sites", {"sites": "*"}),
        ("SELECT * FROM (SELECT id FROM stock)", {"stock": "id"}),
        ("SELECT (SELECT count(t.*) FROM sites) FROM stock t", {"sites": "", "stock": "*"}),
        ("SELECT 1 FROM stock NATURAL JOIN sites", {"stock": "*", "sites": "*"}),
        ("SELECT 1 FROM stock JOIN sites USING (region)", {"stock": "region", "sites": "region"}),
        ("WITH x AS (SELECT lat FROM sites) SELECT * FROM x", {"sites": "lat"}),
        ("WITH sites AS (SELECT name FROM suppliers) SELECT name FROM sites",
         {"suppliers": "name", "sites": "name"}),
        ("SELECT id FROM sites UNION SELECT id FROM stock", {"sites": "id", "stock": "id"}),
        ("SELECT 1 FROM sites WHERE id IN (SELECT site FROM stock)",
         {"sites": "id", "stock": "id site"}),
        ("SELECT sum(on_hand) OVER (PARTITION BY site) FROM stock", {"stock": "on_hand site"}),
        ("SELECT id FROM SHIPMENTS", {"shipments": "id"}),
    ],
)  # fmt: skip
def test_only_the_tables_and_columns_that_a_statement_names_are_read(parser, text, wanted):
    assert reads(parser, text) == wanted


@pytest.mark.parametrize(
    "text", ["SHOW TABLES", "DESCRIBE shipments", "EXPLAIN SELECT id FROM stock"]
)
def test_what_the_catalogue_knows_needs_no_rows(parser, text):
    statement = parser.read(text)

    assert not statement.needs_rows
    assert Sandbox().run(statement, empty(), NOW, 1000).rows > 0


def test_describe_lists_every_column_of_every_table(parser):
    sandbox = Sandbox()
    for name, table in TABLES.items():
        found = sandbox.run(parser.read(f"DESCRIBE {name}"), empty(), NOW, 1000)

        told = [row["column_name"] for batch in found.batches for row in batch.to_pylist()]
        assert told == list(table.columns)


def test_no_column_is_called_as_another_one(parser):
    for table in TABLES.values():
        assert len({name.lower() for name in table.columns}) == len(table.columns)


FORBIDDEN = [
    "INSERT INTO shipments VALUES (1)",
    "UPDATE shipments SET status = 'LATE'",
    "DELETE FROM shipments",
    "CREATE TABLE x (a INT)",
    "CREATE MACRO now() AS 1",
    "DROP TABLE shipments",
    "WITH x AS (DELETE FROM stock RETURNING *) SELECT * FROM x",
    "COPY shipments TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "EXPORT DATABASE '/tmp/x'",
    "ATTACH '/etc/passwd' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '100GB'",
    "RESET memory_limit",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "USE memory",
    "BEGIN",
    "VACUUM",
    "CHECKPOINT",
    "PREPARE x AS SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (FORMAT json) SELECT 1",
    "SELECT 1; DROP TABLE shipments",
    "SELECT 1; SELECT 2",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    'SELECT * FROM "x.csv"',
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM parquet_scan('x')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('x')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('shipments')",
    "SELECT * FROM json_execute_serialized_sql('x')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_user_agent()",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM main.shipments",
    "SELECT current_setting('temp_directory')",
    "SELECT getvariable('twin_now')",
    "SELECT id FROM shipments WHERE sleep_ms(10000) IS NULL",
    "SELECT * FROM (SELECT * FROM read_csv('x')) LIMIT 0",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH x AS (SELECT * FROM glob('*')) SELECT 1",
    "SELECT 1 FROM stock WHERE EXISTS (FROM read_csv('x'))",
    "SELECT * FROM stock, LATERAL (SELECT * FROM read_text(stock.id))",
    "SHOW DATABASES",
    "SHOW ALL TABLES",
    "PIVOT stock ON site USING sum(on_hand)",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_writes_or_reads_anything_but_tables_is_forbidden(parser, sandbox, text):
    for said in (text, text.lower(), f"-- a\n/* b */ {text}"):
        with pytest.raises(BadRequest) as e:
            sandbox.bind(parser.read(said), NOW)

        assert e.value.code == "SQL_FORBIDDEN", said
        assert "/work" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("", "SQL_SYNTAX", "there is no statement"),
        ("  -- nothing", "SQL_SYNTAX", "there is no statement"),
        ("SELEC 1", "SQL_SYNTAX", 'at or near "SELEC", line 1, column 1'),
        ("SELECT id\nFROM shipments\nWHERE lat >", "SQL_SYNTAX", "line 3, column 11"),
        ("SELECT 'ä', ä FROM (", "SQL_SYNTAX", "syntax error"),
        ("SELECT * FROM shipment", "SQL_UNKNOWN", "no table shipment; did you mean shipments?"),
        ("SELECT * FROM zzz", "SQL_UNKNOWN", "there are shipments, sites"),
        ("SELECT statuss FROM shipments", "SQL_UNKNOWN", "did you mean status?"),
        ("SELECT s.suplier FROM shipments s", "SQL_UNKNOWN", "did you mean supplier?"),
        ("SELECT x.id FROM shipments s", "SQL_UNKNOWN", "no table x in this FROM"),
        ("SELECT nofunc(id) FROM shipments", "SQL_UNKNOWN", "no function nofunc"),
        ("SELECT id + 1 FROM shipments", "SQL_INVALID", "No function matches"),
        ("SELECT id FROM shipments GROUP BY status", "SQL_INVALID", "GROUP BY"),
        ("SELECT id FROM shipments JOIN sites USING (nope)", "SQL_UNKNOWN", "nope"),
        ("SELECT id FROM shipments, sites", "SQL_INVALID", "Ambiguous"),
        ("SELECT" + " (" * 3000 + "1" + ")" * 3000, "SQL_TOO_LARGE", "nested too deep"),
        ("SELECT " + "1+" * 20_000 + "1", "SQL_TOO_LARGE", "nested too deep"),
        ("SELECT '" + "x" * LONGEST + "'", "SQL_TOO_LARGE", "longer than"),
    ],
)
def test_a_bad_statement_is_refused_with_its_word_and_the_place(parser, sandbox, text, code, told):
    with pytest.raises(BadRequest) as e:
        sandbox.bind(parser.read(text), NOW)

    assert e.value.code == code
    assert told in str(e.value)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (f"ingest_time >= '{DAY}'", {"since": 0}),
        (f"ingest_time > '{DAY}'", {"since": 1}),
        (f"'{DAY}' <= ingest_time", {"since": 0}),
        (f"ingest_time < TIMESTAMPTZ '{DAY}'", {"until": 0}),
        (f"ingest_time <= '{DAY}'::TIMESTAMPTZ", {"until": 1}),
        (f"event_time = '{DAY}'", {"event_since": 0, "event_until": 1}),
        (f"event_time BETWEEN '{DAY}' AND '{DAY}'", {"event_since": 0, "event_until": 1}),
        (f"id = 'x' AND (ingest_time >= '{DAY}' AND type = 'y')", {"since": 0}),
        (f"ingest_time >= '{DAY}' OR id = 'x'", {}),
        (f"NOT ingest_time >= '{DAY}'", {}),
        (f"ingest_time >= '{DAY}' + INTERVAL 1 DAY", {}),
        ("ingest_time >= 'yesterday'", {}),
        (f"ingest_time < '{DAY} 00:00:00.0000001'", {}),
    ],
)
def test_bounds_of_a_where_on_events_are_handed_to_the_shards(parser, where, wanted):
    day = time_us(DAY)

    bounds = parser.read(f"SELECT id FROM events WHERE {where}").bounds["events"]

    assert bounds == Bounds(**{name: day + more for name, more in wanted.items()})


def test_a_shard_in_a_where_is_the_only_one_that_is_read(parser):
    text = "SELECT id FROM events WHERE shard = 'shipment/east/0'"

    assert parser.read(text).bounds["events"] == Bounds(shard="shipment/east/0")


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT 1 FROM events a, events b WHERE a.ingest_time > '{DAY}'",
        f"SELECT 1 FROM events WHERE ingest_time > '{DAY}' UNION SELECT 1 FROM events",
        f"SELECT 1 FROM sites ANTI JOIN events USING (id) WHERE ingest_time > '{DAY}'",
    ],
)
def test_bounds_of_one_use_of_events_do_not_bound_another(parser, text):
    assert not parser.read(text).bounds


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT CAST(IF(range = 90000, 'x', '1') AS INT) FROM range(100000)", "SQL_INVALID"),
        ("SELECT 9223372036854775807 + range FROM range(9)", "SQL_INVALID"),
        ("SELECT error('boo')", "SQL_INVALID"),
        ("SELECT repeat('x', 5000000000)", "SQL_INVALID"),
        ("SELECT a.range FROM range(100000000) a ORDER BY random()", "SQL_TOO_LARGE"),
    ],
)
def test_what_fails_while_it_runs_has_its_word_too(parser, text, code):
    sandbox, statement = Sandbox("64MB"), parser.read(text)

    with pytest.raises(BadRequest) as e:
        sandbox.run(statement, {}, NOW, 1_000_000)

    assert e.value.code == code
    assert sandbox.run(parser.read("SELECT 1"), {}, NOW, 9).rows == 1


def test_a_database_knows_nothing_of_the_statement_before(parser):
    sandbox = Sandbox()
    sandbox.run(parser.read("SELECT * FROM stock"), empty(), NOW, 1)

    with pytest.raises(BadRequest) as e:
        sandbox.run(parser.read("SELECT * FROM stock"), {}, NOW, 1)

    assert e.value.code == "SQL_UNKNOWN"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM 'https://example.com/x.parquet'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPORT DATABASE '/tmp/x'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
    ],
)
def test_a_database_reaches_nothing_even_if_nobody_reads_the_statement_before(parser, text):
    unread = parser.read("SELECT 1")._replace(text=text)

    with pytest.raises(BadRequest) as e:
        Sandbox().run(unread, empty(), NOW, 9)

    assert e.value.code in {"SQL_FORBIDDEN", "SQL_UNKNOWN", "SQL_INVALID"}
    assert "/work" not in str(e.value)
