"""Expressions: how a mapping says what a value is, `date(promised)` or `lookup(region, country)`.

A name without brackets is a column, 'quoted' text a constant; a column whose name holds brackets
or commas goes between backticks. An expression is compiled once against the columns of a file; a
fact that a row does not have is absent (None), and a value that cannot be read is never guessed.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from twin.errors import BadRequest

Row = Sequence[str]
Value = str | int | float | bool | None
Read = Callable[[Row], Value]
Tables = Mapping[str, Mapping[str, str]]

DEEPEST = 16  # brackets in brackets: no mapping needs more, and recursion needs a bound
LARGEST = 2**62  # integers beyond this are no count of anything
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONDITION = re.compile(r"(?P<of>.*\S)\s+is\s+(?P<no>not\s+)?(?P<what>date|known)\s*")
_BARE = re.compile(r"[^(),'`]+")
OTHERWISE = "*"  # the key of a table that answers for every value it does not list


class UnmappableError(Exception):
    """This row cannot be mapped: the reason's code word, the column, the value as it came."""

    def __init__(self, reason: str, column: str, value: str) -> None:
        super().__init__(reason, column, value)
        self.reason, self.column, self.value = reason, column, value


class Expression(NamedTuple):
    """`read`: row -> value; `columns`: those it reads, the first of which errors name."""

    read: Read
    columns: tuple[str, ...]


class _Node(NamedTuple):
    """`kind`: column, constant or call."""

    kind: str
    name: str
    args: tuple[_Node, ...] = ()


def compile_value(text: str, columns: Mapping[str, int], tables: Tables) -> Expression:
    """Return what `text` says about a row. `columns`: name -> position.

    Raises BadRequest COLUMN_UNKNOWN for a column the file does not have, MAPPING_INVALID for text
    that is no expression.
    """
    node, rest = _parse(text.strip(), 0)
    if rest.strip():
        raise _invalid(text, f"{rest.strip()!r} is left over")
    return _compile(node, text, columns, tables)


def compile_condition(text: str, columns: Mapping[str, int], tables: Tables) -> Expression:
    """Return `EXPRESSION is [not] date|known` as an expression that reads True or False."""
    found = _CONDITION.fullmatch(text.strip())
    if not found:
        raise _invalid(text, "a condition is EXPRESSION is [not] date|known")
    of = compile_value(found["of"], columns, tables)
    wanted = found["no"] is None
    if found["what"] == "known":
        return Expression(lambda row: (of.read(row) is not None) is wanted, of.columns)
    return Expression(lambda row: (micros(of.read(row)) is not None) is wanted, of.columns)


def unknown(word: str, known: Iterable[str], what: str, code: str) -> BadRequest:
    """Return the error for a word that is not among those known, naming the nearest."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 1)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {shown}"
    return BadRequest(f"there is no {what} {word!r}; {hint}", code)


@lru_cache(maxsize=65_536)
def micros(text: Value) -> int | None:
    """Return an ISO date or RFC 3339 time as microseconds UTC, or None if it is neither."""
    if not isinstance(text, str):
        return text if isinstance(text, int) else None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return (day.toordinal() - EPOCH.toordinal()) * 86_400_000_000
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or len(text) < 16:
        return None  # a time without a zone could be any of 26 hours
    passed = moment - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


@lru_cache(maxsize=65_536)
def slug(text: str) -> str:
    """Return text as an id: ASCII letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:128]


def _parse(text: str, depth: int) -> tuple[_Node, str]:
    """Return the expression that `text` begins with, and what follows it."""
    text = text.lstrip()
    if depth > DEEPEST:
        raise _invalid(text, f"more than {DEEPEST} brackets in brackets")
    for quote, kind in (("'", "constant"), ("`", "column")):
        if text.startswith(quote):
            name, closed, rest = text[1:].partition(quote)
            if not closed:
                raise _invalid(text, f"a {quote} is not closed")
            return _Node(kind, name), rest
    bare = _BARE.match(text)
    if not bare:
        raise _invalid(text, "a column, a 'constant' or a function is missing")
    name, rest = bare.group().strip(), text[bare.end() :]
    if not rest.startswith("("):
        return _Node("column", name), rest
    args: list[_Node] = []
    rest = rest[1:]
    while True:
        arg, rest = _parse(rest, depth + 1)
        args.append(arg)
        rest = rest.lstrip()
        if rest.startswith(")"):
            return _Node("call", name, tuple(args)), rest[1:]
        if not rest.startswith(","):
            raise _invalid(text, "a bracket is not closed")
        rest = rest[1:]


def _compile(node: _Node, text: str, columns: Mapping[str, int], tables: Tables) -> Expression:
    if node.kind == "constant":
        return Expression(lambda _: node.name, ())
    if node.kind == "column":
        if node.name not in columns:
            raise unknown(node.name, columns, "column", "COLUMN_UNKNOWN")
        at = columns[node.name]
        return Expression(lambda row: row[at].strip() or None, (node.name,))
    if node.name == "lookup":
        return _lookup(node, text, columns, tables)
    if node.name not in FUNCTIONS:
        raise unknown(node.name, [*FUNCTIONS, "lookup"], "function", "MAPPING_INVALID")
    least, most, function = FUNCTIONS[node.name]
    if not least <= len(node.args) <= most:
        wanted = f"{least}" if least == most else f"{least} or more"
        raise _invalid(text, f"{node.name} takes {wanted} values, not {len(node.args)}")
    parts = [_compile(arg, text, columns, tables) for arg in node.args]
    names = tuple(name for part in parts for name in part.columns)
    return Expression(function([part.read for part in parts], (names or ("",))[0]), names)


def _lookup(node: _Node, text: str, columns: Mapping[str, int], tables: Tables) -> Expression:
    if len(node.args) != 2 or node.args[0].kind != "column":
        raise _invalid(text, "lookup takes the name of a table and a value")
    name = node.args[0].name
    if name not in tables:
        raise unknown(name, tables, "table", "MAPPING_INVALID")
    table, of = tables[name], _compile(node.args[1], text, columns, tables)
    otherwise = table.get(OTHERWISE)
    column = (of.columns or ("",))[0]

    def read(row: Row) -> Value:
        value = of.read(row)
        if value is None:
            return None
        found = table.get(str(value), otherwise)
        if found is None:
            raise UnmappableError("VALUE_UNKNOWN", column, str(value))
        return found

    return Expression(read, of.columns)


def _invalid(text: str, why: str) -> BadRequest:
    return BadRequest(f"{text!r} is no expression: {why}; correct the mapping", "MAPPING_INVALID")


def _each(convert: Callable[[str], Value]) -> Callable[[list[Read], str], Read]:
    """Return a function of one value: absent stays absent, unreadable makes a row unmappable."""

    def build(parts: list[Read], column: str) -> Read:
        of = parts[0]

        def read(row: Row) -> Value:
            value = of(row)
            if value is None:
                return None
            made = convert(str(value))
            if made is None:
                raise UnmappableError("VALUE_UNREADABLE", column, str(value))
            return made

        return read

    return build


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < LARGEST else None


def _integer(text: str) -> Value:
    number = _number(text)
    return int(number) if number is not None and number == number.to_integral_value() else None


def _cents(text: str) -> Value:
    number = _number(text)
    return None if number is None else int((number * 100).quantize(Decimal(1)))


def _float(text: str) -> Value:
    number = _number(text)
    return None if number is None else float(number)


def _snake(text: str) -> Value:
    return slug(text).replace("-", "_") or None


def _earliest(parts: list[Read], _: str) -> Read:
    """The earliest of several that are dates; words that stand where a date could are passed by."""

    def read(row: Row) -> Value:
        known = [at for part in parts if (at := micros(part(row))) is not None]
        return min(known) if known else None

    return read


def _first(parts: list[Read], _: str) -> Read:
    def read(row: Row) -> Value:
        return next((value for part in parts if (value := part(row)) is not None), None)

    return read


def _join(parts: list[Read], _: str) -> Read:
    """Texts joined; absent if one of them is."""

    def read(row: Row) -> Value:
        values = [part(row) for part in parts]
        return None if None in values else "".join(map(str, values))

    return read


def _equals(parts: list[Read], _: str) -> Read:
    return lambda row: parts[0](row) == parts[1](row)


def _unless(parts: list[Read], _: str) -> Read:
    """The first value, absent if it is the second: some files write absence as a word."""

    def read(row: Row) -> Value:
        value = parts[0](row)
        return None if value == parts[1](row) else value

    return read


MANY = 32
# name -> least and most arguments, and how it is built
FUNCTIONS: dict[str, tuple[int, int, Callable[[list[Read], str], Read]]] = {
    "date": (1, 1, _each(micros)),
    "integer": (1, 1, _each(_integer)),
    "number": (1, 1, _each(_float)),
    "cents": (1, 1, _each(_cents)),
    "slug": (1, 1, _each(lambda text: slug(text) or None)),
    "snake": (1, 1, _each(_snake)),
    "min_date": (1, MANY, _earliest),
    "first": (1, MANY, _first),
    "join": (1, MANY, _join),
    "equals": (2, 2, _equals),
    "unless": (2, 2, _unless),
}
