"""Archives, as a command finds them: by the configuration that its twin was last started with."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from actors.archive import Archive
from actors.recovery import open_archive
from cluster.config import FILE, Config, load
from cluster.host import CONFIG


def archive_of(folder: Path, shard: str) -> Archive | None:
    """Return the archive of a shard (kind/region/number), or None where none is configured."""
    noted = folder / CONFIG
    if noted.exists():
        config = msgspec.json.decode(noted.read_bytes(), type=Config)
    else:
        config = load(Path(FILE), os.environ).config
    return open_archive(config.storage.url, shard) if config.storage.url else None
