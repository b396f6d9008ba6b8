"""The supervisor, where time helps: it waits for a region's node and for a storage to answer."""

import socket
from pathlib import Path

import pytest

from actors import archive
from actors.disk import OsDisk
from actors.ray_shard import Begun, ShardSpec
from actors.recovery import Storage
from actors.supervisor import Supervisor
from twin.errors import RegionAway, StorageAway

NAME = "shipment/west/0"
NOWHERE = Storage()


class Process:
    """A host that begins at once, and whose line stays open."""

    def __init__(self, refusals=()):
        self._refusals = list(refusals)
        self._line = socket.create_server(("127.0.0.1", 0))

    def begin(self, spec, timeout_s):
        if self._refusals:
            raise self._refusals.pop()
        life = f"127.0.0.1:{self._line.getsockname()[1]}"
        return Begun("127.0.0.1:1", life, 1, 0, 0, 0, 0.0)

    def checkpoint(self, timeout_s):
        return 0

    def end(self, timeout_s):
        self.kill()

    def kill(self):
        self._line.close()


@pytest.fixture
def supervised(tmp_path):
    """Return a function that supervises one shard, whose processes `launch` gives."""
    begun = []

    def supervise(launch, storage=NOWHERE, on_route=lambda _: None):
        told = []
        spec = ShardSpec("shipment", "west", 0, 1, str(tmp_path), 0, "", "", storage=storage)

        def publish(routes):
            told.append(routes[NAME])
            on_route(routes[NAME])

        one = Supervisor([spec], OsDisk(), launch, publish, lambda _: True)
        begun.append(one)
        one.start()
        return one, told

    yield supervise
    for one in begun:
        one.stop()


def away(*errors):
    """Return a launcher that fails so often before there is a process."""
    left = list(errors)
    launched = []

    def launch(name):
        if left:
            raise left.pop()
        launched.append(name)
        return Process()

    return launch, launched


def test_a_region_without_a_node_is_waited_for_and_its_routes_say_so(supervised):
    launch, launched = away(*[RegionAway("no node of region west is there", 0.01)] * 5)

    one, told = supervised(launch)

    assert one.routes[NAME].state == "serving"
    assert launched == ["shard/west"]
    notes = [route.note for route in told if route.state == "recovering" and route.note]
    assert notes[0] == "REGION_UNAVAILABLE: no node of region west is there"
    assert len(notes) >= 5, "it gave up, or did not tell"
    assert {route.address for route in told[:-1]} == {""}


def test_a_storage_that_does_not_answer_is_waited_for(supervised, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "AGAIN_S", 0.01)
    blocked = tmp_path / "store"
    blocked.write_text("a file where a folder should be")
    launch, launched = away()

    def free(route):
        if route.note and blocked.is_file():
            blocked.unlink()

    one, told = supervised(launch, Storage(f"file://{blocked}"), free)

    assert one.routes[NAME].state == "serving"
    assert any(route.note.startswith("STORAGE_UNAVAILABLE") for route in told)
    assert launched == ["shard/west"]


def test_a_storage_that_goes_away_while_a_shard_starts_is_not_its_fault(supervised):
    refusals = [StorageAway("it does not answer", 0.01)] * 5

    one, _ = supervised(lambda _: Process(refusals and [refusals.pop()]))

    assert refusals == []
    assert one.routes[NAME].state == "serving", "it was taken for damage, and quarantined"


def test_a_spare_for_a_region_without_a_node_is_none(supervised):
    launch, _ = away()
    one, _ = supervised(launch)
    one._launch = away(RegionAway("no node", 1.0))[0]

    one.spare("west")

    assert not one._spares.get("west")


def test_where_a_journal_may_have_to_come_home_a_start_may_take_longer(supervised, tmp_path):
    waits = []

    class Waited(Process):
        def begin(self, spec, timeout_s):
            waits.append(timeout_s)
            return super().begin(spec, timeout_s)

    supervised(lambda _: Waited(), Storage(f"file://{Path(tmp_path)}/store"))
    supervised(lambda _: Waited())

    assert waits[0] > 10 * waits[1]
