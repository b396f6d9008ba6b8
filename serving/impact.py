"""Impact: what a failing supplier, site or lane touches, in shipments, packs and money.

What depends on it is walked breadth first: its open shipments, then the sites that wait for them
and the suppliers that sent them, then the stock there of what they bring. Every step is a filter
in the language that anybody may ask (docs/filters.md), so that each can be asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from serving.access import Identity
from serving.questions import Questions
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, UnknownKey

DEPTH, DEEPEST = 3, 8  # relations walked; of what is modelled nothing lies beyond the third
LIMIT, MOST = 20, 1000  # twins listed of each kind
MOST_DASHES = 13  # in the name of a lane
OPEN = "(status IS ABSENT OR status < 'CANCELLED')"
SHOWN = {
    "shipment": (
        *("supplier", "origin", "site", "product", "quantity", "value_cents"),
        *("status", "promised_at", "eta_p50"),
    ),
    "site": ("name", "country", "status"),
    "supplier": ("name", "status"),
    "stock": ("site", "product", "on_hand", "reserved"),
}
ORDERS = {"shipment": "-value_cents,promised_at", "stock": "-on_hand"}


class Step(NamedTuple):
    """Twins that depend on what was found before, as a filter of their kind."""

    kind: str
    depth: int
    relation: str
    where: str
    shipments: str = ""  # whose packs and money depend with them


class Impact:
    """Answers Impact on a gateway."""

    def __init__(self, questions: Questions, clock: Callable[[], int]) -> None:
        self._questions = questions
        self._clock = clock

    async def impact(self, request: pb.ImpactRequest, who: Identity) -> pb.ImpactReply:
        """Return what depends, by kind. Raises UnknownKey where nothing of that name is known."""
        if not 0 <= request.depth <= DEEPEST or request.limit < 0:
            raise BadRequest(f"depth is 1 to {DEEPEST}, and limit 1 or more; ask so")
        steps = [s for s in walk(request.kind, request.id) if s.depth <= (request.depth or DEPTH)]
        groups = await asyncio.gather(*(self._group(step, request, who) for step in steps))
        reply = pb.ImpactReply(now=self._clock())
        for group, missing in groups:
            if group.count or group.kind == "shipment":
                reply.groups.append(group)
            reply.missing.extend(name for name in missing if name not in reply.missing)
        reply.mode = pb.DEGRADED if reply.missing else pb.NORMAL
        reply.quantity, reply.value = reply.groups[0].quantity, reply.groups[0].value
        if not any(group.count for group in reply.groups):
            await self._require(request, who)
        return reply

    async def _group(
        self, step: Step, request: pb.ImpactRequest, who: Identity
    ) -> tuple[pb.ImpactGroup, list[str]]:
        found = await self._questions.search(
            pb.SearchRequest(
                kind=step.kind,
                where=step.where,
                fields=SHOWN[step.kind],
                order=ORDERS.get(step.kind, "id"),
                limit=min(request.limit or LIMIT, MOST),
                region=request.region,
                when=request.when,
            ),
            who,
        )
        group = pb.ImpactGroup(
            kind=step.kind,
            depth=step.depth,
            relation=step.relation,
            count=found.total,
            twins=found.twins,
        )
        missing = list(found.missing)
        if not found.total:
            return group, missing
        shipped = step.kind == "shipment" or bool(step.shipments)
        summed = await self._questions.aggregate(
            pb.AggregateRequest(
                kind="shipment" if shipped else step.kind,
                where=step.shipments or step.where,
                measures=_SHIPPED if shipped else ["sum(on_hand)"],
                region=request.region,
                when=request.when,
            ),
            who,
        )
        for total in summed.groups:
            numbers = [0.0 if n != n else n for n in total.measures]  # noqa: PLR0124 - NaN: unknown
            group.quantity = round(numbers[0])
            if shipped:
                group.value, group.earliest = numbers[1] / 100, round(numbers[2])
        return group, [*missing, *summed.missing]

    async def _require(self, request: pb.ImpactRequest, who: Identity) -> None:
        """Raise UnknownKey unless the supplier or the site is known, though nothing depends."""
        if request.kind != "lane":
            asked = pb.SearchRequest(
                kind=request.kind, where=f"id = {_quoted(request.id)}", limit=1, when=request.when
            )
            if (await self._questions.search(asked, who)).total:
                return
        raise UnknownKey(f"no {request.kind} is called {request.id[:128]}; search for it")


_SHIPPED = ["sum(quantity)", "sum(value_cents)", "min(promised_at)"]


def walk(kind: str, id: str) -> list[Step]:
    """Return what depends on a supplier, a site or a lane, the nearest first. Raises BadRequest."""
    if not id:
        raise BadRequest("say which supplier, site or lane by its `id`")
    if kind == "lane":
        start = _lane(id)
    elif kind in {"supplier", "site"}:
        start = f"{kind} = {_quoted(id)}"
    else:
        raise BadRequest(f"impact is of a supplier, a site or a lane, not of {kind[:40]!r}")
    ships = f"{start} AND {OPEN}"
    steps = [Step("shipment", 1, kind, ships)]
    if kind == "site":
        steps.append(Step("stock", 1, "site", f"site = {_quoted(id)}"))
    else:
        goes = f"id IN (SELECT site FROM shipments WHERE {ships})"
        steps.append(Step("site", 2, "site", goes, ships))
    if kind != "supplier":
        sent = f"id IN (SELECT supplier FROM shipments WHERE {ships})"
        steps.append(Step("supplier", 2, "supplier", sent, ships))
    if kind != "site":
        there = " AND ".join(  # stock is counted by product group
            f"{held} IN (SELECT {brought} FROM shipments WHERE {ships})"
            for held, brought in (("site", "site"), ("product", "product_group"))
        )
        steps.append(Step("stock", 3, "stock", there))
    return steps


def _lane(name: str) -> str:
    """Return a condition of the shipments of a lane, ORIGIN-SITE; either may have dashes in it."""
    parts = name.split("-")
    if not 2 <= len(parts) <= MOST_DASHES + 1:
        raise BadRequest("a lane is ORIGIN-SITE, as in HYDERABAD-LAGOS; write it so")
    ways = [
        f"origin = {_quoted('-'.join(parts[:at]))} AND site = {_quoted('-'.join(parts[at:]))}"
        for at in range(1, len(parts))
    ]
    return f"({' OR '.join(ways)})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
