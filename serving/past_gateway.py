"""What a gateway answers about the past: who holds a twin is found, and lineage read across shards.

A region that does not answer may hold a twin of the same name, or a fact that another follows
from: then the answer says DEGRADED, and what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serving.access import Identity
from serving.cursors import opened, sealed
from serving.relations import resolve
from serving.routes import Route
from serving.sets import sealed as put_sets
from serving.shards import Shards
from serving.wire import twin_pb2 as pb
from twin.contracts import CONTRACTS
from twin.derived import EFFECTS, MADE_UP
from twin.errors import AmbiguousKey, AsOfTooEarly, BadRequest, Refused, TwinError, UnknownKey
from twin.sources import OWN
from twin.texts import texts

LIMIT, MOST = 100, 10_000  # twins of a Diff
DERIVED = {c.name for c in CONTRACTS if c.type in {effect.type for effect in EFFECTS}}
NOTHING = (UnknownKey, AsOfTooEarly)  # it is not there, or was not by then


class PastOfGateway:
    """`kind`: the kind that a request names. `key`: what cursors are sealed with."""

    def __init__(self, shards: Shards, key: Path, kind: Callable[[str], str]) -> None:
        self._shards = shards
        self._key = key
        self._kind = kind

    async def history(self, request: pb.HistoryRequest, who: Identity) -> pb.HistoryReply:
        request.kind = self._kind(request.kind)
        question = pb.HistoryRequest()
        question.CopyFrom(request)
        question.cursor, question.limit = "", 0
        bound = ("history", who.tenant, question.SerializeToString(deterministic=True))
        if request.cursor:
            request.cursor = opened(self._key, bound, request.cursor).decode()
        reply: pb.HistoryReply = await anywhere(self._shards, "History", request, who)
        if reply.cursor:
            reply.cursor = sealed(self._key, bound, reply.cursor.encode())
        return reply

    async def first_true(self, request: pb.FirstTrueRequest, who: Identity) -> pb.FirstTrueReply:
        request.kind = self._kind(request.kind)
        reply: pb.FirstTrueReply = await anywhere(self._shards, "FirstTrue", request, who)
        return reply

    async def explain(self, request: pb.ExplainRequest, who: Identity) -> pb.ExplainReply:
        request.kind = self._kind(request.kind)
        reply: pb.ExplainReply = await anywhere(self._shards, "Explain", request, who)
        causes = [name for entry in reply.inputs if (name := _cause(entry))]
        found = await asyncio.gather(
            *(self._receipt(name, who) for name in causes), return_exceptions=True
        )
        for one in found:
            if isinstance(one, pb.HistoryEntry):
                reply.inputs.append(one)
            elif isinstance(one, TwinError):
                reply.mode = pb.DEGRADED
            elif isinstance(one, BaseException):
                raise one
        return reply

    async def diff(self, request: pb.DiffRequest, who: Identity) -> pb.DiffReply:
        request.kind = self._kind(request.kind)
        if request.id:
            one: pb.DiffReply = await anywhere(self._shards, "Diff", request, who)
            return one
        request.limit = min(request.limit or LIMIT, MOST)
        for when, into in ((request.before, request.sets_before), (request.after, request.sets)):
            holder = pb.SearchRequest()
            _, sets = await resolve(self._shards, request.kind, request.where, who, when)
            put_sets(sets, holder)
            for name, found in holder.sets.items():
                into[name].CopyFrom(found)
        routes = self._shards.known(request.kind, request.region)
        answers, missing = await self._shards.all(routes, "Diff", request, who)
        shown = [d for answer in answers for d in answer.differences][: request.limit]
        return pb.DiffReply(
            differences=shown,
            shown=len(shown),
            total=sum(answer.total for answer in answers),
            mode=pb.DEGRADED if missing else pb.NORMAL,
            now=max((answer.now for answer in answers), default=0),
            missing=missing,
        )

    async def preview(self, request: pb.PreviewRequest, who: Identity) -> pb.PreviewReply:
        if request.restated:
            raise BadRequest("`restated` is for gateways; name an event")
        routes = list(self._shards.routes.all().values())
        if request.receipt:
            name = request.receipt.rpartition("/")[0]
            routes = [route for route in routes if route.name == name]
            if not routes:
                raise UnknownKey(f"no event has the receipt {request.receipt}")
        reply: pb.PreviewReply = await _only(self._shards, routes, "Preview", request, who)
        restated = list(reply.restated)
        del reply.restated[:]
        for kind in dict.fromkeys(one.kind for one in restated):
            some = [one for one in restated if one.kind == kind]
            followed = pb.PreviewRequest(restated=some)
            answers, missing = await self._follow(kind, some, followed, who)
            for answer in answers:
                reply.differences.extend(answer.differences)
                reply.alerts.extend(answer.alerts)
                reply.predictions.extend(answer.predictions)
            reply.missing.extend(missing)
        if reply.missing:
            reply.mode = pb.DEGRADED
        return reply

    async def _follow(
        self, kind: str, some: Sequence[pb.Restated], request: pb.PreviewRequest, who: Identity
    ) -> tuple[list[Any], list[str]]:
        """Ask every shard that may hold what would follow."""
        ids = texts([one.id for one in some])
        owners = {
            route.name: route
            for region in self._shards.routes.regions()
            if self._shards.routes.of_kind(kind, region)
            for route in self._shards.routes.owner(kind, region, who.tenant, ids)
        }
        return await self._shards.all(list(owners.values()), "Preview", request, who)

    async def _receipt(self, name: str, who: Identity) -> pb.HistoryEntry:
        """Return the raw event that a receipt names, as far as its shard tells."""
        route = self._shards.routes.all().get(name.rpartition("/")[0])
        if route is None:
            raise UnknownKey(f"no shard holds {name}")
        request = pb.ReceiptsRequest(offset=name)
        reply = await self._shards.ask(route, "Receipts", request, who)
        one = reply.receipts[0]
        return pb.HistoryEntry(
            offset=one.offset,
            event_time=one.event_time,
            ingest_time=one.ingest_time,
            type=one.type,
            source=one.source,
            id=one.id,
            writer=one.writer,
            outcome=one.outcome,
            receipt=one.receipt,
        )


async def anywhere(shards: Shards, method: str, request: Any, who: Identity) -> Any:
    """Return the answer of the one shard that holds `request.id`, in one region or in any.

    Raises UnknownKey where none does, AmbiguousKey where several do, and what else was said.
    """
    ids = texts([request.id])
    regions = [request.region] if request.region else shards.routes.regions()
    owners = [shards.routes.owner(request.kind, region, who.tenant, ids)[0] for region in regions]
    return await _only(shards, owners, method, request, who)


async def _only(
    shards: Shards, routes: Sequence[Route], method: str, request: Any, who: Identity
) -> Any:
    """Return the one answer that is not: nothing like that is here."""
    answers = await asyncio.gather(
        *(shards.ask(route, method, request, who) for route in routes), return_exceptions=True
    )
    found = [one for one in answers if not isinstance(one, BaseException)]
    failed = [one for one in answers if isinstance(one, BaseException)]
    if len(found) > 1:
        keys = ", ".join(_key(reply) for reply in found)
        raise AmbiguousKey(f"{request.id} names {keys}; ask with a region")
    if not found:
        unknown = [one for one in failed if isinstance(one, UnknownKey)] or failed
        raise next((one for one in failed if not isinstance(one, NOTHING)), unknown[0])
    refused = [e for e in failed if isinstance(e, Refused) and not isinstance(e, NOTHING)]
    if refused:
        raise refused[0]
    if any(not isinstance(one, NOTHING) for one in failed):
        found[0].mode = pb.DEGRADED  # who does not answer may hold one of that name
    return found[0]


def _key(reply: Any) -> str:
    """Return the key of the twin that an answer is about."""
    if isinstance(reply, pb.DiffReply):
        return reply.differences[0].key if reply.differences else "twins of several regions"
    twin = getattr(reply, "twin", None)
    return str(twin.key if twin is not None else reply.key)


def _cause(entry: pb.HistoryEntry) -> str:
    """Return the receipt of the raw event that a derived one follows from, or nothing."""
    if entry.type not in DERIVED or "cause_offset" not in entry.said:
        return ""
    shard = entry.source.removeprefix(MADE_UP).removeprefix(OWN)
    return f"{shard}/{entry.said['cause_offset'].integer}"
