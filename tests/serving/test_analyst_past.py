"""Tables of the past: as of a moment, event by event, and why; and the same as messages."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from serving import analyst
from serving.analyst import told
from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.querying import querying
from tests.serving.several import NOW, position, several
from twin.errors import Refused, Stale

SECOND = 1_000_000
TRACK = [(n, 10.0 + n, NOW - (50 - n) * SECOND) for n in range(40)]  # (number, lat, event time)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("past") / "twin"
    with several(folder) as twin, querying(folder), twin.client() as client:
        for n, lat, time in TRACK[1::2] + TRACK[::2]:  # half of them late
            client.ingest([position(f"e{n}", "S1", lat, time=time)])
        client.ingest([position("other", "S2", 5.0, time=NOW - 9 * SECOND, region="west")])
        said = {"promised_at": NOW + SECOND}
        client.ingest([Event("shipment.promised", "erp", "S1", NOW - 8, said, "p", "east")])
        yield client


@pytest.mark.parametrize("at", [0, 7, 20, 39])
def test_a_table_as_of_a_moment_has_what_was_true_then(client, at):
    moment = TRACK[at][2]

    table = client.as_of(moment).shipments(fields=["lat"])

    assert dict(zip(table["id"].to_pylist(), table["lat"].to_pylist(), strict=True)) == {
        "S1": TRACK[at][1]
    }
    assert table["position_age_s"].to_pylist() == [0.0]


def test_a_view_keeps_its_moment_whatever_comes_later(client):
    view = client.as_of(TRACK[3][2])
    before = view.shipments()

    client.ingest([position("late", "S9", 1.0, time=NOW)])

    assert view.shipments().drop_columns("shard") == before.drop_columns("shard")
    client.ingest(
        [Event("shipment.position", "test/a", "S9", NOW, {}, "gone", "east", retracts="late")]
    )


def test_one_twin_of_a_view_is_as_of_its_moment(client):
    twin = client.as_of(TRACK[6][2]).get("shipment", "S1")

    assert twin.values["lat"].value == TRACK[6][1]


def test_sql_answers_as_of_the_moment_of_its_view(client):
    text = "SELECT id, lat FROM shipments WHERE lat IS NOT NULL ORDER BY id"

    then = client.as_of(TRACK[7][2]).sql(text)
    now = client.sql(text)

    assert then.to_pylist() == [{"id": "S1", "lat": TRACK[7][1]}]
    assert now["id"].to_pylist() == ["S1", "S2"]
    assert set(told(now)["offsets"]) >= {"shipment/east/0", "shipment/west/1"}


@pytest.mark.parametrize("page", [1, 7, 10_000])
def test_a_history_is_a_row_for_each_event_oldest_first(client, monkeypatch, page):
    monkeypatch.setattr(analyst, "PAGE", page)

    table = client.history("shipment", "S1", by_event_time=True)

    assert table["id"].to_pylist() == [*(f"e{n}" for n, _, _ in TRACK), "p"]
    assert table["said_lat"].to_pylist() == [*(lat for _, lat, _ in TRACK), None]
    assert table["event_time"].to_pylist()[:3] == [at(time) for _, _, time in TRACK[:3]]
    assert table["promised_at"].type == pa.timestamp("us", "UTC")
    assert table["receipt"].to_pylist()[0].startswith("shipment/east/")
    assert (told(table)["key"], told(table)["total"]) == ("demo/shipment/east/S1", 41)


def test_a_history_can_be_of_some_fields_and_some_time(client):
    some = client.history(
        "shipment", "S1", fields=["lat"], since=TRACK[5][2], until=TRACK[9][2], by_event_time=True
    )
    few = client.history("shipment", "S1", limit=3)

    assert some["id"].to_pylist() == ["e5", "e6", "e7", "e8"]
    assert "promised_at" not in some.schema.names
    assert few.num_rows == 3


def test_a_reason_names_the_event_that_decided_and_those_that_lost(client):
    table = client.explain("shipment", "S1", "lat", limit=3)

    assert table["role"].to_pylist() == ["decided", "lost", "lost", "lost"]
    assert table["id"].to_pylist()[0] == "e39"
    assert table["value"].to_pylist()[0] == "49.0"
    assert all(table["rule"].to_pylist())
    said = told(table)
    assert (said["merge"], said["contract"], said["losers_total"]) == (
        "latest",
        "shipment.position.v1",
        39,
    )


def test_a_time_that_is_explained_is_written_as_one(client):
    table = client.explain("shipment", "S1", "promised_at")

    assert table["value"].to_pylist() == ["2023-11-14T22:13:21.000000Z"]


def test_what_is_not_known_has_no_reason(client):
    table = client.explain("shipment", "S1", "temp_c")

    assert table.num_rows == 0
    assert told(table)["merge"] == "latest"


def test_the_same_can_be_had_as_messages(client):
    entries = client.past.history("shipment", "S1", limit=2).entries
    reason = client.past.explain("shipment", "S1", "lat")
    change = client.diff("shipment", "S1", fields=["lat"], before=TRACK[0][2], after=TRACK[1][2])
    first = client.first_true("shipment", "S1", "lat >= 20", event_axis=True)
    preview = client.preview(source="test/a", id="e39")

    assert len(entries) == 2
    assert reason.decided_by.id == "e39"
    (difference,) = change.differences
    assert (difference.before["lat"].number, difference.after["lat"].number) == (10.0, 11.0)
    assert (first.found, first.at) == (True, TRACK[10][2])
    assert preview.differences[0].after["lat"].number == 48.0


def test_one_twin_can_be_asked_as_of_a_moment_and_with_demands(client):
    for _ in range(2):  # by the gateway first, then of the shard itself
        then = client.get("shipment", "S1", fields=["lat"], as_of=TRACK[4][2])
        labelled = client.get("shipment", "S1", max_age_s=1.0, fallback="label")
        withheld = client.get("shipment", "S1", fields=["lat"], max_age_s=1.0, fallback="withhold")
        with pytest.raises(Stale):
            client.get("shipment", "S1", fields=["lat"], max_age_s=1.0)

        assert {name: value.value for name, value in then.values.items()} == {"lat": TRACK[4][1]}
        assert labelled.values["lat"].state == "stale"
        assert withheld.values == {}


def test_groups_can_be_counted_as_of_a_moment(client):
    then = client.aggregate("shipment", measures=["count", "max(lat)"], as_of=TRACK[4][2])
    now = client.aggregate("shipment", measures=["count", "max(lat)"])

    assert then.rows == [{"count": 1.0, "max(lat)": TRACK[4][1]}]
    assert now.rows[0]["max(lat)"] == TRACK[39][1]


def test_alerts_and_rules_can_be_asked_as_messages(client):
    rule = '[[rule]]\nname = "north"\nkind = "shipment"\nwhen = "lat > 20"\nseverity = "warning"\n'

    shown = client.alerting.alerts(incidents=True)
    tried = client.rehearse(rule + 'message = "{lat}"\n')

    assert isinstance(shown, pb.AlertsReply)
    assert [one.rule for one in tried.rules] == ["north"]


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda c: c.as_of("2100-01-01").shipments(), "AS_OF_FUTURE"),
        (lambda c: c.as_of(known_at="1990-01-01").shipments(), "AS_OF_TOO_EARLY"),
        (lambda c: c.history("shipment", "NOPE"), "ENTITY_NOT_FOUND"),
        (lambda c: c.history("shipment", "S1", fields=["nonsense"]), "FIELD_UNKNOWN"),
        (lambda c: c.explain("shipment", "S1", "nonsense"), "FIELD_UNKNOWN"),
        (lambda c: c.act("shipment:S1:none", "acknowledge"), "ENTITY_NOT_FOUND"),
        (lambda c: c.preview(source="none", id="none"), "ENTITY_NOT_FOUND"),
    ],
)
def test_a_bad_question_of_the_past_is_refused_with_its_code_word(client, ask, code):
    with pytest.raises(Refused) as caught:
        ask(client)

    assert caught.value.code == code


def at(us):
    return datetime.fromtimestamp(us / 1e6, UTC)
