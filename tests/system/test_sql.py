"""SQL of the running twin: what client and command say, and a query process that is killed."""

import json

import pytest

from serving.client import patiently
from serving.sql_client import told
from tests.system.running import kill, until

pytestmark = pytest.mark.ray


def test_sql_counts_what_aggregate_counts(client):
    wanted = {
        (row["region"], row["status"]): int(row["count"])
        for row in client.aggregate("shipment", by=["region", "status"], limit=1000).rows
    }

    table = client.sql("SELECT region, status, count(*) AS n FROM shipments GROUP BY ALL")

    found = {(row["region"], row["status"] or ""): row["n"] for row in table.to_pylist()}
    assert found == wanted
    assert told(table)["mode"] == "normal"


def test_the_command_prints_what_the_client_reads(twin, client):
    text = "SELECT id, site, on_hand FROM stock WHERE on_hand IS NOT NULL ORDER BY id LIMIT 5"

    printed = twin.twin("sql", text, "--json")

    assert printed.status == 0, printed
    assert json.loads(printed.out)["rows"] == client.sql(text).to_pylist()


def test_every_journaled_event_is_in_the_table(client):
    table = client.sql('SELECT shard, max("offset") + 1 AS n FROM events GROUP BY 1')

    offsets = told(table)["offsets"]
    assert {row["shard"]: row["n"] for row in table.to_pylist()} == {
        name: offset for name, offset in offsets.items() if offset
    }


def test_a_killed_query_process_is_started_again_and_no_shard_is_touched(twin):
    with twin.client("west") as client:
        before = {shard.name: shard.epoch for shard in client.status().shards}
        (pid,) = twin.pids("sql west")

        kill(pid)
        until(lambda: twin.pids("sql west") not in ([], [pid]), "the host to record it again")

        count = patiently(lambda: client.sql("SELECT count(*) AS n FROM shipments"))
        assert count.to_pylist()[0]["n"] > 0
        assert {shard.name: shard.epoch for shard in client.status().shards} == before
        assert "started again" in twin.notes()["sql west"]
