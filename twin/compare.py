"""Comparing: which predicate compares two terms, by their sorts; what is unlike is refused.

A literal takes the sort of what it is compared with: a text is a time, a milestone or a flag where
the other side is one, a number of seconds is a duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from twin.errors import BadRequest, UnknownField
from twin.kinds import Dtype, Milestone
from twin.predicates import (
    MIRRORED,
    OPERATORS,
    OPPOSITE,
    Always,
    Among,
    Between,
    Predicate,
    Than,
)
from twin.terms import DURATION, ID, NULL, NUMBERS, SECOND_US, Constant, Term, article, computed
from twin.words import IdAmong, IdLike, IdThan, Like, Ordered, Same

_NUMERIC = frozenset((*NUMBERS, Dtype.TIME, Dtype.FLAG, Dtype.MILESTONE, DURATION))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Operand(NamedTuple):
    """One side of a comparison; `unknown` where a bare word stands for a text."""

    term: Term
    word: str = ""
    unknown: UnknownField | None = None


def compare(sign: str, left: Operand, right: Operand, *, yes: bool) -> Predicate:
    """Return where `left sign right` is true, or with `yes` False where it is false."""
    if left.unknown is not None:
        raise left.unknown
    a, b = left.term, right.term
    if right.unknown is not None and a.sort not in {Dtype.TEXT, Dtype.MILESTONE, ID}:
        raise right.unknown
    if not yes:
        sign = OPPOSITE[sign]
    if NULL in {a.sort, b.sort}:
        return Always(False)
    if isinstance(a, Constant) and not isinstance(b, Constant):
        return _than(b, MIRRORED[sign], a)
    if isinstance(b, Constant):
        return _than(a, sign, b)
    return _both(a, sign, b)


def _than(term: Term, sign: str, value: Constant) -> Predicate:
    if isinstance(term, Constant):
        if term.sort in NUMBERS and value.sort == DURATION:
            term, sign, value = value, MIRRORED[sign], term
        return Always(bool(OPERATORS[sign](term.value, literal(term, value))))
    wanted = literal(term, value)
    if term.sort == ID:
        return IdThan(sign, wanted)
    if term.sort != Dtype.TEXT:
        return Than(term, sign, wanted)
    if sign in {"=", "!="}:
        return Same(term, (wanted,), sign == "=")
    return Ordered(term, sign, wanted)


def _both(a: Term, sign: str, b: Term) -> Predicate:
    if ID in {a.sort, b.sort}:
        raise BadRequest("compare id with a text in single quotes, or with a sub-query")
    if "region" in {a.label, b.label} and sign not in {"=", "!="}:
        raise BadRequest("a region is before or after a written text only; compare it with one")
    if {a.sort, b.sort} <= NUMBERS or a.sort == b.sort:
        return Between(a, sign, b)
    if DURATION in {a.sort, b.sort} and NUMBERS & {a.sort, b.sort}:  # seconds
        one = Constant(SECOND_US, DURATION)
        a, b = (x if x.sort == DURATION else computed(x, "*", one) for x in (a, b))
        return Between(a, sign, b)
    raise _mismatch(a, b)


def literal(term: Term, value: Constant) -> Any:
    """Return what is written as a value of the sort of `term`. Raises BadRequest."""
    written, sort = value.value, term.sort
    if sort in {Dtype.TEXT, ID}:
        if value.sort == Dtype.TEXT:
            return written
        if value.sort == Dtype.FLAG:
            return "true" if written else "false"
        if sort == ID:
            raise BadRequest("compare id with a text in single quotes")
        raise BadRequest(f"{term.label} is a text; put {value.label} in single quotes")
    if value.sort == Dtype.TEXT:
        return _read(term, written)
    if sort == DURATION and value.sort in NUMBERS:
        return computed(value, "*", Constant(SECOND_US, DURATION)).value  # type: ignore[attr-defined]
    if sort == Dtype.TIME and value.sort in NUMBERS:  # of seconds, or of microseconds?
        raise BadRequest(
            f"{term.label} is a time and {value.label} a number; write '2013-09-01T12:00:00Z'"
        )
    if sort == value.sort or (value.sort in NUMBERS and sort in _NUMERIC):
        return int(written) if sort == Dtype.FLAG and value.sort == Dtype.FLAG else written
    raise _mismatch(term, value)


def _read(term: Term, text: str) -> Any:
    """Return a text as the time, milestone or flag that it is compared with."""
    if term.sort == Dtype.TIME:
        return time_us(text)
    if term.sort == Dtype.MILESTONE:
        if text not in Milestone.__members__:
            names = ", ".join(Milestone.__members__)
            raise BadRequest(f"{term.label} is one of {names}, not {text!r}")
        return int(Milestone[text])
    if term.sort == Dtype.FLAG and text in {"true", "false"}:
        return int(text == "true")
    if term.sort == DURATION:
        raise BadRequest(f"{term.label} is a duration; write INTERVAL {text!r}, or seconds")
    raise BadRequest(f"{term.label} is {article(term.sort)}, and {text!r} is not")


def member(left: Term, given: Sequence[Operand], *, yes: bool, key: str = "") -> Predicate:
    """Return whether `left` is one of some constants, or of what a sub-query finds."""
    if isinstance(left, Constant):
        raise BadRequest(f"{left.label} IN (SELECT ...) is of no twin; begin with a field")
    if key:
        return IdAmong((), yes, key) if left.sort == ID else Same(left, (), yes, key)
    if left.sort not in {Dtype.TEXT, Dtype.MILESTONE, ID}:
        for one in given:
            if one.unknown is not None:
                raise one.unknown
    values = [None if one.term.sort == NULL else literal(left, _constant(one)) for one in given]
    if left.sort == ID:
        return IdAmong(tuple(values), yes)
    if left.sort == Dtype.TEXT:
        return Same(left, values, yes)
    if None in values and not yes:
        return Always(False)
    return Among(left, tuple(value for value in values if value is not None), yes)


def _constant(one: Operand) -> Constant:
    assert isinstance(one.term, Constant)
    return one.term


def like(term: Term, pattern: str, *, yes: bool, escape: str = "", fold: bool = False) -> Predicate:
    """Return a test of a text. Raises BadRequest where `term` is none."""
    if term.sort not in {Dtype.TEXT, ID} or isinstance(term, Constant):
        raise BadRequest(f"{term.label} is {article(term.sort)}, and LIKE is of texts; compare it")
    test = Like(term, pattern, yes, escape=escape, fold=fold)
    return IdLike(test.pattern, yes) if term.sort == ID else test


def start(term: Term, prefix: str, *, yes: bool) -> Predicate:
    """Return whether a text begins with another."""
    escaped = "".join(f"\\{sign}" if sign in "%_\\" else sign for sign in prefix)
    return like(term, f"{escaped}%", yes=yes, escape="\\")


def time_us(text: str) -> int:
    """Return RFC 3339 text, or a date, as int64 microseconds UTC. Raises BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as e:
        raise BadRequest(f"{text!r} is no time; write 2013-09-01 or 2013-09-01T12:00:00Z") from e
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _mismatch(a: Term, b: Term) -> BadRequest:
    sides = [f"{term.label} is {article(term.sort)}" for term in (a, b)]
    return BadRequest(f"{' and '.join(sides)}: they cannot be compared; compare like with like")
