"""Functions of expressions: `date(promised)`, `later(departed, delay, 'min')`, `slug(vendor)`.

Each takes vectors and gives one. What is absent stays absent; what cannot be read is a flaw of its
row, never a guess.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster import instants
from cluster.instants import SPANS, clock, micros
from cluster.vectors import (
    FLAG,
    FRACTION,
    LARGEST,
    TEXT,
    WHOLE,
    Value,
    Vector,
    each,
    first,
    flawed,
    fractions,
    hidden,
    integers,
    number,
    numbers,
    quietly,
    same,
    texts,
)

MANY = 32
Work = Callable[[Sequence[Vector]], Vector]


class Function(NamedTuple):
    """`build`: (constant texts of the arguments, None where one is none; column) -> what it does.

    `fixed`: which arguments, by their position, must be constants, and what they may be;
    `free`: which of these may come from the row instead.
    """

    least: int
    most: int
    build: Callable[[Sequence[str | None], str], Work]
    fixed: Mapping[int, Callable[[], Sequence[str]]] = {}
    free: Sequence[int] = ()


@lru_cache(maxsize=65_536)
def slug(text: str) -> str:
    """Return text as an id: ASCII letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:128]


def moments(of: Vector, column: str) -> Vector:
    """Return times: integers as they are, texts as RFC 3339 or ISO dates."""
    return of if of.values.type == WHOLE else each(of, column, micros, WHOLE)


def flags(of: Vector, column: str) -> Vector:
    return of if of.values.type == FLAG else each(of, column, _flag, FLAG)


def _each(convert: Callable[[str], Value], type_: Any) -> Function:
    """Return a function of one text."""
    return Function(1, 1, lambda _, column: lambda of: each(of[0], column, convert, type_))


def _plain(work: Work, least: int, most: int) -> Function:
    return Function(least, most, lambda _, __: work)


def _flag(text: str) -> bool | None:
    return {"true": True, "yes": True, "y": True, "1": True}.get(
        text.lower(), False if text.lower() in {"false", "no", "n", "0"} else None
    )


def _cents(text: str) -> int | None:
    found = number(text)
    return None if found is None else int((found * 100).quantize(1))


def _snake(text: str) -> str | None:
    return slug(text).replace("-", "_") or None


def _earliest(of: Sequence[Vector]) -> Vector:
    """The earliest of several that are dates; words that stand where a date could are passed by."""
    known = [v if v.values.type == WHOLE else quietly(v, micros, WHOLE) for v in of]
    flaws = flawed(*known)
    values = pc.min_element_wise(*(v.values for v in known), skip_nulls=True)
    return Vector(_without(values, flaws), flaws)


def _join(of: Sequence[Vector]) -> Vector:
    """Texts joined; absent if one of them is."""
    parts = [texts(v).values for v in of]
    values = pc.binary_join_element_wise(*parts, "", null_handling="emit_null")
    return Vector(values, flawed(*of))


def _equals(of: Sequence[Vector]) -> Vector:
    flaws = flawed(*of)
    return Vector(_without(pa.array(same(*of)), flaws), flaws)


def _unless(of: Sequence[Vector]) -> Vector:
    """The first value, absent if it is the second: some files write absence as a word."""
    return Vector(hidden(of[0].values, same(*of)), flawed(*of))


def _arithmetic(step: Callable[[Any, Any], Any]) -> Function:
    def build(_: Sequence[str | None], column: str) -> Work:
        def work(of: Sequence[Vector]) -> Vector:
            read = [numbers(v, column) for v in of]
            return Vector(reduce(step, [v.values for v in read]), flawed(*read))

        return work

    return Function(2, MANY, build)


def _time(fixed: Sequence[str | None], column: str) -> Work:
    read = instants.reader(fixed[1] or "", (fixed[2] or "") if len(fixed) > 2 else "")
    return lambda of: each(of[0], column, read, WHOLE)


def _epoch(fixed: Sequence[str | None], column: str) -> Work:
    """A count of seconds, milliseconds or microseconds since 1970."""
    size = SPANS[fixed[1] or "s"]

    def read(text: str) -> int | None:
        found = number(text)
        return None if found is None else int((found * size).to_integral_value())

    return lambda of: each(of[0], column, read, WHOLE)


def _later(fixed: Sequence[str | None], column: str) -> Work:
    """A time moved by a number of spans; negative: earlier."""
    size = SPANS[fixed[2] or "s"]

    def work(of: Sequence[Vector]) -> Vector:
        at, by = moments(of[0], column), numbers(of[1], column)
        passed = np.asarray(by.values.cast(FRACTION).fill_null(0.0)) * size
        if (np.abs(passed) >= LARGEST).any():
            raise OverflowError("a time is moved too far")
        whole = pa.array(np.rint(passed).astype(np.int64))
        values = hidden(pc.add_checked(at.values, whole), ~(at.known & by.known))
        return Vector(values, flawed(at, by))

    return work


def _at(_: Sequence[str | None], column: str) -> Work:
    def work(of: Sequence[Vector]) -> Vector:
        return instants.local(moments(of[0], column), integers(of[1], column), of[2], column)

    return work


def _next(_: Sequence[str | None], column: str) -> Work:
    def work(of: Sequence[Vector]) -> Vector:
        return instants.upcoming(integers(of[0], column), of[1], moments(of[2], column), column)

    return work


def _modulo(of: Sequence[Vector]) -> Vector:
    one, by = integers(of[0], ""), integers(of[1], "")
    known = one.known & by.known & (np.asarray(by.values.fill_null(0)) != 0)
    divisor = np.where(known, np.asarray(by.values.fill_null(1)), 1)
    rest = np.asarray(one.values.fill_null(0)) % divisor
    return Vector(pa.array(rest, WHOLE, mask=~known), flawed(one, by))


def _without(values: Any, flaws: Mapping[int, Any]) -> Any:
    if not flaws:
        return values
    lost = np.zeros(len(values), np.bool_)
    lost[list(flaws)] = True
    return hidden(values, lost)


def _spans() -> Sequence[str]:
    return list(SPANS)


def _zones() -> Sequence[str]:
    return sorted(instants.zones())


def _anything() -> Sequence[str]:
    return ()


FUNCTIONS: dict[str, Function] = {
    "date": Function(1, 1, lambda _, column: lambda of: each(of[0], column, micros, WHOLE)),
    "time": Function(2, 3, _time, {1: _anything, 2: _zones}),
    "epoch": Function(2, 2, _epoch, {1: _spans}),
    "clock": _each(clock, WHOLE),
    "at": Function(3, 3, _at, {2: _zones}, (2,)),
    "next": Function(3, 3, _next, {1: _zones}, (1,)),
    "later": Function(3, 3, _later, {2: _spans}),
    "integer": Function(1, 1, lambda _, column: lambda of: integers(of[0], column)),
    "number": Function(1, 1, lambda _, column: lambda of: fractions(of[0], column)),
    "flag": Function(1, 1, lambda _, column: lambda of: flags(of[0], column)),
    "cents": _each(_cents, WHOLE),
    "add": _arithmetic(pc.add_checked),
    "subtract": _arithmetic(pc.subtract_checked),
    "multiply": _arithmetic(pc.multiply_checked),
    "modulo": _plain(_modulo, 2, 2),
    "slug": _each(lambda text: slug(text) or None, TEXT),
    "snake": _each(_snake, TEXT),
    "min_date": _plain(_earliest, 1, MANY),
    "first": _plain(first, 1, MANY),
    "join": _plain(_join, 1, MANY),
    "equals": _plain(_equals, 2, 2),
    "unless": _plain(_unless, 2, 2),
}
