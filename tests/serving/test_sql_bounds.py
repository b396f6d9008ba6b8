"""SQL within its bounds: shards and query processes that go, statements that go on, crowds."""

import asyncio
import json
import threading

import pytest

from serving import client as clients
from serving.access import Identity
from serving.sql_client import told
from serving.wire import twin_pb2 as pb
from tests.serving.querying import ENDLESS, querying
from tests.serving.several import NOW, position, several
from twin.errors import BadRequest, Overloaded, Refused, SqlAway, Unavailable


def test_a_shard_that_does_not_answer_is_named_and_the_rest_is_answered(tmp_path):
    with several(tmp_path) as twin, querying(tmp_path), twin.client(timeout_s=30) as client:
        client.ingest([position(f"e{i}", f"S{i}") for i in range(20)])
        whole = client.sql("SELECT id FROM shipments").num_rows
        note = "JOURNAL_CORRUPT: it is damaged"
        twin.routes["shipment/east/1"] |= {"state": "quarantined", "note": note}
        twin.tell("shipment/east/0", 1, twin.routes["shipment/east/0"]["address"])

        table = client.sql("SELECT id FROM shipments")

        assert (told(table)["mode"], told(table)["missing"]) == ("degraded", ["shipment/east/1"])
        assert 0 < table.num_rows < whole


def test_a_successor_is_asked_anew_whatever_was_known_of_the_writer_before(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path), twin.client(timeout_s=30) as client:
        client.ingest([position("e1", "S1")])
        text = "SELECT lat, position_offset FROM shipments"
        before = client.sql(text).to_pylist()
        twin.end("shipment/east/0")
        twin.begin("shipment", "east", 0, 1, epoch=2)

        assert client.sql(text).to_pylist() == before
        client.ingest([position("e2", "S1", lat=7.0, time=NOW - 5)])
        assert client.sql(text).to_pylist() == [{"lat": 7.0, "position_offset": 1}]


def test_statements_that_take_too_long_are_ended_and_the_next_one_is_answered(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path, longest_s=0.3), twin.client() as client:
        for _ in range(2):
            with pytest.raises(BadRequest) as e:
                client.sql(ENDLESS)
            assert e.value.code == "SQL_TIMEOUT"
            assert client.sql("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_caller_who_leaves_ends_the_statement(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path, running=1, waiting=0) as query:
        with twin.client() as client:
            with pytest.raises(Unavailable):
                list(client.pieces("Sql", pb.SqlRequest(sql=ENDLESS), 0.3))

            def free():
                return clients.patiently(lambda: client.sql("SELECT 1 AS one"))

            assert free().num_rows == 1
        assert query.surface._inside == 0


def test_more_statements_than_may_wait_are_turned_away(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path, running=1, waiting=1) as query:
        who = Identity("test", "demo", "*", frozenset({"read"}), 0)
        slow = pb.SqlRequest(sql=ENDLESS)

        async def crowd():
            calls = [asyncio.ensure_future(query.surface.answer(slow, who)) for _ in range(3)]
            done, left = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            for call in left:
                call.cancel()
            await asyncio.wait(left)
            return [call.exception() for call in done]

        refused = asyncio.run_coroutine_threadsafe(crowd(), query._loop).result(30)

        assert [type(e) for e in refused] == [Overloaded]
        with twin.client() as client:
            assert client.sql("SELECT 1 AS one").num_rows == 1


def test_without_its_query_process_a_gateway_says_so(tmp_path):
    with several(tmp_path, 1) as twin, twin.client() as client:
        with pytest.raises(SqlAway):
            client.sql("SELECT 1")
        (tmp_path / "sql.json").write_text(json.dumps({"east": "127.0.0.1:9"}))
        with pytest.raises(SqlAway):
            client.sql("SELECT 1")


def test_a_statement_that_does_not_even_end_when_interrupted_ends_the_process(tmp_path):
    ended = threading.Event()
    given = {"longest_s": 0.2, "grace_s": 0.2, "end": lambda status: ended.set()}
    with several(tmp_path, 1) as twin, querying(tmp_path, **given), twin.client() as client:
        with pytest.raises(BadRequest, match="took longer"):
            client.sql("SELECT length(repeat('x', 150000000))")  # one call: no interrupt is seen

        assert ended.wait(30)


def test_exact_columns_are_asked_of_shards_and_names_that_they_lack_are_refused(tmp_path):
    with several(tmp_path, 1) as twin, twin.client() as client:
        ask = pb.ColumnsRequest(tables=[pb.TableColumns(kind="shipment", columns=["id"])])
        with pytest.raises(BadRequest, match="a shard's to answer"):
            list(client.pieces("Columns", ask, 10))

        address = twin.routes["shipment/east/0"]["address"]
        with clients.Client(address, clients.minter(tmp_path, "test")) as shard:
            assert list(shard.pieces("Columns", ask, 10))[-1].last
            for kind, name in (("site", "id"), ("shipment", "nope"), ("shipment", "order_tie")):
                wrong = pb.ColumnsRequest(tables=[pb.TableColumns(kind=kind, columns=[name])])
                with pytest.raises(Refused):
                    list(shard.pieces("Columns", wrong, 10))
            with pytest.raises(BadRequest, match="ask a gateway"):
                list(shard.pieces("Sql", pb.SqlRequest(sql="SELECT 1"), 10))
