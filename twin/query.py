"""Queries: predicates, order and grouping over a snapshot, as masks on whole columns.

    where   FIELD OP VALUE [AND ...]     OP: = != < <= > >=    or FIELD IS KNOWN, FIELD IS ABSENT
    FIELD   a field of the kind, `id`, `region`, age(GROUP) in seconds, or a virtual field

A comparison with something absent is never true. Texts are compared as texts, times as RFC 3339.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import DAY_US
from twin.errors import BadRequest, UnknownField
from twin.kinds import ABSENT, KINDS, Dtype, Group, Milestone
from twin.merge import TENANT
from twin.transition import Snapshot

Column = NDArray[Any]
Mask = NDArray[np.bool_]
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
LONGEST_WHERE = 16_384  # characters
MOST_PREDICATES = 64
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z0-9_.]*(?:\([a-z_]+\))?)"
    r"|(?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?P<op><=|>=|!=|=|<|>))"
)


class Predicate(NamedTuple):
    field: str
    operator: str  # one of OPERATORS, KNOWN or ABSENT
    value: str | float


class Values(NamedTuple):
    """One column of some view, and where it is known. Texts are codes."""

    column: Column
    known: Mask
    dtype: Dtype
    group: Group | None  # whose provenance the values have


class Virtual(NamedTuple):
    """A field computed from others; it has the provenance of `group`."""

    dtype: Dtype
    group: str
    unit: str
    inputs: tuple[str, ...]
    compute: Callable[..., Column]


def _on_time(delivered: Column, promised: Column) -> Column:
    on_time: Column = (delivered // DAY_US <= promised // DAY_US).astype(np.int8)
    return on_time


def _delay_days(delivered: Column, promised: Column) -> Column:
    days: Column = (delivered // DAY_US - promised // DAY_US).astype(np.float64)
    return days


VIRTUAL: dict[str, dict[str, Virtual]] = {
    "shipment": {
        "on_time": Virtual(Dtype.FLAG, "delivery", "", ("delivered_at", "promised_at"), _on_time),
        "delay_days": Virtual(
            Dtype.NUMBER, "delivery", "d", ("delivered_at", "promised_at"), _delay_days
        ),
    }
}


class View(NamedTuple):
    """One kind of a snapshot, as one tenant sees it at `now_us`."""

    snapshot: Snapshot
    kind: str
    tenant: str
    region: str
    now_us: int

    def rows(self, where: str = "") -> NDArray[np.int64]:
        """Return the rows that match `where`. Raises UnknownField or BadRequest."""
        table = self.snapshot.tables[self.kind]
        mask = table.column(TENANT) == self.snapshot.lexicon.code(self.tenant)
        for predicate in parse(where):
            mask &= self.mask(predicate)
        return np.flatnonzero(mask)

    def ids(self, rows: Column) -> list[str]:
        """Return the ids of some rows, without their tenant."""
        names = self.snapshot.names[self.kind].take(rows).list()
        return [name.partition("/")[2] for name in names]

    def mask(self, predicate: Predicate) -> Mask:
        if predicate.field == "id":
            return self._id(predicate)
        values = self.values(predicate.field)
        if predicate.field == "region" and isinstance(predicate.value, float | int):
            raise BadRequest(f"region is a text; put {predicate.value:g} in single quotes")
        if predicate.field == "region" and predicate.operator in OPERATORS:
            same = OPERATORS[predicate.operator](self.region, predicate.value)
            return np.full(values.known.size, same, np.bool_)
        if predicate.operator == "KNOWN":
            return values.known
        if predicate.operator == "ABSENT":
            return ~values.known
        compare = OPERATORS[predicate.operator]
        if values.dtype is Dtype.TEXT:
            return values.known & self._text(values.column, compare, predicate)
        wanted = _wanted(predicate, values.dtype)
        found: Mask = values.known & compare(values.column, wanted)
        return found

    def values(self, name: str) -> Values:
        """Return a field, virtual field, `region` or age(GROUP) of every twin."""
        table = self.snapshot.tables[self.kind]
        kind = KINDS[self.kind]
        if name.startswith("age("):
            group = _group(self.kind, name[4:-1])
            as_of = table.column(f"{group.name}.as_of")
            return Values((self.now_us - as_of) / 1e6, as_of != ABSENT, Dtype.NUMBER, group)
        if name == "region":
            code = np.full(table.size, self.snapshot.lexicon.code(self.region), np.int32)
            return Values(code, np.ones(table.size, np.bool_), Dtype.TEXT, None)
        if (virtual := VIRTUAL.get(self.kind, {}).get(name)) is not None:
            inputs = [self.values(i) for i in virtual.inputs]
            both = np.logical_and.reduce([i.known for i in inputs])
            column = virtual.compute(*(i.column for i in inputs))
            return Values(column, both, virtual.dtype, _group(self.kind, virtual.group))
        if (found := kind.field(name)) is None:
            raise UnknownField(f"{self.kind} has no field {name}{_hint(name, self.kind)}")
        column = table.column(name)
        return Values(column, known(column, found[1].dtype), found[1].dtype, found[0])

    def _id(self, p: Predicate) -> Mask:
        if p.operator not in OPERATORS or not isinstance(p.value, str):
            raise BadRequest("compare id with a text in single quotes")
        ids = np.array(self.ids(np.arange(self.snapshot.tables[self.kind].size)), object)
        found: Mask = OPERATORS[p.operator](ids, p.value).astype(np.bool_)
        return found

    def _text(self, column: Column, compare: Callable[[Any, Any], Any], p: Predicate) -> Mask:
        lexicon = self.snapshot.lexicon
        if not isinstance(p.value, str):
            raise BadRequest(f"{p.field} is a text; put {p.value:g} in single quotes")
        if p.operator in {"=", "!="}:
            found: Mask = compare(column, lexicon.code(p.value))
            return found
        words = np.array([*lexicon.since(0), ""], object)
        yes = compare(words, p.value).astype(np.bool_)
        chosen: Mask = yes[column]
        return chosen


def parse(where: str) -> list[Predicate]:
    """Return the predicates of `where`, all of which must hold. Raises BadRequest."""
    if len(where) > LONGEST_WHERE:
        raise BadRequest(f"the filter is longer than {LONGEST_WHERE} characters; shorten it")
    tokens = _tokens(where)
    predicates: list[Predicate] = []
    at = 0
    while at < len(tokens):
        if predicates:
            if tokens[at] != ("word", "AND"):
                raise BadRequest(f"expected AND before {tokens[at][1]!r} in the filter")
            at += 1
        part = tokens[at : at + 3]
        if len(part) < 3 or part[0][0] != "word":
            raise BadRequest("a filter reads FIELD OP VALUE [AND ...]; complete it")
        predicates.append(_predicate(part))
        at += 3
    if len(predicates) > MOST_PREDICATES:
        raise BadRequest(f"a filter has at most {MOST_PREDICATES} comparisons; ask for less")
    return predicates


def known(column: Column, dtype: Dtype) -> Mask:
    """Say where a column holds a value."""
    if dtype is Dtype.NUMBER:
        return ~np.isnan(column)
    if dtype in {Dtype.TIME, Dtype.INTEGER}:
        return np.asarray(column != ABSENT, np.bool_)
    return np.asarray(column >= 0, np.bool_)


def time_us(text: str) -> int:
    """Return RFC 3339 text, or a date, as int64 microseconds UTC. Raises BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as e:
        raise BadRequest(f"{text!r} is no time; write 2013-09-01 or 2013-09-01T12:00:00Z") from e
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6)


def check_field(kind: str, name: str) -> None:
    """Raise UnknownField unless `name` can be asked of `kind`."""
    if name in {"id", "region"} or name in VIRTUAL.get(kind, {}) or KINDS[kind].field(name):
        return
    if name.startswith("age("):
        _group(kind, name[4:-1])
        return
    raise UnknownField(f"{kind} has no field {name}{_hint(name, kind)}")


def unit(kind: str, name: str) -> str:
    if (found := KINDS[kind].field(name)) is not None:
        return found[1].unit
    virtual = VIRTUAL.get(kind, {}).get(name)
    return virtual.unit if virtual else ""


def ordered(view: View, rows: Column, order: str, limit: int) -> NDArray[np.int64]:
    """Return at most `limit` of `rows`, by FIELD or -FIELD; absent values come last."""
    if not order or not rows.size:
        return rows[:limit]
    name = order.removeprefix("-")
    if name == "id":
        at = np.argsort(np.array(view.ids(rows), object), kind="stable")
        return rows[at[::-1] if order.startswith("-") else at][:limit]
    values = view.values(name)
    column, is_known = values.column[rows], values.known[rows]
    if values.dtype is Dtype.TEXT:
        words = view.snapshot.lexicon.words(column)
        column = np.unique(np.array(words, object), return_inverse=True)[1]
    rank = column.astype(np.float64) if values.dtype is Dtype.NUMBER else column.astype(np.int64)
    if order.startswith("-"):
        rank = -rank
    return rows[np.lexsort((rows, rank, ~is_known))[:limit]]


def groups(view: View, rows: Column, by: Sequence[str]) -> tuple[list[tuple[str, ...]], Column]:
    """Return the distinct values of `by` among `rows` as texts, and which one each row has."""
    if not by:
        return [()], np.zeros(rows.size, np.int64)
    labels = [labelled(view, name, rows) for name in by]
    codes = np.zeros(rows.size, np.int64)
    for words, code in labels:
        codes = codes * len(words) + code
    distinct, which = np.unique(codes, return_inverse=True)
    names = []
    for number in distinct.tolist():
        parts = []
        for words, _ in reversed(labels):
            number, at = divmod(number, len(words))
            parts.append(words[at])
        names.append(tuple(reversed(parts)))
    return names, which


def labelled(view: View, name: str, rows: Column) -> tuple[list[str], Column]:
    """Return a column of some rows as texts: the distinct ones, and which one each row has."""
    if name == "region":
        return [view.region], np.zeros(rows.size, np.int64)
    values = view.values(name)
    is_known = values.known[rows]
    distinct, which = np.unique(values.column[rows][is_known], return_inverse=True)
    words = [text(view.snapshot, value, values.dtype) for value in distinct]
    if is_known.all():
        return words, which
    labels = np.zeros(rows.size, np.int64)
    labels[is_known] = which + 1
    return ["", *words], labels


def text(snapshot: Snapshot, value: Any, dtype: Dtype) -> str:
    """Return one known value as text."""
    if dtype is Dtype.TEXT:
        return snapshot.lexicon.word(int(value))
    if dtype is Dtype.MILESTONE:
        return Milestone(int(value)).name
    if dtype is Dtype.FLAG:
        return "true" if value else "false"
    if dtype is Dtype.TIME:
        return datetime.fromtimestamp(int(value) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{value:g}"


def _tokens(where: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while where[at:].strip():
        match = _TOKEN.match(where, at)
        if match is None:
            raise BadRequest(
                f"cannot read the filter at {where[at : at + 20]!r}; see `twin search`"
            )
        kind = match.lastgroup or ""
        word = match.group(kind)
        if kind == "word" and word.upper() in {"AND", "IS", "KNOWN", "ABSENT"}:
            word = word.upper()
        tokens.append((kind, word))
        at = match.end()
    return tokens


def _predicate(part: Sequence[tuple[str, str]]) -> Predicate:
    (_, field), (kind, operator), (what, value) = part
    if (kind, operator) == ("word", "IS") and value in {"KNOWN", "ABSENT"}:
        return Predicate(field, value, "")
    if kind != "op":
        raise BadRequest(f"expected one of {' '.join(OPERATORS)} after {field}, not {operator!r}")
    if what == "text":
        return Predicate(field, operator, value[1:-1].replace("''", "'"))
    if what == "number":
        return Predicate(field, operator, float(value) if set(value) & set(".eE") else int(value))
    return Predicate(field, operator, value)


def _wanted(predicate: Predicate, dtype: Dtype) -> float:
    value = predicate.value
    if dtype is Dtype.TIME and isinstance(value, str):
        return time_us(value)
    if dtype is Dtype.MILESTONE and isinstance(value, str):
        if value not in Milestone.__members__:
            names = ", ".join(Milestone.__members__)
            raise BadRequest(f"{predicate.field} is one of {names}, not {value!r}")
        return Milestone[value]
    if dtype is Dtype.FLAG and value in {"true", "false"}:
        return float(value == "true")
    if isinstance(value, str):
        raise BadRequest(f"{predicate.field} is a {dtype.value}, and {value!r} is not")
    return value


def _group(kind: str, name: str) -> Group:
    for group in KINDS[kind].groups:
        if group.name == name:
            return group
    names = ", ".join(group.name for group in KINDS[kind].groups)
    raise UnknownField(f"{kind} has no group {name}; it has {names}")


def _hint(name: str, kind: str) -> str:
    names = [*(f.name for f in KINDS[kind].fields), *VIRTUAL.get(kind, {}), "id", "region"]
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else f"; it has {', '.join(names)}"
