"""`twin alerts --follow`: each event of alerts once, while its gateway ends and comes back.

Real processes on ports that stay the same. What was told is held against the journal.
"""

import itertools
import json
import signal
import threading

import pytest

from cluster.cli import run
from serving.client import Client, minter
from serving.client_follow import TELLING, opened, sealed
from tests.serving.alerting import EAST, NOW, act, condition, ordered, told, wait_for, watched
from tests.serving.command import Command
from tests.serving.lone_gateway import LoneGateway
from twin.alert_contracts import ALERTS
from twin.errors import BadRequest

ALERT = "shipment:S1:warm"
SHARD = "shipment/east/0"
WAIT_S = 20


class Follow:
    """The command, its lines kept in a thread of their own until there are `enough`."""

    def __init__(self, folder, *words):
        self._command = Command(folder, "alerts", "--follow", *words)
        self.lines = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._command.lines:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    def enough(self, size):
        with self._news:
            if not self._news.wait_for(lambda: len(self.lines) >= size, WAIT_S):
                raise AssertionError((self.lines, self.interrupt()))
            return list(self.lines)

    def interrupt(self):
        """Press Ctrl-C; return (status, what it said on stderr)."""
        ended = self._command.interrupt()
        self._thread.join(WAIT_S)
        self._command.close()
        return ended


@pytest.fixture
def twin(tmp_path):
    with watched(tmp_path / "twin") as twin:
        twin.end_gateway()
        twin.gateway = LoneGateway(twin.folder)
        try:
            twin.gateway.begin()
            yield twin
        finally:
            twin.gateway.end(signal.SIGKILL)


def journaled(client):
    return [(event.type, event.id) for event in told(client, EAST).events]


def test_each_event_is_told_once_over_a_gateway_that_comes_back_and_from_a_cursor(twin):
    number = itertools.count(NOW)

    def crossed(shard, *temps):
        for temp in temps:
            shard.ingest([condition("S1", temp, next(number))])
            wait_for(shard, ALERT, "OPEN" if temp > 8 else "CLEARED")

    address = twin.surface(SHARD).address
    with (
        Client(address, minter(twin.folder, "test")) as shard,
        twin.gateway.client() as client,
    ):
        shard.ingest([ordered("S1")])
        follow = Follow(twin.folder, "--json", f"--cursor={SHARD}=0")
        crossed(shard, 14.0, 2.0)
        follow.enough(2)
        twin.gateway.end(signal.SIGKILL)
        crossed(shard, 14.0, 2.0, 14.0)
        twin.gateway.begin()
        act(client, ALERT, "assign", owner="ana")
        act(client, ALERT, "comment", note="on it")
        act(client, ALERT, "acknowledge")
        expected = journaled(shard)
        lines = [json.loads(line) for line in follow.enough(len(expected))]
        status, said = follow.interrupt()

        crossed(shard, 2.0)
        cursor = said.partition("--cursor=")[2].split("\n")[0]
        again = Follow(twin.folder, f"--cursor={cursor}")
        (rest,) = again.enough(1)
        again.interrupt()

    assert len(expected) == 8
    assert [(one["event"], one["id"]) for one in lines] == expected
    assert lines[-1]["cursor"] == cursor
    assert status == 130
    assert said == f"go on with --cursor={cursor}\n\ninterrupted\n"
    assert f"cleared       east/{ALERT}" in rest
    assert rest.endswith("by twin/watchman")


def test_from_now_on_means_from_now_on(twin):
    with twin.gateway.client() as client:
        client.ingest([ordered("S1"), condition("S1", 14.0)])
        wait_for(client, ALERT, "OPEN")
        stream = client.alerting.follow("severity = 'critical'")
        begun = next(stream)
        act(client, ALERT, "acknowledge")
        found = next(told for told in stream if told.events)
        stream.close()

    assert begun.events == []
    assert [event.type for event, _ in found.events] == ["alert.acknowledged"]
    assert found.cursor == found.events[-1][1]


def test_what_is_missed_while_a_shard_is_away_is_told_when_it_is_back(twin):
    with twin.gateway.client() as client:
        client.ingest([ordered("S1"), condition("S1", 14.0)])
        wait_for(client, ALERT, "OPEN")
        stream = client.alerting.follow(region="east")
        next(stream)
        twin.end(SHARD)
        assert next(told for told in stream if told.degraded).events == []
        served = twin.begin("shipment", "east", 0, 1, epoch=2)
        with Client(served.address, minter(twin.folder, "test")) as shard:
            shard.ingest([condition("S1", 2.0, NOW + 1)])
        found = next(told for told in stream if told.events)
        stream.close()

    assert [event.type for event, _ in found.events] == ["alert.cleared"]


def test_whatever_happens_to_an_alert_decides_a_field_that_is_listened_to():
    for contract in ALERTS:
        decided = {name for fields in contract.sets.values() for name in fields}
        assert decided & set(TELLING), contract.type


@pytest.mark.parametrize("cursor", ["x", "a=1;b=2", "a=-1", "a=", ",", "A=1", "a=1" + "0" * 20])
def test_a_cursor_that_is_none_is_refused(cursor):
    with pytest.raises(BadRequest) as refused:
        opened(cursor)
    assert refused.value.code == "CURSOR_INVALID"


def test_a_cursor_of_another_twin_is_refused(twin, capsys):
    folder = str(twin.folder)

    assert run(["alerts", "--follow", "--cursor=shipment/north/0=5", "--folder", folder]) == 1
    assert capsys.readouterr().err.startswith("CURSOR_INVALID: shipment/north/0 has no alerts here")
    assert opened(sealed({SHARD: 7, "site/east/0": 0})) == {SHARD: 7, "site/east/0": 0}
