"""The past through a gateway: real shards of two regions, real journals, a clock that is turned."""

import json

import pytest

from serving.access import mint
from serving.client import Client, Event, minter
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, several
from tests.system.running import until
from twin.errors import BadRequest, TwinError, UnknownField

SECOND = 1_000_000
HOUR = 3600 * SECOND
ORDER = {
    "supplier": "SUP1",
    "site": "W1",
    "country": "NG",
    "product_group": "ARV",
    "product": "P1",
    "quantity": 5,
}
ITEM = {"site": "W1", "product": "ARV"}


class World:
    """A twin, its clock, and one writer whose events are numbered."""

    def __init__(self, folder):
        self.now = NOW
        self.twin = None
        self.folder = folder

    def clock(self):
        return self.now

    def say(self, type, subject, time, data=None, *, id, source="erp", region="east", **more):
        """Offer one event, a second after the one before; return its receipt."""
        self.now += SECOND
        event = Event(type, source, subject, time, data or {}, id, region, **more)
        return self.client.ingest([event])[0]

    def ask(self, rpc, request):
        return self.client.ask(rpc, request)

    def stranger(self):
        """Return a client of another tenant."""
        token = mint(self.twin.folder / "key", name="x", scopes=["read"], tenant="other", ttl_s=60)
        address = json.loads((self.twin.folder / "gateways.json").read_text())["east"]
        return Client(address, token, direct=False)

    def direct(self, address):
        """Return a client of one shard."""
        return Client(address, minter(self.twin.folder, "test"), direct=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("past"))
    with several(world.folder / "twin", clock=world.clock, kinds=("site", "supplier")) as twin:
        world.twin = twin
        with twin.client(direct=False) as client:
            world.client = client
            _history(world)
            yield world


def _history(world):
    """A life of S1, told out of order, with a mistake that is corrected; and some others."""
    say, ago = world.say, lambda hours: NOW - hours * HOUR
    say("supplier.registered", "SUP1", ago(200), {"name": "N", "aggregator": False}, id="r1")
    say("stock.counted", "W1:arv", ago(90), {**ITEM, "quantity": 100}, id="c1")
    say("shipment.ordered", "S1", ago(100), ORDER, id="o1")
    say("shipment.promised", "S1", ago(99), {"promised_at": ago(48)}, id="p1")
    say("shipment.position", "S1", ago(60), {"lat": 1.0, "lon": 2.0}, id="g1")
    say("shipment.position", "S1", ago(70), {"lat": 3.0, "lon": 4.0}, id="g0")
    say("shipment.departed", "S1", ago(80), id="d1")
    world.known = world.now  # before anything is corrected
    say("shipment.position", "S1", ago(60), {"lat": 9.0, "lon": 9.0}, id="g2", corrects="g1")
    say("shipment.delivered", "S1", ago(40), {}, id="v1")
    say("shipment.ordered", "S2", ago(50), {**ORDER, "quantity": 7}, id="o2", region="west")


def get(world, id="S1", **when):
    request = pb.GetRequest(kind="shipment", id=id, when=pb.When(**when))
    return world.ask("Get", request).twin.values


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


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ({"at": NOW + 1000 * HOUR}, "AS_OF_FUTURE"),
        ({"known_at": NOW + 1000 * HOUR}, "AS_OF_FUTURE"),
        ({"known_at": NOW - HOUR}, "AS_OF_TOO_EARLY"),
        ({"at": NOW - 1000 * HOUR}, "ENTITY_NOT_FOUND"),
    ],
)
def test_a_moment_that_cannot_be_asked_about_is_refused_by_its_word(world, when, code):
    with pytest.raises(TwinError) as refused:
        get(world, **when)

    assert refused.value.code == code
    if code != "ENTITY_NOT_FOUND":
        with pytest.raises(TwinError) as refused:
            world.ask("Search", pb.SearchRequest(kind="shipment", when=pb.When(**when)))
        assert refused.value.code == code


def history(world, **more):
    return world.ask("History", pb.HistoryRequest(kind="shipment", id="S1", **more))


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


def test_explain_says_what_decided_and_what_beat_the_others(world):
    reply = world.ask("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="lat"))

    assert reply.merge == "latest"
    rules = {loser.event.id: loser.rule for loser in reply.losers}
    receipt = {entry.id: entry.receipt for entry in history(world).entries}
    assert rules["g1"] == f"{receipt['g2']} withdrew it"
    assert rules["g0"].startswith("it is older: ")
    assert reply.contract == "shipment.position.v1"
    assert reply.losers_total == len(reply.losers)
    then = pb.ExplainRequest(
        kind="shipment", id="S1", field="lat", when=pb.When(known_at=world.known)
    )
    assert world.ask("Explain", then).decided_by.id == "g1"


def refusal(ask, request):
    """Return what an answer that is none says."""
    with pytest.raises(TwinError) as refused:
        ask(request)
    return refused.value.code, str(refused.value)


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("Get", pb.GetRequest(kind="shipment", when=pb.When(at=NOW))),
        ("History", pb.HistoryRequest(kind="shipment")),
        ("Explain", pb.ExplainRequest(kind="shipment", field="lat")),
        ("FirstTrue", pb.FirstTrueRequest(kind="shipment", where="lat = 1")),
        ("Diff", pb.DiffRequest(kind="shipment", before=pb.When(at=NOW))),
    ],
)
def test_a_twin_of_another_tenant_is_one_that_does_not_exist(world, rpc, request_):
    with world.stranger() as stranger:
        said = []
        for id in ("S1", "S9"):
            request_.id = id
            code, text = refusal(lambda asked: stranger.ask(rpc, asked), request_)
            said.append((code, text.replace(id, "ID")))

    assert said[0] == said[1]
    assert said[0][0] == "ENTITY_NOT_FOUND"


def test_an_event_of_another_tenant_cannot_be_previewed(world):
    receipt = history(world).entries[0].receipt
    with world.stranger() as stranger:
        for request in (
            pb.PreviewRequest(receipt=receipt),
            pb.PreviewRequest(source="erp", id="v1"),
        ):
            assert refusal(lambda asked: stranger.ask("Preview", asked), request)[0] == (
                "ENTITY_NOT_FOUND"
            )


def test_no_search_of_the_past_shows_another_tenants_twins(world):
    with world.stranger() as stranger:
        for when in (pb.When(at=NOW), pb.When(known_at=world.known), pb.When(at=NOW - 60 * HOUR)):
            reply = stranger.ask("Search", pb.SearchRequest(kind="shipment", when=when))
            assert (reply.total, len(reply.twins)) == (0, 0)
        diff = pb.DiffRequest(kind="shipment", where="lat IS KNOWN", before=pb.When(at=NOW))
        assert stranger.ask("Diff", diff).total == 0


def test_a_shard_that_is_asked_itself_says_what_it_does_not_hold(world):
    surface = world.twin.surface("shipment/east/0")
    with world.direct(surface.address) as shard:
        wrong = pb.HistoryRequest(kind="shipment", id="S1", region="west")
        assert refusal(lambda asked: shard.ask("History", asked), wrong)[0] == "NOT_OWNER"
        bad = pb.HistoryRequest(kind="shipment", id="../etc")
        assert refusal(lambda asked: shard.ask("History", asked), bad)[0] == "BAD_ID"
        none = pb.HistoryRequest(kind="site", id="S1")
        assert refusal(lambda asked: shard.ask("History", asked), none)[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("rpc", "request_", "code"),
    [
        ("Diff", pb.DiffRequest(kind="shipment", before=pb.When(at=NOW)), "INVALID_ARGUMENT"),
        ("Diff", pb.DiffRequest(kind="shipment", id="S1"), "INVALID_ARGUMENT"),
        ("FirstTrue", pb.FirstTrueRequest(kind="shipment", id="S1"), "INVALID_ARGUMENT"),
        ("FirstTrue", pb.FirstTrueRequest(kind="shipment", id="S1", where="latt = 1"), None),
        ("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="id"), "INVALID_ARGUMENT"),
        ("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="nonsense"), None),
        ("History", pb.HistoryRequest(kind="ship", id="S1"), "INVALID_ARGUMENT"),
        ("History", pb.HistoryRequest(kind="shipment", id="S1", fields=["on_time"]), None),
    ],
)
def test_what_cannot_be_asked_about_the_past_is_refused_by_its_word(world, rpc, request_, code):
    said = refusal(lambda asked: world.ask(rpc, asked), request_)

    assert said[0] == (code or said[0])
    assert said[0] in {"INVALID_ARGUMENT", "FIELD_UNKNOWN"}


def stock(world):
    """Wait until what follows from the delivery of S1 has arrived where it belongs."""
    until(lambda: not any(shard.outbox.waiting for shard in world.client.status().shards), "it")


def test_explain_leads_from_a_derived_value_down_to_raw_events_of_other_shards(world):
    stock(world)
    asked = pb.ExplainRequest(kind="stock", id="W1:arv", region="east", field="on_hand")
    reply = world.ask("Explain", asked)

    delivered = next(e for e in history(world).entries if e.id == "v1")
    assert (reply.merge, reply.value.integer, reply.unit) == ("level", 105, "pack")
    assert reply.rule == "a level: the latest count, and 1 movements after it; this is the newest"
    types = [entry.type for entry in reply.inputs]
    assert types == ["stock.delivered.v1", "stock.counted.v1", "shipment.delivered.v1"]
    assert reply.inputs[-1].receipt == delivered.receipt
    assert reply.inputs[-1].id == "v1"


def test_explain_of_a_computed_field_names_the_events_it_is_computed_from(world):
    reply = world.ask("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="delay_days"))

    assert reply.merge == "computed"
    assert {entry.id for entry in reply.inputs} == {"v1", "p1"}
    assert reply.value.number == 1.0


def test_preview_says_what_a_retraction_would_change_here_and_elsewhere_and_changes_nothing(world):
    stock(world)
    before = world.client.status(True)
    reply = world.ask("Preview", pb.PreviewRequest(source="erp", id="v1"))
    after = world.client.status(True)

    told = {one.key: one for one in reply.differences}
    own = told["demo/shipment/east/S1"]
    assert own.before["status"].text == "DELIVERED"
    assert own.after["status"].text == "DEPARTED"
    assert "delivered_at" not in own.after
    held = told["demo/stock/east/W1:arv"]
    assert (held.before["on_hand"].integer, held.after["on_hand"].integer) == (105, 100)
    record = told["demo/supplier/east/SUP1"]
    assert record.before["delivered_shipments"].integer == 1
    assert "delivered_shipments" not in record.after
    assert [s.replay_digest for s in before.shards] == [s.replay_digest for s in after.shards]
    by_receipt = world.ask("Preview", pb.PreviewRequest(receipt=reply.event.receipt))
    assert len(by_receipt.differences) == 3


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.PreviewRequest(source="erp", id="nobody"), "ENTITY_NOT_FOUND"),
        (pb.PreviewRequest(receipt="shipment/east/0/999999"), "ENTITY_NOT_FOUND"),
        (pb.PreviewRequest(receipt="nonsense"), "ENTITY_NOT_FOUND"),
        (pb.PreviewRequest(), "INVALID_ARGUMENT"),
    ],
)
def test_a_preview_of_no_event_is_refused(world, request_, code):
    with pytest.raises(TwinError) as refused:
        world.ask("Preview", request_)

    assert refused.value.code == code


def test_a_successor_tells_the_same_past_under_its_own_epoch(world):
    asked = [
        ("History", pb.HistoryRequest(kind="shipment", id="S1")),
        ("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="lat")),
        ("Get", pb.GetRequest(kind="shipment", id="S1", when=pb.When(at=NOW - 50 * HOUR))),
    ]
    name = history(world).shard
    before = [world.ask(rpc, request) for rpc, request in asked]
    world.twin.end(name)
    world.twin.begin("shipment", "east", int(name[-1]), 2, epoch=2)
    after = [world.ask(rpc, request) for rpc, request in asked]

    for old, new in zip(before, after, strict=True):
        held = new.twin if isinstance(new, pb.GetReply) else new
        assert held.epoch == 2
        held.epoch = 1
        assert old == new
