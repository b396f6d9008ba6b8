"""Shards that die or are replaced while events flow: what was acknowledged is there, once.

Each test fails if its fault did not happen.
"""

import itertools
import os
import signal
import threading
from pathlib import Path

import pytest

from actors import marker
from actors.disk import OsDisk
from cluster import process
from serving.client import Event
from tests.system.facts import NOON
from tests.system.running import kill, until
from twin.errors import Fenced, Retryable

BATCH = 24
SOURCE = "test/history"
KINDS = ("shipment", "stock", "site", "supplier")

pytestmark = pytest.mark.ray


def event(kind, region, run, number):
    """One event of a kind: the shipments, shelves, sites and suppliers are few, and new facts."""
    facts = {
        "shipment": ("position", {"lat": float(number % 90), "lon": float(number % 180)}),
        "stock": ("moved", {"site": "t", "product": "t", "delta": number % 7 - 3}),
        "site": (
            "registered",
            {"name": str(number), "country": "NL", "function": "port", "lat": 1.0, "lon": 1.0},
        ),
        "supplier": ("registered", {"name": str(number), "aggregator": True}),
    }
    name, data = facts[kind]
    subject = f"t-{run}-{number % 12}"
    return Event(f"{kind}.{name}", SOURCE, subject, NOON + number, data, f"{run}-{number}", region)


class History:
    """What one client did: batches of every kind for both regions, and each answer it had."""

    def __init__(self, twin, run):
        self.offered = []
        self.answered = {}  # id -> Receipt
        self.unsure = 0  # events whose answer was lost
        self._twin = twin
        self._run = run
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._offer)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def epochs(self, shard):
        """Return under which epochs a shard has acknowledged something."""
        return {receipt.epoch for receipt in list(self.answered.values()) if receipt.shard == shard}

    def _offer(self):
        kinds = itertools.cycle(itertools.product(KINDS, ("east", "west")))
        numbers = itertools.count()
        with self._twin.client() as client:
            while not self._stop.is_set():
                batch = [event(*next(kinds), self._run, next(numbers)) for _ in range(BATCH)]
                self.offered += batch
                while batch[0].id not in self.answered:
                    try:
                        self.answered |= {receipt.id: receipt for receipt in client.ingest(batch)}
                    except Retryable as e:
                        self.unsure += len(batch)
                        self._stop.wait(e.retry_after)


def journal(twin, name):
    kind, region, number = name.split("/")
    return twin.folder / "journal" / region / kind / number


@pytest.mark.parametrize("name", ["shipment/east/0", "site/west/0", "supplier/east/0"])
def test_what_was_acknowledged_is_there_once_after_its_shard_was_killed(twin, client, name):
    until(lambda: twin.shard(name).checkpoint_offset > 0, "a checkpoint")
    before = twin.shard(name)

    with History(twin, f"kill-{name.replace('/', '-')}") as history:
        until(lambda: before.epoch in history.epochs(name), "events to flow")
        at_kill = len(history.answered)
        kill(before.pid)
        after = until(
            lambda: (s := twin.shard(name)).state == "serving" and s.epoch > before.epoch and s,
            "the successor",
        )
        until(lambda: after.epoch in history.epochs(name), "the successor's receipts")

    assert after.epoch == before.epoch + 1
    assert after.pid != before.pid
    assert 0 < at_kill < len(history.answered) == len(history.offered)
    ids = [event.id for event in history.offered]
    known = [
        receipt
        for at in range(0, len(ids), 500)
        for receipt in client.receipts(SOURCE, ids[at : at + 500])
    ]
    assert {receipt.outcome for receipt in known} <= {"APPLIED", "SUPERSEDED"}
    places = [(receipt.shard, receipt.offset) for receipt in known]
    assert places == [(history.answered[id].shard, history.answered[id].offset) for id in ids]
    assert len(set(places)) == len(ids)
    assert {place[0].split("/")[1] for place in places} == {"east", "west"}
    # The checkpoint was used, and the journal's tail after it.
    assert after.checkpoint_offset > 0
    assert 0 < after.replayed < after.offset
    for shard in client.status(verify=True).shards:
        assert shard.truth_digest == shard.journal_truth_digest != "", shard.name
        assert shard.replay_digest == shard.journal_replay_digest != "", shard.name


def test_an_acknowledged_event_is_in_the_journal_file_before_the_answer(twin, client):
    files = "journal/east/shipment/*/e*/*"
    one = Event(
        "shipment.position", SOURCE, "t-file", NOON, {"lat": 1.0, "lon": 2.0}, "in-file", "east"
    )

    def written():
        return sum(file.read_bytes().count(b"in-file") for file in twin.folder.glob(files))

    before = written()
    (receipt,) = client.ingest([one])
    after = written()

    assert receipt.outcome == "APPLIED"
    assert (before, after) == (0, 1)


def test_a_writer_that_slept_through_its_succession_is_fenced_and_changes_nothing(twin, client):
    (first,) = client.ingest([event("supplier", "west", "zombie", 1)])
    before = twin.shard(first.shard)
    zombie = process.identify(before.pid)
    answers = []

    with twin.direct(before) as direct:

        def offer():
            try:
                answers.append(direct.ingest([event("supplier", "west", "zombie", 13)]))
            except Fenced as e:
                answers.append(e)

        assert direct.get("supplier", "t-zombie-1").epoch == before.epoch
        offering = threading.Thread(target=offer)
        try:
            os.kill(before.pid, signal.SIGSTOP)
            until(lambda: state(before.pid) == "T", "the writer to stop")
            offering.start()
            marker.claim(OsDisk(), journal(twin, before.name), before.epoch + 1, "test")
        finally:
            os.kill(before.pid, signal.SIGCONT)
        offering.join(30)
        refused = []
        for ask in (
            lambda: direct.get("supplier", "t-zombie-1"),
            lambda: direct.search("supplier", limit=1),
            lambda: direct.aggregate("supplier"),
            lambda: direct.columns("supplier"),
            lambda: direct.receipts(SOURCE, ["zombie-1"]),
            direct.status,
            lambda: direct.ingest([event("supplier", "west", "zombie", 25)]),
        ):
            with pytest.raises(Retryable) as raised:
                ask()
            refused.append(raised.value.code)

    assert [type(answer) for answer in answers] == [Fenced]
    assert set(refused) <= {"FENCED", "SHARD_UNAVAILABLE"}  # told so until its process ends
    assert refused[0] == "FENCED"
    assert process.wait([zombie], 20) == []  # by itself; the supervisor sees this, not the marker
    after = until(
        lambda: (s := twin.shard(before.name)).state == "serving" and s,
        "the successor",
    )
    assert after.epoch == before.epoch + 2
    assert after.offset == before.offset
    seen = {r.id: r.outcome for r in client.receipts(SOURCE, ["zombie-1", "zombie-13"])}
    assert seen == {"zombie-1": "APPLIED", "zombie-13": "UNSEEN"}
    (again,) = client.ingest([event("supplier", "west", "zombie", 13)])
    assert (again.outcome, again.epoch, again.offset) == ("APPLIED", after.epoch, before.offset)


def test_a_shard_that_hangs_is_replaced_and_its_process_ended(twin, client):
    (first,) = client.ingest([event("shipment", "west", "hang", 1)])
    before = twin.shard(first.shard)
    hung = process.identify(before.pid)

    os.kill(before.pid, signal.SIGSTOP)
    until(lambda: state(before.pid) == "T", "the shard to stop")
    after = until(
        lambda: (s := twin.shard(before.name)).state == "serving" and s.pid != before.pid and s,
        "the successor",
    )

    assert after.epoch == before.epoch + 1
    assert process.wait([hung], 20) == []
    (known,) = client.receipts(SOURCE, [first.id])
    assert (known.outcome, known.offset) == ("APPLIED", first.offset)
    assert client.get("shipment", "t-hang-1").epoch == after.epoch


def state(pid):
    """Return how a process is, one letter: T if it was stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
