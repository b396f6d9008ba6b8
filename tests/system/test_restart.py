"""The end of a twin and its next life: nothing is left behind, and nothing is lost.

Its tests run last, as they end the twin of all others: the host is killed with -9 while Serve,
HAProxy, the world and all shards run; then `twin down`, then `twin up` in the same folder.
"""

import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actors import marker
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.shard import replay
from cluster import clock
from tests.system.running import LIVING, STILL, Told, kill, listening, until
from twin import digest
from twin.admission import Rule
from twin.kinds import SHARD_KINDS
from twin.transition import State

pytestmark = pytest.mark.ray


class Ended(NamedTuple):
    """What was before the host was killed, and what `twin down` left."""

    before: dict[str, Any]  # shard -> its status, digests included
    kept: dict[str, tuple[digest.Digests, digest.Digests]]  # its journal: up to then, and whole
    now: int
    roles: set[str]
    ports: set[int]
    orphans: int
    told: Told
    left: list[Any]
    open_ports: set[int]


def journaled(folder, name, offset):
    """Return what the journal alone says of a shard: as of `offset`, and at its end."""
    kind, region, number = name.split("/")
    home = folder / region / kind / number
    journal = FileJournal(OsDisk(), home, marker.newest(OsDisk(), home) + 1, "test")
    journal.claim()
    shards = len(list((folder / region / kind).iterdir()))
    state = State(Rule(region, SHARD_KINDS[kind], int(number), shards))
    found = []
    for until_offset in (offset, journal.next):
        replay(state, journal, until_offset)
        found.append(digest.digests(state.live(), state.seen))
    journal.close()
    return tuple(found)


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def ended(served, tmp_path_factory):
    """The host, killed with -9 while all of it ran; then `twin down`."""
    twin = served
    twin.pace(STILL)
    (world,) = twin.pids("world")
    os.kill(world, signal.SIGSTOP)  # what flows when the host dies is in test_faults
    with twin.client() as client:
        before = {s.name: s for s in client.status(digests=True).shards}
    now = clock.Clock(twin.folder).now_us()
    processes = {p.pid: p for p in (*twin.traces(), *twin.recorded())}
    sockets = twin.sockets()
    ports = {s.port for s in sockets}
    (host,) = twin.pids("host")
    kill(host)
    orphans = len([p for p in twin.traces() if p.pid in processes])
    told = twin.twin("down")
    roles = {p.role for p in processes.values()}
    alive = {p.pid: p for p in twin.traces()}
    left = [p for p in processes.values() if alive.get(p.pid) == p] + list(alive.values())
    open_ports = {s.port for s in sockets if s.inode in listening()}
    open_ports |= {port for port in twin.config.ports if answers(port)}
    copy = Path(shutil.copytree(twin.folder / "journal", tmp_path_factory.mktemp("j") / "journal"))
    kept = {name: journaled(copy, name, one.offset) for name, one in before.items()}
    return Ended(before, kept, now, roles, ports, orphans, told, left, open_ports)


@pytest.fixture(scope="module")
def revived(running, ended):
    """The same folder, started again: without Serve, whose new predictions would be news."""
    told = running.twin("up", "--speed", str(STILL), TWIN_SERVE="0")
    assert told.status == 0, told
    return told


def test_down_after_the_host_was_killed_leaves_no_process_and_no_open_port(ended):
    assert {"world", "gateway east", "gateway west", "raylet", "haproxy"} <= ended.roles
    assert len(ended.ports) > 20
    assert ended.orphans > 10, "the others died with the host: nothing was left to end"
    assert ended.told.status == 0
    assert "the host was gone" in ended.told.out
    assert ended.left == []
    assert ended.open_ports == set()


def test_down_of_what_does_not_run_says_so_and_asking_it_says_the_next_step(running, ended):
    if (running.folder / "gateways.json").exists():
        pytest.skip("it was started again before this test")

    down, status = running.twin("down"), running.twin("status")

    assert (down.status, down.out) == (0, f"  nothing runs in {running.folder}\n")
    assert (status.status, status.err.partition(":")[0]) == (1, "NOT_RUNNING")


def test_the_next_life_holds_what_the_last_one_acknowledged_digest_by_digest(
    running, ended, revived
):
    with running.client() as client:
        after = {s.name: s for s in client.status(verify=True).shards}

    assert after.keys() == ended.before.keys()
    for name, before in ended.before.items():
        shard, (then, last) = after[name], ended.kept[name]
        assert shard.epoch > before.epoch, name
        # What the watchman and Serve still wrote of their own comes behind what was asked about.
        assert (then.offset, then.truth, then.replay) == (
            before.offset,
            before.truth_digest,
            before.replay_digest,
        ), name
        assert shard.offset == last.offset, name
        assert shard.truth_digest == shard.journal_truth_digest == last.truth != "", name
        assert shard.replay_digest == shard.journal_replay_digest == last.replay, name


def test_the_clock_of_the_next_life_goes_on_and_so_does_its_world(running, ended, revived):
    with running.client() as client:
        sent = client.status()
        running.pace(LIVING)
        until(lambda: client.status().now > ended.now + 86_400_000_000, "a day to pass", 60)
        until(
            lambda: (
                sum(s.offset for s in client.status().shards)
                > sum(s.offset for s in sent.shards) + 20
            ),
            "the world to go on",
            60,
        )

    assert ended.now <= sent.now < ended.now + 3600 * 1_000_000
    assert sent.clock == "replay"
    counts = running.world()["counts"]
    assert set(counts) <= {"APPLIED", "SUPERSEDED", "DUPLICATE"}, counts


def test_predictions_without_serve_are_the_lane_tables_and_say_so(running, ended, revived):
    with running.client() as client:
        still_open = client.search(
            "shipment", "delivered_at IS ABSENT", ["promised_at"], "-promised_at", 1, "west"
        )

    told = running.twin("predict", still_open.twins[0].id, "--region", "west", "--json")

    assert told.status == 3
    assert told.json["answered_by"] == "rule/lane-median@1"
    assert (told.json["mode"], told.json["reason"]) == ("degraded", "SERVE_UNAVAILABLE")


def test_down_closes_the_journals_cleanly_and_leaves_nothing(running, revived):
    processes = {p.pid: p for p in (*running.recorded(), *running.traces())}
    sockets = running.sockets()

    told = running.twin("down")

    assert told.status == 0
    assert "journals closed cleanly" in told.out
    assert len(processes) > 12
    assert running.traces() == []
    assert len(sockets) > 12
    assert [one for one in sockets if one.inode in listening()] == []
    assert {port for port in running.config.ports if answers(port)} == set()
    assert not any((running.folder / name).exists() for name in ("pids.json", "gateways.json"))
