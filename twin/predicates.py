"""Predicates: what a filter says of rows, as masks. Three-valued logic without a third mask.

A filter is compiled until NOT is gone: each leaf knows its own denial. So a mask only says where
something is true; that it is unknown, as every comparison with something absent is, and that it
is false come out alike, for what is built of AND and OR alone never asks which.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest
from twin.fields import Column, Mask, Scope
from twin.geography import Box, Circle, circle
from twin.kinds import ABSENT, Dtype
from twin.spans import Span, span
from twin.terms import Name

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
FEW = 8  # narrowing to rows pays where so many times fewer are left
_CODES = frozenset((Dtype.TEXT, Dtype.FLAG, Dtype.MILESTONE))
_WHOLE = frozenset((Dtype.INTEGER, Dtype.TIME))


class Predicate(Protocol):
    @property
    def cost(self) -> int:
        """Return roughly how long it takes: of what is joined, the cheapest comes first."""
        ...

    def mask(self, scope: Scope) -> Mask:
        """Return where it is true (size,)."""
        ...


class Always(NamedTuple):
    true: bool
    cost: int = 0

    def mask(self, scope: Scope) -> Mask:
        return np.full(scope.size, self.true, np.bool_)


class All(NamedTuple):
    """True where every part is. Parts are asked of the rows that are left, once those are few."""

    parts: tuple[Any, ...]

    @property
    def cost(self) -> int:
        return sum(part.cost for part in self.parts)

    def mask(self, scope: Scope) -> Mask:
        return met(scope, (), self)


class Any_(NamedTuple):
    """True where one part is. Parts are asked of the rows that none before was true of."""

    parts: tuple[Any, ...]

    @property
    def cost(self) -> int:
        return sum(part.cost for part in self.parts)

    def mask(self, scope: Scope) -> Mask:
        found: Mask = self.parts[0].mask(scope)
        for part in self.parts[1:]:
            left = ~found
            found |= narrowed(left, part, scope)
        return found


def met(scope: Scope, spans: Sequence[tuple[str, Span]], part: Predicate | None) -> Mask:
    """Return where columns are in their spans and `part` is true: what is plain in one pass."""
    parts = part.parts if isinstance(part, All) else () if part is None else (part,)
    plain = [one.lies(scope) for one in parts if getattr(one, "in_place", False)]
    found = scope.meet([*spans, *plain])
    for one in parts:
        if not getattr(one, "in_place", False):
            found = narrowed(found, one, scope)
    return found


def rows_met(
    scope: Scope, spans: Sequence[tuple[str, Span]], part: Predicate | None
) -> NDArray[np.int64]:
    """Return the positions where `met` is true; where all is plain, without a mask."""
    parts = part.parts if isinstance(part, All) else () if part is None else (part,)
    if all(getattr(one, "in_place", False) for one in parts):
        return scope.sift([*spans, *(one.lies(scope) for one in parts)])
    return np.flatnonzero(met(scope, spans, part))


class Otherwise(NamedTuple):
    """Where another is not true: false, or unknown."""

    part: Any

    @property
    def cost(self) -> int:
        cost: int = self.part.cost
        return cost

    def mask(self, scope: Scope) -> Mask:
        found: Mask = ~self.part.mask(scope)
        return found


def narrowed(found: Mask, part: Predicate, scope: Scope) -> Mask:
    """Return where `found` and `part` are true; `found` may be overwritten."""
    count = int(np.count_nonzero(found))
    if not count:
        return found
    if count * FEW > found.size:
        found &= part.mask(scope)
        return found
    at = np.flatnonzero(found)
    rows = at if scope.only is None else scope.only[at]
    found[at] = part.mask(scope.within(rows))
    return found


class Than(NamedTuple):
    """A comparison of a term with a number: what is absent is the least, or NaN."""

    term: Any
    operator: str
    value: Any

    @property
    def cost(self) -> int:
        return 1 if self.term.sort in _CODES else 2

    @property
    def in_place(self) -> bool:
        """Say whether the column is judged where it lies."""
        return isinstance(self.term, Name) and self.term.plain and self.operator != "!="

    def lies(self, scope: Scope) -> tuple[str, Span]:
        """Return the column that is judged, and what it is to be within."""
        label = self.term.label
        return label, span(scope.dtype(label), self.operator, self.value)

    def mask(self, scope: Scope) -> Mask:
        sign, value = self.operator, self.value
        if self.in_place:
            return scope.meet([self.lies(scope)])
        column, known = self.term.read(scope)
        if column.dtype.kind == "i" and isinstance(value, float) and np.isfinite(value):
            sign, value = _whole(sign, value)
        found: Mask = np.asarray(OPERATORS[sign](column, value), np.bool_)
        found &= known
        return found


def _whole(sign: str, value: float) -> tuple[str, int]:
    """Return the comparison of whole numbers that says the same of them."""
    down = int(np.floor(value))
    if down == value:
        return sign, down
    if sign in {"=", "!="}:
        return ("<", ABSENT) if sign == "=" else (">=", ABSENT)
    return ("<=" if sign in {"<", "<="} else ">"), down


class Between(NamedTuple):
    """A comparison of two terms."""

    left: Any
    operator: str
    right: Any
    cost: int = 4

    def mask(self, scope: Scope) -> Mask:
        (a, a_known), (b, b_known) = self.left.read(scope), self.right.read(scope)
        if self.left.sort == Dtype.TEXT and self.operator not in {"=", "!="}:
            a, b = _ranks(scope, a, b)
        with np.errstate(invalid="ignore"):
            found: Mask = np.asarray(OPERATORS[self.operator](a, b), np.bool_)
        found &= a_known
        found &= b_known
        return found


def _ranks(scope: Scope, a: Column, b: Column) -> tuple[Column, Column]:
    """Return numbers in the order of the words of two columns of codes."""
    codes = np.union1d(a, b)
    order = np.argsort(np.array([*scope.snapshot.lexicon.words(codes), ""], object)[:-1])
    rank = np.empty(codes.size, np.int64)
    rank[order] = np.arange(codes.size)
    return rank[np.searchsorted(codes, a)], rank[np.searchsorted(codes, b)]


class Among(NamedTuple):
    """Whether a number is one of some, or none of them."""

    term: Any
    values: tuple[Any, ...]
    yes: bool
    cost: int = 3

    def mask(self, scope: Scope) -> Mask:
        column, known = self.term.read(scope)
        whole = column.dtype.kind == "i"
        fits = [v for v in self.values if not whole or (v == int(v) and abs(v) < 2**63)]
        wanted = np.array([int(v) if whole else v for v in fits], np.int64 if whole else np.float64)
        found: Mask = np.isin(column, wanted, invert=not self.yes)
        found &= known
        return found


class Known(NamedTuple):
    """Whether a term is known, or absent."""

    term: Any
    yes: bool
    cost: int = 2

    def mask(self, scope: Scope) -> Mask:
        known: Mask = self.term.read(scope)[1]
        return known if self.yes else ~known


class Within:
    """Whether a place lies in a box or a circle; unknown where no place is known."""

    cost = 8

    def __init__(
        self, area: Box | Circle | None, yes: bool, near: tuple[str, float] = ("", 0.0)
    ) -> None:
        self._area, self.yes, self._near = area, yes, near

    @cached_property
    def key(self) -> str:
        return self._near[0]

    def mask(self, scope: Scope) -> Mask:
        lat, known = scope.column("lat"), None
        lon = scope.column("lon")
        known = ~np.isnan(lat) & ~np.isnan(lon)
        area = self._area or self._found(scope)
        if area is None:
            return np.zeros(scope.size, np.bool_)
        with np.errstate(invalid="ignore"):
            found = area.holds(lat, lon)
        return (found if self.yes else ~found) & known

    def _found(self, scope: Scope) -> Circle | None:
        """Return the circle around the place that the gateway looked up; None if it has none."""
        place = found_of(scope, self.key)
        if len(place) != 2 or not all(place):
            return None
        return circle(float(place[0]), float(place[1]), self._near[1])


def found_of(scope: Scope, key: str) -> Sequence[str]:
    """Return what a sub-query found. Raises BadRequest where nobody asked it."""
    found = scope.sets.get(key)
    if found is None:
        raise BadRequest(
            "a shard does not see the other twins that this filter names; ask a gateway"
        )
    return found
