"""Questions over many twins, as a gateway answers them: resolved, fanned out, and put together.

A question is checked before any shard is asked, so that what is wrong with it is said in one way.
A shard that does not answer is named, and the mode is degraded: never is an answer less than it
says it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from serving import cursors, find, measures, pages
from serving.access import Identity
from serving.relations import resolve
from serving.routes import Route
from serving.sets import sealed
from serving.shards import Shards
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest

BRIEF = 1000  # rows or groups that are put together in about a millisecond
T = TypeVar("T")


async def _apart(size: int, work: Callable[[], T]) -> T:
    """Return what `work` comes to: in a thread where it would hold up the other calls."""
    return work() if size < BRIEF else await asyncio.to_thread(work)


class Questions:
    """Search and Aggregate of one gateway. `key`: the data directory's, which cursors are under."""

    def __init__(self, shards: Shards, key: Path, clock: Callable[[], int]) -> None:
        self._shards = shards
        self._key = key
        self._clock = clock

    async def search(self, request: pb.SearchRequest, who: Identity) -> pb.SearchReply:
        find.check(request.kind, request)
        request.limit = find.limit_of(request)
        asked = pages.begin(request, who, self._key)
        asked.where, sets = await resolve(
            self._shards, request.kind, request.where, who, request.when, request.after
        )
        sealed(sets, asked)
        routes = self._routes(request.kind, request.region, list(request.after))
        answers, missing = await self._shards.all(routes, "Search", asked, who)
        pages.require_written(list(request.after), missing)
        reply, place = await _apart(
            sum(answer.shown for answer in answers),
            partial(pages.joined, request, answers, missing, self._clock()),
        )
        if place:
            reply.cursor = cursors.sealed(self._key, pages.question(request, who), place)
        return reply

    async def aggregate(self, request: pb.AggregateRequest, who: Identity) -> pb.AggregateReply:
        if not request.measures:
            request.measures.append("count")
        measures.check(request.kind, request)
        asked = measures.asked(request)
        asked.where, sets = await resolve(
            self._shards, request.kind, request.where, who, request.when, request.after
        )
        sealed(sets, asked)
        routes = self._routes(request.kind, request.region, list(request.after))
        answers, missing = await self._shards.all(routes, "Aggregate", asked, who)
        pages.require_written(list(request.after), missing)
        parts = [answer.groups for answer in answers]
        groups, total = await _apart(sum(map(len, parts)), partial(measures.merge, request, parts))
        reply = pb.AggregateReply(
            groups=groups,
            shown=len(groups),
            total=total,
            mode=pb.DEGRADED if missing else pb.NORMAL,
            now=self._clock(),
            oldest_as_of=min((a.oldest_as_of for a in answers if a.oldest_as_of), default=0),
            missing=missing,
        )
        for answer in answers:
            reply.offsets.update(answer.offsets)
        return reply

    def _routes(self, kind: str, region: str, after: list[str]) -> list[Route]:
        """Return the shards to ask, by name. Raises BadRequest where `after` names no shard."""
        routes = sorted(self._shards.known(kind, region), key=lambda route: route.name)
        if strange := set(after) - self._shards.routes.all().keys():
            raise BadRequest(
                f"no shard is called {', '.join(sorted(strange))[:200]}; name in `after` one of "
                f"{', '.join(route.name for route in routes)}"
            )
        return routes
