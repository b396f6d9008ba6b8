"""The quarantine over gRPC: what is parked and why, and its re-drive."""

from pathlib import Path

import pytest

from cluster import cli
from serving.access import mint
from serving.client import Client, Event, connect
from tests.actors.test_redrive import older
from tests.small_twin import NAME, REGION, small_twin
from tests.twin.histories import DAY, NOW, T0
from twin.errors import BadRequest, Denied


def position(id, lat=1.0, time=T0, **says):
    data = {"lat": lat, "lon": 2.0}
    return Event("shipment.position", "tms", id, time, data, f"{id}:p", REGION, **says)


@pytest.fixture
def folder(tmp_path):
    """A twin whose journal an older program began: it did not know shipment.condition v2."""
    older(tmp_path / "old")
    with small_twin(tmp_path / ".twin", NOW, journal=tmp_path / "old", epoch=2) as folder:
        yield folder


@pytest.fixture
def client(folder):
    with connect(folder, name="tester") as client:
        yield client


def test_each_parked_event_says_which_field_breaks_its_contract(client):
    client.ingest([position("A", 95.5), position("B", time=NOW + 9 * DAY)])

    found = client.quarantine()

    assert [(r.id, r.reason, r.field, r.expected, r.got) for r in found.parked] == [
        ("B:p", "TIME_OUT_OF_RANGE", "time", "1970 to a day ahead of now", str(NOW + 9 * DAY)),
        ("A:p", "OUT_OF_RANGE", "lat", "<= 90", "95.5"),
        (
            "warm",
            "SCHEMA_UNSUPPORTED",
            "type",
            "shipment.condition.v1, shipment.condition.v2",
            "shipment.condition.v2",
        ),
    ]
    assert (found.shown, found.total) == (3, 3)


def test_the_quarantine_can_be_asked_by_type_reason_and_source(client):
    client.ingest([position("A", 95.5)])

    assert client.quarantine(type="shipment.condition").total == 1
    assert client.quarantine(reason="OUT_OF_RANGE").total == 1
    assert client.quarantine(source="tms", reason="SCHEMA_UNSUPPORTED").total == 0
    with pytest.raises(BadRequest, match="no reason is called OUT_OF_RAGE"):
        client.quarantine(reason="OUT_OF_RAGE")


def test_a_redrive_applies_what_this_program_knows_and_leaves_the_rest_parked(client):
    client.ingest([position("A", 95.5)])

    reply = client.redrive()

    assert dict(reply.outcomes) == {"APPLIED": 1, "PARKED": 1}
    assert dict(reply.reasons) == {"OUT_OF_RANGE": 1}
    applied, parked = reply.events
    assert (applied.id, applied.outcome, applied.redrives) == ("warm", "APPLIED", f"{NAME}/1")
    assert (parked.id, parked.outcome, parked.field) == ("A:p", "PARKED", "lat")
    assert client.get("shipment", "S1").values["humidity_pct"].value == 61.0
    assert [r.id for r in client.quarantine().parked] == ["A:p"]


def test_the_receipts_show_where_it_was_parked_and_where_it_was_applied(client):
    client.redrive(ids=["warm"])

    (now,) = client.receipts("erp", ["warm"])
    then = client.receipt(now.redrives)

    assert (then.receipt, then.outcome, then.settled_by) == (f"{NAME}/1", "PARKED", now.receipt)
    assert (now.outcome, now.redrives) == ("APPLIED", then.receipt)
    assert (then.writer, now.writer) == ("tester", "tester")
    assert (then.event_time, then.source) == (now.event_time, now.source)


def test_a_second_redrive_finds_nothing_to_judge(client):
    client.redrive()

    again = client.redrive()

    assert (again.judged, dict(again.outcomes), again.left) == (0, {}, 0)


def test_a_limit_is_kept_and_what_it_left_is_counted(client):
    client.ingest([position(f"S{n}", 95.5) for n in range(9)])

    reply = client.redrive(limit=4)

    assert (reply.judged, reply.left) == (4, 6)


def test_more_than_one_piece_is_judged_piece_by_piece(client):
    client.ingest([position(f"S{n}", 95.5) for n in range(4500)])

    reply = client.redrive()

    assert (reply.judged, dict(reply.outcomes)) == (4501, {"APPLIED": 1, "PARKED": 4500})
    assert len(reply.events) == 100


def test_a_dry_run_says_it_and_changes_nothing(client):
    reply = client.redrive(dry_run=True)

    assert dict(reply.outcomes) == {"APPLIED": 1}
    assert [(e.id, e.outcome, e.receipt) for e in reply.events] == [
        ("warm", "APPLIED", f"{NAME}/1")
    ]
    assert client.quarantine().total == 1


def test_a_token_that_may_only_read_redrives_nothing(client, folder):
    token = mint(folder / "key", name="reader", scopes=["read"])
    with Client(client.address, token) as reader, pytest.raises(Denied) as caught:
        reader.redrive()

    assert caught.value.code == "SCOPE_MISSING"
    assert client.quarantine().total == 1


def test_another_tenant_neither_sees_nor_redrives_what_is_parked(client, folder):
    token = mint(folder / "key", name="other", scopes=["read", "write"], tenant="other")
    with Client(client.address, token) as other:
        (receipt,) = other.ingest([position("A", 95.5)])
        seen, driven = other.quarantine(), other.redrive()

    assert receipt.outcome == "PARKED"
    assert [r.id for r in seen.parked] == ["A:p"]
    assert (seen.total, driven.judged) == (1, 1)
    assert client.quarantine().total == 1


def test_the_journal_keeps_who_wrote_and_who_had_it_judged_again(client, folder):
    token = mint(folder / "key", name="night-shift", scopes=["write", "read"])
    with Client(client.address, token) as mender:
        mender.redrive()
    client.ingest([position("A")])

    (warm,), (plain,) = client.receipts("erp", ["warm"]), client.receipts("tms", ["A:p"])

    assert (warm.writer, plain.writer) == ("night-shift", "tester")


def run(folder: Path, *words):
    return cli.run(["quarantine", *words, "--folder", str(folder)])


def test_the_command_shows_the_field_and_redrives(client, folder, capsys):
    client.ingest([position("A", 95.5)])
    shown = run(folder), capsys.readouterr().out
    dry = run(folder, "redrive", "--dry-run"), capsys.readouterr().out
    done = run(folder, "redrive", "--type", "shipment.condition"), capsys.readouterr().out
    left = run(folder, "redrive", "--json"), capsys.readouterr().out

    assert [status for status, _ in (shown, dry, done, left)] == [0, 3, 0, 3]
    assert "<= 90" in shown[1]
    assert "2 would be judged: 1 applied, 1 parked" in dry[1]
    assert "1 judged: 1 applied" in done[1]
    assert '"reasons":{"OUT_OF_RANGE":1}' in left[1]
