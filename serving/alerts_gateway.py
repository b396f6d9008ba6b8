"""A gateway's answers about alerts: those of all shards ranked, grouped, acted upon, rehearsed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from serving import deadline, faults
from serving.access import Identity
from serving.routes import SHARD_OF, Route
from serving.shards import Shards
from serving.wire import twin_pb2 as pb
from twin.alert_contracts import ACKNOWLEDGED, OPEN
from twin.alerts import ALERT, named
from twin.errors import BadRequest, Fatal, Retryable, TwinError, Unavailable, UnknownKey
from twin.incidents import FAILING, Alert, Incident, incidents, rank
from twin.rules import parse
from twin.texts import texts

STANDING = f"state IN ('{OPEN}', '{ACKNOWLEDGED}')"  # what waits for a person, or has one
LIMIT = 50
LONGEST_ID = 200  # characters: a kind, an id of 128, a rule
MOST = 10_000  # alerts that are ranked, of each shard: the most urgent ones
REHEARSE_S = 600.0  # for a shard to replay its journal, unless the caller allows less
EXAMPLES = 5
Search = Callable[[pb.SearchRequest, Identity], Awaitable[pb.SearchReply]]
Get = Callable[[pb.GetRequest, Identity], Awaitable[pb.GetReply]]


class GatewayAlerts:
    """Answers about the alerts of every shard."""

    def __init__(self, shards: Shards, clock: Callable[[], int], search: Search, get: Get) -> None:
        self._shards, self._clock = shards, clock
        self._search, self._get = search, get

    async def alerts(self, request: pb.AlertsRequest, who: Identity) -> pb.AlertsReply:
        if request.limit < 0:
            raise BadRequest("limit is 1 or more; leave it out for the usual number")
        if request.events:
            return await self._events(request, who)
        limit = min(request.limit or LIMIT, MOST)
        where = request.where or STANDING
        if request.order and not request.incidents:
            asked = pb.SearchRequest(
                kind=ALERT, where=where, region=request.region, limit=limit, order=request.order
            )
            found = await self._search(asked, who)
            return _reply(found, list(found.twins), found.total)
        asked = pb.SearchRequest(
            kind=ALERT, where=where, region=request.region, limit=MOST, order="deadline"
        )
        found = await self._search(asked, who)
        twins = {(twin.region, twin.id): twin for twin in found.twins}
        ranked = sorted((_alert(twin) for twin in found.twins), key=rank)
        if not request.incidents:
            chosen = [twins[one.region, one.id] for one in ranked[:limit]]
            return _reply(found, chosen, found.total)
        grouped = incidents(ranked, await self._failing(request.region, who))
        reply = _reply(found, [], len(grouped))
        reply.incidents.extend(_incident(one) for one in grouped[:limit])
        reply.shown = len(reply.incidents)
        return reply

    async def act(self, request: pb.ActRequest, who: Identity) -> pb.ActReply:
        """Have the shard of an alert do what a person asks for."""
        if len(request.alert) > LONGEST_ID:
            raise BadRequest(f"an alert's id has at most {LONGEST_ID} characters", "BAD_ID")
        about = named(request.alert)
        if not about.kind:
            raise UnknownKey(f"{request.alert!r} names no alert; look with `twin alerts`")
        region = request.region
        if not region:
            asked = pb.GetRequest(kind=ALERT, id=request.alert)
            region = (await self._get(asked, who)).twin.region
        ids = texts([about.subject])
        owner = self._shards.routes.owner(about.kind, region, who.tenant, ids)[0]
        reply: pb.ActReply = await self._shards.ask(owner, "Act", request, who)
        return reply

    async def rehearse(self, request: pb.RehearseRequest, who: Identity) -> pb.RehearseReply:
        """Have every shard of the rules' kinds replay its journal; add up what they count."""
        rules = parse(request.rules, "the rules")
        if request.until and request.until <= request.since:
            raise BadRequest("until lies before since; turn them round")
        kinds = dict.fromkeys(SHARD_OF[rule.kind] for rule in rules)
        routes = [r for kind in kinds for r in self._shards.known(kind, request.region)]
        asked = (self._rehearsed(route, request, who) for route in routes)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        missing = []
        for route, answer in zip(routes, answers, strict=True):
            if isinstance(answer, Retryable | Fatal):
                missing.append(route.name)
            elif isinstance(answer, BaseException):
                raise answer
        told = [answer for answer in answers if isinstance(answer, pb.RehearseReply)]
        if routes and not told:
            raise next(e for e in answers if isinstance(e, BaseException))
        reply = pb.RehearseReply(
            events=sum(answer.events for answer in told), now=self._clock(), missing=missing
        )
        for rule in rules:
            parts = [one for answer in told for one in answer.rules if one.rule == rule.name]
            reply.rules.append(
                pb.Rehearsal(
                    rule=rule.name,
                    raised=sum(part.raised for part in parts),
                    cleared=sum(part.cleared for part in parts),
                    open=sum(part.open for part in parts),
                    examples=[text for part in parts for text in part.examples][:EXAMPLES],
                )
            )
        return reply

    async def _events(self, request: pb.AlertsRequest, who: Identity) -> pb.AlertsReply:
        """Return what shards journaled of their alerts; from where on to ask, of each."""
        routes = self._shards.known(ALERT, request.region)
        answers, missing = await self._shards.all(routes, "Alerts", request, who)
        events = [event for answer in answers for event in answer.events]
        reply = pb.AlertsReply(
            events=events,
            shown=len(events),
            mode=pb.DEGRADED if missing else pb.NORMAL,
            now=self._clock(),
            missing=missing,
        )
        for answer in answers:
            reply.next.update(answer.next)
        return reply

    async def _rehearsed(
        self, route: Route, request: pb.RehearseRequest, who: Identity
    ) -> pb.RehearseReply:
        if not route.address:
            raise Unavailable(f"{route.name} is {route.state}; ask again", 0.5)
        left = min(REHEARSE_S, deadline.until() - time.monotonic())
        call = self._shards.stub(route).Rehearse
        try:
            reply: pb.RehearseReply = await call(
                request, metadata=self._shards.speak(who), timeout=max(0.0, left)
            )
        except grpc.aio.AioRpcError as e:
            raise faults.from_grpc(e) from e
        return reply

    async def _failing(self, region: str, who: Identity) -> set[tuple[str, str]]:
        """Return the suppliers and sites that are said to fail; those that answer, at least."""
        found = set()
        for kind, words in FAILING.items():
            listed = ", ".join(f"'{word}'" for word in words)
            where = f"status IN ({listed})"
            asked = pb.SearchRequest(kind=kind, where=where, fields=["status"], limit=MOST)
            try:
                reply = await self._search(asked, who)
            except TwinError:  # no such shard answers: their alerts are grouped by what they share
                continue
            found |= {(kind, twin.id) for twin in reply.twins}
        return found


def _reply(found: pb.SearchReply, twins: list[Any], total: int) -> pb.AlertsReply:
    return pb.AlertsReply(
        alerts=twins,
        shown=len(twins),
        total=total,
        mode=found.mode,
        now=found.now,
        missing=found.missing,
    )


def _incident(one: Incident) -> pb.Incident:
    return pb.Incident(
        id=one.id,
        cause=one.cause,
        severity=one.severity,
        count=len(one.alerts),
        value=one.value_cents / 100,
        deadline=one.deadline,
        alerts=one.alerts,
        next_step=one.next_step,
    )


def _alert(twin: pb.TwinState) -> Alert:
    values, about = twin.values, named(twin.id)

    def text(name: str) -> str:
        return str(values[name].text) if name in values else ""

    return Alert(
        twin.id,
        about.rule,
        about.kind,
        about.subject,
        text("severity"),
        values["deadline"].time if "deadline" in values else 0,
        values["value_at_risk_cents"].integer if "value_at_risk_cents" in values else 0,
        text("supplier"),
        text("site"),
        text("lane"),
        text("next_step"),
        twin.region,
    )
