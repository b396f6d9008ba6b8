"""The marker: who may write a journal. One per epoch, each one higher than the last.

A writer that looks for the next marker before each append and after each sync, before it decides
or answers, and a successor that makes its marker before it reads, cannot both count one event in.
"""

from __future__ import annotations

from pathlib import Path

from actors.disk import Disk
from twin.errors import Fenced

RETRY_AFTER_S = 0.5  # a takeover of a small shard, so that callers find it done
PREFIX = "epoch-"


def newest(disk: Disk, folder: Path) -> int:
    """Return the greatest epoch that anyone has announced, or 0."""
    return max(
        (int(n[len(PREFIX) :]) for n in disk.names(folder) if n.startswith(PREFIX)), default=0
    )


def claim(disk: Disk, folder: Path, epoch: int, owner: str) -> None:
    """Make the marker of `epoch`, which follows the newest one. Raises Fenced otherwise."""
    known = newest(disk, folder)
    if known != epoch - 1 or not disk.create(folder / f"{PREFIX}{epoch}", owner.encode()):
        raise Fenced(f"epoch {epoch} does not follow {known}, or is taken", RETRY_AFTER_S)


def following(folder: Path, epoch: int) -> Path:
    """Return the marker that ends `epoch` when it is there. They have no gaps: one is enough."""
    return folder / f"{PREFIX}{epoch + 1}"
