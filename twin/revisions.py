"""Revisions: of each cause of derived events the greatest one that came, and what it counts for.

A cause is one fact about one twin that makes something true of another; each of its revisions
replaces all lower ones, whichever came first, so a repeat, a correction or a withdrawal of the
fact leaves what would be so had it alone been said. A level or a sum changes by the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twin import level, merge
from twin.chunks import Table
from twin.columns import payload_column
from twin.contracts import CONTRACTS
from twin.derived import EFFECTS, IS_DERIVED, STOCK
from twin.frames import Frame
from twin.kinds import ABSENT, KINDS, Group
from twin.level import Entry, Level
from twin.merge import PROVENANCE, Decision, Facts
from twin.slots import EMPTY, find_ids, place_ids

Column = NDArray[Any]
_AMOUNTS = ("first", "second")
_COLUMNS: dict[str, type[np.generic]] = {
    "cause": np.uint64,
    "place": np.uint64,  # effect and row of the twin it is about
    "revision": np.int64,
    "first": np.int64,  # its amounts; ABSENT: withdrawn
    "second": np.int64,
    "time": np.int64,
    "offset": np.int64,
    "source": np.int32,
    "confidence": np.float32,
}
_GROUPS: list[Group] = [
    next(group for group in KINDS[effect.kind].groups if group.name == name)
    for effect, name in zip(EFFECTS, ("level", "deliveries"), strict=True)
]
_IS = [np.array([c.type == e.type for c in CONTRACTS] + [False]) for e in EFFECTS]


class Held(Protocol):
    """The twins of one kind that derived events are about (twin.transition.KindState)."""

    table: Table
    levels: dict[int, Level]


class Change(NamedTuple):
    """What became of one cause: its entry, and whether it counted before."""

    entry: int
    row: int
    counted: bool


class Revisions:
    """Every cause a shard heard of. One writer."""

    def __init__(self) -> None:
        self.size = 0
        self._columns: dict[str, Column] = {n: np.zeros(0, d) for n, d in _COLUMNS.items()}
        self._slots = np.full(64, EMPTY)

    def apply(
        self, frame: Frame, stands: Column, kinds: Mapping[str, Any], ranks: Column
    ) -> Column:
        """Take in the derived events of a frame; return the positions of those that changed it."""
        contract = frame.columns["contract"]
        changed = [np.zeros(0, np.int64)]
        if (IS_DERIVED[contract] & stands).any():
            for number, effect in enumerate(EFFECTS):
                at = np.flatnonzero(_IS[number][contract] & stands)
                if at.size and effect.kind in kinds:
                    changed.append(self._apply(number, frame, at, kinds[effect.kind], ranks))
        return np.concatenate(changed)

    def refold(self, kind: str, row: int, fresh: Held, ranks: Column) -> None:
        """Add to row 0 of `fresh` what counts for a row, as derived events are not folded."""
        for number, effect in enumerate(EFFECTS):
            if effect.kind != kind:
                continue
            if number == STOCK:
                self._levels(fresh, [Change(i, 0, False) for i in self._of(number, [row])], ranks)
            else:
                self._tell(number, fresh.table, {0: self._of(number, [row])}, ranks)

    def dump(self) -> dict[str, Column]:
        return {f"revisions.{n}": c[: self.size].copy() for n, c in self._columns.items()}

    def load(self, columns: Mapping[str, Column]) -> None:
        size = columns["revisions.cause"].size
        self._reserve(size)
        for name, column in self._columns.items():
            column[:size] = columns[f"revisions.{name}"]
        place_ids(self._slots, self._columns["cause"], 0, size)
        self.size = size

    def learn(self, kind: str, frame: Frame, at: Column, row: Column) -> None:
        """Take in those of the events at `at` that are derived, about rows `row`; tell no twin."""
        for number, effect in enumerate(EFFECTS):
            mine = np.flatnonzero(_IS[number][frame.columns["contract"][at]])
            if effect.kind != kind or not mine.size:
                continue
            given = _given(number, frame, at[mine], row[mine])
            entry = self._find(given["cause"], given["place"])
            before = np.full(mine.size, -1)
            before[entry >= 0] = self._columns["revision"][entry[entry >= 0]]
            blank = np.full(mine.size, ABSENT)
            top, _ = _greatest(given, {"revision": before, "first": blank})
            self._write({name: column[top] for name, column in given.items()}, entry[top])

    def tell(self, kind: str, held: Held, ranks: Column, at: int) -> None:
        """Add to twins of which no derived event was folded what counts, if its time is by `at`."""
        for number, effect in enumerate(EFFECTS):
            if effect.kind != kind:
                continue
            columns = {name: column[: self.size] for name, column in self._columns.items()}
            counts = (columns["first"] != ABSENT) & (columns["time"] <= at)
            counts &= columns["place"] >> np.uint64(32) == number
            entries = np.flatnonzero(counts)
            rows = (columns["place"][entries] & np.uint64(0xFFFFFFFF)).astype(np.int64).tolist()
            if number == STOCK:
                told = zip(entries.tolist(), rows, strict=True)
                self._levels(held, [Change(entry, row, False) for entry, row in told], ranks)
                continue
            of: dict[int, list[int]] = {}
            for entry, row in zip(entries.tolist(), rows, strict=True):
                of.setdefault(row, []).append(entry)
            self._tell(number, held.table, of, ranks)

    def restate(self, kind: str, row: int, cause: int, said: tuple[int, int, int] | None) -> None:
        """Let a cause say (time, amount, second amount) of a row from now on, or nothing."""
        effect = next(n for n, effect in enumerate(EFFECTS) if effect.kind == kind)
        one, place = np.array([cause], np.uint64), _places(effect, np.array([row]))
        entry = self._find(one, place)
        time, first, second = said or (0, ABSENT, ABSENT)
        given: dict[str, Column] = {n: np.zeros(1, dtype) for n, dtype in _COLUMNS.items()}
        if entry[0] >= 0:
            given = {name: column[entry].copy() for name, column in self._columns.items()}
        given |= {"cause": one, "place": place, "time": np.array([time])}
        given |= {"first": np.array([first]), "second": np.array([second])}
        self._write(given, entry)

    def _apply(self, effect: int, frame: Frame, at: Column, held: Held, ranks: Column) -> Column:
        row = frame.columns["row"][at].astype(np.int64)
        given = _given(effect, frame, at, row)
        entry = self._find(given["cause"], given["place"])
        before = {name: np.full(at.size, -1) for name in ("revision", "first")}
        for name, column in before.items():
            column[entry >= 0] = self._columns[name][entry[entry >= 0]]
        before["first"][entry < 0] = ABSENT
        top, told = _greatest(given, before)
        entry = self._write({name: column[top] for name, column in given.items()}, entry[top])
        counted = before["first"][top] != ABSENT
        changes = [
            Change(*one)
            for one in zip(entry.tolist(), row[top].tolist(), counted.tolist(), strict=True)
        ]
        if effect == STOCK:
            self._levels(held, changes, ranks)
        else:
            self._sum(effect, held.table, changes, ranks)
        return at[told]

    def _levels(self, held: Held, changes: list[Change], ranks: Column) -> None:
        """Replace movements of levels, one by one: they are few."""
        changed: dict[int, Level] = {}
        for entry, row, counted in changes:
            cause, first, time, offset, source, confidence = (
                self._columns[name][entry].item()
                for name in ("cause", "first", "time", "offset", "source", "confidence")
            )
            known = changed.get(row) or held.levels.get(row, level.UNKNOWN)
            after = known
            if counted:
                moves = tuple(move for move in known.moves if move.tie != cause)
                after = Level(known.counted, moves) if len(moves) < len(known.moves) else known
            if first != ABSENT:
                move = Entry(time, int(ranks[source]), cause, first, offset, source, confidence)
                after = level.move(after, move) or after
            if after is not known:
                changed[row] = after
        known_rows = {row: one for row, one in changed.items() if one.counted or one.moves}
        held.levels |= known_rows
        for row in changed.keys() - known_rows.keys():
            held.levels.pop(row, None)
        _blank(held.table, _GROUPS[STOCK], changed.keys() - known_rows.keys())
        newest = [(row, one.newest) for row, one in known_rows.items()]
        lines = [(row, e.time, e.tie, e.offset, e.source, e.confidence) for row, e in newest]
        totals = [[one.on_hand for one in known_rows.values()]]
        _commit(held.table, _GROUPS[STOCK], lines, totals)

    def _sum(self, effect: int, table: Table, changes: list[Change], ranks: Column) -> None:
        """Fold the sums of the rows concerned anew where one was replaced, else add to them."""
        rows: dict[int, list[int]] = {}
        for entry, row, _ in changes:
            rows.setdefault(row, []).append(entry)
        replaced = sorted({row for _, row, counted in changes if counted})
        whole = self._of(effect, replaced) if replaced else np.zeros(0, np.int64)
        for row in replaced:
            rows[row] = []
        for entry in whole.tolist():
            rows[int(self._columns["place"][entry] & np.uint64(0xFFFFFFFF))].append(entry)
        for row in replaced:
            _blank(table, _GROUPS[effect], [row])
        self._tell(effect, table, rows, ranks)

    def _tell(
        self, effect: int, table: Table, rows: Mapping[int, Iterable[int]], ranks: Column
    ) -> None:
        """Add some entries to the sums of each row, and let the newest give the provenance."""
        group, columns = _GROUPS[effect], self._columns
        names = [field.name for field in group.fields]
        lines, totals = [], []
        for row, entries in rows.items():
            at = np.array(list(entries), np.int64)
            at = at[columns["first"][at] != ABSENT]
            if not at.size:
                continue
            given = np.stack([columns[name][at] for name in _AMOUNTS])
            sums = np.where(given == ABSENT, 0, given).sum(axis=1).tolist()
            held = [int(table.cell(name, row)) for name in names]
            totals.append([(0 if h == ABSENT else h) + s for h, s in zip(held, sums, strict=False)])
            rank = ranks[columns["source"][at]]
            best = int(np.lexsort((columns["cause"][at], rank, columns["time"][at]))[-1])
            time, tie, *more = (
                columns[name][at[best]].item()
                for name in ("time", "cause", "offset", "source", "confidence")
            )
            key = time, int(rank[best]), tie
            line = (row, time, tie, *more)
            before = {name: table.cell(f"{group.name}.{name}", row) for name in PROVENANCE}
            if before["source"] >= 0:
                old = before["as_of"], int(ranks[before["source"]]), before["tie"]
                if old > key:
                    line = (row, *before.values())
            lines.append(line)
        _commit(table, group, lines, [list(column) for column in zip(*totals, strict=True)])

    def _of(self, effect: int, rows: list[int]) -> Column:
        """Return the entries that count for some rows."""
        wanted = _places(effect, np.array(rows, np.int64))
        columns = {n: self._columns[n][: self.size] for n in ("place", "first")}
        return np.flatnonzero(np.isin(columns["place"], wanted) & (columns["first"] != ABSENT))

    def _find(self, cause: Column, place: Column) -> NDArray[np.int64]:
        entry = np.empty(cause.size, np.int32)
        wanted = np.ascontiguousarray(np.stack([cause, place], 1))
        find_ids(self._slots, self._columns["cause"], self._columns["place"], wanted, entry)
        return entry.astype(np.int64)

    def _write(self, given: Mapping[str, Column], entry: Column) -> Column:
        """Write entries, new ones where `entry` is negative; return where they are."""
        fresh = entry < 0
        first, last = self.size, self.size + int(fresh.sum())
        self._reserve(last)
        entry = entry.copy()
        entry[fresh] = np.arange(first, last)
        for name, column in self._columns.items():
            column[entry] = given[name]
        place_ids(self._slots, self._columns["cause"], first, last)
        self.size = last
        return entry

    def _reserve(self, size: int) -> None:
        held = self._columns["cause"].size
        if size > held:
            room = max(size, held + held // 4, 64)
            for name, column in self._columns.items():
                grown = np.zeros(room, column.dtype)
                grown[: self.size] = column[: self.size]
                self._columns[name] = grown
        if 10 * size > 7 * self._slots.size:
            self._slots = np.full(1 << int(np.ceil(np.log2(size / 0.5))), EMPTY)
            place_ids(self._slots, self._columns["cause"], 0, self.size)


def _given(effect: int, frame: Frame, at: Column, row: Column) -> dict[str, Column]:
    """Return what derived events of one effect state, as entries."""
    said, names = frame.columns, EFFECTS[effect].amounts
    return {
        "cause": payload_column(frame, "cause")[at].astype(np.uint64),
        "place": _places(effect, row),
        "revision": payload_column(frame, "revision")[at],
        "first": payload_column(frame, names[0])[at],
        "second": payload_column(frame, names[-1])[at],
        "time": said["time"][at],
        "offset": frame.first + at,
        "source": said["source"][at],
        "confidence": said["confidence"][at],
    }


def _places(effect: int, row: Column) -> NDArray[np.uint64]:
    return ((effect << 32) + row).astype(np.uint64)


def _greatest(
    given: Mapping[str, Column], before: Mapping[str, Column]
) -> tuple[Column, NDArray[np.int64]]:
    """Return the positions of the greatest revision of each cause that is new, and of all that
    changed what counts when they came: what a run of frames does is what they do one by one."""
    held: dict[tuple[int, int], tuple[int, bool, int]] = {}
    told = []
    lines = zip(*(given[n].tolist() for n in ("cause", "place", "revision", "first")), strict=True)
    known = zip(before["revision"].tolist(), before["first"].tolist(), strict=True)
    for i, ((cause, place, revision, first), (last, counted)) in enumerate(
        zip(lines, known, strict=True)
    ):
        greatest, counts, at = held.get((cause, place), (last, counted != ABSENT, -1))
        if revision > greatest:
            if counts or first != ABSENT:
                told.append(i)
            greatest, counts, at = revision, first != ABSENT, i
        held[cause, place] = greatest, counts, at
    top = sorted(at for _, _, at in held.values() if at >= 0)
    return np.array(top, np.int64), np.array(told, np.int64)


def _commit(table: Table, group: Group, lines: list[Any], totals: list[list[int]]) -> None:
    """Write values (a list per field) and provenance (row, as_of, tie, ...) of some rows."""
    if not lines:
        return
    row, as_of, tie, offset, source, confidence = zip(*lines, strict=True)
    fields = zip(group.fields, totals, strict=True)
    facts = Facts(
        np.array(row, np.int64),
        {field.name: np.array(values, np.int64) for field, values in fields},
        np.array(as_of, np.int64),
        np.zeros(len(row), np.int64),
        np.array(tie, np.uint64),
        np.array(offset, np.int64),
        np.array(source, np.int32),
        np.array(confidence, np.float32),
    )
    merge.commit(table, Decision(group, facts, np.zeros(0, np.bool_)))


def _blank(table: Table, group: Group, rows: Iterable[int]) -> None:
    """Make a group of some rows unknown again."""
    at = np.array(sorted(rows), np.int64)
    names = [field.name for field in group.fields]
    names += [f"{group.name}.{name}" for name in PROVENANCE]
    table.puts({name: np.full(at.size, table.blanks[name]) for name in names}, at)
