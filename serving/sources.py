"""Sources: how many feeds a tenant has, bounded, since a shard keeps each one's name for ever.

A caller who makes up a source for each event would fill the memory of every shard, and of all
that counts by source. Counted since the process began: a restart forgets names that wrote nothing.
"""

from __future__ import annotations

from serving.intake import Waiting
from twin.errors import BadRequest

MOST = 10_000  # of one tenant in one shard: a feed each, not a sender or a document


class Sources:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._met: dict[str, set[str]] = {}

    def require_room(self, waiting: Waiting) -> None:
        """Note the sources of a batch. Raises SOURCE_LIMIT if they are too many: none is noted."""
        if waiting.columns is not None:
            named = set(waiting.columns.source.words)
        else:
            named = {row[1] for row in waiting.rows if isinstance(row[1], str)}
        met = self._met.setdefault(waiting.tenant, set())
        if named <= met:
            return
        if len(met | named) > self._most:
            raise BadRequest(
                f"tenant has more than {self._most} sources here; name the feed", "SOURCE_LIMIT"
            )
        met |= named
