"""Expressions: how a mapping says what a value is, `date(promised)` or `lookup(region, country)`.

A name without brackets is a column, 'quoted' text or a bare number a constant; a column whose name
holds brackets or commas goes between backticks. An expression is compiled once against the columns
of a file and read a batch at a time; a fact that a row does not have is absent, and a value that
cannot be read is never guessed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.functions import FUNCTIONS, slug
from cluster.instants import EPOCH, micros
from cluster.vectors import (
    FRACTION,
    TEXT,
    WHOLE,
    Mask,
    Value,
    Vector,
    alike,
    constant,
    each,
    flawed,
    fractions,
    number,
    same,
)
from twin.errors import BadRequest

__all__ = ["EPOCH", "OTHERWISE", "Expression", "compile_condition", "compile_value"]
__all__ += ["micros", "slug", "unknown"]

Read = Callable[["Batch"], Vector]
Tables = Mapping[str, Mapping[str, str]]

DEEPEST = 16  # brackets in brackets: no mapping needs more, and recursion needs a bound
OTHERWISE = "*"  # the key of a table that answers for every value it does not list
_IS = re.compile(r"(?P<of>.*\S)\s+is\s+(?P<no>not\s+)?(?P<what>date|known)\s*")
_OUTSIDE = r"(?=(?:[^']*'[^']*')*[^']*$)"  # of quotes
_COMPARED = re.compile(
    r"(?P<left>.*?\S)\s*(?P<op><=|>=|!=|=|<|>)" + _OUTSIDE + r"\s*(?P<right>\S.*)"
)
_AND = re.compile(r"\s+and\s+" + _OUTSIDE)
_BARE = re.compile(r"[^(),'`]+")
_COMPARE = {"<=": pc.less_equal, ">=": pc.greater_equal, "<": pc.less, ">": pc.greater}


class Batch(NamedTuple):
    """Some rows of a file: `columns` as its header has them; text, or typed as the file is.

    `derived`: the columns that a mapping derives, as far as they are known.
    """

    columns: Sequence[Any]  # pa.Array
    rows: int
    derived: Sequence[Vector] = ()


class Expression(NamedTuple):
    """`read`: batch -> vector; `columns`: those it reads, the first of which errors name."""

    read: Read
    columns: tuple[str, ...]


class Scope(NamedTuple):
    """What names mean: columns of the file (name -> position), derived ones, and tables."""

    columns: Mapping[str, int]
    tables: Tables
    derived: Mapping[str, Expression] = {}


class _Node(NamedTuple):
    """`kind`: column, constant or call."""

    kind: str
    name: str
    args: tuple[_Node, ...] = ()


def compile_value(text: str, scope: Scope) -> Expression:
    """Return what `text` says about the rows of a batch.

    Raises BadRequest COLUMN_UNKNOWN for a column the file does not have, MAPPING_INVALID for text
    that is no expression.
    """
    node, rest = _parse(text.strip(), 0)
    if rest.strip():
        raise _invalid(text, f"{rest.strip()!r} is left over")
    return _compile(node, text, scope)


def compile_condition(text: str, scope: Scope) -> Expression:
    """Return a condition, as an expression that reads true or false of every row.

    It is `EXPRESSION is [not] date|known`, or two expressions with = != < <= > >= between them
    (false if one is absent), or several of these with `and` between them.
    """
    parts = [_condition(part, scope) for part in _AND.split(text.strip())]
    columns = tuple(name for part in parts for name in part.columns)

    def read(batch: Batch) -> Vector:
        found = [part.read(batch) for part in parts]
        holds = np.logical_and.reduce([np.asarray(one.values.fill_null(False)) for one in found])
        return Vector(pa.array(holds), flawed(*found))

    return Expression(read, columns)


def unknown(word: str, known: Iterable[str], what: str, code: str) -> BadRequest:
    """Return the error for a word that is not among those known, naming the nearest."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 1)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {shown}"
    return BadRequest(f"there is no {what} {word!r}; {hint}", code)


def _condition(text: str, scope: Scope) -> Expression:
    if found := _IS.fullmatch(text.strip()):
        of = compile_value(found["of"], scope)
        wanted, dated = found["no"] is None, found["what"] == "date"

        def read(batch: Batch) -> Vector:
            one = of.read(batch)
            if dated and one.values.type != WHOLE:
                made = each(one, "", lambda text: micros(text) is not None or None, pa.bool_())
                return Vector(pa.array(made.known == wanted), one.flaws)
            return Vector(pa.array(one.known == wanted), one.flaws)

        return Expression(read, of.columns)
    if found := _COMPARED.fullmatch(text.strip()):
        left, right = compile_value(found["left"], scope), compile_value(found["right"], scope)
        return _comparison(left, right, found["op"])
    raise _invalid(text, "a condition is A is [not] date|known, or A = != < <= > >= B")


def _comparison(left: Expression, right: Expression, sign: str) -> Expression:
    columns = left.columns + right.columns
    column = (columns or ("",))[0]

    def read(batch: Batch) -> Vector:
        sides = [left.read(batch), right.read(batch)]
        if any(side.values.type in {WHOLE, FRACTION} for side in sides):
            sides = [fractions(v, column) if v.values.type == TEXT else v for v in sides]
        known: Mask = sides[0].known & sides[1].known
        if sign in {"=", "!="}:
            holds = known & (same(*sides) == (sign == "="))
        else:
            found = _COMPARE[sign](*alike(sides))
            holds = np.asarray(found.fill_null(False))
        return Vector(pa.array(holds), flawed(*sides))

    return Expression(read, columns)


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


def _compile(node: _Node, text: str, scope: Scope) -> Expression:
    if node.kind == "constant":
        return _constant(node.name)
    if node.kind == "column":
        return _column(node.name, scope)
    if node.name == "lookup":
        return _lookup(node, text, scope)
    if node.name not in FUNCTIONS:
        raise unknown(node.name, [*FUNCTIONS, "lookup"], "function", "MAPPING_INVALID")
    function = FUNCTIONS[node.name]
    least, most = function.least, function.most
    if not least <= len(node.args) <= most:
        wanted = f"{least}" if least == most else f"{least} or more"
        raise _invalid(text, f"{node.name} takes {wanted} values, not {len(node.args)}")
    fixed = [arg.name if arg.kind == "constant" else None for arg in node.args]
    for at, choices in function.fixed.items():
        if at < len(fixed) and (fixed[at] is not None or at not in function.free):
            _check_fixed(node, text, at, choices())
    parts = [_compile(arg, text, scope) for arg in node.args]
    names = tuple(name for part in parts for name in part.columns)
    work = function.build(fixed, (names or ("",))[0])
    return Expression(lambda batch: work([part.read(batch) for part in parts]), names)


def _check_fixed(node: _Node, text: str, at: int, choices: Sequence[str]) -> None:
    arg = node.args[at]
    if arg.kind != "constant":
        raise _invalid(text, f"value {at + 1} of {node.name} is a 'constant'")
    if choices and arg.name not in choices:
        raise unknown(arg.name, choices, f"value of {node.name}", "MAPPING_INVALID")


def _constant(value: Value) -> Expression:
    return Expression(lambda batch: constant(value, batch.rows), ())


def _column(name: str, scope: Scope) -> Expression:
    if name in scope.derived:
        return scope.derived[name]
    if name not in scope.columns:
        if (bare := number(name)) is not None:
            return _constant(int(bare) if bare == bare.to_integral_value() else float(bare))
        known = [*scope.columns, *scope.derived]
        raise unknown(name, known, "column", "COLUMN_UNKNOWN")
    at = scope.columns[name]
    return Expression(lambda batch: Vector(batch.columns[at]), (name,))


def _lookup(node: _Node, text: str, scope: Scope) -> Expression:
    if len(node.args) != 2 or node.args[0].kind != "column":
        raise _invalid(text, "lookup takes the name of a table and a value")
    name = node.args[0].name
    if name not in scope.tables:
        raise unknown(name, scope.tables, "table", "MAPPING_INVALID")
    table, of = scope.tables[name], _compile(node.args[1], text, scope)
    otherwise = table.get(OTHERWISE)
    column = (of.columns or ("",))[0]

    def read(batch: Batch) -> Vector:
        return each(
            of.read(batch), column, lambda v: table.get(v, otherwise), TEXT, reason="VALUE_UNKNOWN"
        )

    return Expression(read, of.columns)


def _invalid(text: str, why: str) -> BadRequest:
    return BadRequest(f"{text!r} is no expression: {why}; correct the mapping", "MAPPING_INVALID")
