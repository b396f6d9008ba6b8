"""Arrow Flight SQL, asked by ADBC, pandas and polars, and by crafted messages."""

import importlib
import os
from contextlib import closing

import grpc
import pyarrow as pa
import pytest
from google.protobuf.any_pb2 import Any as Packed

from serving import flight_sql
from serving.flight_catalogue import flat
from serving.sql_tables import TABLES
from serving.wire import flight_pb2 as flight
from serving.wire import flight_pb2_grpc as rpc
from serving.wire import flight_sql_pb2 as fsql
from tests.serving.querying import ENDLESS, querying
from tests.serving.several import NOW, position, several
from tests.serving.test_sql import moment

S = grpc.StatusCode


def optional(name):
    """Return a module that a client needs; where CI runs, it is there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        assert not os.environ.get("CI"), f"CI must have {name}; `make install` installs it"
        pytest.skip(f"{name} is not installed")


class World:
    def __init__(self, twin, query):
        self.twin, self.query, self.client = twin, query, twin.client()
        self.stub = rpc.FlightServiceStub(grpc.insecure_channel(f"127.0.0.1:{query.port}"))
        at = [position(f"e{i}", f"S{i}", lat=float(i), time=NOW - 9) for i in range(20)]
        self.client.ingest(at)

    def connect(self, token=None, **more):
        dbapi = optional("adbc_driver_flightsql.dbapi")
        token = self.query.token() if token is None else token
        headers = {"adbc.flight.sql.authorization_header": f"Bearer {token}"} | more
        return closing(dbapi.connect(self.query.uri, db_kwargs=headers, autocommit=True))

    def rows(self, text, values=None, **more):
        with self.connect(**more) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(text, values)
            return cursor.fetchall()

    def refused(self, call, token=None, **more):
        """Return (status, code word) of a call with a message of our own."""
        token = self.query.token() if token is None else token
        metadata = [("authorization", f"Bearer {token}"), *more.items()]
        with pytest.raises(grpc.RpcError) as e:
            list(call(metadata))
        trailing = dict(e.value.trailing_metadata() or ())
        return e.value.code(), trailing.get("twin-code", "")

    def info(self, command, **more):
        descriptor = flight.FlightDescriptor(type=2, cmd=packed(command))
        return self.refused(lambda m: [self.stub.GetFlightInfo(descriptor, metadata=m)], **more)


def packed(message):
    found = Packed()
    found.Pack(message)
    return found.SerializeToString()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flight")
    with several(folder) as twin, querying(folder) as query:
        twin.begin("supplier", "west", 0, 1)
        found = World(twin, query)
        yield found
        found.client.close()


def test_adbc_reads_what_the_client_of_the_twin_reads(world):
    text = "SELECT id, lat, position_as_of, status FROM shipments ORDER BY id"

    with world.connect() as connection, closing(connection.cursor()) as cursor:
        cursor.execute(text)
        table = cursor.fetch_arrow_table()

    assert table.to_pylist() == world.client.sql(text).to_pylist()
    assert table.schema == world.client.sql(text).schema.remove_metadata()


def test_pandas_reads_a_statement(world):
    pandas = optional("pandas")

    with world.connect() as connection:
        frame = pandas.read_sql("SELECT id, lat, as_of FROM shipments ORDER BY lat", connection)

    assert frame["lat"].tolist() == [float(n) for n in range(20)]
    assert set(frame["as_of"].map(lambda at: at.to_pydatetime())) == {moment(NOW - 9)}


def test_polars_reads_a_statement(world):
    polars = optional("polars")

    with world.connect() as connection:
        frame = polars.read_database("SELECT id, lat FROM shipments ORDER BY lat", connection)

    assert frame["lat"].to_list() == [float(n) for n in range(20)]


def test_values_of_a_prepared_statement_are_bound(world):
    text = "SELECT id FROM shipments WHERE lat > ? AND id <> ? ORDER BY lat"

    assert world.rows(text, (16.5, "S18")) == [("S17",), ("S19",)]
    assert world.rows("SELECT ? AS v", (moment(NOW),))[0][0] == moment(NOW)
    assert world.rows("SELECT ? IS NULL AS v", (None,)) == [(True,)]


def test_a_statement_is_prepared_once_and_asked_again(world):
    with world.connect() as connection, closing(connection.cursor()) as cursor:
        schema = cursor.adbc_prepare("SELECT lat FROM shipments WHERE id = ?")
        assert schema.names == ["0"]
        for n in (3, 5):
            cursor.execute("SELECT lat FROM shipments WHERE id = ?", (f"S{n}",))
            assert cursor.fetchall() == [(float(n),)]


def test_the_catalogue_tells_every_table_and_its_columns(world):
    with world.connect() as connection:
        (catalog,) = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        (schema,) = catalog["catalog_db_schemas"]
        told = {
            table["table_name"]: [column["column_name"] for column in table["table_columns"]]
            for table in schema["db_schema_tables"]
        }
        one = connection.adbc_get_table_schema("stock")
        some = connection.adbc_get_objects(depth="tables", table_name_filter="s%").read_all()
        about = connection.adbc_get_info()
        kinds = connection.adbc_get_table_types()

    assert told == {name: list(table.columns) for name, table in TABLES.items()}
    assert one == flat(TABLES["stock"])
    (found,) = some.to_pylist()[0]["catalog_db_schemas"]
    assert {t["table_name"] for t in found["db_schema_tables"]} == {
        name for name in TABLES if name.startswith("s")
    }
    assert (about["vendor_name"], about["vendor_version"]) == ("supply-twin", "9.9")
    assert kinds == ["VIEW"]


def test_the_schema_a_client_is_told_is_that_of_the_answer(world):
    for name in TABLES:
        with world.connect() as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT * FROM {name}")
            assert cursor.fetch_arrow_table().schema == flat(TABLES[name])


def test_headers_say_as_of_when_and_where(world):
    call = "adbc.flight.sql.rpc.call_header."
    text = "SELECT count(*) FROM shipments"

    assert world.rows(text) == [(20,)]
    assert world.rows(text, **{f"{call}twin-region": "west"}) == [(0,)]
    some = world.rows("SELECT id FROM shipments", **{f"{call}twin-limit": "3"})
    assert len(some) == 3
    command = fsql.CommandStatementQuery(query="SELECT 1")
    assert world.info(command, **{"twin-at": "now"}) == (S.INVALID_ARGUMENT, "INVALID_ARGUMENT")


def test_large_answers_come_in_messages_that_clients_take(world):
    text = "SELECT range AS n, repeat('x', 200) AS t FROM range(100000)"

    with world.connect() as connection, closing(connection.cursor()) as cursor:
        cursor.execute(text)
        table = cursor.fetch_arrow_table()

    assert table.num_rows == 100_000
    assert table["n"].to_pylist() == list(range(100_000))


def test_nobody_is_answered_without_a_token_of_this_region(world):
    command = fsql.CommandStatementQuery(query="SELECT 1")

    assert world.info(command, token="x") == (S.UNAUTHENTICATED, "TOKEN_INVALID")
    west = world.query.token(region="west")
    assert world.info(command, token=west) == (S.UNAUTHENTICATED, "TOKEN_AUDIENCE")
    blind = world.query.token(scopes=["write"])
    assert world.info(command, token=blind) == (S.PERMISSION_DENIED, "SCOPE_MISSING")
    ticket = flight.Ticket(ticket=packed(fsql.TicketStatementQuery(statement_handle=b"x")))
    assert world.refused(lambda m: world.stub.DoGet(ticket, metadata=m), token="x") == (
        S.UNAUTHENTICATED, "TOKEN_INVALID"
    )  # fmt: skip
    action = flight.Action(type="CreatePreparedStatement")
    assert world.refused(lambda m: world.stub.DoAction(action, metadata=m), token="x") == (
        S.UNAUTHENTICATED, "TOKEN_INVALID"
    )  # fmt: skip
    put = [flight.FlightData()]
    assert world.refused(lambda m: world.stub.DoPut(iter(put), metadata=m), token="x") == (
        S.UNAUTHENTICATED, "TOKEN_INVALID"
    )  # fmt: skip


def test_a_ticket_of_one_tenant_shows_another_only_its_own(world):
    command = fsql.CommandStatementQuery(query="SELECT count(*) AS n FROM shipments")
    descriptor = flight.FlightDescriptor(type=2, cmd=packed(command))
    mine, theirs = world.query.token(), world.query.token(tenant="other")
    info = world.stub.GetFlightInfo(descriptor, metadata=[("authorization", f"Bearer {mine}")])

    def count(token):
        metadata = [("authorization", f"Bearer {token}")]
        datas = list(world.stub.DoGet(info.endpoint[0].ticket, metadata=metadata))
        return reassembled(datas).to_pylist()

    assert (count(mine), count(theirs)) == ([{"n": 20}], [{"n": 0}])


def reassembled(datas):
    """Return the table that a stream of FlightData is."""
    raw = b""
    for data in datas:
        header = data.data_header + bytes(-(len(data.data_header) + 8) % 8)
        raw += (-1).to_bytes(4, "little", signed=True) + len(header).to_bytes(4, "little")
        raw += header + data.data_body
    return pa.ipc.open_stream(raw).read_all()


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("SELEC", S.INVALID_ARGUMENT, "SQL_SYNTAX"),
        ("SELECT nope FROM stock", S.INVALID_ARGUMENT, "SQL_UNKNOWN"),
        ("SELECT id + 1 FROM stock", S.INVALID_ARGUMENT, "SQL_INVALID"),
        ("DROP TABLE stock", S.PERMISSION_DENIED, "SQL_FORBIDDEN"),
        ("SELECT * FROM read_csv('x')", S.PERMISSION_DENIED, "SQL_FORBIDDEN"),
        ("SELECT '" + "x" * 70_000 + "'", S.RESOURCE_EXHAUSTED, "SQL_TOO_LARGE"),
        ("SELECT '" + "x" * (1 << 20) + "'", S.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_refusals_have_the_same_words_as_elsewhere(world, text, status, code):
    assert world.info(fsql.CommandStatementQuery(query=text)) == (status, code)


def test_crafted_messages_are_refused_and_harm_nothing(world):
    def get(raw):
        ticket = flight.Ticket(ticket=raw)
        return world.refused(lambda m: world.stub.DoGet(ticket, metadata=m))

    def act(type_, body):
        action = flight.Action(type=type_, body=body)
        return world.refused(lambda m: world.stub.DoAction(action, metadata=m))

    def put(*datas):
        return world.refused(lambda m: world.stub.DoPut(iter(datas), metadata=m))

    forbidden = (S.PERMISSION_DENIED, "SQL_FORBIDDEN")
    refused = (S.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    prepared = fsql.CommandPreparedStatementQuery(prepared_statement_handle=b"\xff")
    handle = flight_sql.Question(b"").pack()
    bound = fsql.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    descriptor = flight.FlightDescriptor(type=2, cmd=packed(bound))
    assert get(b"\xff\xff") == forbidden
    assert get(b"") == forbidden
    assert get(packed(flight.Empty())) == forbidden
    assert get(packed(fsql.CommandStatementQuery(query="SELECT 1"))) == refused
    assert get(packed(fsql.TicketStatementQuery(statement_handle=b"\xc1"))) == refused
    assert get(packed(fsql.TicketStatementQuery(statement_handle=b"[1,2]"))) == refused
    assert world.info(prepared) == refused
    assert act("BeginTransaction", b"") == forbidden
    assert act("CreatePreparedStatement", b"\xff") == forbidden
    assert put(flight.FlightData()) == forbidden
    assert put() == forbidden
    junk = flight.FlightData(flight_descriptor=descriptor, data_header=b"junk", data_body=b"x")
    assert put(junk)[1] == "ARROW_INVALID"
    huge = flight.FlightData(flight_descriptor=descriptor, data_body=bytes(2 << 20))
    assert put(huge)[1] == "MESSAGE_TOO_LARGE"
    assert world.rows("SELECT count(*) FROM shipments") == [(20,)]


def test_one_row_of_values_is_bound_and_no_more(world):
    handle = flight_sql.Question(b"").pack()
    bound = fsql.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    rows = pa.record_batch({"0": [1, 2]})
    messages = [pa.ipc.read_message(part.serialize()) for part in (rows.schema, rows)]
    datas = [
        flight.FlightData(
            flight_descriptor=flight.FlightDescriptor(type=2, cmd=packed(bound)),
            data_header=message.metadata.to_pybytes(),
            data_body=message.body.to_pybytes() if message.body else b"",
        )
        for message in messages
    ]

    said = world.refused(lambda m: world.stub.DoPut(iter(datas), metadata=m))

    assert said == (S.INVALID_ARGUMENT, "INVALID_ARGUMENT")


def test_a_statement_that_takes_too_long_is_ended_here_too(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path, longest_s=0.3) as query:
        world = World(twin, query)
        with pytest.raises(Exception, match="took longer than"):
            world.rows(ENDLESS)
        assert world.rows("SELECT 1") == [(1,)]
        world.client.close()
