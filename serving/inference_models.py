"""Models: the promoted version a replica answers with, followed as the registry changes.

A version that cannot be loaded never replaces one that answers; why it could not is kept, and
said with every answer that the lane table gives instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from training import artifact
from training.artifact import Artifact
from twin.errors import BadRequest
from twin.lanes import Lanes


class Held(NamedTuple):
    """What answers now. `lanes` is None until some version was published; `fault` says why the
    promoted version does not answer, None if it does."""

    artifact: Artifact | None
    lanes: Lanes | None
    fault: BadRequest | None


class Shelf:
    """The versions of one model in a registry folder. Threads share it: `held` is set whole."""

    def __init__(self, registry: Path, name: str = artifact.NAME) -> None:
        self.name = name
        self.held = Held(None, None, None)
        self._registry = registry
        self._seen: tuple[str, ...] | None = None

    def look(self) -> bool:
        """Load what the registry promotes, if that changed. True when the answers may differ.

        Reads one small file and one folder listing when nothing changed.
        """
        current = artifact.current(self._registry, self.name)
        seen = (current, *artifact.versions(self._registry, self.name))
        if seen == self._seen:
            return False
        self.held = self._load(current)
        self._seen = seen
        return True

    def _load(self, current: str) -> Held:
        try:
            loaded = artifact.load(self._registry, self.name)
        except BadRequest as fault:
            kept = self.held.artifact if current else None
            return Held(kept, kept.lanes if kept else self._lanes(), fault)
        return Held(loaded, loaded.lanes, None)

    def _lanes(self) -> Lanes | None:
        try:
            return artifact.lanes_of(self._registry, self.name)
        except BadRequest:
            return None
