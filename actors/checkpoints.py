"""Checkpoints on disk: written whole, the two newest kept, a bad one passed over."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from actors.disk import Disk
from twin import frames
from twin.admission import Rule
from twin.checkpoint import restore
from twin.errors import JournalCorrupt, JournalNewer
from twin.transition import State

KEPT = 2
# Damaged, or of a version with other columns or shapes: the journal has it all, so go on.
UNREADABLE = (JournalCorrupt, JournalNewer, OSError, KeyError, ValueError, IndexError, TypeError)
PREFIX, SUFFIX = "ckpt-", ".twc"


def name_of(offset: int) -> str:
    return f"{PREFIX}{offset:020d}{SUFFIX}"


def offset_of(name: str) -> int:
    return int(name[len(PREFIX) : -len(SUFFIX)])


class Checkpoints:
    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self.offset = 0  # of the newest one that was written or read
        self.passed_over: list[str] = []  # names of those that failed their checksum

    def write(self, offset: int, raw: bytes) -> None:
        """Make a checkpoint durable, then forget all but the newest two."""
        self._disk.replace(self._folder / name_of(offset), raw)
        self.offset = offset
        for name in self._names()[:-KEPT]:
            self._disk.remove(self._folder / name)

    def good(self) -> list[int]:
        """Return the offsets of the checkpoints that are whole, ascending."""
        found = []
        for name in self._names():
            with suppress(FileNotFoundError):  # its writer forgot it meanwhile
                if frames.read(memoryview(self._disk.read(self._folder / name)), 0):
                    found.append(offset_of(name))
        return found

    def newest(self, rule: Rule) -> State:
        """Return the state of the newest good checkpoint, or an empty one.

        What a killed writer left half written is removed: whoever calls has claimed the journal.
        """
        for name in self._disk.names(self._folder):
            if name.startswith(f".{PREFIX}"):
                self._disk.remove(self._folder / name)
        for name in reversed(self._names()):
            try:
                state = restore(self._disk.read(self._folder / name), rule)
            except UNREADABLE:
                self.passed_over.append(name)
                continue
            self.offset = state.next
            return state
        return State(rule)

    def before(self, rule: Rule, offset: int) -> State:
        """Return the state of the newest good checkpoint not beyond `offset`, or an empty one."""
        for name in reversed(self._names()):
            if offset_of(name) <= offset:
                with suppress(*UNREADABLE):  # or its writer forgot it meanwhile
                    return restore(self._disk.read(self._folder / name), rule)
        return State(rule)

    def names(self) -> dict[int, str]:
        """Return offset -> file of each, whole or not."""
        return {offset_of(name): name for name in self._names()}

    def _names(self) -> list[str]:
        names = self._disk.names(self._folder)
        return sorted(n for n in names if n.startswith(PREFIX) and n.endswith(SUFFIX))
