"""The reserve: a little room on the disk, given up so that a full one still takes a new epoch.

A successor needs a marker, a seal and a folder before it can even read; a shard that cannot start
because its disk is full could not answer a single question about what it knows.
"""

from __future__ import annotations

import logging
from pathlib import Path

from actors.disk import Disk
from twin.errors import DiskFull

log = logging.getLogger(__name__)
NAME = "reserve"
SIZES = (64 << 10, 32 << 10, 16 << 10)  # bytes; a start takes four blocks of 4 KiB at most


def spend(disk: Disk, folder: Path) -> None:
    """Give the room free, for what has to be written now."""
    if disk.exists(folder / NAME):
        disk.remove(folder / NAME)
        disk.sync_folder(folder)  # some file systems hand blocks out again only after this


def hold(disk: Disk, folder: Path) -> None:
    """Take what room there is, for the next time."""
    if disk.exists(folder / NAME):  # of another who tries to start here
        return
    for size in SIZES:
        try:
            disk.allocate(folder / NAME, size).close()
        except (DiskFull, OSError):
            continue
        return
    log.warning("the disk is full: %s has no reserve, and may not start again", folder)
