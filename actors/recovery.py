"""Recovery: the one way a shard starts. Fetch what this disk lacks, claim, checkpoint, replay.

With storage configured a shard starts only when its archive answers: without it nobody can tell
whether another node went on with this journal meanwhile.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from actors import marker
from actors.archive import AGAIN_S, Archive
from actors.bases import Bases, Schedule
from actors.checkpoints import Checkpoints
from actors.disk import Disk
from actors.fetch import Fetched, fetch, restore
from actors.journal_file import FileJournal
from actors.shard import Shard
from twin.admission import Rule
from twin.errors import Fenced, JournalCorrupt, Recovering, StorageAway

if TYPE_CHECKING:
    from actors.archiver import Archiver  # loads Parquet, which a shard without storage spares

log = logging.getLogger(__name__)
MICROS = 1_000_000
DAMAGED_S = 1.0


class Storage(NamedTuple):
    """Where a journal is archived ("": nowhere), how often, and how long the disk keeps it."""

    url: str = ""
    every_s: float = 60.0
    keep_s: float = 0.0  # 0: for ever


class Recovered(NamedTuple):
    """A shard that may serve. `note`: how its journal came home, if it did."""

    shard: Shard
    journal: FileJournal
    archiver: Archiver | None
    note: str


def recover(
    name: str,
    rule: Rule,
    disk: Disk,
    home: Path,
    *,
    epoch: int,
    owner: str,
    clock: Callable[[], int],
    storage: Storage,
    schedule: Schedule | None = None,
) -> Recovered:
    """Start a shard under `epoch`. Raises Fenced, JournalCorrupt, StorageAway.

    Raises Recovering when a damaged journal was repaired from its archive: start it again.
    """
    archive = open_archive(storage.url, name) if storage.url else None
    note = ""
    if archive is not None:
        fetched = fetch(archive, disk, home, whole=not storage.keep_s)
        if fetched is not None and (fetched.next or fetched.missing):
            note = _told(fetched, archive.url, clock())
            log.warning("%s: %s", name, note)
        if marker.newest(disk, home) >= epoch:
            raise Fenced(f"{name}: epoch {epoch} is over in the archive", marker.RETRY_AFTER_S)
    journal = FileJournal(disk, home, epoch, owner, archive=archive, spawn=_spawn)
    kept = Checkpoints(disk, home)
    shard = Shard(
        name=name,
        rule=rule,
        journal=journal,
        checkpoints=kept,
        clock=clock,
        read_ahead=True,
    )
    shard.bases = Bases(disk, home, rule, schedule, kept)
    try:
        shard.recover()
    except JournalCorrupt as e:
        if archive is None or not (repaired := restore(archive, disk, home)):
            raise
        log.warning("%s: %s; repaired from the archive: %s", name, e, repaired)
        raise Recovering(f"{name} was repaired from its archive; start it", DAMAGED_S) from e
    archiver = None
    if archive is not None:
        archiver = _archiver(
            shard,
            journal,
            kept,
            archive,
            disk=disk,
            folder=home,
            region=rule.region,
            clock=clock,
            keep_us=int(storage.keep_s * MICROS),
        )
        shard.archived = archiver.status
        archiver.start(storage.every_s)
    return Recovered(shard, journal, archiver, note)


def archived_epoch(name: str, storage: Storage) -> int:
    """Return the newest epoch that the archive of a shard knows, or 0. Raises StorageAway."""
    return open_archive(storage.url, name).look().newest if storage.url else 0


def open_archive(url: str, shard: str) -> Archive:
    """Return the archive of a shard (kind/region/number) below `url`. Raises StorageAway."""
    kind, region, number = shard.split("/")
    place = url.replace("{region}", region)  # so that no region's events lie in another
    try:
        opened = importlib.import_module("actors.object_store").open_store(place)
    except OSError as e:
        raise StorageAway(str(e), AGAIN_S) from e
    return Archive(opened, f"journal/{region}/{kind}/{number}")


def _archiver(*args: object, **named: object) -> Archiver:
    made: Archiver = importlib.import_module("actors.archiver").Archiver(*args, **named)
    return made


def _spawn(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="prepare", daemon=True).start()


def _told(fetched: Fetched, url: str, now_us: int) -> str:
    """Say what came home, and what cannot have: the recovery point."""
    text = f"brought home from {url}: the events before offset {fetched.next}"
    if fetched.recorded:
        text += f", recorded up to {(now_us - fetched.recorded) / MICROS:.1f} s before"
    text += "; what was acknowledged later, and not archived, is lost"
    if fetched.missing:
        text += f" ({fetched.missing} events of it were known)"
    return text + (f"; the disk's own is set aside in {fetched.aside}" if fetched.aside else "")
