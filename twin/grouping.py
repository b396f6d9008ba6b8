"""Grouping: rows of a view by what they have in common, as numbers first and as texts last.

No row is ever a Python object: values are numbered in one pass, and only distinct ones are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest, TooMany
from twin.fields import Column
from twin.filters import compile_term
from twin.kernels import I32, I64
from twin.kinds import Dtype, Milestone
from twin.pages import BITS
from twin.query import View
from twin.slots import number_rows, room
from twin.tallies import FLAT, ONE, combine, tally
from twin.terms import DURATION, ID, Constant, Name, Term
from twin.transition import Snapshot

MOST = 100_000  # distinct values, or groups
DENSE = 1 << 22  # pairs up to here are numbered in an array, others looked up in a table
_CODES = frozenset((Dtype.TEXT, Dtype.FLAG, Dtype.MILESTONE))


class Codes(NamedTuple):
    """What each row has of a field, as codes from -1 on, fewer than `stride`; -1: absent."""

    stride: int
    spell: Callable[[int], str]  # of each code
    name: str = ""  # of a column that is read where it lies
    column: Column | None = None  # else


def groups(
    part: View, by: Sequence[str], most: int = MOST
) -> tuple[list[tuple[str, ...]], NDArray[np.int32]]:
    """Return the distinct values of `by` as texts, and which one each row of a view has.

    Raises TooMany for more than `most` of them.
    """
    which = np.zeros(part.size, np.int32)
    if by and not part.size:
        return [], which
    names: list[tuple[str, ...]] = [()]
    for name in by:
        which, of, words = divided(part, which, len(names), name, most)
        names = [(*names[at], word) for at, word in zip(of, words, strict=True)]
    return names, which


def divided(
    part: View, which: I32, size: int, name: str, most: int = MOST
) -> tuple[NDArray[np.int32], list[int], list[str]]:
    """Divide `size` groups by a field; return which part each row is in, and of what each part is.

    That is: the group, and the value as text, "" where it is absent. Every part has a row; `which`
    may be overwritten. Raises UnknownField, BadRequest; TooMany for more than `most` parts.
    """
    if name == "region":
        return which, list(range(size)), [part.region] * size
    term = compile_term(part.kind, name)
    if term.sort == ID:
        _few(part.size, most)
        rows = np.arange(part.size) if part.only is None else part.only
        return np.arange(part.size, dtype=np.int32), which.tolist(), part.ids(rows)
    if isinstance(term, Constant):
        raise BadRequest(f"{name} is no field to group by; name one")
    codes = _codes(part, term, most)
    which, pairs = _combined(part, which, size, codes, most)
    of, code = np.divmod(pairs, codes.stride)
    distinct, at = np.unique(code, return_inverse=True)
    words = [codes.spell(one - 1) if one else "" for one in distinct.tolist()]
    return which, of.tolist(), [words[one] for one in at.tolist()]


def _codes(part: View, term: Term, most: int) -> Codes:
    if term.sort in _CODES:
        snapshot, sort = part.snapshot, term.sort
        stride = len(snapshot.lexicon) + 1 if sort == Dtype.TEXT else 130

        def spell(code: int) -> str:
            return text(snapshot, code, sort)

        if isinstance(term, Name) and term.plain:  # what is absent is -1 already
            if part.only is None and not snapshot.tables[part.kind].sparse(term.label):
                return Codes(stride, spell, term.label)
            return Codes(stride, spell, column=part.column(term.label))
        column, known = term.read(part)
        return Codes(stride, spell, column=np.where(known, column, -1).astype(np.int32))
    words, code = labelled(part, term, most)
    return Codes(len(words) + 1, words.__getitem__, column=code)


def labelled(part: View, term: Term, most: int = MOST) -> tuple[list[str], NDArray[np.int32]]:
    """Return numbers, times or durations as texts: the distinct ones, and which one each row has.

    -1 where they are absent. Raises TooMany for more than `most` of them.
    """
    column, known = term.read(part)
    bits = column if column.dtype.kind == "i" else (column + 0.0).view(np.int64)  # no -0.0
    every = bool(known.all())
    number, at = hashed(bits if every else bits[known])
    _few(at.size, most)
    values = at if column.dtype.kind == "i" else at.view(np.float64)
    words = [text(part.snapshot, value, term.sort) for value in values.tolist()]
    if every:
        return words, number
    codes = np.full(part.size, -1, np.int32)
    codes[known] = number
    return words, codes


def hashed(values: Column) -> tuple[NDArray[np.int32], I64]:
    """Return which distinct whole number each one is, and the numbers as they come."""
    values = np.ascontiguousarray(values, np.int64)
    which = np.empty(values.size, np.int32)
    count = number_rows(room(values.size), values, which)
    distinct = np.empty(count, np.int64)
    distinct[which] = values
    return which, distinct


def distinct_words(view: View, name: str, where: str, most: int = MOST) -> list[str]:
    """Return the distinct values of an id or a text among the rows that match; "" if absent.

    Raises TooMany for more than `most` of them, BadRequest for any other field.
    """
    if compile_term(view.kind, name).sort not in {ID, Dtype.TEXT}:
        raise BadRequest(f"a sub-query selects ids or texts, and {name} is none")
    part = view.matching(where)
    return divided(part, np.zeros(part.size, np.int32), 1, name, most)[2]


def _combined(
    part: View, which: I32, size: int, codes: Codes, most: int
) -> tuple[NDArray[np.int32], I64]:
    """Return which pair of group and code each row has, and each pair: group * stride + code + 1.

    Raises TooMany for more than `most` of them.
    """
    dense = min(DENSE, 64 + 4 * which.size)
    if size * codes.stride <= dense:
        if codes.column is None:
            return _in_place(part, which, size, codes, most)
        return which, _numbered(which, size, codes, codes.column, most)
    column = part.column(codes.name) if codes.column is None else codes.column
    if size > 1 and codes.stride <= dense:  # the codes in use are fewer
        own = np.zeros(which.size, np.int32)
        used = _numbered(own, 1, codes, column, most)
        near = Codes(used.size + 1, codes.spell, column=own)
        if size * near.stride <= dense:
            of, code = np.divmod(_numbered(which, size, near, own, most), near.stride)
            return which, of * codes.stride + used[code - 1]
    which, pairs = hashed(which.astype(np.int64) * codes.stride + column + 1)
    _few(pairs.size, most)
    return which, pairs


def _numbered(which: I32, size: int, codes: Codes, column: Column, most: int) -> I64:
    """Number the pairs of groups with a column in `which`; return them. Raises TooMany."""
    table = np.full(size * codes.stride, -1, np.int32)
    pairs = np.empty(min(most, table.size), np.int64)
    count: int = combine(FLAT, ONE, column, codes.stride, table, pairs, 0, which)
    return pairs[: _few(most + 1 if count < 0 else count, most)]


def _in_place(
    part: View, which: I32, size: int, codes: Codes, most: int
) -> tuple[NDArray[np.int32], I64]:
    """Do the same with a column where it lies, and put right what was written there since."""
    held = part.snapshot.tables[part.kind]
    table = np.full(size * codes.stride, -1, np.int32)
    pairs = np.empty(min(2 * most, table.size), np.int64)  # some may be of no row in the end
    count: int = combine(BITS, *held.lying(codes.name), codes.stride, table, pairs, 0, which)
    rows = held.touched(codes.name)
    if count >= 0 and rows.size:
        was = (pairs[which[rows]] // codes.stride).astype(np.int32)
        column = held.take(codes.name, rows)
        count = combine(FLAT, ONE, column, codes.stride, table, pairs, count, was)
        which[rows] = was
    pairs = pairs[: _few(2 * most + 1 if count < 0 else count, 2 * most)]
    if rows.size:
        counts = np.zeros(pairs.size, np.int64)
        tally(which, counts)
        if not counts.all():
            pairs = pairs[counts > 0]
            which = (np.cumsum(counts > 0, dtype=np.int32) - np.int32(1)).take(which)
    _few(pairs.size, most)
    return which, pairs


def _few(count: int, most: int) -> int:
    """Return a count. Raises TooMany if it is over `most`."""
    if count > most:
        raise TooMany(f"more than {most} distinct values; filter, or group by less")
    return count


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
