"""Measures: counts, sums and their like over groups, in parts that can be merged over shards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from serving.find import require_after
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest
from twin.fields import check_field
from twin.grouping import groups
from twin.kinds import ABSENT, Dtype
from twin.query import View

Column = NDArray[Any]
_MEASURE = re.compile(r"(?P<how>sum|avg|min|max|known)\((?P<field>[A-Za-z_][A-Za-z0-9_]*)\)")
MOST_GROUPS = 10_000
NONE = float("nan")


def parse(measure: str) -> tuple[str, str]:
    """Return (how, field); ("count", "") for count. Raises BadRequest."""
    if measure == "count":
        return "count", ""
    match = _MEASURE.fullmatch(measure)
    if match is None:
        raise BadRequest(
            f"{measure!r} is no measure; use count, sum(F), avg(F), min(F), max(F) or known(F)"
        )
    return match["how"], match["field"]


def parts(measures: Iterable[str]) -> list[str]:
    """Return the measures that shards compute, from which all of `measures` can be merged."""
    wanted: dict[str, None] = {}
    for measure in measures:
        how, field = parse(measure)
        if how in {"avg", "sum", "min", "max"}:
            wanted[f"known({field})"] = None
        wanted[f"sum({field})" if how == "avg" else measure] = None
    return list(wanted)


def answer(shard: Shard, view: View, request: pb.AggregateRequest) -> pb.AggregateReply:
    """Return the groups of one shard, or the distinct values of one field."""
    require_after(shard.name, view.snapshot, request.after)
    groups = merge(request, [compute(view, request)])
    shard.require_marker()
    return pb.AggregateReply(groups=groups, now=view.now_us, oldest_as_of=oldest(view, request))


def compute(view: View, request: pb.AggregateRequest) -> list[pb.Group]:
    """Return the groups of one shard with the measures of `parts(request.measures)`."""
    for name in request.by:
        check_field(view.kind, name)
    rows = view.rows(request.where)
    names, which = groups(view, rows, request.by)
    if len(names) > MOST_GROUPS:
        raise BadRequest(f"more than {MOST_GROUPS} groups; filter, or group by less")
    columns = [_column(view, rows, which, len(names), m) for m in parts(request.measures)]
    return [
        pb.Group(by=name, measures=[column[i] for column in columns])
        for i, name in enumerate(names)
        if rows.size or not request.by
    ]


def merge(request: pb.AggregateRequest, answers: Iterable[Sequence[pb.Group]]) -> list[pb.Group]:
    """Return the groups of all shards, measures as asked, in the order asked."""
    wanted = parts(request.measures)
    totals: dict[tuple[str, ...], list[float]] = {}
    for answer in answers:
        for group in answer:
            held = totals.get(key := tuple(group.by))
            new = list(group.measures)
            totals[key] = new if held is None else _add(wanted, held, new)
    merged = [
        pb.Group(by=by, measures=[_finish(m, wanted, held) for m in request.measures])
        for by, held in sorted(totals.items())
    ]
    return _sort(request, merged)


def _column(view: View, rows: Column, which: Column, n: int, measure: str) -> list[float]:
    how, field = parse(measure)
    if how == "count":
        return np.bincount(which, minlength=n).astype(float).tolist()
    values = view.values(field)
    if values.dtype in {Dtype.TEXT, Dtype.MILESTONE} and how != "known":
        raise BadRequest(f"{field} is a {values.dtype.value}; only known({field}) can be counted")
    is_known = values.known[rows]
    at = which[is_known]
    if how == "known":
        return np.bincount(at, minlength=n).astype(float).tolist()
    column = values.column[rows][is_known].astype(np.float64)
    if how == "sum":
        return np.bincount(at, column, minlength=n).tolist()
    out = np.full(n, np.inf if how == "min" else -np.inf)
    (np.minimum if how == "min" else np.maximum).at(out, at, column)
    return np.where(np.isinf(out), NONE, out).tolist()


def _add(wanted: Sequence[str], held: Sequence[float], new: Sequence[float]) -> list[float]:
    out = []
    for measure, a, b in zip(wanted, held, new, strict=True):
        how = parse(measure)[0]
        if how in {"min", "max"}:
            both = [x for x in (a, b) if x == x]  # noqa: PLR0124 - NaN differs from itself
            out.append((min if how == "min" else max)(both, default=NONE))
        else:
            out.append(a + b)
    return out


def _finish(measure: str, wanted: Sequence[str], held: Sequence[float]) -> float:
    how, field = parse(measure)
    value = dict(zip(wanted, held, strict=True))
    if how == "avg":
        known = value[f"known({field})"]
        return value[f"sum({field})"] / known if known else NONE
    if how == "sum" and not value[f"known({field})"]:
        return NONE
    return value[measure]


def _sort(request: pb.AggregateRequest, merged: list[pb.Group]) -> list[pb.Group]:
    order = request.order
    if not order:
        return merged
    name = order.removeprefix("-")
    down = order.startswith("-")
    if name in request.measures:
        at = list(request.measures).index(name)

        def rank(group: pb.Group) -> tuple[bool, float]:
            value = group.measures[at]
            return value != value, -value if down else value  # noqa: PLR0124 - NaN

        return sorted(merged, key=rank)
    if name in request.by:
        at = list(request.by).index(name)
        return sorted(merged, key=lambda group: group.by[at], reverse=down)
    raise BadRequest(f"order by one of {', '.join([*request.measures, *request.by])}, not {name}")


def oldest(view: View, request: pb.AggregateRequest) -> int:
    """Return the least as_of of the values that were counted, or 0 if there are none."""
    rows = view.rows(request.where)
    names = [parse(m)[1] for m in request.measures] + list(request.by)
    table = view.snapshot.tables[view.kind]
    least = []
    for name in filter(None, names):
        group = view.values(name).group
        if group is not None:
            as_of = table.take(f"{group.name}.as_of", rows)
            as_of = as_of[as_of != ABSENT]
            if as_of.size:
                least.append(int(as_of.min()))
    return min(least, default=0)
