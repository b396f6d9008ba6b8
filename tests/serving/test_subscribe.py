"""Subscribe over gRPC: the first answer, what is refused, who does not read, what is bounded."""

import threading

import grpc
import pytest

from actors import segments
from actors.disk import OsDisk
from serving import cursors, faults, subscribe, subscribe_gateway, topics
from serving.access import mint
from serving.client import Client, Event
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from tests.serving.several import NOW, clock, position, several
from twin.errors import BadRequest, Compacted, Overloaded, SlowConsumer, TwinError, UnknownField

EAST, WEST = "shipment/east/0", "shipment/west/0"
WAIT_S = 30


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with several(tmp_path_factory.mktemp("subscribe") / "t", shards=1) as world:
        yield world


@pytest.fixture(scope="module")
def client(world):
    with world.client(direct=False) as client:
        yield client


def opened(client, tenant="", **asks):
    """Return the stream of a subscription; cancel it."""
    from_ = asks.pop("from_", {})
    request = pb.SubscribeRequest(**{"kind": "shipment", "from": from_} | asks)
    return client._stub.Subscribe(request, metadata=client._metadata(), timeout=WAIT_S)


def until_synced(stream):
    """Return the messages up to the first that says it is synced."""
    found = []
    for reply in stream:
        found.append(reply)
        if reply.synced:
            return found
    raise AssertionError("the stream ended")


def first(client, **asks):
    stream = opened(client, **asks)
    try:
        return until_synced(stream)
    finally:
        stream.cancel()


def refused(client, **asks):
    stream = opened(client, **asks)
    with pytest.raises(grpc.RpcError) as e:
        for _ in stream:
            pass
    return faults.from_grpc(e.value)


def next_changes(stream, most=1):
    """Return the next changes, `most` or more, and the last message that had one."""
    found = []
    for reply in stream:
        found += reply.changes
        if len(found) >= most:
            return found, reply
    raise AssertionError("the stream ended")


def ids(replies):
    return sorted(change.twin.id for reply in replies for change in reply.changes)


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


def test_what_was_told_by_a_writer_whose_events_were_lost_is_told_apart(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        asks = {"where": "lat > 0", "fields": ["lat"], "region": "east"}
        kept = world.folder.parent / "copy"
        client.ingest([position("a", "A", 1.0)])
        world.end(EAST)
        home = world.folder / "journal" / "east" / "shipment" / "0"
        _copy(home, kept)
        world.begin("shipment", "east", 0, 1, epoch=2)
        client.ingest([position("b", "B", 1.0)])
        cursor = first(client, **asks)[-1].cursor
        world.end(EAST, 2)
        _remove(home)
        _copy(kept, home)  # a disk brought back from before: what followed is lost
        for epoch in (2, 3):
            (home / f"epoch-{epoch}").write_bytes(b"")
        world.begin("shipment", "east", 0, 1, epoch=4)
        client.ingest([position("c", "C", 1.0)])

        e = refused(client, cursor=cursor, **asks)
        assert e.code == "FUTURE_OFFSET"


def _copy(source, target):
    import shutil

    shutil.copytree(source, target)


def _remove(folder):
    import shutil

    shutil.rmtree(folder)


def test_below_retention_without_an_archive_is_compacted(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        asks = {"where": "lat > 0", "fields": ["lat"], "region": "east"}
        cursor = first(client, **asks)[-1].cursor
        client.ingest([position("a", "A", 1.0)])
        client.ingest([position("b", "B", 1.0)])
        world.end(EAST)
        home = world.folder / "journal" / "east" / "shipment" / "0"
        served = world.begin("shipment", "east", 0, 1, epoch=2)
        served.surface.shard.checkpoint()
        segments.raise_floor(OsDisk(), home, 1)
        served.surface.shard.journal.floor = 1

        e = refused(client, cursor=cursor, **asks)
        assert isinstance(e, Compacted)


def narrow(client, address):
    """Return a client whose connection holds little of what it does not read."""
    found = Client(address, client._token)
    found._channel.close()
    found._channel = grpc.insecure_channel(address, options=[("grpc.http2.bdp_probe", 0)])
    found._stub = rpc.TwinStub(found._channel)
    return found


def drained(stream):
    """Read a stream to its end; return the ids it told, the last cursor, and the error."""
    seen, cursor = [], ""
    try:
        for reply in stream:
            seen += [change.twin.id for change in reply.changes]
            cursor = reply.cursor or cursor
    except grpc.RpcError as e:
        return seen, cursor, e
    raise AssertionError("it ended without an error")


def test_who_does_not_read_is_dropped_and_delays_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(topics, "LOG_ENTRIES", 8)
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        address = world.surface(EAST).address
        with narrow(client, address) as other, Client(address, client._token) as direct:
            lazy, brisk = opened(other), opened(direct)
            until_synced(lazy)
            until_synced(brisk)
            told = []
            reader = threading.Thread(target=lambda: told.append(next_changes(brisk, 2000)))
            reader.start()
            for start in range(0, 2000, 50):
                client.ingest([_order(n, "east") for n in range(start, start + 50)])
            reader.join(WAIT_S)
            assert len(told[0][0]) == 2000
            brisk.cancel()

            seen, _, error = drained(lazy)
            assert isinstance(faults.from_grpc(error), SlowConsumer)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert 0 < len(seen) < 2000


@pytest.mark.slow
def test_who_does_not_read_a_gateway_is_given_the_cursor_to_go_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(topics, "LOG_ENTRIES", 8)
    monkeypatch.setattr(subscribe_gateway, "WAITING", 2)
    with (
        several(tmp_path / "t", shards=1, kinds=()) as world,
        world.client(direct=False) as client,
        narrow(client, client.address) as other,
    ):
        lazy = opened(other)
        until_synced(lazy)
        events = [_order(n, "east" if n % 2 else "west") for n in range(60_000)]
        for start in range(0, len(events), 500):
            client.ingest(events[start : start + 500])
        seen, cursor, e = drained(lazy)
        error = faults.from_grpc(e)
        assert isinstance(error, SlowConsumer)
        assert error.cursor == cursor != ""
        rest = opened(other, cursor=error.cursor)
        changes, _ = next_changes(rest, len(events) - len(seen))
        rest.cancel()
        told = sorted([*seen, *(c.twin.id for c in changes)])
        assert told == sorted(event.subject for event in events)


def _order(n, region):
    facts = {"supplier": "s" * 60, "country": "NG", "product_group": "p" * 60, "product": "q" * 60}
    said = {**facts, "quantity": n}
    return Event("shipment.ordered", "erp", f"O{n:05d}", NOW - 1000, said, f"o{n}", region)


def test_a_tenant_has_so_many_subscriptions_and_no_more(world, client, monkeypatch):
    monkeypatch.setattr(subscribe_gateway, "MOST_TENANT", 2)
    asks = {"where": "lat = 60", "fields": ["lat"]}
    held = [opened(client, **asks) for _ in range(2)]
    for stream in held:
        until_synced(stream)
    assert isinstance(refused(client, **asks), Overloaded)
    held[0].cancel()
    again = _eventually(lambda: first(client, **asks))
    held[1].cancel()
    assert again[-1].cursor


def _eventually(attempt):
    """Return `attempt()` once it is not OVERLOADED: a server soon hears of a cancelled call."""
    for _ in range(1000):
        try:
            return attempt()
        except grpc.RpcError as e:
            if not isinstance(faults.from_grpc(e), Overloaded):
                raise
            threading.Event().wait(0.01)
    raise AssertionError("it stayed overloaded")


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


def test_while_a_shard_is_away_the_others_changes_come_and_the_mode_says_so(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        asks = {"where": "lat > 0", "fields": ["lat"]}
        stream = opened(client, **asks)
        until_synced(stream)
        world.end(EAST)
        away = next(reply for reply in stream if reply.mode == pb.DEGRADED)
        assert away.cursor
        client.ingest([position("w", "W", 1.0, region="west")])
        changes, reply = next_changes(stream)
        assert [c.twin.id for c in changes] == ["W"]
        assert reply.mode == pb.DEGRADED
        world.begin("shipment", "east", 0, 1, epoch=2)
        client.ingest([position("e", "E", 1.0)])
        changes, reply = next_changes(stream)
        stream.cancel()
        assert [(c.change, c.twin.id, c.twin.epoch) for c in changes] == [("entered", "E", 2)]
        assert reply.mode == pb.NORMAL


def test_a_shard_that_is_away_from_the_start_is_waited_for(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        asks = {"where": "lat > 0", "fields": ["lat"]}
        client.ingest([position("e", "E", 1.0), position("w", "W", 1.0, region="west")])
        world.end(EAST)
        stream = opened(client, **asks)
        early = next(reply for reply in stream if reply.mode == pb.DEGRADED)
        assert not early.synced
        assert not early.cursor
        world.begin("shipment", "east", 0, 1, epoch=2)
        replies = until_synced(stream)
        stream.cancel()
        assert "E" in ids(replies)
        assert replies[-1].mode == pb.NORMAL


def test_who_listens_to_nothing_costs_the_ring_nothing(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        client.ingest([position("a", "A", 1.0)])
        ring = world.surface(EAST).changes.topics.ring
        assert ring.bytes == 0
        assert ring.since(0) == ([], 0)


def test_the_clock_of_these_tests_stands_still():
    assert clock() == NOW
    assert issubclass(SlowConsumer, TwinError)
