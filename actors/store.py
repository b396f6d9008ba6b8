"""The store port: objects that are put once, whole, under a name that nobody used before.

A folder that outlives the disk of a shard is one; buckets of object storage are others
(actors/object_store.py). Nothing counts until it is there under its final name.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from actors.disk import Disk


class Store(Protocol):
    """Every method raises OSError when the storage does not answer."""

    url: str

    def names(self, place: str) -> list[str]:
        """Return the names of the objects right in `place`, or nothing."""

    def read(self, name: str) -> bytes:
        """Return an object. Raises FileNotFoundError."""

    def create(self, name: str, content: bytes) -> bool:
        """Put a new object, durably, or return False if there is one of this name."""

    def remove(self, name: str) -> None:
        """Take an object away; there may be none."""


class FolderStore:
    """Objects as files of a folder, synced: a disk of its own, or one that machines share."""

    def __init__(self, disk: Disk, root: Path) -> None:
        self.url = f"file://{root}"
        self._disk = disk
        self._root = root

    def names(self, place: str) -> list[str]:
        return [name for name in self._disk.names(self._root / place) if name[0] != "."]

    def read(self, name: str) -> bytes:
        return self._disk.read(self._root / name)

    def create(self, name: str, content: bytes) -> bool:
        path = self._root / name
        self._disk.make_folder(path.parent)
        return self._disk.create(path, content)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._disk.remove(self._root / name)
