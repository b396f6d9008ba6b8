"""Relations: what a filter asks of other twins, looked up before its own shards are asked.

Sub-queries are answered innermost first, from every region. A shard that does not answer makes
the whole question fail: what is IN a set, and more so what is not, would be wrong without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from serving.access import Identity
from serving.sets import Sets, sealed, words
from serving.shards import Shards
from serving.wire import twin_pb2 as pb
from twin.errors import AmbiguousKey, TooMany, Unavailable, UnknownKey
from twin.filters import compile_filter
from twin.subqueries import Need

MOST = 100_000  # distinct values of one sub-query
MOST_BYTES = 8 << 20  # of all that one filter is told
AGAIN_S = 0.5
NOW = pb.When()
NOTHING: Mapping[str, int] = MappingProxyType({})


class Asking(NamedTuple):
    """Who asks what shards, as of when, and what they must know already."""

    shards: Shards
    who: Identity
    when: pb.When
    after: Mapping[str, int]


async def resolve(
    shards: Shards,
    kind: str,
    where: str,
    who: Identity,
    when: pb.When = NOW,
    after: Mapping[str, int] = NOTHING,
) -> tuple[str, Sets]:
    """Return a filter for the shards of `kind`, and the sets that it names (see serving.sets).

    Raises UnknownField or BadRequest where the filter is wrong, TooMany where a sub-query finds
    too much, UnknownKey where `near` names no site, Unavailable where a shard does not answer.
    """
    found = compile_filter(kind, where)
    if not found.needs:
        return where, {}
    sets: Sets = {}
    await _look_up(Asking(shards, who, when, after), found.needs, sets)
    if sum(len(word) + 1 for told in sets.values() for word in told) > MOST_BYTES:
        raise TooMany(
            f"the sub-queries of a filter find {MOST_BYTES >> 20} MiB at most; narrow them"
        )
    return where, sets


async def _look_up(asking: Asking, needs: tuple[Need, ...], sets: Sets) -> None:
    for need in needs:
        if need.key not in sets:
            inner: Sets = {}
            await _look_up(asking, compile_filter(need.kind, need.where).needs, inner)
            if len(need.fields) > 1:
                sets[need.key] = await _place(asking, need)
            else:
                sets[need.key] = await _distinct(asking, need, inner)


async def _distinct(asking: Asking, need: Need, inner: Sets) -> list[str]:
    """Return the distinct values of a field of the twins that match; "" where one is absent."""
    request = pb.AggregateRequest(
        kind=need.kind, where=need.where, distinct=need.fields[0], when=asking.when
    )
    request.after.update(asking.after)
    sealed(inner, request)
    routes = asking.shards.known(need.kind, "")
    answers, missing = await asking.shards.all(routes, "Aggregate", request, asking.who)
    _require_all(missing)
    found = {word for answer in answers for word in words(answer.values.lines)}
    if len(found) > MOST:
        raise TooMany(f"a sub-query finds {MOST} values at most; narrow {need.key[:200]!r}")
    return sorted(found)


async def _place(asking: Asking, need: Need) -> list[str]:
    """Return latitude and longitude of a site as texts, "" where they are not known."""
    request = pb.SearchRequest(
        kind=need.kind, where=need.where, fields=need.fields, limit=2, when=asking.when
    )
    request.after.update(asking.after)
    routes = asking.shards.known(need.kind, "")
    answers, missing = await asking.shards.all(routes, "Search", request, asking.who)
    _require_all(missing)
    twins = [twin for answer in answers for twin in answer.twins]
    if not twins:
        raise UnknownKey(f"no site has {need.where}; search for it, or check the id")
    if len(twins) > 1:
        keys = ", ".join(twin.key for twin in twins)
        raise AmbiguousKey(f"{need.where} names {keys}; use within_km with one's position")
    values = twins[0].values
    return [repr(values[name].number) if name in values else "" for name in need.fields]


def _require_all(missing: list[str]) -> None:
    if missing:
        raise Unavailable(
            f"{', '.join(missing)} did not answer, and the filter asks of its twins; ask again",
            AGAIN_S,
        )
