"""Subscriptions over kills: real processes on a real disk, killed while events come.

What was told is compared, commit by commit, with what a twin in plain Python says of the journal
that is left: nothing that it says is missing, nothing comes twice, nothing else was ever told.
That is etcd's list: ordered, unique, reliable, atomic, and resumable behind the cursor of whatever
message came last, empty ones (bookmarks) included.
"""

import json
import threading
from contextlib import ExitStack
from functools import partial

import pytest

from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.ray_shard import journal_folder
from serving.client import Client, Event, minter
from tests.serving.lone import NOW, LoneHost, made, spec, still
from tests.small_twin import NAME, _gateway
from tests.twin.oracle import Oracle
from twin.columns import event_ids
from twin.errors import Retryable

WHERE, FIELDS = "lat > 0 AND temp_c < 9", ("lat", "temp_c")
GROUPS = {"lat": "position", "temp_c": "condition"}
SUBJECTS = [f"S{number}" for number in range(8)]
WAIT_S = 120


class Source:
    """Offers random facts until it is told to stop, each again until it is answered."""

    def __init__(self, folder, rng):
        self.facts = {}  # id -> event, as the oracle takes it
        self.answered = 0
        self.enough = threading.Event()
        self.lock = threading.Lock()  # held while it offers: gateways change in between
        self._folder, self._rng = folder, rng
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.enough.is_set():
            events = [self._fact() for _ in range(self._rng.randint(1, 5))]
            while not self._offered(events):
                self.enough.wait(0.02)
            self.answered += len(events)

    def _offered(self, events):
        try:
            with self.lock, reached(self._folder) as client:
                client.ingest(events)
        except Retryable:
            return False
        return True

    def _fact(self):
        draw, id = self._rng, f"e{len(self.facts)}"
        kind, data = draw.choice(
            [
                ("position", {"lat": float(draw.randint(-1, 1)), "lon": 0.0}),
                ("condition", {"temp_c": float(draw.choice([5, 8, 10]))}),
            ]
        )
        time = NOW - 10**9 + 100 * len(self.facts) + draw.randint(0, 500)  # some come late
        subject = draw.choice(SUBJECTS)
        self.facts[id] = {
            **{"id": id, "source": "test", "type": f"shipment.{kind}", "version": 1},
            **{"subject": subject, "region": "east", "time": time, "data": data},
        }
        return Event(f"shipment.{kind}", "test", subject, time, data, id, "east")


class Follower:
    """Follows a subscription, whatever happens to shards and gateways, and keeps what is told."""

    def __init__(self, folder):
        self.commits = []  # (the offset behind it, what is told)
        self.newest = -1  # offset of what was told last
        self.begun = threading.Event()
        self.error = None
        self.enough = threading.Event()
        self.gateway = threading.Event()  # set to have it leave the gateway it knows
        self._folder = folder
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        cursor = ""
        try:
            while not self.enough.is_set():
                with reached(self._folder) as client:
                    cursor = self._follow(client, cursor)
        except Exception as e:  # noqa: BLE001 - raised where it is waited for
            self.error = e

    def _follow(self, client, cursor):
        self.gateway.clear()
        stream = client.subscribe("shipment", WHERE, FIELDS, cursor=cursor, patience_s=0.0)
        held = []
        try:
            for reply in stream:
                held.extend(reply.changes)
                if reply.more:
                    continue
                cursor = reply.cursor or cursor
                if reply.synced:
                    self.begun.set()
                if held:
                    assert not reply.snapshot
                    self._keep(held)
                    held = []
                if self.enough.is_set() or self.gateway.is_set():
                    return cursor
        except Retryable:
            self.enough.wait(0.02)
        finally:
            stream.close()
        return cursor

    def _keep(self, changes):
        """Keep changes by the commits that they are of: a message may have several."""
        for change in changes:
            assert change.offset > self.newest, "ordered, and each once"
            self.newest, end = change.offset, change.twin.offset
            values = {name: value.number for name, value in change.twin.values.items()}
            told = (change.change, change.twin.id, tuple(sorted(values.items())))
            if self.commits and self.commits[-1][0] == end:
                self.commits[-1][1].append(told)
            else:
                self.commits.append((end, [told]))


def reached(folder):
    address = json.loads((folder / "gateways.json").read_text())["east"]
    return Client(address, minter(folder, "test"), timeout_s=10.0)


def expected(folder, epoch, facts):
    """Return what each commit of the journal must have told, by plain Python."""
    journal = FileJournal(OsDisk(), journal_folder(spec(folder)), epoch, "test")
    journal.claim()
    oracle, before, found = Oracle(), {}, []
    for frame in journal.scan(0):
        if not frame.size:
            continue
        for id in event_ids(frame).list():
            oracle.take(facts[id])
        after = oracle.truth()["shipment"]
        told = []
        for name in {f"demo/{s}" for s in SUBJECTS} & after.keys():
            old, new = before.get(name, {}), after[name]
            was, is_ = matches(old), matches(new)
            id = name.partition("/")[2]
            if is_ and not was:
                told.append(("entered", id, tuple((f, new[f]) for f in FIELDS)))
            elif was and not is_:
                told.append(("left", id, ()))
            elif was and is_:
                fields = [f for f in FIELDS if decided(old, f) != decided(new, f)]
                if fields:
                    told.append(("changed", id, tuple((f, new[f]) for f in fields)))
        if told:
            found.append((frame.first + frame.size, sorted(told)))
        before = {name: dict(twin) for name, twin in after.items()}
    journal.close()
    return found


def matches(twin):
    return twin.get("lat", 0) > 0 and twin.get("temp_c", 9) < 9


def decided(twin, field):
    return twin.get(f"{GROUPS[field]}.tie")


def over_kills(tmp_path, rng, kills, events, every_gateway):
    """Kill the writer so often while events come; return what was told and what had to be."""
    folder = made(tmp_path / ".twin")
    with ExitStack() as stack:
        host, epoch = LoneHost(), 1
        begun = host.begin(spec(folder, epoch), WAIT_S)
        routed(folder, epoch, begun.address)
        end_gateway = _gateway(folder, still(folder))
        follower = Follower(folder)
        assert follower.begun.wait(WAIT_S)
        source = Source(folder, rng)
        for number in range(kills):
            spare = LoneHost()
            wanted = source.answered + rng.randint(1, events)
            until(partial(answered, source, wanted), "answers")
            host.kill()
            epoch += 1
            begun = spare.begin(spec(folder, epoch), WAIT_S)
            host = spare
            routed(folder, epoch, begun.address)
            if every_gateway and number % every_gateway == every_gateway - 1:
                with source.lock:
                    end_gateway()
                    end_gateway = _gateway(folder, still(folder))
                follower.gateway.set()
        wanted = source.answered + events
        until(partial(answered, source, wanted), "the last answers")
        source.enough.set()
        source.thread.join(WAIT_S)
        stack.callback(follower.thread.join, WAIT_S)
        stack.callback(follower.enough.set)
        host.kill()
        wanted_commits = expected(folder, epoch + 1, source.facts)
        end = wanted_commits[-1][0]
        host = LoneHost()
        stack.callback(host.kill)
        begun = host.begin(spec(folder, epoch + 2), WAIT_S)
        routed(folder, epoch + 2, begun.address)
        until(
            lambda: follower.error or (follower.commits and follower.commits[-1][0] >= end),
            f"commits up to {end}",
        )
        if follower.error:
            raise follower.error
        told = [(end, sorted(changes)) for end, changes in follower.commits]
        end_gateway()
    return told, wanted_commits


def answered(source, wanted):
    return source.answered >= wanted


def routed(folder, epoch, address):
    route = {"epoch": epoch, "address": address, "pid": 0, "state": "serving", "note": ""}
    draft = folder / "routes.draft"
    draft.write_text(json.dumps({"shards": {NAME: route}}))
    draft.rename(folder / "routes.json")


def until(holds, what):
    """Wait until something holds."""
    pause = threading.Event()
    for _ in range(WAIT_S * 100):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


def test_two_kills_lose_repeat_and_reorder_nothing_of_what_is_told(tmp_path, rng):
    told, wanted = over_kills(tmp_path, rng, kills=2, events=60, every_gateway=2)
    assert told == wanted
    assert len(told) > 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_and_five_gateways_lose_repeat_and_reorder_nothing(tmp_path, rng):
    told, wanted = over_kills(tmp_path, rng, kills=20, events=200, every_gateway=4)
    assert told == wanted
    assert len(told) > 200
