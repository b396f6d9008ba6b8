"""The rulebook: the rules of a twin, those packaged and those in DATA_DIR/rules/*.toml.

A file that cannot be read is told and changes nothing: what it said before goes on, and so do
all others.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from twin.errors import BadRequest, TwinError
from twin.rules import LONGEST_FILE, AlertRule, Ready, laid, parse, ready

FOLDER = "rules"
PACKAGED = "default.toml"
MOST_FILES = 64
Stamp = tuple[str, int, int, int]


class Book(NamedTuple):
    """All rules that stand, by name, and what is wrong with each file that has a fault."""

    rules: tuple[AlertRule, ...]  # those that are turned off included
    faults: dict[str, str]

    @property
    def ready(self) -> list[Ready]:
        """Return the rules that are to be judged."""
        return [ready(rule) for rule in self.rules if rule.enabled]


class Rulebook:
    """Reads the rules of a data directory. Cheap to ask: files are read when they changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._seen: tuple[Stamp, ...] | None = None
        self._good: dict[str, list[AlertRule]] = {}  # file -> what it said when it last was whole
        self._faults: dict[str, str] = {}
        self._packaged = parse(packaged(), PACKAGED)

    def changed(self) -> bool:
        """Say whether any file came, went or changed since the last look, and read those."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        self._faults = {}
        names = [name for name, *_ in stamps]
        self._good = {name: rules for name, rules in self._good.items() if name in names}
        for name in names[:MOST_FILES]:
            try:
                self._good[name] = read(self._folder / name)
            except TwinError as e:
                self._faults[name] = str(e)
        if len(names) > MOST_FILES:
            self._faults[FOLDER] = f"{FOLDER} has more than {MOST_FILES} files; join some"
        return True

    def book(self) -> Book:
        """Return the rules as they are now."""
        self.changed()
        mine = [self._good[name] for name in sorted(self._good)]
        return Book(tuple(laid([self._packaged, *mine])), dict(self._faults))

    def _stamps(self) -> tuple[Stamp, ...]:
        found = []
        for path in sorted(self._folder.glob("*.toml")):
            try:
                stat = path.stat()
            except OSError:
                continue  # it went meanwhile
            found.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)


def packaged() -> str:
    """Return the rules that a twin begins with, as TOML."""
    return (files("serving") / FOLDER / PACKAGED).read_text(encoding="utf-8")


def read(path: Path) -> list[AlertRule]:
    """Return the rules of a file. Raises BadRequest RULE_INVALID."""
    try:
        with path.open("rb") as file:
            raw = file.read(4 * LONGEST_FILE + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        said = e.strerror if isinstance(e, OSError) else "it is no UTF-8"
        raise BadRequest(f"{path.name} cannot be read: {said}; mend it", "RULE_INVALID") from e
    return parse(text, path.name)
