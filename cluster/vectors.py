"""Vectors: one value for each row of a batch, or its absence, or why it cannot be read.

What is done to a text is done once for each distinct text, not once a row; so a function of one
text is plain Python, and a batch costs what its different words cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Value = str | int | float | bool | None
Mask = NDArray[np.bool_]
LARGEST = 2**62  # integers beyond this are no count of anything
TEXT, WHOLE, FRACTION, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_WHOLE = r"^-?[0-9]{1,18}$"  # what Arrow reads as Python does; all else takes the longer way
_FRACTION = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"


class Flaw(NamedTuple):
    """Why a row cannot be mapped: the reason's code word, the column, the value as it came."""

    reason: str
    column: str
    value: str


class Vector(NamedTuple):
    """`values` (n,): text, int64, float64 or bool, null where absent or flawed."""

    values: Any  # pa.Array
    flaws: Mapping[int, Flaw] = {}  # row -> what is wrong with it

    def __len__(self) -> int:
        return len(self.values)

    @property
    def known(self) -> Mask:
        return np.asarray(self.values.is_valid())


def constant(value: Value, n: int) -> Vector:
    return Vector(pa.array([value] * n) if n else pa.array([], TEXT))


def absent(n: int) -> Vector:
    return Vector(pa.nulls(n, TEXT))


def each(
    of: Vector, column: str, convert: Callable[[Any], Value], type_: Any, *, reason: str = ""
) -> Vector:
    """Return `convert` of every text; absent stays absent, and None makes a row flawed.

    `column`: which one errors name. `reason`: the flaw's code word, VALUE_UNREADABLE if empty.
    """
    coded = _text(of.values).dictionary_encode()
    words = coded.dictionary.to_pylist()
    made = pa.array([convert(word) for word in words], type_)
    values = made.take(coded.indices)
    if not made.null_count:
        return Vector(values, of.flaws)
    lost = np.flatnonzero(np.asarray(values.is_null()) & of.known)
    code = np.asarray(coded.indices.fill_null(0))
    why = reason or "VALUE_UNREADABLE"
    flaws = {int(i): Flaw(why, column, words[code[i]]) for i in lost}
    return Vector(values, flaws | dict(of.flaws))


def quietly(of: Vector, convert: Callable[[Any], Value], type_: Any) -> Vector:
    """Return `convert` of every text; None is absent, and no flaw."""
    coded = _text(of.values).dictionary_encode()
    made = pa.array([convert(word) for word in coded.dictionary.to_pylist()], type_)
    return Vector(made.take(coded.indices), of.flaws)


def integers(of: Vector, column: str) -> Vector:
    """Return whole numbers; 5.0 and 5e0 are 5, and 5.5 is a flaw."""
    if of.values.type == WHOLE:
        return of
    if of.values.type == TEXT and _all(of.values, _WHOLE):
        return Vector(of.values.cast(WHOLE), of.flaws)
    return each(of, column, _integer, WHOLE)


def fractions(of: Vector, column: str) -> Vector:
    if of.values.type in {FRACTION, WHOLE}:
        return Vector(of.values.cast(FRACTION, safe=False), of.flaws)
    if of.values.type == TEXT and _all(of.values, _FRACTION):
        return Vector(of.values.cast(FRACTION), of.flaws)
    return each(of, column, _fraction, FRACTION)


def numbers(of: Vector, column: str) -> Vector:
    """Return int64 if every number is whole, else float64."""
    if of.values.type in {WHOLE, FRACTION}:
        return of
    whole = integers(of, column)
    return whole if whole.flaws.keys() <= of.flaws.keys() else fractions(of, column)


def alike(vectors: Sequence[Vector]) -> list[Any]:
    """Return the values of all as arrays of one type: texts where they differ."""
    types = {vector.values.type for vector in vectors if vector.values.null_count < len(vector)}
    if types <= {WHOLE, FRACTION} and len(types) == 2:
        return [vector.values.cast(FRACTION, safe=False) for vector in vectors]
    type_ = types.pop() if len(types) == 1 else TEXT
    return [_text(v.values) if type_ == TEXT else _cast(v.values, type_) for v in vectors]


def texts(of: Vector) -> Vector:
    return Vector(_text(of.values), of.flaws)


def same(one: Vector, other: Vector) -> Mask:
    """Say of each row whether two values are equal; the absent equals the absent."""
    left, right = alike([one, other])
    equal = np.asarray(pc.equal(left, right).fill_null(False))
    both: Mask = equal | ~(one.known | other.known)
    return both


def first(parts: Sequence[Vector]) -> Vector:
    """Return the first value that is known; what comes after it is not looked at."""
    values = pc.coalesce(*alike(parts))
    flaws: dict[int, Flaw] = {}
    for part, earlier in zip(parts, _earlier(parts), strict=True):
        for row, flaw in part.flaws.items():
            if not earlier[row]:
                flaws.setdefault(row, flaw)
    if flaws:
        lost = np.zeros(len(values), np.bool_)
        lost[list(flaws)] = True
        values = hidden(values, lost)
    return Vector(values, flaws)


def hidden(values: Any, where: Mask) -> Any:
    """Return values, null at some rows."""
    return pc.if_else(pa.array(where), pa.scalar(None, values.type), values)


def flawed(*parts: Vector) -> dict[int, Flaw]:
    """Return the flaws of several vectors, of each row the first."""
    found: dict[int, Flaw] = {}
    for part in reversed(parts):
        found |= part.flaws
    return found


def number(text: str) -> Decimal | None:
    """Return a finite number of moderate size, or None."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < LARGEST else None


def _earlier(parts: Sequence[Vector]) -> list[Mask]:
    """Return for each part which rows an earlier one has settled."""
    settled = np.zeros(len(parts[0]), np.bool_)
    out = []
    for part in parts:
        out.append(settled.copy())
        settled |= part.known
        settled[list(part.flaws)] = True
    return out


def _integer(text: str) -> int | None:
    found = number(text)
    return int(found) if found is not None and found == found.to_integral_value() else None


def _fraction(text: str) -> float | None:
    found = number(text)
    return None if found is None else float(found)


def _all(values: Any, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(values, pattern)).as_py() is not False


def _cast(values: Any, type_: Any) -> Any:
    return values if values.type == type_ else pa.nulls(len(values), type_)


def _text(values: Any) -> Any:
    """Return values as text; a number that is whole has no point, whatever it is held as."""
    if values.type == TEXT:
        return values
    if values.type == WHOLE:
        return values.cast(TEXT)
    return pa.array([_written(value) for value in values.to_pylist()], TEXT)


def _written(value: Value) -> str | None:
    if value is None:
        return None
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)
