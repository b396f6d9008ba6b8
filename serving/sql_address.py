"""Where the query processes answer: a file that a host writes and gateways read.

A host and most commands need no more of SQL than this, so it imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ADDRESSES = "sql.json"


def write(folder: Path, addresses: Mapping[str, str]) -> None:
    """Tell the gateways of `folder` where each region's query process answers."""
    (folder / ADDRESSES).write_text(json.dumps(dict(addresses)))


def read(folder: Path, region: str) -> str:
    """Return where the region's query process answers, "" if nobody said."""
    try:
        return str(json.loads((folder / ADDRESSES).read_text())[region])
    except (OSError, ValueError, KeyError):
        return ""
