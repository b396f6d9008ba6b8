"""Subscriptions at their bounds: readers who do not read, shards that are away, what is lost."""

import asyncio
import shutil
import signal
import subprocess
import sys
import threading

import grpc
import pytest

from actors import segments
from actors.disk import OsDisk
from serving import faults, grpc_server, seats, subscribe, subscribe_gateway, topics
from serving.access import Identity
from serving.client import Client, Event
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from tests.serving.lone import ROOT
from tests.serving.several import NOW, position, several
from tests.serving.subscribing import (
    EAST,
    WAIT_S,
    first,
    ids,
    next_changes,
    opened,
    refused,
    until_synced,
)
from tests.system.running import until
from twin.errors import Compacted, Denied, Overloaded, SlowConsumer


def test_what_was_told_by_a_writer_whose_events_were_lost_is_told_apart(tmp_path):
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        asks = {"where": "lat > 0", "fields": ["lat"], "region": "east"}
        kept = world.folder.parent / "copy"
        client.ingest([position("a", "A", 1.0)])
        world.end(EAST)
        home = world.folder / "journal" / "east" / "shipment" / "0"
        shutil.copytree(home, kept)
        world.begin("shipment", "east", 0, 1, epoch=2)
        client.ingest([position("b", "B", 1.0)])
        cursor = first(client, **asks)[-1].cursor
        world.end(EAST, 2)
        shutil.rmtree(home)
        shutil.copytree(kept, home)  # a disk brought back from before: what followed is lost
        for epoch in (2, 3):
            (home / f"epoch-{epoch}").write_bytes(b"")
        world.begin("shipment", "east", 0, 1, epoch=4)
        client.ingest([position("c", "C", 1.0)])

        e = refused(client, cursor=cursor, **asks)
        assert e.code == "FUTURE_OFFSET"


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
        assert world.surface(EAST).changes.status().dropped == 1


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


def test_a_tenant_has_so_many_subscriptions_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(seats, "MOST_TENANT", 2)
    asks = {"where": "lat = 60", "fields": ["lat"]}
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
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


def test_a_reader_who_takes_nothing_for_long_holds_nothing_but_its_call(tmp_path, monkeypatch):
    given_up = threading.Event()
    monkeypatch.setattr(subscribe.Hold, "give_up", _told(subscribe.Hold.give_up, given_up))
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        surface = world.surface(EAST)
        surface.changes.stuck_s = 0.0
        client.ingest([_order(n, "east") for n in range(1500)])
        with narrow(client, surface.address) as other:
            lazy = opened(other)
            next(lazy)
            assert given_up.wait(WAIT_S)
            _, _, error = drained(lazy)
            assert isinstance(faults.from_grpc(error), SlowConsumer)
        told = surface.changes.status()
        assert (told.dropped, told.followers) == (1, 0)


def test_who_takes_nothing_loses_its_seat_and_is_counted_while_its_call_is_open(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(seats, "MOST_TENANT", 1)
    asks = {"where": "supplier IS KNOWN"}
    with (
        several(tmp_path / "t", shards=1, kinds=()) as world,
        world.client(direct=False) as client,
        narrow(client, client.address) as other,
    ):
        client.ingest([_order(n, "east") for n in range(1500)])
        lazy = opened(other, **asks)
        next(lazy)
        assert isinstance(refused(client, **asks), Overloaded)
        world.front.changes.stuck_s = 0.0
        client.ingest([_order(n, "west") for n in range(1500, 5000)])
        until(lambda: client.status().subscriptions.stuck, "its seat to be free")
        world.front.changes.stuck_s = 30.0
        again = opened(client, **asks)
        until_synced(again)
        status = client.status()
        told = status.subscriptions
        assert (told.followers, told.stuck, told.dropped) == (1, 1, 1)
        assert status.notes["subscriptions"].startswith("1 readers take nothing")
        assert isinstance(refused(client, **asks), Overloaded)

        _, cursor, e = drained(lazy)
        assert isinstance(faults.from_grpc(e), SlowConsumer)
        assert not cursor  # its first answer was not whole
        until(lambda: not client.status().subscriptions.stuck, "its call to end")
        again.cancel()


def test_the_calls_of_a_reader_that_hangs_end_with_its_connection(tmp_path, monkeypatch):
    names = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    soon = dict.fromkeys(names, 1500)
    assert soon.keys() <= dict(grpc_server.OPTIONS).keys()
    options = tuple((dict(grpc_server.OPTIONS) | soon).items())
    monkeypatch.setattr(grpc_server, "OPTIONS", options)
    code = (
        "import sys, pathlib; from serving.client import connect\n"
        "for reply in connect(pathlib.Path(sys.argv[1])).subscribe('shipment', '', ['lat']):\n"
        "    print(reply.synced, flush=True)"
    )
    with several(tmp_path / "t", shards=1, kinds=()) as world, world.client(direct=False) as client:
        asks = [sys.executable, "-c", code, str(world.folder)]
        with subprocess.Popen(asks, cwd=ROOT, stdout=subprocess.PIPE, text=True) as reader:
            try:
                assert reader.stdout.readline() == "True\n"
                assert client.status().subscriptions.followers == 1
                reader.send_signal(signal.SIGSTOP)
                until(lambda: not client.status().subscriptions.followers, "its call to end")
            finally:
                reader.kill()


def test_only_so_many_who_take_nothing_lose_their_seats(monkeypatch):
    monkeypatch.setattr(seats, "MOST_STUCK", 1)
    monkeypatch.setattr(seats, "MOST_TENANT", 2)
    held, mine = seats.Seats("it"), [seats.Hold(), seats.Hold()]
    with held.take("a", mine[0]), held.take("a", mine[1]):
        for hold in mine:
            hold.give_up()
            hold.give_up()  # twice is once
        assert (held.taken, held.stuck) == (1, 1)
        with held.take("a", seats.Hold()):
            assert held.taken == 2
            with pytest.raises(Overloaded), held.take("a", seats.Hold()):
                pass
    assert (held.taken, held.stuck) == (0, 0)


def test_who_is_stuck_reads_on_to_the_cursor_with_which_nothing_is_missed(tmp_path):
    with (
        several(tmp_path / "t", shards=1, kinds=()) as world,
        world.client(direct=False) as client,
        narrow(client, client.address) as other,
    ):
        world.front.changes.stuck_s = 0.3
        lazy = opened(other)
        until_synced(lazy)
        events = [_order(n, "east") for n in range(10_000)]
        for start in range(0, len(events), 500):
            client.ingest(events[start : start + 500])
        changes = world.surface(EAST).changes
        until(lambda: not changes.status().followers, "all that is held to be given up")
        (merge,) = world.front.changes._merges
        assert merge._news.empty()
        client.ingest([_order(n, "east") for n in range(10_000, 10_500)])  # nobody waits for it

        seen, cursor, e = drained(lazy)
        error = faults.from_grpc(e)
        assert isinstance(error, SlowConsumer)
        assert error.cursor == cursor != ""
        rest = opened(other, cursor=error.cursor)
        missed, _ = next_changes(rest, 10_500 - len(seen))
        rest.cancel()
    told = [*seen, *(c.twin.id for c in missed)]
    assert told == [f"O{n:05d}" for n in range(10_500)]


def test_what_was_missed_and_is_not_read_is_let_go_of_with_its_reader(tmp_path):
    with (
        several(tmp_path / "t", shards=1, kinds=()) as world,
        world.client(direct=False) as client,
    ):
        surface = world.surface(EAST)
        client.ingest([_order(0, "east")])
        begin = surface.shard.next
        for start in range(1, 10_000, 500):
            client.ingest([_order(n, "east") for n in range(start, start + 500)])
        surface.changes.stuck_s = 0.3
        with narrow(client, surface.address) as other:
            lazy = opened(other, from_={EAST: begin})
            next(lazy)
            until(lambda: surface.changes.status().dropped, "it to be given up")
            seen, _, error = drained(lazy)
        assert isinstance(faults.from_grpc(error), SlowConsumer)
        assert 0 < len(seen) < 10_000
        assert surface.changes.status().resumed == 1


def _told(method, event):
    def also(self):
        method(self)
        event.set()

    return also


def test_a_stream_ends_with_its_token_and_not_before():
    async def run(expires):
        async def stream():
            yield pb.SubscribeReply(cursor="here")

        who = Identity("x", "demo", "east", frozenset({"read"}), expires)
        return [reply async for reply in subscribe.watched(stream(), who, subscribe.Hold(), 1)]

    assert len(asyncio.run(run(2**40))) == 1
    with pytest.raises(Denied) as e:
        asyncio.run(run(0))
    assert e.value.code == "TOKEN_EXPIRED"
