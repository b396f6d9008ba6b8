"""Grouping: rows of a view by what they have in common, as numbers first and as texts last.

No row is ever a Python object: values are numbered in one pass, and only distinct ones are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from twin.errors import BadRequest, TooMany
from twin.fields import Column
from twin.filters import compile_term
from twin.gather import mark, renumber
from twin.kinds import Dtype, Milestone
from twin.query import View
from twin.slots import number_rows, room
from twin.terms import DURATION, ID, Constant, Name
from twin.transition import Snapshot

MOST = 100_000  # distinct values, or groups
DENSE = 1 << 22  # numbers up to here are counted in an array, others looked up in a table


def groups(
    view: View, rows: Column, by: Sequence[str], most: int = MOST
) -> tuple[list[tuple[str, ...]], Column]:
    """Return the distinct values of `by` among `rows` as texts, and which one each row has.

    `rows`: as a view returned them. Raises TooMany for more than `most` of them.
    """
    if not by:
        return [()], np.zeros(rows.size, np.int64)
    if not rows.size:
        return [], np.zeros(0, np.int64)
    labels = [labelled(view, name, rows, most) for name in by]
    which, size = labels[0][1], len(labels[0][0])
    parts = [np.arange(size)]  # of each group: its label of every field
    for words, code in labels[1:]:
        distinct, which = numbered(which * len(words) + code, size * len(words))
        parts = [*(part[distinct // len(words)] for part in parts), distinct % len(words)]
        size = _few(distinct.size, most)
    names = [
        [words[at] for at in part.tolist()] for (words, _), part in zip(labels, parts, strict=True)
    ]
    return list(zip(*names, strict=True)), which


def numbered(values: Column, bound: int, least: int = 0) -> tuple[Column, Column]:
    """Return the distinct values, each `least` or more, `bound` in all, and which one each is."""
    if bound > min(DENSE, 64 + 4 * values.size):
        return hashed(values)
    met, number = np.zeros(bound, np.bool_), np.empty(bound, np.int64)
    mark(values, -least, met)
    distinct = np.flatnonzero(met)
    number[distinct] = np.arange(distinct.size)
    which = np.empty(values.size, np.int64)
    renumber(values, -least, number, which)
    return distinct + least, which


def hashed(values: Column) -> tuple[Column, Column]:
    """Return the distinct whole numbers as they come, and which one each is."""
    values = np.ascontiguousarray(values, np.int64)
    which = np.empty(values.size, np.int32)
    count = number_rows(room(values.size), values, which)
    distinct = np.empty(count, np.int64)
    distinct[which] = values
    return distinct, which.astype(np.int64)


def labelled(view: View, name: str, rows: Column, most: int = MOST) -> tuple[list[str], Column]:
    """Return a column of some rows as texts: the distinct ones, and which one each row has.

    What is absent is "". Raises UnknownField, BadRequest; TooMany for more than `most` of them.
    """
    if name == "region":
        return [view.region], np.zeros(rows.size, np.int64)
    term = compile_term(view.kind, name)
    if term.sort == ID:
        _few(rows.size, most)
        return view.ids(rows), np.arange(rows.size)
    if isinstance(term, Constant):
        raise BadRequest(f"{name} is no field to group by; name one")
    column, known = term.read(view.chosen(rows))
    if column.dtype.kind == "i" and term.sort in {Dtype.TEXT, Dtype.FLAG, Dtype.MILESTONE}:
        if not (isinstance(term, Name) and term.plain):  # plain: what is absent is -1 already
            column = np.where(known, column, -1)
        values, which = numbered(column, _bound(view, term.sort), -1)
        _few(values.size, most)
        words = [text(view.snapshot, v, term.sort) if v >= 0 else "" for v in values.tolist()]
        return words, which
    bits = column if column.dtype.kind == "i" else (column + 0.0).view(np.int64)  # no -0.0
    at, number = hashed(bits[known])
    _few(at.size, most)
    values = at if column.dtype.kind == "i" else at.view(np.float64)
    words = [text(view.snapshot, value, term.sort) for value in values.tolist()]
    if known.all():
        return words, number
    labels = np.zeros(rows.size, np.int64)
    labels[known] = number + 1
    return ["", *words], labels


def distinct_words(view: View, name: str, where: str, most: int = MOST) -> list[str]:
    """Return the distinct values of an id or a text among the rows that match; "" if absent.

    Raises TooMany for more than `most` of them, BadRequest for any other field.
    """
    term = compile_term(view.kind, name)
    if term.sort not in {ID, Dtype.TEXT}:
        raise BadRequest(f"a sub-query selects ids or texts, and {name} is none")
    rows = view.rows(where)
    words, which = labelled(view, name, rows, most)
    return [words[at] for at in numbered(which, max(1, len(words)))[0].tolist()]


def _few(count: int, most: int) -> int:
    """Return a count. Raises TooMany if it is over `most`."""
    if count > most:
        raise TooMany(f"more than {most} distinct values; filter, or group by less")
    return count


def _bound(view: View, sort: str) -> int:
    return len(view.snapshot.lexicon) + 1 if sort == Dtype.TEXT else 130


def text(snapshot: Snapshot, value: Any, sort: str) -> str:
    """Return one known value as text: exactly, so that what differs reads differently."""
    if sort == Dtype.TEXT:
        return snapshot.lexicon.word(int(value))
    if sort == Dtype.MILESTONE:
        return Milestone(int(value)).name
    if sort == Dtype.FLAG:
        return "true" if value else "false"
    if sort == Dtype.TIME:
        return moment(int(value))
    if sort == DURATION:
        value = value / 1e6
    whole = float(value).is_integer() and abs(value) < 1e15
    return str(int(value)) if whole or isinstance(value, int) else repr(float(value))


def moment(us: int) -> str:
    """Return a time as RFC 3339, with what it has below a second."""
    seconds, below = divmod(us, 1_000_000)
    begun = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{begun}.{below:06d}Z" if below else f"{begun}Z"
