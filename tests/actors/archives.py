"""Archives for tests: a shard with its archiver, on real or simulated disks."""

from pathlib import Path

from actors.archive import Archive
from actors.archiver import Archiver
from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.fetch import fetch
from actors.journal_file import FileJournal
from actors.shard import Shard
from actors.store import FolderStore
from tests.actors.shards import NOW, SHIPMENTS

PLACE = "journal/east/shipment/0"


def archive_at(folder, disk=None):
    return Archive(FolderStore(disk or OsDisk(), Path(folder)), PLACE)


def archived(folder, archive, epoch=1, *, disk=None, rule=SHIPMENTS, keep_us=0, clock=None):
    """Fetch and recover a shard; return it and its archiver."""
    disk = disk or OsDisk()
    clock = clock or (lambda: NOW)
    fetch(archive, disk, folder, whole=not keep_us)
    journal = FileJournal(disk, folder, epoch, f"test-{epoch}", archive=archive)
    kept = Checkpoints(disk, folder)
    one = Shard(name="shipment/east/0", rule=rule, journal=journal, checkpoints=kept, clock=clock)
    one.recover()
    beside = Archiver(
        one,
        journal,
        kept,
        archive,
        disk=disk,
        folder=folder,
        region="east",
        clock=clock,
        keep_us=keep_us,
    )
    return one, beside
