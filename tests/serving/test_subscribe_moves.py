"""Subscriptions over takeovers, restarts and breaks, judged by an oracle of the journals."""

import random
import threading

from serving.access import mint
from serving.client import Client
from tests.serving.alerting import condition, watched
from tests.serving.several import NOW, several
from tests.serving.watching import Recorder, commits, judge, reading, size_of

SUBJECTS = [f"s{number}" for number in range(12)]


def load(seed, batches, size=8, regions=("east", "west")):
    """Return batches of readings, hot and not, of few shipments in both regions."""
    draw = random.Random(seed)
    numbers = iter(range(10**9))
    return [
        [
            reading(
                draw.choice(SUBJECTS),
                draw.choice([3, 9, 12]),
                f"{seed}-{next(numbers)}",
                time=1_699_999_999_000_000 + draw.randrange(20),
                region=draw.choice(regions),
            )
            for _ in range(draw.randint(1, size))
        ]
        for _ in range(batches)
    ]


def expected_of(twin):
    """Return what the journals say: shard -> its commits. The newest writer is asked."""
    newest = {}
    for (name, epoch), served in twin._held.items():
        if name.startswith("shipment/") and epoch >= newest.get(name, (0, None))[0]:
            newest[name] = epoch, served.surface.shard
    return {name: commits(shard) for name, (_, shard) in newest.items()}


def test_two_takeovers_under_load_lose_repeat_and_reorder_nothing(tmp_path):
    with several(tmp_path / "twin", shards=1, kinds=()) as twin:
        follower = twin.client(direct=False)
        recorder = Recorder(follower)
        name = "shipment/east/0"
        offered = threading.Semaphore(0)

        def write():
            with twin.client(direct=False, timeout_s=20.0) as client:
                for events in load(1, 60):
                    client.ingest(events)
                    offered.release()

        def wait_for(batches):
            for _ in range(batches):
                assert offered.acquire(timeout=30)

        writer = threading.Thread(target=write)
        writer.start()
        wait_for(15)
        twin.begin("shipment", "east", 0, 1, epoch=2)  # the old one lives on, and is fenced
        wait_for(15)
        twin.end(name, 2)
        twin.begin("shipment", "east", 0, 1, epoch=3)
        wait_for(30)
        writer.join()

        expected = expected_of(twin)
        replies = recorder.enough(size_of(expected))
        follower.close()

    assert {reply.mode for reply in replies} <= {0, 1}
    judge(replies, expected)


def test_from_each_cursor_the_rest_comes_after_restarts_of_shards_and_gateway(tmp_path):
    with several(tmp_path / "twin", shards=1, kinds=()) as twin:
        with twin.client(direct=False) as client:
            recorder = Recorder(client)
            for events in load(2, 12):
                client.ingest(events)
            expected = expected_of(twin)
            replies = recorder.enough(size_of(expected))
        judge(replies, expected)
        for name in ("shipment/east/0", "shipment/west/0"):  # nothing of it is in memory any more
            kind, region, number = name.split("/")
            twin.end(name)
            twin.begin(kind, region, int(number), 1, epoch=2)
        twin.end_gateway()
        twin.begin_gateway()
        cursors = {reply.cursor: at for at, reply in enumerate(replies) if reply.cursor}
        for cursor, at in list(cursors.items())[::3]:
            rest = [_told(change) for reply in replies[at + 1 :] for change in reply.changes]
            with twin.client(direct=False) as client:
                again = Recorder(client, cursor=cursor).enough(len(rest))
            came = [_told(change) for reply in again for change in reply.changes]
            for region in ("east", "west"):
                assert [c for c in came if region in c[0]] == [c for c in rest if region in c[0]]


def _told(change):
    values = {name: value.number for name, value in change.twin.values.items()}
    twin = change.twin
    return twin.shard, change.change, twin.id, change.offset, values, list(change.absent)


def test_corrections_and_retractions_are_told_like_any_commit(tmp_path):
    with several(tmp_path / "twin", shards=1, kinds=()) as twin:
        client = twin.client(direct=False)
        with client:
            recorder = Recorder(client)
            client.ingest([reading("a", 9, "first")])
            client.ingest([reading("a", 12, "second", time=NOW - 5)])
            client.ingest([reading("a", 3, "fixed", time=NOW - 5, corrects="a:second")])
            client.ingest([reading("a", 9, "late", corrects="a:first")])  # it had lost already
            client.ingest([reading("b", 10, "only")])
            client.ingest([reading("b", 10, "gone", retracts="b:only")])
            expected = expected_of(twin)
            replies = recorder.enough(size_of(expected))

    judge(replies, expected)
    assert [c.change for r in replies for c in r.changes if c.twin.id == "b"] == ["entered", "left"]


def test_a_tenant_is_told_of_its_own_twins_alone(tmp_path):
    first = {}
    with several(tmp_path / "twin", shards=1, kinds=()) as twin, twin.client() as client:
        client.ingest([reading("a", 9, "1")])
        address = client.address
        for tenant in ("demo", "acme"):
            token = mint(twin.folder / "key", name="t", scopes=["read"], tenant=tenant)
            with Client(address, token) as asking:
                replies = Recorder(asking).enough(0)
            first[tenant] = [c.twin.id for reply in replies for c in reply.changes]

    assert first == {"demo": ["a"], "acme": []}


def test_an_alert_is_told_as_it_is_raised_and_acted_upon(tmp_path):
    with watched(tmp_path / "twin") as twin, twin.client() as client:
        stream = client.subscribe("alert", "severity = 'critical'", ["state", "owner"])
        while not next(stream).synced:
            pass
        client.ingest([condition("S1", 14.0)])
        raised = next(reply.changes[0] for reply in stream if reply.changes)
        client.act("shipment:S1:warm", "acknowledge")
        known = next(reply.changes[0] for reply in stream if reply.changes)
        stream.close()

    assert (raised.change, raised.twin.id) == ("entered", "shipment:S1:warm")
    assert raised.twin.values["state"].text == "OPEN"
    assert (known.change, known.twin.values["state"].text) == ("changed", "ACKNOWLEDGED")
