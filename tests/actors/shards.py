"""Shards for tests: the real shard, journal and checkpoints, on a real or a simulated disk."""

from pathlib import Path

from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.shard import Shard
from tests.twin.histories import NOW, SHIPMENTS, decoded, event, message, tell, words

HOME = Path("/shard")  # of a simulated disk


def shard(
    folder,
    epoch=1,
    *,
    disk=None,
    journal=FileJournal,
    ready=True,
    rule=SHIPMENTS,
    clock=lambda: NOW,
):
    disk = disk or OsDisk()
    one = Shard(
        name="shipment/east/0",
        rule=rule,
        journal=journal(disk, folder, epoch, "test"),
        checkpoints=Checkpoints(disk, folder),
        clock=clock,
    )
    if ready:
        one.recover()
    return one


def claimed(folder, epoch, disk=None, archive=None):
    journal = FileJournal(disk or OsDisk(), folder, epoch, "test", archive=archive)
    journal.claim()
    return journal


def offer(one, *events):
    """Offer one message; return (outcome, reason, offset) of each event."""
    return tell(one.offer([message(*events)])[0])


def said(one, *events):
    return words(offer(one, *events))


def firsts(journal, offset=0):
    return [frame.first for frame in journal.scan(offset) if frame.size]


def twins(one):
    return decoded(one._state)["shipment"]


def named(*names, **says):
    return [event(id=name, subject=f"S-{name}", **says) for name in names]
