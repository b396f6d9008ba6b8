"""Subscribe over gRPC: the first answer, what is refused, what is shared."""

import pytest

from serving import cursors, subscribe, subscribe_gateway
from serving.access import mint
from serving.client import Client, Event
from serving.wire import twin_pb2 as pb
from tests.serving.alerting import condition, ordered, watched
from tests.serving.several import NOW, position, several
from tests.serving.subscribing import (
    EAST,
    WEST,
    first,
    ids,
    next_changes,
    opened,
    refused,
    until_synced,
)
from twin.errors import BadRequest, UnknownField


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with several(tmp_path_factory.mktemp("subscribe") / "t", shards=1) as world:
        yield world


@pytest.fixture(scope="module")
def client(world):
    with world.client(direct=False) as client:
        yield client


def test_the_first_answer_is_all_that_match_in_pages_and_has_a_cursor_at_its_end(world, client):
    client.ingest([position(f"page{n}", f"PAGE{n:04d}", 50.0) for n in range(1203)])

    replies = first(client, where="lat = 50", fields=["lat"])

    pages = [reply for reply in replies if reply.changes]
    assert ids(replies) == [f"PAGE{n:04d}" for n in range(1203)]
    assert all(reply.snapshot for reply in pages)
    assert {change.change for reply in pages for change in reply.changes} == {"entered"}
    assert max(len(reply.changes) for reply in pages) <= subscribe.PAGE
    assert [bool(reply.cursor) for reply in replies] == [False] * len(pages) + [True]
    value = pages[0].changes[0].twin.values["lat"]
    assert (value.number, value.source, value.as_of) == (50.0, "test/a", NOW - 1000)


def test_only_changes_begins_with_no_answer(client):
    client.ingest([position("oc1", "OC1", 51.0)])
    stream = opened(client, where="lat = 51", fields=["lat"], only_changes=True)
    assert ids(until_synced(stream)) == []
    client.ingest([position("oc2", "OC2", 51.0)])
    changes, _ = next_changes(stream)
    stream.cancel()
    assert [(c.change, c.twin.id) for c in changes] == [("entered", "OC2")]


def test_identical_questions_share_a_topic_and_each_gets_all(world, client):
    asks = {"where": "lat = 52", "fields": ["lat"]}
    before = len(world.surface(EAST).changes.topics)
    streams = [opened(client, **asks) for _ in range(3)]
    for stream in streams:
        until_synced(stream)
    client.ingest([position("sh1", "SH1", 52.0), position("sh2", "SH2", 52.0)])
    told = [next_changes(stream, 2)[0] for stream in streams]
    for stream in streams:
        stream.cancel()
    assert {tuple(c.twin.id for c in changes) for changes in told} == {("SH1", "SH2")}
    assert len(world.surface(EAST).changes.topics) == before + 1


def test_bookmarks_move_the_cursor_while_nothing_matches(client):
    stream = opened(client, where="lat = 53", fields=["lat"])
    begin = until_synced(stream)[-1].cursor
    client.ingest([position("bm1", "BM1", 54.0)])
    moved = next(reply for reply in stream if reply.cursor != begin)
    stream.cancel()
    assert moved.synced
    assert not moved.changes


@pytest.mark.parametrize(
    ("asks", "code"),
    [
        ({"where": "latt > 1"}, "FIELD_UNKNOWN"),
        ({"fields": ["latt"]}, "FIELD_UNKNOWN"),
        ({"kind": "ship"}, "INVALID_ARGUMENT"),
        ({"where": "lat >"}, "INVALID_ARGUMENT"),
        ({"region": "north"}, "INVALID_ARGUMENT"),
        ({"where": "age(position) > interval '1 hour'"}, "FILTER_TIMED"),
        ({"where": "promised_at < now()"}, "FILTER_TIMED"),
        ({"where": "green_but_stale"}, "FILTER_TIMED"),
        ({"fields": ["lat", "age(position)"]}, "FILTER_TIMED"),
        ({"where": "site IN (SELECT id FROM site WHERE stale(status))"}, "FILTER_TIMED"),
        ({"cursor": "AAAA"}, "CURSOR_INVALID"),
        ({"cursor": "!"}, "CURSOR_INVALID"),
        ({"cursor": "A" * 100_000}, "CURSOR_INVALID"),
        ({"from_": {EAST: 1}}, "INVALID_ARGUMENT"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_word(client, asks, code):
    e = refused(client, **asks)
    assert e.code == code
    assert isinstance(e, BadRequest | UnknownField)


def test_a_cursor_is_of_its_question_and_tenant_alone_and_altered_by_nobody(world, client):
    asks = {"where": "lat = 55", "fields": ["lat"]}
    cursor = first(client, **asks)[-1].cursor
    assert ids(first(client, cursor=cursor, **asks)) == []  # it is good

    for other in (
        {"where": "lat = 56", "fields": ["lat"]},
        {"where": "lat = 55", "fields": ["lat", "lon"]},
        {**asks, "region": "east"},
        {**asks, "kind": "site"},
    ):
        assert refused(client, cursor=cursor, **other).code == "CURSOR_INVALID"
    for at in range(0, len(cursor), 7):
        letter = "A" if cursor[at] != "A" else "B"
        altered = cursor[:at] + letter + cursor[at + 1 :]
        assert refused(client, cursor=altered, **asks).code == "CURSOR_INVALID"
    token = mint(world.folder / "key", name="x", scopes=["read"], tenant="other")
    with Client(client.address, token) as stranger:
        assert refused(stranger, cursor=cursor, **asks).code == "CURSOR_INVALID"


def test_a_cursor_ahead_of_the_journal_says_so(world, client):
    asks = {"where": "lat = 57", "fields": ["lat"]}
    request = pb.SubscribeRequest(kind="shipment", **asks)
    question = subscribe_gateway.question(request, "demo")
    place = subscribe_gateway.placed(subscribe_gateway.digest({}), {EAST: (10**6, 1), WEST: (0, 1)})
    e = refused(client, cursor=cursors.sealed(world.folder / "key", question, place), **asks)
    assert e.code == "FUTURE_OFFSET"


def test_a_shard_goes_on_from_its_own_offset_and_knows_where_commits_end(world, client):
    asks = {"where": "lat = 58", "fields": ["lat"]}
    receipt = client.ingest([position("d1", "D1", 58.0), position("d2", "D2", 58.0)])[0]
    shard = world.surface(EAST).shard
    with Client(world.surface(EAST).address, client._token) as direct:
        stream = opened(direct, from_={EAST: receipt.offset}, **asks)
        changes, reply = next_changes(stream, 2)
        stream.cancel()
        assert [(c.change, c.twin.id, c.offset) for c in changes] == [
            ("entered", "D1", receipt.offset),
            ("entered", "D2", receipt.offset + 1),
        ]
        assert (reply.shard, reply.offset, reply.epoch) == (EAST, receipt.offset + 2, shard.epoch)
        middle = refused(direct, from_={EAST: receipt.offset + 1}, **asks)
        assert middle.code == "CURSOR_INVALID"
        assert refused(direct, from_={EAST: shard.next + 1}, **asks).code == "FUTURE_OFFSET"
        assert refused(direct, cursor="x", **asks).code == "INVALID_ARGUMENT"
        sub = {"where": "supplier IN (SELECT id FROM supplier)"}
        assert refused(direct, **sub).code == "INVALID_ARGUMENT"


def test_what_a_sub_query_finds_is_looked_up_when_the_subscription_begins(world, client):
    client.ingest([Event("site.status", "erp", "W1", NOW - 9, {"status": "open"}, "w1", "east")])
    client.ingest([_sited("q1", "Q1", "W1"), _sited("q2", "Q2", "W2")])
    asks = {
        "where": "site IN (SELECT id FROM site WHERE status = 'open') AND id LIKE 'Q%'",
        "fields": ["site"],
    }
    stream = opened(client, **asks)
    begin = until_synced(stream)
    assert ids(begin) == ["Q1"]
    client.ingest([Event("site.status", "erp", "W2", NOW - 9, {"status": "open"}, "w2", "east")])
    client.ingest([_sited("q3", "Q3", "W1")])
    changes, reply = next_changes(stream)
    stream.cancel()
    assert [(c.change, c.twin.id) for c in changes] == [("entered", "Q3")]
    assert refused(client, cursor=reply.cursor, **asks).code == "CURSOR_INVALID"  # W2 is open now
    assert ids(first(client, **asks)) == ["Q1", "Q2", "Q3"]


def _sited(id, subject, site):
    facts = {"supplier": "S", "country": "NG", "product": "P", "quantity": 1, "site": site}
    facts["product_group"] = "ARV"
    return Event("shipment.ordered", "erp", subject, NOW - 1000, facts, id, "east")


def test_who_listens_to_nothing_costs_the_ring_nothing(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        client.ingest([position("a", "A", 1.0)])
        ring = world.surface(EAST).changes.topics.ring
        assert ring.bytes == 0
        assert ring.since(0) == ([], 0)


def test_alerts_are_followed_like_any_twin(tmp_path):
    asks = {"kind": "alert", "where": "state = 'OPEN'", "fields": ["severity", "state"]}
    with watched(tmp_path / "twin") as twin, twin.client(direct=False) as client:
        stream = opened(client, **asks)
        until_synced(stream)
        client.ingest([ordered("S1"), condition("S1", 14.2)])
        raised, reply = next_changes(stream)
        client.ingest([condition("S1", 5.0, NOW + 1)])
        cleared, _ = next_changes(stream)
        stream.cancel()
        again = opened(client, cursor=reply.cursor, **asks)
        told, _ = next_changes(again)
        again.cancel()

    assert [(c.change, c.twin.id) for c in raised] == [("entered", "shipment:S1:warm")]
    assert raised[0].twin.values["severity"].text == "critical"
    assert [(c.change, c.twin.id) for c in cleared] == [("left", "shipment:S1:warm")]
    assert told == cleared
