"""Bookmarks: how far a file was answered for, so that a run that was interrupted can go on.

One lies in the data directory while a run is under way, named by the file (path, size, time of
change), the mapping and the options; it is removed at the end. It is a saving, no promise: without
it, or with an older one, rows are offered again and are duplicates.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from cluster.mapping import Mapping
from cluster.tally import Tally

FOLDER = "ingest"


class Bookmark:
    """The place of one file, read through one mapping with the same options."""

    def __init__(self, folder: Path, file: Path, mapping: Mapping, options: Any) -> None:
        stat = file.stat()
        identity = [str(file.resolve()), stat.st_size, stat.st_mtime_ns, options]
        said = msgspec.json.encode([identity, mapping])
        self._path = folder / FOLDER / f"{hashlib.sha256(said).hexdigest()[:32]}.json"
        self._file = file

    def read(self) -> Tally:
        """Return what an earlier run was told, or an empty tally."""
        try:
            return Tally.restored(msgspec.json.decode(self._path.read_bytes()))
        except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError):
            return Tally()

    def keep(self, tally: Tally) -> None:
        """Write the place down, whole or not at all."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        draft.write_bytes(msgspec.json.encode({"file": str(self._file), **tally.plain()}))
        draft.rename(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
