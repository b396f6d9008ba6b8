"""Events and quarantine as tables: equal to receipts and to the rpc Quarantine, and bounded."""

import random
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pytest

from serving import events_table
from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.querying import querying
from tests.serving.several import NOW, position, several
from tests.serving.sql_history import history
from tests.serving.test_sql import moment
from twin.errors import BadRequest, TooMany, UnknownField

SAID = ("id", "source", "reason", "outcome", "key", "writer", "field", "expected", "got")


class World:
    def __init__(self, twin, query, told):
        self.twin, self.query, self.client = twin, query, twin.client()
        self.told = told  # events, as they were offered
        self.receipts = self.client.ingest(told)

    def rows(self, text):
        return self.client.sql(text).to_pylist()


@pytest.fixture(scope="module")
def world(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("events")
    rng = random.Random(request.config.option.seed)
    with several(folder) as twin, querying(folder) as query:
        twin.begin("supplier", "west", 0, 1)
        found = World(twin, query, history(rng))
        yield found
        found.client.close()


def test_there_is_a_row_for_each_journaled_event_and_it_says_what_its_receipt_says(world):
    rows = {row["receipt"]: row for row in world.rows("SELECT * FROM events")}

    journaled = {r.name: (r, e) for r, e in zip(world.receipts, world.told, strict=True) if r.name}
    for name, (receipt, event) in journaled.items():
        row, known = rows[name], world.client.receipt(name)
        assert (row["id"], row["source"], row["shard"]) == (event.id, event.source, receipt.shard)
        assert (row["offset"], row["epoch"]) == (receipt.offset, receipt.epoch)
        assert row["outcome"] == receipt.outcome
        assert (row["reason"] or "") == receipt.reason == known.reason
        assert row["key"] == known.key
        assert f"{row['type']}.v{row['version']}" == known.type
        assert (row["kind"], row["subject"]) == (event.type.split(".")[0], event.subject)
        assert row["event_time"] == moment(event.time) == moment(known.event_time)
        assert row["ingest_time"] == moment(known.ingest_time)
        assert row["writer"] == known.writer == "test"
        assert row["confidence"] == (None if row["reason"] else pytest.approx(event.confidence))
        assert row["does"] == (
            "corrects" if event.corrects else "retracts" if event.retracts else None
        )


def test_a_payload_is_json_of_what_was_said(world):
    rows = {row["receipt"]: row["payload"] for row in world.rows("SELECT * FROM events")}

    for receipt, event in zip(world.receipts, world.told, strict=True):
        if not receipt.name or event.retracts:
            continue
        said = msgspec.json.decode(rows[receipt.name])
        if receipt.outcome == "PARKED":
            assert said == event.data
            continue
        assert said.keys() == event.data.keys()
        for name, value in event.data.items():
            held = said[name]
            if name.endswith("_at"):
                held = round(datetime.fromisoformat(held).timestamp() * 1e6)
            assert held == value, name


def test_a_target_is_the_offset_of_the_event_that_is_amended(world):
    at = {
        (r.shard, e.source, e.id): r.offset for r, e in zip(world.receipts, world.told, strict=True)
    }

    rows = world.rows("SELECT * FROM events WHERE does IS NOT NULL AND reason IS NULL")

    amended = {e.id: e.corrects or e.retracts for e in world.told}
    assert rows
    for row in rows:
        assert row["target"] == at.get((row["shard"], row["source"], amended[row["id"]]))


def test_quarantine_is_what_the_rpc_says(world):
    rows = world.rows("SELECT * FROM quarantine")

    parked = world.client.quarantine(limit=10_000)
    assert len(rows) == parked.total > 0
    by_name = {row["receipt"]: row for row in rows}
    for receipt in parked.parked:
        row = by_name[receipt.receipt]
        for name in (
            "id",
            "source",
            "reason",
            "outcome",
            "key",
            "writer",
            "field",
            "expected",
            "got",
        ):
            assert (row[name] or "") == getattr(receipt, name), name


def test_what_was_parked_and_settled_leaves_quarantine_and_stays_an_event(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path), twin.client() as client:
        broken = Event("shipment.position", "a", "S1", NOW - 9, {"lat": 1.0}, "e1", "east")
        whole = broken._replace(data={"lat": 1.0, "lon": 2.0})
        client.ingest([broken])
        assert client.sql("SELECT id FROM quarantine").num_rows == 1

        client.ingest([whole])

        assert client.sql("SELECT id FROM quarantine").num_rows == 0
        rows = client.sql('SELECT outcome FROM events ORDER BY "offset"').to_pylist()
        assert [row["outcome"] for row in rows] == ["PARKED", "APPLIED"]


def test_bounds_leave_out_what_a_where_leaves_out(world):
    moments = sorted(e.time for e in world.told)
    low, high = (moment(moments[len(moments) * n // 4]).isoformat() for n in (1, 3))
    shard = world.receipts[0].shard

    for where in (
        f"event_time >= '{low}'",
        f"event_time > '{low}' AND event_time <= '{high}'",
        f"event_time BETWEEN '{low}' AND '{high}' AND id LIKE 'e%'",
        f"shard = '{shard}' AND event_time < '{high}'",
        f"ingest_time = '{moment(NOW).isoformat()}'",
        f"ingest_time < '{moment(NOW).isoformat()}'",
    ):
        bounded = world.rows(f"SELECT receipt FROM events WHERE {where} ORDER BY 1")
        # a second use of the table takes the bounds away
        whole = world.rows(
            f"SELECT receipt FROM (SELECT * FROM events) WHERE {where} "
            "AND receipt IN (SELECT receipt FROM events) ORDER BY 1"
        )
        assert bounded == whole


def events(client, **asks):
    """Return the rows that the rpc Events answers with: a stream a shard."""
    streams = {}
    for piece in client.pieces("Events", pb.EventsRequest(**asks), 30):
        streams.setdefault(piece.shard, []).append(piece.arrow)
    tables = [pa.ipc.open_stream(b"".join(raw)).read_all() for raw in streams.values()]
    return [row for table in tables for row in table.to_pylist()]


def test_events_come_in_the_order_of_offsets_from_the_rpc_too(world):
    rows = events(world.client, fields=["shard", "offset"], shard="shipment/east/0")

    assert [row["offset"] for row in rows] == list(range(len(rows)))
    some = events(world.client, fields=["offset"], shard="shipment/east/0", first=3, before=7)
    assert [row["offset"] for row in some] == [3, 4, 5, 6]


def test_more_events_than_the_limit_are_refused(world):
    with pytest.raises(TooMany, match="narrow them"):
        events(world.client, limit=3)
    with pytest.raises(UnknownField):
        events(world.client, fields=["nope"])
    with pytest.raises(BadRequest):
        events(world.client, region="north")
    with pytest.raises(BadRequest):
        events(world.client, shard="shipment/east/99")


def test_a_long_journal_comes_in_runs_and_is_found_by_its_ingest_time(tmp_path, monkeypatch):
    monkeypatch.setattr(events_table, "RUN", 7)
    with several(tmp_path, 1) as twin, querying(tmp_path), twin.client() as client:
        for n in range(10):
            client.ingest([position(f"e{n}-{i}", f"S{i}") for i in range(9)])

        rows = events(client, shard="shipment/east/0", fields=["offset", "id", "payload"])

        assert [row["offset"] for row in rows] == list(range(90))
        assert [row["id"] for row in rows] == [f"e{n}-{i}" for n in range(10) for i in range(9)]
        assert events(client, since=NOW, fields=["offset"]) == [{"offset": n} for n in range(90)]
        assert events(client, since=NOW + 1, fields=["offset"]) == []
        assert events(client, until=NOW, fields=["offset"]) == []


def test_a_scan_of_events_does_not_hold_up_the_writer(tmp_path):
    with several(tmp_path, 1) as twin, querying(tmp_path), twin.client() as client:
        client.ingest([position(f"e{i}", f"S{i}") for i in range(50)])
        pieces = client.pieces("Events", pb.EventsRequest(shard="shipment/east/0"), 30)
        first = next(pieces)

        assert client.ingest([position("more", "S1", time=NOW - 5)])[0].outcome == "APPLIED"

        rest = [first, *pieces]
        table = pa.ipc.open_stream(b"".join(piece.arrow for piece in rest)).read_all()
        assert table.num_rows == 50  # as of when it was asked


def test_times_of_payloads_are_rfc_3339():
    assert events_table.time_text(NOW) == "2023-11-14T22:13:20Z"
    assert events_table.time_text(NOW + 5) == "2023-11-14T22:13:20.000005Z"
    assert events_table.time_text(-1) == "1969-12-31T23:59:59.999999Z"
    assert datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) == moment(NOW)
