"""The past through a gateway: what was true, what was known, what changed and since when."""

import pyarrow as pa
import pytest

from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.past_world import HOUR, ORDER, get, history, lived
from tests.serving.several import NOW
from twin.errors import BadRequest, UnknownField


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with lived(tmp_path_factory.mktemp("past")) as world:
        yield world


def test_get_says_what_was_known_and_what_was_true(world):
    assert get(world)["status"].text == "DELIVERED"
    assert get(world, known_at=world.known)["status"].text == "DEPARTED"
    assert get(world, known_at=world.known)["lat"].number == 1.0
    assert get(world, at=NOW - 50 * HOUR)["lat"].number == 9.0
    assert get(world, at=NOW - 50 * HOUR, known_at=world.known)["lat"].number == 1.0
    assert get(world, at=NOW - 65 * HOUR)["lat"].number == 3.0
    assert "lat" not in get(world, at=NOW - 75 * HOUR)


def test_ages_are_as_of_the_moment_that_is_asked_about(world):
    value = get(world, at=NOW - 50 * HOUR)["lat"]

    assert value.age_ms == 10 * 3600 * 1000
    assert value.as_of == NOW - 60 * HOUR


def test_search_and_aggregate_see_the_twins_of_a_moment(world):
    def found(where, **when):
        request = pb.SearchRequest(kind="shipment", where=where, when=pb.When(**when))
        return [twin.id for twin in world.ask("Search", request).twins]

    assert found("status = 'DELIVERED'") == ["S1"]
    assert found("status = 'DELIVERED'", at=NOW - 41 * HOUR) == []
    assert found("status = 'DEPARTED'", at=NOW - 41 * HOUR) == ["S1"]
    assert sorted(found("")) == ["S1", "S2"]
    assert found("", at=NOW - 60 * HOUR) == ["S1"]
    assert found("", at=NOW - 1000 * HOUR) == []
    counted = pb.AggregateRequest(
        kind="shipment", measures=["count"], when=pb.When(at=NOW - 60 * HOUR)
    )
    assert world.ask("Aggregate", counted).groups[0].measures == [1.0]


def test_history_says_of_each_event_what_it_stated_and_what_it_changed(world):
    reply = history(world, oldest_first=True)

    told = {entry.id: entry for entry in reply.entries}
    assert [entry.id for entry in reply.entries] == ["o1", "p1", "g1", "g0", "d1", "g2", "v1"]
    assert {id: entry.outcome for id, entry in told.items()} == {
        "o1": "APPLIED",
        "p1": "APPLIED",
        "g1": "RETRACTED",
        "g0": "SUPERSEDED",
        "d1": "APPLIED",
        "g2": "CORRECTION",
        "v1": "APPLIED",
    }
    assert told["g1"].said["lat"].number == 1.0
    assert told["g1"].amended_by == told["g2"].receipt
    assert told["g2"].amends == "g1"
    assert told["g2"].became["lat"].number == 9.0
    assert not told["g0"].became
    assert told["v1"].became["status"].text == "DELIVERED"
    assert reply.key == "demo/shipment/east/S1"
    assert (reply.shown, reply.total, reply.cursor) == (7, 7, "")


def test_history_goes_by_event_time_as_well(world):
    reply = history(world, by_event_time=True)

    assert [e.id for e in reply.entries] == ["v1", "g2", "g1", "g0", "d1", "p1", "o1"]
    assert {e.id: bool(e.became) for e in reply.entries}["g0"]  # it was the first position


def test_pages_of_a_history_join_without_gap_or_repeat_while_more_comes(world):
    first = history(world, limit=3)
    world.say("shipment.position", "S1", NOW - 30 * HOUR, {"lat": 5.0, "lon": 5.0}, id="g9")
    rest = history(world, limit=100, cursor=first.cursor)

    ids = [entry.id for entry in (*first.entries, *rest.entries)]
    assert ids == ["v1", "g2", "d1", "g0", "g1", "p1", "o1"]
    assert (first.total, rest.total, rest.cursor) == (7, 7, "")


def test_a_cursor_belongs_to_its_question(world):
    cursor = history(world, limit=3).cursor

    for request in (
        {"cursor": cursor, "oldest_first": True},
        {"cursor": cursor[:-2] + "AA"},
        {"cursor": "5.3"},
    ):
        with pytest.raises(BadRequest) as refused:
            history(world, **request)
        assert refused.value.code == "CURSOR_INVALID"


def test_history_of_some_fields_has_only_what_concerns_them(world):
    reply = history(world, fields=["lat"], until=NOW - 35 * HOUR)

    assert {entry.id for entry in reply.entries} == {"g0", "g1", "g2"}
    with pytest.raises(UnknownField, match="did you mean lat"):
        history(world, fields=["latt"])


def test_diff_of_one_twin_names_the_fields_that_differ(world):
    request = pb.DiffRequest(
        kind="shipment",
        id="S1",
        before=pb.When(at=NOW - 75 * HOUR),
        after=pb.When(at=NOW - 50 * HOUR),
    )
    [found] = world.ask("Diff", request).differences

    assert found.change == "changed"
    assert set(found.after) == {"lat", "lon"}
    assert not found.before


def test_diff_of_a_table_says_who_appeared_and_who_changed(world):
    request = pb.DiffRequest(
        kind="shipment",
        where="supplier = 'SUP1'",
        before=pb.When(at=NOW - 75 * HOUR),
        fields=["status", "quantity"],
    )
    reply = world.ask("Diff", request)

    told = {one.id: one for one in reply.differences}
    assert {id: one.change for id, one in told.items()} == {"S1": "changed", "S2": "appeared"}
    assert told["S1"].before["status"].text == "DEPARTED"
    assert told["S1"].after["status"].text == "DELIVERED"
    assert set(told["S1"].after) == {"status"}
    assert (reply.shown, reply.total) == (2, 2)


def test_first_true_finds_when_it_became_known_and_when_it_was_so(world):
    def first(where, **more):
        request = pb.FirstTrueRequest(kind="shipment", id="S1", where=where, **more)
        return world.ask("FirstTrue", request)

    delivered = first("status = 'DELIVERED'")
    assert (delivered.found, delivered.event.id) == (True, "v1")
    assert delivered.at == delivered.event.ingest_time
    assert first("status = 'DELIVERED'", event_axis=True).at == NOW - 40 * HOUR
    assert not first("status = 'CANCELLED'").found
    gone = first("lat = 1", last=True)
    assert gone.event.id == "g2"
    assert gone.twin.values["lat"].number == 9.0
    still = first("status = 'DELIVERED'", last=True)
    assert (still.found, still.at, still.event.id) == (True, world.now, "")


def test_what_depends_on_age_is_judged_at_the_changes_of_a_twin(world):
    def first(where):
        request = pb.FirstTrueRequest(kind="shipment", id="S1", where=where, event_axis=True)
        return world.ask("FirstTrue", request)

    assert first("age(position) > interval '19 hours'").at == NOW - 40 * HOUR  # by the delivery
    with pytest.raises(BadRequest, match="sub-query is not asked"):
        first("supplier IN (SELECT id FROM suppliers)")


def test_a_diff_compares_what_is_computed_as_well(world):
    def diff(*fields):
        moments = {"before": pb.When(at=NOW - 55 * HOUR), "after": pb.When(at=NOW - 40 * HOUR)}
        request = pb.DiffRequest(kind="shipment", id="S1", fields=fields, **moments)
        return world.ask("Diff", request).differences

    assert diff("delay_days")[0].after["delay_days"].number == 1.0
    assert {"status", "delivered_at", "delay_days", "on_time"} <= set(diff()[0].after)
    assert diff("quantity") == []
    with pytest.raises(UnknownField, match="did you mean quantity"):
        diff("quantit")


def test_columns_of_an_earlier_moment_are_of_its_twins_alone(world):
    def ids(**when):
        request = pb.ColumnsRequest(kind="shipment", fields=["quantity"], when=pb.When(**when))
        pieces = {}
        for piece in world.client.pieces("Columns", request):
            pieces.setdefault(piece.shard, []).append(piece.arrow)
        tables = [pa.ipc.open_stream(b"".join(raw)).read_all() for raw in pieces.values()]
        return sorted(id for table in tables for id in table["id"].to_pylist())

    assert ids() == ["S1", "S2"]
    assert ids(at=NOW - 60 * HOUR) == ["S1"]
    assert ids(known_at=world.known) == ["S1"]


def test_status_says_what_is_kept_of_the_past_and_what_it_takes(world):
    surface = world.twin.surface(history(world).shard)
    surface.shard.checkpoint()
    [held] = [s.bases for s in world.client.status().shards if s.name == surface.shard.name]

    assert held.count == 1
    assert 0 < held.bytes < held.bytes_bound
    assert NOW < held.oldest <= world.now
    assert get(world, known_at=world.known)["status"].text == "DEPARTED"
    request = pb.SearchRequest(kind="shipment", when=pb.When(known_at=held.oldest))
    assert "S1" in [twin.id for twin in world.ask("Search", request).twins]


def test_first_true_names_the_one_event_that_made_it_so(world):
    order = Event("shipment.ordered", "erp", "S7", NOW - 3 * HOUR, ORDER, "o7", "east")
    promise = {"promised_at": NOW + 9 * HOUR}
    said = [
        order,
        Event("shipment.promised", "erp", "S7", NOW - 3 * HOUR, promise, "p7", "east"),
        Event("shipment.position", "tms", "S7", NOW - HOUR, {"lat": 1.0, "lon": 2.0}, "g7", "east"),
    ]
    world.client.ingest(said)

    def by(where, **more):
        request = pb.FirstTrueRequest(kind="shipment", id="S7", where=where, **more)
        return world.ask("FirstTrue", request)

    for axis in (False, True):  # all three became known at once, two were so at once
        assert by("quantity = 5", event_axis=axis).event.id == "o7"
        assert by("promised_at IS KNOWN", event_axis=axis).event.id == "p7"
        assert by("lat = 1", event_axis=axis).event.id == "g7"
        assert by("lat IS ABSENT", event_axis=axis, last=True).event.id == ("g7" if axis else "")
    held = by("quantity = 5", event_axis=True, since=NOW - HOUR // 2)
    assert (held.at, held.event.id) == (NOW - HOUR // 2, "o7")
    assert held.event.became["quantity"].integer == 5
    assert held.twin.values["lat"].number == 1.0
