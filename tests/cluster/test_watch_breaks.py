"""Those who watch, while their gateway ends, is killed, hangs and comes back; and Ctrl-C.

Real processes on ports that stay the same. What was told is held against the journal.
"""

import itertools
import json
import signal
import threading

import httpx
import pytest

from serving.access import mint
from serving.client import Client, minter
from tests.serving.command import WAIT_S, Command
from tests.serving.lone_gateway import LoneGateway
from tests.serving.several import NOW, several
from tests.serving.subscribing import EAST
from tests.serving.watching import FIELDS, WHERE, Recorder, commits, judge, reading, size_of
from twin.errors import Unavailable


class Follower:
    """Keeps what is told, (change, id, offset), in a thread of its own, until `enough`."""

    def __init__(self):
        self.told = []
        self._news = threading.Condition()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def add(self, change, id, offset):
        with self._news:
            self.told.append((change, id, offset))
            self._news.notify_all()

    def enough(self, size):
        """Return what was told, once it is so much."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.told) >= size, WAIT_S), len(self.told)
            return list(self.told)


class Watch(Follower):
    """`twin watch --json`."""

    def __init__(self, folder, *words):
        fields = f"--fields={','.join(FIELDS)}"
        self._command = Command(folder, "watch", "shipment", WHERE, fields, "--json", *words)
        super().__init__()

    def follow(self):
        for line in self._command.lines:
            said = json.loads(line)
            self.add(said["change"], said["twin"]["id"], said["offset"])

    def interrupt(self):
        """Press Ctrl-C; return (status, what it said on stderr)."""
        ended = self._command.interrupt()
        self.thread.join(WAIT_S)
        self._command.close()
        return ended


class EventSource(Follower):
    """A browser's: it asks again with the id of the last event, whenever its stream breaks."""

    def __init__(self, gateway):
        self.url = f"http://127.0.0.1:{gateway.http_port}/v1/subscribe"
        self.token = mint(gateway.folder / "key", name="test", scopes=["read"])
        self.breaks = 0
        self.over = threading.Event()
        super().__init__()

    def follow(self):
        last, asks = "", {"where": WHERE, "fields": ",".join(FIELDS)}
        while not self.over.wait(0.05):
            headers = {"authorization": f"Bearer {self.token}"} | (
                {"last-event-id": last} if last else {}
            )
            try:
                with httpx.stream(
                    "GET", self.url, params=asks, headers=headers, timeout=5
                ) as answer:
                    for line in answer.iter_lines():
                        head, _, rest = line.partition(": ")
                        if head == "id":
                            last = rest
                        if head == "data":
                            for one in json.loads(rest).get("changes", ()):
                                self.add(one["change"], one["twin"]["id"], int(one["offset"]))
                        if self.over.is_set():
                            return
            except httpx.TransportError:
                self.breaks += 1


@pytest.fixture
def world(tmp_path):
    with several(tmp_path / "twin", shards=1, kinds=()) as world:
        world.end_gateway()
        world.gateway = LoneGateway(world.folder)
        try:
            world.gateway.begin()
            yield world
        finally:
            world.gateway.end(signal.SIGKILL)


def test_a_gateway_that_ends_or_is_killed_and_comes_back_loses_and_repeats_nothing(world):
    number = itertools.count()

    def offer(writer, batches):
        for _ in range(batches):
            some = [next(number) for _ in range(4)]
            temps = [(n, 9 if n % 3 else 2) for n in some]
            writer.ingest([reading(f"S{n % 5}", t, n, time=NOW - 10**6 + n) for n, t in temps])

    with (
        Client(world.surface(EAST).address, minter(world.folder, "test")) as writer,
        world.gateway.client() as client,
    ):
        shard = world.surface(EAST).shard
        writer.ingest([reading("first", 9, "answer")])
        since = shard.next
        recorder, browser = Recorder(client), EventSource(world.gateway)
        command = Watch(world.folder)
        assert browser.enough(1) == command.enough(1)
        offer(writer, 10)
        for how in (signal.SIGTERM, signal.SIGKILL):
            world.gateway.end(how)
            offer(writer, 10)
            world.gateway.begin()
            offer(writer, 10)
        expected = {EAST: commits(shard, since)}
        size = 1 + size_of(expected)
        replies = recorder.enough(size)
        by_command, by_browser = command.enough(size), browser.enough(size)

        status, said = command.interrupt()
        offer(writer, 10)
        cursor = said.partition("--cursor=")[2].split("\n")[0]
        again = Watch(world.folder, f"--cursor={cursor}")
        rest = again.enough(1 + size_of({EAST: commits(shard, since)}) - size)
        again.interrupt()
        browser.over.set()
        browser.thread.join(WAIT_S)

    judge([reply for reply in replies if not reply.snapshot], expected)
    told = [(c.change, c.twin.id, c.offset) for reply in replies for c in reply.changes]
    assert by_command == by_browser == told
    assert browser.breaks >= 2
    assert status == 130
    assert said == f"go on with --cursor={cursor}\n\ninterrupted\n"
    newest = told[-1][2]
    assert rest
    assert all(offset > newest for _, _, offset in rest)


def test_who_cannot_reach_a_gateway_any_more_is_told_so_in_the_end(world):
    with world.gateway.client() as client:
        stream = client.subscribe("shipment", WHERE, FIELDS, patience_s=0.5)
        assert next(stream).synced
        world.gateway.end()
        with pytest.raises(Unavailable, match="not be taken up for"):
            for _ in stream:
                pass


def test_a_gateway_that_hangs_is_taken_for_gone(world):
    with world.gateway.client() as client:
        stream = client.subscribe("shipment", WHERE, FIELDS, patience_s=0.0, silence_s=2.0)
        assert next(stream).synced
        assert next(stream).synced  # a bookmark: it says every second how far all is
        world.gateway.stop()
        with pytest.raises(Unavailable, match="nothing was heard for 2 s"):
            for _ in stream:
                pass
