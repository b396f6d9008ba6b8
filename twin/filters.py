"""Filters: a syntax tree made into predicates, every name and type checked before a row is read.

NOT is driven down to the leaves on the way. A sub-query, or a field of what a field refers to, is
a set of texts that somebody else looks up (`Filter.needs`), as other twins are in other shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlglot import exp

from twin import fields, predicates, subqueries, where
from twin.compare import Operand, compare, like, member, start
from twin.errors import BadRequest, UnknownField
from twin.fields import NO_SETS, Mask, Scope
from twin.geography import box, circle
from twin.kernels import I64
from twin.kinds import KINDS, REFERENCES, Dtype
from twin.merge import TENANT
from twin.predicates import All, Always, Any_, Known, Otherwise, Predicate, Than, Within
from twin.spans import NONE, Span
from twin.subqueries import Need
from twin.terms import (
    BUCKETS,
    DURATION,
    ID,
    NULL,
    Bucket,
    Constant,
    Now,
    Term,
    article,
    computed,
    interval,
    named,
    number,
)

REMEMBERED = 256  # compiled filters
_SIGNS: dict[type[where.Tree], str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_MATH: dict[type[where.Tree], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_PARTS = ("this", "table", "db")  # of a dotted name, from its end
_ANSWERS = frozenset(("known", "absent"))


class Filter(NamedTuple):
    """A filter of one kind, checked. Immutable; of no snapshot in particular."""

    kind: str
    predicate: Predicate | None
    needs: tuple[Need, ...]
    fields: frozenset[str]  # that it reads; of `id` and `region` too
    groups: frozenset[str]  # whose as_of, source or confidence it reads
    timed: bool  # what matches changes as time passes, though nothing happens
    sets: Mapping[str, Sequence[str]] = NO_SETS

    def mask(self, scope: Scope) -> Mask:
        """Return which rows of a view are its tenant's, and match (size,)."""
        return predicates.met(self._told(scope), [_mine(scope)], self.predicate)

    def rows(self, scope: Scope) -> I64:
        """Return the positions of the rows that `mask` is true of."""
        return predicates.rows_met(self._told(scope), [_mine(scope)], self.predicate)

    def _told(self, scope: Scope) -> Scope:
        return scope._replace(sets={**scope.sets, **self.sets}) if self.sets else scope


def _mine(scope: Scope) -> tuple[str, Span]:
    """Return what the tenant of a row is to be."""
    code = scope.snapshot.lexicon.code(scope.tenant)
    return TENANT, (code, code) if code >= 0 else NONE


def compile_filter(kind: str, text: str, sets: Mapping[str, Sequence[str]] = NO_SETS) -> Filter:
    """Return a filter of `kind`. `sets`: what its needs came to, by their keys.

    Raises UnknownField, or BadRequest where it cannot be read, compares what cannot be compared,
    or is more than a filter may be.
    """
    found = _compiled(kind, text)
    return found._replace(sets=sets) if sets else found


def compile_term(kind: str, text: str) -> Term:
    """Return a value of each twin of `kind`: a name, or what is computed of some. As above."""
    tree = where.parse(text)
    if tree is None:
        raise BadRequest("name a field; see docs/filters.md")
    return _Compiler(kind).term(tree)


@lru_cache(REMEMBERED)
def _compiled(kind: str, text: str) -> Filter:
    compiler = _Compiler(kind)
    tree = where.parse(text)
    predicate = None if tree is None else compiler.condition(tree, yes=True)
    read, groups = compiler.read()
    needs = tuple(compiler.needs.values())
    timed = any(fields.timed(name) or name == "now()" for name in compiler.names)
    timed |= any(_compiled(need.kind, need.where).timed for need in needs)
    return Filter(kind, predicate, needs, read, groups, timed)


class _Compiler:
    """Makes predicates of the trees of one filter, and notes what they read."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.names: dict[str, None] = {}
        self.needs: dict[str, Need] = {}

    def read(self) -> tuple[frozenset[str], frozenset[str]]:
        both = [fields.reads(self.kind, name) for name in self.names if name != "now()"]
        return (
            frozenset(name for read, _ in both for name in read),
            frozenset(name for _, read in both for name in read),
        )

    def condition(self, tree: where.Tree, *, yes: bool) -> Predicate:
        """Return where `tree` is true, or with `yes` False where it is false."""
        if isinstance(tree, exp.Paren):
            return self.condition(tree.this, yes=yes)
        if isinstance(tree, exp.Not):
            return self.condition(tree.this, yes=not yes)
        if isinstance(tree, exp.And | exp.Or):
            parts = [self.condition(part, yes=yes) for part in _flat(tree, type(tree))]
            parts.sort(key=lambda part: part.cost)
            every = isinstance(tree, exp.And) == yes
            return All(tuple(parts)) if every else Any_(tuple(parts))
        if reference := self._reference(tree):
            return self._elsewhere(tree, reference, yes=yes)
        if (sign := _SIGNS.get(type(tree))) is not None:
            return compare(sign, self._operand(tree.this), self._operand(tree.expression), yes=yes)
        if isinstance(tree, exp.Between):
            low = exp.GTE(this=tree.this, expression=tree.args["low"])
            high = exp.LTE(this=tree.this, expression=tree.args["high"])
            both = [self.condition(part, yes=yes) for part in (low, high)]
            return All(tuple(both)) if yes else Any_(tuple(both))
        if isinstance(tree, exp.In):
            return self._in(tree, yes=yes)
        if isinstance(tree, exp.Is):
            return self._is(tree, yes=yes)
        if isinstance(tree, exp.Like | exp.ILike | exp.Escape):
            return self._like(tree, yes=yes)
        return self._flag(tree, yes=yes)

    def term(self, tree: where.Tree, deep: int = 0) -> Term:
        """Return a value that can be compared."""
        if deep > where.DEEPEST:
            raise BadRequest(
                f"a value is computed in at most {where.DEEPEST} steps; write it shorter",
                "TOO_DEEP",
            )
        if isinstance(tree, exp.Paren):
            return self.term(tree.this, deep + 1)
        if isinstance(tree, exp.Literal):
            return Constant(tree.this, Dtype.TEXT) if tree.is_string else number(tree.this)
        if isinstance(tree, exp.Boolean):
            return Constant(bool(tree.this), Dtype.FLAG)
        if isinstance(tree, exp.Null):
            return Constant(None, NULL)
        if isinstance(tree, exp.Neg):
            of = self.term(tree.this, deep + 1)
            least = Constant(0, of.sort if of.sort == DURATION else Dtype.INTEGER)
            return computed(least, "-", of)
        if isinstance(tree, exp.Interval):
            unit = tree.args.get("unit")
            if not isinstance(tree.this, exp.Literal):
                raise BadRequest("an interval reads INTERVAL '2 days'; write it so")
            return interval(tree.this.this, unit.name if unit is not None else "")
        if (sign := _MATH.get(type(tree))) is not None:
            return computed(
                self.term(tree.this, deep + 1), sign, self.term(tree.expression, deep + 1)
            )
        if isinstance(tree, exp.Column):
            return self._named(".".join(part.name for part in tree.parts))
        if isinstance(tree, exp.Anonymous):
            return self._function(tree, deep)
        raise BadRequest(f"{_said(tree)} is no value to compare; see docs/filters.md")

    def _named(self, name: str) -> Term:
        term = named(self.kind, name)
        self.names[name] = None
        return term

    def _function(self, tree: exp.Anonymous, deep: int) -> Term:
        name, given = tree.name.lower(), tree.expressions
        if name in fields.OF_GROUP and len(given) == 1 and isinstance(given[0], exp.Column):
            return self._named(f"{name}({given[0].name})")
        if name == "now" and not given:
            self.names["now()"] = None
            return Now()
        if name == "date_trunc" and len(given) == 2:
            unit, of = self.term(given[0], deep + 1), self.term(given[1], deep + 1)
            step = str(unit.value).lower() if isinstance(unit, Constant) else ""
            if of.sort == Dtype.TIME and step in BUCKETS:
                return Bucket(step, of)
            raise BadRequest(f"date_trunc is of one of {', '.join(BUCKETS)}, and of a time")
        if name == "starts_with" or name in _TAKES:
            raise BadRequest(f"{_said(tree)} is no value but a condition; write it by itself")
        raise BadRequest(
            f"there is no function {_said(tree)}; there are age, as_of, confidence, source and "
            "stale of a group, now, date_trunc, starts_with, in_box, within_km and near"
        )

    def _operand(self, tree: where.Tree) -> Operand:
        """Return one side of a comparison; a word that is no field may be meant as a text."""
        if isinstance(tree, exp.Column):
            word = ".".join(part.name for part in tree.parts)
            try:
                return Operand(self._named(word), word)
            except UnknownField as e:
                return Operand(Constant(word, Dtype.TEXT), word, e)
        return Operand(self.term(tree))

    def _in(self, tree: exp.In, *, yes: bool) -> Predicate:
        left = self.term(tree.this)
        if (query := tree.args.get("query")) is not None:
            return member(left, (), yes=yes, key=self._query(query.this, left))
        given = [self._operand(one) for one in tree.expressions]
        fixed = isinstance(left, Constant)
        if not fixed and all(isinstance(one.term, Constant) for one in given):
            return member(left, given, yes=yes)
        each = [compare("=", Operand(left), one, yes=yes) for one in given]
        return Any_(tuple(each)) if yes else All(tuple(each))

    def _is(self, tree: exp.Is, *, yes: bool) -> Predicate:
        what = tree.expression
        if isinstance(what, exp.Boolean):
            found = self.condition(tree.this, yes=bool(what.this))
            return found if yes else Otherwise(found)
        word = "absent" if isinstance(what, exp.Null) else what.name.lower()
        if word not in _ANSWERS or not isinstance(what, exp.Null | exp.Column):
            raise BadRequest(
                f"{_said(tree)}: a value IS KNOWN, IS ABSENT, IS NULL or IS NOT NULL; write it so"
            )
        term = self.term(tree.this)
        if term.sort == ID:
            return Always((word == "known") == yes)
        return Known(term, (word == "known") == yes)

    def _like(self, tree: where.Tree, *, yes: bool) -> Predicate:
        escape = ""
        if isinstance(tree, exp.Escape):
            escape, tree = tree.expression.name, tree.this
            if len(escape) != 1 or not isinstance(tree, exp.Like | exp.ILike):
                raise BadRequest(
                    "ESCAPE is of LIKE, and one character; write LIKE 'a!%' ESCAPE '!'"
                )
        if tree.args.get("negate"):
            yes = not yes
        pattern = tree.expression
        if not isinstance(pattern, exp.Literal) or not pattern.is_string:
            raise BadRequest(f"{_said(tree)}: LIKE takes a text in single quotes; write it so")
        fold = isinstance(tree, exp.ILike)
        return like(self.term(tree.this), pattern.this, yes=yes, escape=escape, fold=fold)

    def _flag(self, tree: where.Tree, *, yes: bool) -> Predicate:
        """Return a condition that is no comparison: a flag, or a function that says yes or no."""
        if isinstance(tree, exp.Anonymous):
            name, given = tree.name.lower(), tree.expressions
            if name == "starts_with" and len(given) == 2:
                prefix = self.term(given[1])
                if not isinstance(prefix, Constant) or prefix.sort != Dtype.TEXT:
                    raise BadRequest("starts_with takes a field and a text; write it so")
                return start(self.term(given[0]), str(prefix.value), yes=yes)
            if name in _TAKES:
                return self._area(name, given, yes=yes)
        term = self.term(tree)
        if term.sort == NULL:
            return Always(False)
        if term.sort != Dtype.FLAG:
            raise BadRequest(
                f"{term.label} is {article(term.sort)} and no condition; compare it, as in "
                f"{term.label} IS KNOWN"
            )
        if isinstance(term, Constant):
            return Always(term.value == yes)
        return Than(term, "=", int(yes))

    def _area(self, name: str, given: Sequence[where.Tree], *, yes: bool) -> Predicate:
        if KINDS[self.kind].field("lat") is None or KINDS[self.kind].field("lon") is None:
            raise UnknownField(f"{self.kind} has no lat and lon, so {name} says nothing of it")
        self.names |= {"lat": None, "lon": None}
        takes = {"in_box": 4, "within_km": 3, "near": 2}[name]
        if len(given) != takes:
            raise BadRequest(f"{name} takes {_TAKES[name]}, not {len(given)} values")
        if name == "near":
            site = given[0].name if isinstance(given[0], exp.Literal | exp.Column) else ""
            km = self._number(name, given[1])
            circle(0.0, 0.0, km)
            key = f"near({exp.Literal.string(site).sql()})"
            told = f"id = {exp.Literal.string(site).sql()}"
            self.needs[key] = Need(key, "site", ("lat", "lon"), told)
            return Within(None, yes, (key, km))
        numbers = [self._number(name, one) for one in given]
        return Within(box(*numbers) if name == "in_box" else circle(*numbers), yes)

    def _number(self, name: str, tree: where.Tree) -> float:
        term = self.term(tree)
        if not isinstance(term, Constant) or term.sort not in {Dtype.INTEGER, Dtype.NUMBER}:
            raise BadRequest(f"{name} takes {_TAKES[name]}, and {term.label} is no number")
        return float(term.value)

    def _query(self, select: where.Tree, left: Term) -> str:
        """Note a sub-query; return the key of what it finds."""
        need = subqueries.need(select)
        _compiled(need.kind, need.where)
        if left.sort not in {ID, Dtype.TEXT}:
            raise BadRequest(
                f"{left.label} is {article(left.sort)}; only an id or a text is IN what a "
                "sub-query finds"
            )
        self.needs[need.key] = need
        return need.key

    def _reference(self, tree: where.Tree) -> str:
        """Return the field whose twin's fields a comparison is about; "" if it is about its own."""
        heads = {c.parts[0].name for c in _columns(tree) if len(c.parts) > 1}
        heads &= REFERENCES.get(self.kind, {}).keys()
        if not heads:
            return ""
        own = [c for c in _columns(tree) if len(c.parts) == 1 and self._is_own(c.name)]
        if len(heads) > 1 or own:
            raise BadRequest(
                f"{_said(tree)} compares fields of different twins; compare those of one with "
                "values, or use a sub-query"
            )
        return heads.pop()

    def _is_own(self, name: str) -> bool:
        try:
            fields.check_field(self.kind, name)
        except UnknownField:
            return False
        return True

    def _elsewhere(self, tree: where.Tree, reference: str, *, yes: bool) -> Predicate:
        """Return a condition of the twin that a field refers to, as a sub-query of its ids."""
        kind = REFERENCES[self.kind][reference]
        inner = tree.copy()
        for column in [c for c in _columns(inner) if len(c.parts) > 1]:
            named = [exp.to_identifier(part.name) for part in reversed(column.parts[1:])]
            short = exp.Column(**dict(zip(_PARTS, named, strict=False)))
            if column is inner:
                inner = short
            else:
                column.replace(short)
        own = self._named(reference)
        if isinstance(inner, exp.Is) and not isinstance(inner.expression, exp.Boolean):
            known = inner.expression.name.lower() == "known"
            asked = exp.Is(this=inner.this, expression=exp.column("KNOWN"))
            key = self._note(kind, ("id",), asked.sql())
            found = member(own, (), yes=known == yes, key=key)
            return found if known == yes else Any_((Known(own, False), found))
        text = inner.sql() if yes else f"NOT ({inner.sql()})"
        return member(own, (), yes=True, key=self._note(kind, ("id",), text))

    def _note(self, kind: str, names: tuple[str, ...], text: str) -> str:
        _compiled(kind, text)
        key = f"SELECT {', '.join(names)} FROM {kind} WHERE {text}"
        self.needs[key] = Need(key, kind, names, text)
        return key


_TAKES = {
    "in_box": "south, west, north, east in degrees",
    "within_km": "latitude, longitude and kilometres",
    "near": "the id of a site and kilometres",
}


def _flat(tree: where.Tree, of: type[where.Tree]) -> Iterable[where.Tree]:
    """Return the parts of a chain of AND, or of OR."""
    parts, left = [], tree
    while isinstance(left, of):
        parts.append(left.expression)
        left = left.this
    return [left, *reversed(parts)]


def _columns(tree: where.Tree) -> list[exp.Column]:
    """Return the fields that are named, but those in sub-queries."""
    found = tree.walk(prune=lambda node: isinstance(node, exp.Select))
    return [node for node in found if isinstance(node, exp.Column)]


def _said(tree: where.Tree) -> str:
    return tree.sql()[:60]
