"""Terms: the values that a filter compares, each with a sort that says with what it can be.

A term is typed when a filter is compiled and read when it is asked; what is not known of one of
its parts is not known of it. Times and durations are microseconds, whole wherever they can be.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import numpy as np

from twin import fields
from twin.errors import BadRequest
from twin.fields import Column, Mask, Scope
from twin.kinds import ABSENT, KINDS, Dtype

DURATION, ID, NULL = "duration", "id", "null"  # sorts beside those of twin.kinds.Dtype
NUMBERS = frozenset((Dtype.INTEGER, Dtype.NUMBER))
SECOND_US = 1_000_000
LONGEST_US = 10_000 * 365 * 86_400 * SECOND_US  # of an interval: ten of them fit into an int64
EXACT = 2.0**62  # below this whole numbers are computed as such
UNITS = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": SECOND_US,
    "minute": 60 * SECOND_US,
    "hour": 3600 * SECOND_US,
    "day": 86_400 * SECOND_US,
    "week": 7 * 86_400 * SECOND_US,
}
BUCKETS = {"hour": "h", "day": "D", "week": "W", "month": "M", "year": "Y"}
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Term(Protocol):
    @property
    def sort(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def read(self, scope: Scope) -> tuple[Column, Mask]:
        """Return the value of every row, and where it is known."""
        ...


class Name(NamedTuple):
    """A field, or anything else that has a name (see twin.fields). Texts are codes."""

    label: str
    sort: str
    plain: bool = False  # a field as it is held: what is absent is less than any value, or NaN

    @property
    def names(self) -> tuple[str, ...]:
        return (self.label,)

    def read(self, scope: Scope) -> tuple[Column, Mask]:
        values = scope.values(self.label)
        return values.column, values.known


class Age(NamedTuple):
    """How long ago the fact became true that decided a group."""

    group: str
    sort: str = DURATION

    @property
    def label(self) -> str:
        return f"age({self.group})"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.label,)

    def read(self, scope: Scope) -> tuple[Column, Mask]:
        as_of = scope.column(f"{self.group}.as_of")
        return scope.now_us - as_of, np.asarray(as_of != ABSENT, np.bool_)


class Constant(NamedTuple):
    """A number, a text, a duration, true, false or NULL as it is written."""

    value: Any
    sort: str

    @property
    def label(self) -> str:
        if self.sort == NULL:
            return "NULL"
        if self.sort == DURATION:
            return f"INTERVAL '{self.value / SECOND_US:.15g} seconds'"
        return repr(self.value) if isinstance(self.value, str) else f"{self.value}"

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    def read(self, scope: Scope) -> tuple[Column, Mask]:
        if self.sort == NULL:
            return np.zeros(scope.size, np.int64), np.zeros(scope.size, np.bool_)
        beyond = self.sort == Dtype.INTEGER and not -(2**63) <= self.value < 2**63
        value = float(self.value) if beyond else self.value
        return np.full(scope.size, value), np.ones(scope.size, np.bool_)


class Now(NamedTuple):
    sort: str = Dtype.TIME
    label: str = "now()"

    @property
    def names(self) -> tuple[str, ...]:
        return ("now()",)

    def read(self, scope: Scope) -> tuple[Column, Mask]:
        return np.full(scope.size, scope.now_us), np.ones(scope.size, np.bool_)


class Computed(NamedTuple):
    """Two terms with a sign between them."""

    left: Any  # a Term; NamedTuples cannot name each other
    sign: str
    right: Any
    sort: str

    @property
    def label(self) -> str:
        return f"{self.left.label} {self.sign} {self.right.label}"

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.left.names, *self.right.names)

    def read(self, scope: Scope) -> tuple[Column, Mask]:
        (a, a_known), (b, b_known) = self.left.read(scope), self.right.read(scope)
        both = a_known & b_known
        with np.errstate(all="ignore"):
            if self.sign == "/":
                out = a / b
                return out, both & np.isfinite(out)  # a division by zero says nothing
            if a.dtype.kind == b.dtype.kind == "i":
                rough = _SIGNS[self.sign](a.astype(np.float64), b.astype(np.float64))
                if not both.any() or np.abs(rough[both]).max() < EXACT:
                    return _SIGNS[self.sign](a.astype(np.int64), b.astype(np.int64)), both
                return rough, both
            out = _SIGNS[self.sign](a, b)
        return out, both & np.isfinite(out)


class Bucket(NamedTuple):
    """The start of the hour, day, week, month or year (UTC) that a time lies in."""

    unit: str
    of: Any
    sort: str = Dtype.TIME

    @property
    def label(self) -> str:
        return f"date_trunc('{self.unit}', {self.of.label})"

    @property
    def names(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self.of.names
        return names

    def read(self, scope: Scope) -> tuple[Column, Mask]:
        column, known = self.of.read(scope)
        step = UNITS["hour"] if self.unit == "hour" else UNITS["day"]
        whole = np.where(known, column, 0) // step
        if self.unit in {"hour", "day"}:
            return whole * step, known
        days = whole.astype(np.int64)
        first, last = (int(days.min()), int(days.max())) if days.size else (0, -1)
        starts = _starts(np.arange(first, last + 1), self.unit)  # once a day, not once a row
        return starts[days - first] if days.size else days, known


def _starts(days: Column, unit: str) -> Column:
    """Return the start in us of the week, month or year of each day since 1970."""
    if unit == "week":  # of Monday; 1970-01-01 was a Thursday
        starts = days - (days + 3) % 7
    else:
        starts = days.astype("datetime64[D]").astype(f"datetime64[{BUCKETS[unit]}]")
        starts = starts.astype("datetime64[D]").astype(np.int64)
    us: Column = starts * UNITS["day"]
    return us


def article(sort: str) -> str:
    """Return a sort with its article."""
    return f"an {sort}" if sort[0] in "aeiou" else f"a {sort}"


def named(kind: str, name: str) -> Term:
    """Return the term of a name. Raises UnknownField."""
    if name == "id":
        return Name(name, ID)
    dtype = fields.dtype_of(kind, name)
    if name.startswith("age("):
        return Age(name[4:-1])
    return Name(name, dtype, KINDS[kind].field(name) is not None)


def number(text: str) -> Constant:
    """Return a written number: whole if it is, so that it compares exactly."""
    if len(text) > 400:
        raise BadRequest("a number has at most 400 characters; write it shorter")
    exact = Decimal(text)
    if abs(exact.adjusted()) > 300:
        raise BadRequest(f"{text[:20]} is beyond what numbers are held as; write a smaller one")
    if exact == exact.to_integral_value():
        return Constant(int(exact), Dtype.INTEGER)
    return Constant(float(exact), Dtype.NUMBER)


def interval(text: str, unit: str) -> Constant:
    """Return INTERVAL 'text' unit. Raises BadRequest for what has no fixed length."""
    unit = unit.lower()
    one = unit.removesuffix("s")
    if one in {"month", "quarter", "year"}:
        raise BadRequest(f"a {one} has no fixed length; write days")
    try:
        amount = Decimal(text.strip())
        fits = amount.is_finite() and abs(amount.adjusted()) < 20
    except ArithmeticError:
        fits = False
    if one not in UNITS or not fits:
        raise BadRequest(
            f"cannot read the interval {(text + ' ' + unit).strip()[:40]!r}; "
            f"write INTERVAL '2 days', in {', '.join(f'{u}s' for u in UNITS)}"
        )
    us = round(amount * UNITS[one])
    if abs(us) > LONGEST_US:
        raise BadRequest("an interval is ten thousand years at most; write a shorter one")
    return Constant(us, DURATION)


def computed(left: Term, sign: str, right: Term) -> Term:
    """Return `left sign right`. Raises BadRequest where that means nothing."""
    sort = _sort(left.sort, sign, right.sort)
    if sort is None:
        raise BadRequest(
            f"{left.label} is {article(left.sort)} and {right.label} {article(right.sort)}: "
            f"there is no {sign} of them; compute with numbers, times and intervals"
        )
    if sort == NULL:  # whatever the other is
        return Constant(None, NULL)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return _folded(left, sign, right, sort)
    return Computed(left, sign, right, sort)


def _sort(a: str, sign: str, b: str) -> str | None:
    if NULL in {a, b}:
        return NULL
    if a in NUMBERS and b in NUMBERS:
        whole = a == b == Dtype.INTEGER and sign != "/"
        return Dtype.INTEGER if whole else Dtype.NUMBER
    if sign in {"+", "-"}:
        if (a, b) == (Dtype.TIME, DURATION) or (sign, a, b) == ("+", DURATION, Dtype.TIME):
            return Dtype.TIME
        if a == b == DURATION or (sign, a, b) == ("-", Dtype.TIME, Dtype.TIME):
            return DURATION
        return None
    if a == DURATION and b in NUMBERS:
        return DURATION
    if sign == "*" and a in NUMBERS and b == DURATION:
        return DURATION
    return Dtype.NUMBER if sign == "/" and a == b == DURATION else None


def _folded(left: Constant, sign: str, right: Constant, sort: str) -> Constant:
    if sign == "/" and right.value == 0:
        return Constant(None, NULL)
    try:
        value = _SIGNS[sign](left.value, right.value)
        fits = abs(value) <= (LONGEST_US if sort == DURATION else 1e300)
    except OverflowError:
        fits = False
    if not fits:
        raise BadRequest(f"{left.label} {sign} {right.label} is too large; write a smaller number")
    return Constant(value, sort)
