"""Measures: counts, sums and their like over groups, in parts that can be merged over shards.

A shard answers with every group that it has, never with its first few: what is among the first of
all is known only when all are added up. Too many groups are refused, not cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from serving import fresh
from serving.find import LIMIT, MOST, require_after
from serving.sets import lines, words
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, TooMany
from twin.filters import compile_term
from twin.grouping import distinct_words, divided, groups
from twin.kinds import ABSENT, Dtype, Milestone
from twin.query import View
from twin.terms import DURATION, ID, NUMBERS, Constant, Term, article
from twin.totals import Totals, earliest

Column = NDArray[Any]
_MEASURE = re.compile(r"(?P<how>count|sum|avg|min|max|known|distinct)\((?P<of>.+)\)", re.DOTALL)
_DISTINCT = re.compile(r"distinct\s+(?P<of>.+)", re.DOTALL | re.IGNORECASE)
MOST_GROUPS = 50_000
MOST_VALUES = 100_000  # that are told apart, of all groups of a shard
MOST_MEASURES = 64
NONE = float("nan")
_SUMMED = frozenset((*NUMBERS, Dtype.FLAG, Dtype.TIME, DURATION))


class Measure(NamedTuple):
    """`how` over the known values of `of`: a field, or what is computed of some."""

    how: str  # count, sum, avg, min, max, known, distinct
    of: str = ""

    @property
    def text(self) -> str:
        return f"{self.how}({self.of})" if self.of else self.how


@lru_cache(1024)
def parse(measure: str) -> Measure:
    """Return what a measure says. Raises BadRequest."""
    match = _MEASURE.fullmatch(measure.strip())
    if measure.strip() in {"count", "count(*)"}:
        return Measure("count")
    if match is None:
        raise BadRequest(
            f"{measure!r} is no measure; use count, sum(F), avg(F), min(F), max(F), known(F) or "
            "count(distinct F)"
        )
    how, of = match["how"], match["of"].strip()
    if how != "count":
        return Measure(how, of)
    distinct = _DISTINCT.fullmatch(of)
    return Measure("distinct", distinct["of"].strip()) if distinct else Measure("known", of)


def parts(measures: Iterable[str]) -> list[str]:
    """Return the measures that shards compute, from which all of `measures` can be merged."""
    wanted: dict[str, None] = {}
    for how, of in map(parse, measures):
        if how in {"avg", "sum"}:
            wanted[f"known({of})"] = None
        wanted[Measure("sum" if how == "avg" else how, of).text] = None
    return list(wanted)


def check(kind: str, request: pb.AggregateRequest) -> None:
    """Raise UnknownField or BadRequest unless this can be asked of `kind`."""
    if max(len(request.by), len(request.measures)) > MOST_MEASURES:
        raise TooMany(f"at most {MOST_MEASURES} fields and measures; ask for less")
    for name in request.by:
        if name != "region":
            compile_term(kind, name)
    for measure in request.measures:
        _term(kind, parse(measure))
    _order(request)
    if request.limit < 0:
        raise BadRequest("limit is 1 or more; leave it out for the usual number")


def asked(request: pb.AggregateRequest) -> pb.AggregateRequest:
    """Return what every shard is asked for: all groups, and what can be merged."""
    asked = pb.AggregateRequest()
    asked.CopyFrom(request)
    asked.order, asked.limit, asked.distinct = "", 0, ""
    asked.measures[:] = parts(request.measures)
    return asked


def answer(shard: Shard, view: View, request: pb.AggregateRequest) -> pb.AggregateReply:
    """Return the groups of one shard; or, where it is asked so, the distinct values of a field."""
    require_after(shard.name, view.snapshot, request.after)
    reply = pb.AggregateReply(now=view.now_us)
    reply.offsets[shard.name] = view.snapshot.offset
    if request.distinct:
        reply.values.lines = lines(distinct_words(view, request.distinct, request.where))
    else:
        if not request.measures:
            request.measures.append("count")
        check(view.kind, request)
        part = view.matching(request.where)
        found = compute(part, request)
        reply.total = len(found)
        found = _first(request, found, MOST_GROUPS)
        reply.groups.extend(found)
        reply.shown = len(found)
        reply.oldest_as_of = oldest(part, request)
    shard.require_marker()
    return reply


def compute(part: View, request: pb.AggregateRequest) -> list[pb.Group]:
    """Return the groups of the rows of a view, with the measures asked, in order of their names.

    Raises TooMany for more groups, or distinct values, than an answer may have.
    """
    names, which = groups(part, request.by, MOST_GROUPS)
    if not names:
        return []
    asked = [parse(measure) for measure in request.measures]
    totals = Totals(part, which, len(names))
    told = {m: _told(part, which, m, len(names)) for m in asked if m.how == "distinct"}
    last = sorted(asked, key=lambda measure: measure.how == "count")  # it may be known by then
    column = {measure: _column(part.kind, totals, measure, told) for measure in last}
    values = list(zip(*(column[measure].tolist() for measure in asked), strict=True))
    kept = [told[m] for m in asked if m in told and m.text in request.measures]
    found = []
    for at in sorted(range(len(names)), key=names.__getitem__):
        group = pb.Group(by=names[at], measures=values[at])
        if kept:  # a gateway adds them up
            group.distinct.extend(pb.Texts(lines=lines(sorted(words[at]))) for words in kept)
        found.append(group)
    return found


def _term(kind: str, measure: Measure) -> Term | None:
    """Return what a measure is of. Raises UnknownField, BadRequest."""
    if not measure.of:
        return None
    term = compile_term(kind, measure.of)
    if isinstance(term, Constant) and term.sort == Dtype.TEXT:
        raise BadRequest(f"{measure.of} is a text and no field to count; name one")
    if measure.how not in {"known", "distinct"} and term.sort not in _SUMMED:
        raise BadRequest(
            f"{measure.of} is {article(term.sort)}; "
            f"only known({measure.of}) and count(distinct {measure.of}) can be counted"
        )
    return term


def _column(
    kind: str, totals: Totals, measure: Measure, told: Mapping[Measure, Sequence[Sequence[str]]]
) -> Column:
    """Return what a measure comes to in each group; NaN where there is nothing to measure."""
    if measure in told:
        return np.array([len(words) for words in told[measure]], np.float64)
    term = _term(kind, measure)
    if term is None or (term.sort == ID and measure.how == "known"):
        return totals.count()
    if measure.how == "known":
        return totals.known(term)
    if measure.how in {"min", "max"}:
        return totals.extreme(term, least=measure.how == "min")
    known, total = totals.known(term), totals.sum(term)
    of = 1 if measure.how == "sum" else np.maximum(known, 1)
    return np.where(known > 0, total / of, NONE)


def _told(part: View, which: Column, measure: Measure, size: int) -> list[list[str]]:
    """Return the distinct known values of each group, as texts."""
    _, of, words = divided(part, which.copy(), size, measure.of, MOST_VALUES)
    found: list[list[str]] = [[] for _ in range(size)]
    for group, word in zip(of, words, strict=True):
        if word:
            found[group].append(word)
    return found


class _Held(NamedTuple):
    """What was added up of a group."""

    numbers: list[float]
    distinct: list[set[str]]


def merge(
    request: pb.AggregateRequest, answers: Iterable[Iterable[pb.Group]], usual: int = LIMIT
) -> tuple[list[pb.Group], int]:
    """Return the first groups of all shards in the order asked, and how many there are."""
    wanted = [parse(measure) for measure in parts(request.measures)]
    totals: dict[tuple[str, ...], _Held] = {}
    for answer in answers:
        for group in answer:
            key, new = tuple(group.by), list(group.measures)
            told = [set(words(texts.lines)) for texts in group.distinct]
            if (held := totals.get(key)) is None:
                totals[key] = _Held(new, told)
                continue
            held.numbers[:] = _added(wanted, held.numbers, new)
            for mine, other in zip(held.distinct, told, strict=True):
                mine |= other
    if len(totals) > MOST_GROUPS:
        raise TooMany(f"more than {MOST_GROUPS} groups; filter, or group by less")
    asked = [parse(measure) for measure in request.measures]
    merged = [
        pb.Group(
            by=by,
            measures=_finished(asked, wanted, held),
            distinct=_kept(request.measures, wanted, held),
        )
        for by, held in sorted(totals.items())
    ]
    return _first(request, merged, usual), len(merged)


def _first(request: pb.AggregateRequest, found: list[pb.Group], usual: int) -> list[pb.Group]:
    """Return the first groups in the order asked, as many as are asked for."""
    return _sorted(request, found)[: min(request.limit or usual, max(usual, MOST))]


def _added(wanted: Sequence[Measure], held: Sequence[float], new: Sequence[float]) -> list[float]:
    out = []
    for measure, a, b in zip(wanted, held, new, strict=True):
        both = [x for x in (a, b) if x == x]  # noqa: PLR0124 - NaN: a shard knows of none
        if measure.how in {"min", "max"}:
            out.append((min if measure.how == "min" else max)(both, default=NONE))
        else:
            out.append(sum(both) if both else NONE)
    return out


def _finished(asked: Sequence[Measure], wanted: Sequence[Measure], held: _Held) -> list[float]:
    value = dict(zip(wanted, held.numbers, strict=True))
    distinct = [measure for measure in wanted if measure.how == "distinct"]
    value |= {m: float(len(told)) for m, told in zip(distinct, held.distinct, strict=True)}
    finished = []
    for measure in asked:
        count = value.get(Measure("known", measure.of), 0.0)
        if measure.how == "avg":
            total = value[Measure("sum", measure.of)]
            finished.append(total / count if count else NONE)
        elif measure.how == "sum" and not count:
            finished.append(NONE)
        else:
            finished.append(value[measure])
    return finished


def _kept(asked: Sequence[str], wanted: Sequence[Measure], held: _Held) -> list[pb.Texts]:
    """Return the values behind each distinct(F): a gateway adds them up."""
    distinct = [measure for measure in wanted if measure.how == "distinct"]
    return [
        pb.Texts(lines=lines(sorted(told)))
        for measure, told in zip(distinct, held.distinct, strict=True)
        if measure.text in asked
    ]


def _order(request: pb.AggregateRequest) -> tuple[str, bool]:
    """Return what groups are put in order by, and whether it falls. Raises BadRequest."""
    name = request.order.removeprefix("-").strip()
    if name and name not in {*request.measures, *request.by}:
        among = ", ".join([*request.measures, *request.by])
        raise BadRequest(f"order by one of {among}, not {name}")
    return name, request.order.startswith("-")


def _sorted(request: pb.AggregateRequest, merged: list[pb.Group]) -> list[pb.Group]:
    name, down = _order(request)
    if not name:
        return merged
    if name in request.measures:
        at = list(request.measures).index(name)

        def rank(group: pb.Group) -> tuple[bool, float]:
            value = group.measures[at]
            return value != value, -value if down else value  # noqa: PLR0124 - NaN

        return sorted(merged, key=rank)
    at = list(request.by).index(name)
    known = [group for group in merged if group.by[at]]
    spell = _spelling(request.kind, name)
    known.sort(key=lambda group: spell(group.by[at]), reverse=down)
    return [*known, *(group for group in merged if not group.by[at])]


def _spelling(kind: str, name: str) -> Any:
    """Return what makes a label something to sort by."""
    sort = Dtype.TEXT if name == "region" else compile_term(kind or "shipment", name).sort
    if sort == Dtype.MILESTONE:
        return Milestone.__getitem__
    return float if sort in {*NUMBERS, DURATION} else str


def oldest(part: View, request: pb.AggregateRequest) -> int:
    """Return the least as_of of the values that were counted, or 0 if there are none."""
    terms = [compile_term(part.kind, name) for name in request.by if name != "region"]
    terms += [term for m in request.measures if (term := _term(part.kind, parse(m))) is not None]
    names = [name for term in terms for name in term.names]
    told = (earliest(part, f"{group.name}.as_of") for group in fresh.behind(part.kind, names))
    return min((as_of for as_of in told if as_of != ABSENT), default=0)
