"""Makers: from rows to events, a batch at a time and as columns from end to end.

Each row becomes all its events, or is parked with its line, a reason and the column: no row is
dropped silently, and the same file gives the same event ids every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.expressions import (
    Batch,
    Expression,
    Read,
    Scope,
    compile_condition,
    compile_value,
)
from cluster.functions import flags, moments
from cluster.mapping import Made, Mapping, Measured, contract_of
from cluster.rows import Parked, Rows
from cluster.units import converter
from cluster.vectors import (
    FRACTION,
    TEXT,
    WHOLE,
    Flaw,
    Mask,
    Vector,
    each,
    fractions,
    integers,
    texts,
)
from twin.kinds import Dtype
from twin.promises import Promise

WORDS = pa.dictionary(pa.int32(), TEXT)
HEAD = ("id", "source", "type", "version", "subject", "region", "time")


class Events(NamedTuple):
    """What some rows became.

    `table`: an event a row, columns named as on the wire; `known` (n,): when each became known,
    microseconds; `lines` (n,): of the file; `made` (n,): by which of the mapping's events.
    """

    table: Any  # pa.Table
    known: NDArray[np.int64]
    lines: NDArray[np.int64]
    made: NDArray[np.int64]
    parked: list[Parked]
    rows: int
    position: int

    @property
    def size(self) -> int:
        return self.known.size

    def only(self, keep: Mask) -> Events:
        if keep.all():
            return self
        table = self.table.filter(pa.array(keep))
        return self._replace(
            table=table, known=self.known[keep], lines=self.lines[keep], made=self.made[keep]
        )


class _Part(NamedTuple):
    """One compiled event of a mapping."""

    made: Made
    when: Read | None
    payload: list[tuple[str, Read, str, bool]]  # name, value, column for errors, required
    head: list[tuple[str, Read, str]]  # subject, time, id, known: each must be there


class Maker:
    """A mapping, compiled against the columns of a file. Raises COLUMN_UNKNOWN, MAPPING_INVALID."""

    def __init__(self, mapping: Mapping, header: Sequence[str]) -> None:
        self.mapping = mapping
        tables = {name: table.flat() for name, table in mapping.tables.items()}
        columns = {name: at for at, name in enumerate(header)}
        derived: dict[str, Expression] = {}
        scope = Scope(columns, tables, derived)
        self._late: list[Expression] = []
        for name, text in mapping.columns.items():
            of = compile_value(text, scope)
            derived[name] = _kept(of, len(self._late))
            self._late.append(of)
        region = compile_value(mapping.region, scope)
        self._region = (region.read, (region.columns or ("",))[0])
        self._parts = [_compiled(made, scope) for made in mapping.events]
        self.fields = _fields(mapping)

    def events(self, rows: Rows) -> Events:
        """Return what some rows are. One whose numbers no integer can hold is parked, alone."""
        try:
            return self._events(rows)
        except (pa.ArrowException, OverflowError) as e:
            if rows.size > 1:
                half = rows.size // 2
                return _joined([self.events(rows.part(0, half)), self.events(rows.part(half))])
            why = str(e).partition("\n")[0]
            parked = Parked(int(rows.lines[0]), "VALUE_UNREADABLE", "", why)
            return self._events(rows.part(0, 0, [parked]))

    def _events(self, rows: Rows) -> Events:
        batch = self._batch(rows)
        flaws: dict[int, Flaw] = {}
        region = self._region[0](batch)
        found = [self._evaluate(part, batch, region, flaws) for part in self._parts]
        good = np.ones(rows.size, np.bool_)
        good[list(flaws)] = False
        tables, known, lines, made = [], [], [], []
        for number, (columns, when, since) in enumerate(found):
            at = np.flatnonzero(good & when)
            tables.append(self._table(self._parts[number].made, columns, at))
            known.append(np.asarray(since)[at])
            lines.append(rows.lines[at])
            made.append(np.full(at.size, number, np.int64))
        parked = [Parked(int(rows.lines[i]), *flaw) for i, flaw in flaws.items()]
        return Events(
            pa.concat_tables(tables),
            np.concatenate(known),
            np.concatenate(lines),
            np.concatenate(made),
            sorted([*rows.parked, *parked]),
            rows.size + len(rows.parked),
            rows.position,
        )

    def derived(self, rows: Rows) -> dict[str, Vector]:
        """Return the derived columns of some rows."""
        return dict(zip(self.mapping.columns, self._batch(rows).derived, strict=True))

    def _batch(self, rows: Rows) -> Batch:
        derived: list[Vector] = []
        batch = Batch(rows.columns, rows.size, derived)
        for late in self._late:  # in their order: a later one may use an earlier one
            derived.append(late.read(batch))
        return batch

    def _evaluate(
        self, part: _Part, batch: Batch, region: Vector, flaws: dict[int, Flaw]
    ) -> tuple[dict[str, Any], Mask, Any]:
        """Return the columns of one kind of event, where there is one, and when it was known.

        What keeps a row from being mapped goes to `flaws`, of each row the first.
        """
        when: Mask = np.ones(batch.rows, np.bool_)
        if part.when:
            holds = part.when(batch)
            _note(flaws, holds, when, "", False)
            when = np.asarray(holds.values.fill_null(False))
        columns: dict[str, Any] = {}
        for name, read, column, required in part.payload:
            value = read(batch)
            _note(flaws, value, when, column, required)
            columns[name] = value.values
        for name, read, column in part.head:
            value = read(batch)
            _note(flaws, value, when, column, True)
            columns[name] = value.values
        _note(flaws, region, when, self._region[1], True)
        columns["region"] = texts(region).values
        known = columns.pop("known").fill_null(0)
        return columns, when, known

    def _table(self, made: Made, columns: dict[str, Any], at: NDArray[np.int64]) -> Any:
        """Return some events as a table with the columns that all events of the mapping have."""
        rows = pa.array(at)
        n = at.size
        held = {name: values.take(rows) for name, values in columns.items()}
        held["source"] = _word(self.mapping.source, n)
        held["type"] = _word(made.type, n)
        held["version"] = pa.array(np.full(n, made.version, np.int64))
        held["region"] = held["region"].dictionary_encode()
        if self.mapping.tenant:
            held["tenant"] = _word(self.mapping.tenant, n)
        arrays = []
        for name, type_ in self.fields.items():
            values = held.get(name)
            arrays.append(pa.nulls(n, type_) if values is None else values.cast(type_))
        return pa.Table.from_arrays(arrays, list(self.fields))


def _joined(parts: Sequence[Events]) -> Events:
    return Events(
        pa.concat_tables([part.table for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.made for part in parts]),
        sorted(parked for part in parts for parked in part.parked),
        sum(part.rows for part in parts),
        parts[-1].position,
    )


class Firsts:
    """Which row each subject of an event that is made once is from: the first that was known."""

    def __init__(self, mapping: Mapping) -> None:
        self._once = {at for at, made in enumerate(mapping.events) if made.once}
        self._first: dict[tuple[int, str], tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._once)

    def look(self, events: Events) -> None:
        for key, when, _ in self._of(events):
            self._first[key] = min(self._first.get(key, when), when)

    def only(self, events: Events) -> Events:
        """Return events without those that repeat one made once. All were looked at before."""
        keep = np.ones(events.size, np.bool_)
        for key, when, at in self._of(events):
            keep[at] = self._first[key] == when
        return events.only(keep)

    def _of(self, events: Events) -> Iterable[tuple[tuple[int, str], tuple[int, int], int]]:
        for number in self._once:
            at = np.flatnonzero(events.made == number)
            subjects = events.table["subject"].take(pa.array(at)).to_pylist()
            for i, subject in zip(at.tolist(), subjects, strict=True):
                yield (number, subject), (int(events.known[i]), int(events.lines[i])), i


def _kept(of: Expression, at: int) -> Expression:
    """Return an expression that reads a derived column where it was put."""
    return Expression(lambda batch: batch.derived[at], of.columns)


def _compiled(made: Made, scope: Scope) -> _Part:
    contract = contract_of(made)
    promises = {promise.name: promise for promise in contract.payload}
    payload = []
    for name, said in made.payload.items():
        read, column = _fitted(said, promises[name], scope)
        payload.append((name, read, column, promises[name].required))
    head = []
    for name, text in (
        ("subject", made.subject),
        ("time", made.time),
        ("id", made.id),
        ("known", made.known or made.time),
    ):
        of = compile_value(text, scope)
        column = (of.columns or ("",))[0]
        fit = moments if name in {"time", "known"} else _texts
        head.append((name, _then(of.read, fit, column), column))
    when = compile_condition(made.when, scope).read if made.when else None
    return _Part(made, when, payload, head)


def _fitted(said: str | Measured, promise: Promise, scope: Scope) -> tuple[Read, str]:
    """Return what reads a payload field as its contract has it."""
    of = compile_value(said.value if isinstance(said, Measured) else said, scope)
    column = (of.columns or (promise.name,))[0]
    if isinstance(said, Measured):
        convert = converter(said.unit, promise.unit, promise.dtype, promise.name)
        type_ = FRACTION if promise.dtype is Dtype.NUMBER else WHOLE
        return lambda batch: each(of.read(batch), column, convert, type_), column
    fits: dict[Dtype, Callable[[Vector, str], Vector]] = {
        Dtype.INTEGER: integers,
        Dtype.NUMBER: fractions,
        Dtype.TIME: moments,
        Dtype.FLAG: flags,
    }
    return _then(of.read, fits.get(promise.dtype, _texts), column), column


def _then(read: Read, fit: Callable[[Vector, str], Vector], column: str) -> Read:
    return lambda batch: fit(read(batch), column)


def _texts(of: Vector, _: str) -> Vector:
    return texts(of)


def _note(flaws: dict[int, Flaw], of: Vector, when: Mask, column: str, required: bool) -> None:
    """Add what keeps rows from being mapped, unless something was found before."""
    for row, flaw in of.flaws.items():
        if when[row]:
            flaws.setdefault(row, flaw)
    if required:
        for row in np.flatnonzero(when & ~of.known).tolist():
            flaws.setdefault(row, Flaw("FIELD_MISSING", column, ""))


def _fields(mapping: Mapping) -> dict[str, Any]:
    """Return the columns that all events of a mapping have together, and their types."""
    types = {
        Dtype.INTEGER: WHOLE,
        Dtype.NUMBER: FRACTION,
        Dtype.TIME: WHOLE,
        Dtype.FLAG: pa.bool_(),
    }
    fields = dict.fromkeys(HEAD, TEXT)
    fields |= {"version": WHOLE, "time": WHOLE, "source": WORDS, "type": WORDS, "region": WORDS}
    if mapping.tenant:
        fields["tenant"] = WORDS
    for made in mapping.events:
        promises = {promise.name: promise for promise in contract_of(made).payload}
        fields |= {name: types.get(promises[name].dtype, TEXT) for name in made.payload}
    return fields


def _word(text: str, n: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text], TEXT))
