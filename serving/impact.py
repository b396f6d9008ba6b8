"""Impact: what a failing supplier, site or lane touches, in shipments, packs and money.

What depends on it is walked breadth first: its open shipments, then the sites that wait for them
and the suppliers that sent them, then the stock there of what they bring; then what is to leave
there with that product, and so on, to any depth (twin.reach). Each twin, and what it is worth, is
counted once, where it is nearest. Every step is a filter in the language that anybody may ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

from serving.access import Identity
from serving.questions import Questions
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, UnknownKey
from twin.reach import Hop, Place, Way, among, conditions, hops, quoted, total

DEEPEST = 100  # relations that are walked
LIMIT, MOST = 20, 1000  # twins listed of each kind
MOST_PLACES = 10_000  # a site and a product that are reached; and ways between them
AT_ONCE = 8  # questions
HOP = 3  # relations: from stock to what leaves, to the sites that wait for it, to the stock there
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


class Walk(NamedTuple):
    """One impact that is asked, and what is answered so far."""

    request: pb.ImpactRequest
    who: Identity
    reply: pb.ImpactReply
    room: asyncio.Semaphore

    @property
    def depth(self) -> int:
        return self.request.depth or DEEPEST

    @property
    def stock(self) -> int:
        """Return at which depth the nearest stock is."""
        return 1 if self.request.kind == "site" else 3


class Impact:
    """Answers Impact on a gateway."""

    def __init__(self, questions: Questions, clock: Callable[[], int]) -> None:
        self._questions = questions
        self._clock = clock

    async def impact(self, request: pb.ImpactRequest, who: Identity) -> pb.ImpactReply:
        """Return what depends, by depth and kind; `truncated` where more does than was walked.

        Raises UnknownKey where nothing of that name is known.
        """
        if not 0 <= request.depth <= DEEPEST or request.limit < 0:
            raise BadRequest(f"depth is 1 to {DEEPEST}, and limit 1 or more; ask so")
        reply = pb.ImpactReply(now=self._clock())
        asked = Walk(request, who, reply, asyncio.Semaphore(AT_ONCE))
        steps = walk(request.kind, request.id)
        near = [self._near(step, asked) for step in steps if step.depth <= asked.depth]
        first, *others = await asyncio.gather(*near)
        further = await self._further(steps[0].where, asked)
        others = [group for group in [*others, *further] if group.count]
        reply.groups.extend([first, *sorted(others, key=lambda group: group.depth)])
        ships = [group for group in reply.groups if group.kind == "shipment"]
        reply.mode = pb.DEGRADED if reply.missing else pb.NORMAL
        reply.quantity = sum(group.quantity for group in ships)
        reply.value = sum(group.value for group in ships)
        if not any(group.count for group in reply.groups):
            await self._require(request, who)
        return reply

    async def _near(self, step: Step, asked: Walk) -> pb.ImpactGroup:
        """Return the twins of a step, with their packs and money."""
        group = pb.ImpactGroup(kind=step.kind, depth=step.depth, relation=step.relation)
        await self._list(group, [step.where], asked)
        if not group.count:
            return group
        if step.kind == "stock":
            await self._count(group, [step.where], asked)
            return group
        summed = await self._sum("shipment", step.shipments or step.where, _SHIPPED, (), asked)
        _weigh(group, total(map(_way, summed.groups)))
        return group

    async def _further(self, ships: str, asked: Walk) -> list[pb.ImpactGroup]:
        """Return what depends on the goods that some shipments bring, hop by hop."""
        id, site = asked.request.id, asked.request.kind == "site"
        if asked.depth < asked.stock:
            return []
        late = [] if site else await self._ways(ships, asked)
        first = {(way.site, way.product) for way in late if way.site and way.product}
        sites = {id} if site else {way.site for way in late}
        leaving = f"{OPEN} AND departed_at IS ABSENT AND NOT (({ships}) IS TRUE)"
        ways: list[Way] = []
        if asked.depth > asked.stock:
            here = f" OR origin = {quoted(id)}" if site else ""
            known = f"(origin IN (SELECT site FROM shipments WHERE {OPEN}){here})"
            ways = await self._ways(f"{known} AND {leaving}", asked)
        if site:
            first = {(id, way.product) for way in ways if way.origin == id and way.product}
        found, cut = hops(first, sites, ways, MOST_PLACES)
        asked.reply.truncated |= cut
        work = [] if site else [self._stock(asked.stock, sorted(first)[:MOST_PLACES], asked)]
        for number, hop in enumerate(found):
            depth = asked.stock + HOP * number
            if depth >= asked.depth:
                asked.reply.truncated |= not asked.request.depth
                break
            work += self._hop(hop, depth, leaving, asked)
        return list(await asyncio.gather(*work))

    def _hop(
        self, hop: Hop, depth: int, leaving: str, asked: Walk
    ) -> Iterable[Coroutine[Any, Any, pb.ImpactGroup]]:
        """Return what leads to the groups of a hop: what leaves, who waits for it, the stock."""
        told = total(hop.ways)
        parts = conditions("origin", "product_group", hop.left)
        yield self._weighed(
            pb.ImpactGroup(kind="shipment", depth=depth + 1, relation="origin"),
            [f"({part}) AND {leaving}" for part in parts],
            told,
            asked,
        )
        if depth + 2 <= asked.depth:
            group = pb.ImpactGroup(kind="site", depth=depth + 2, relation="site")
            yield self._weighed(group, among("id", hop.sites), told, asked)
        if depth + HOP <= asked.depth:
            own = asked.request.id if asked.request.kind == "site" else None
            yield self._stock(depth + HOP, [p for p in hop.places if p[0] != own], asked)

    async def _weighed(
        self, group: pb.ImpactGroup, wheres: Sequence[str], told: Way, asked: Walk
    ) -> pb.ImpactGroup:
        await self._list(group, wheres, asked)
        if group.kind == "shipment":
            group.count = told.shipments  # of the same moment as what they are worth
        _weigh(group, told)
        return group

    async def _stock(self, depth: int, places: Sequence[Place], asked: Walk) -> pb.ImpactGroup:
        """Return the stock at some places. It is counted by product group."""
        group = pb.ImpactGroup(kind="stock", depth=depth, relation="stock")
        wheres = conditions("site", "product", places)
        await self._list(group, wheres, asked)
        if group.count:
            await self._count(group, wheres, asked)
        return group

    async def _list(self, group: pb.ImpactGroup, wheres: Sequence[str], asked: Walk) -> None:
        """Put into a group how many twins match one of some filters, and the dearest of them."""
        request = asked.request
        limit = min(request.limit or LIMIT, MOST)

        async def search(where: str) -> pb.SearchReply:
            async with asked.room:
                question = pb.SearchRequest(
                    kind=group.kind,
                    where=where,
                    fields=SHOWN[group.kind],
                    order=ORDERS.get(group.kind, "id"),
                    limit=limit,
                    region=request.region,
                    when=request.when,
                )
                return await self._questions.search(question, asked.who)

        found = await asyncio.gather(*map(search, wheres))
        twins = [twin for one in found for twin in one.twins]
        if len(found) > 1:
            twins.sort(key=_dearest)
        group.twins.extend(twins[:limit])
        group.count = sum(one.total for one in found)
        for one in found:
            _miss(asked, one.missing)

    async def _count(self, group: pb.ImpactGroup, wheres: Sequence[str], asked: Walk) -> None:
        """Put into a group of stock how many packs there are."""
        work = [self._sum("stock", where, ["sum(on_hand)"], (), asked) for where in wheres]
        for summed in await asyncio.gather(*work):
            group.quantity += sum(round(_known(one.measures[0])) for one in summed.groups)

    async def _ways(self, where: str, asked: Walk) -> list[Way]:
        """Return the ways that some shipments take."""
        by = ("origin", "product_group", "site")
        summed = await self._sum("shipment", where, _SHIPPED, by, asked)
        asked.reply.truncated |= summed.total > summed.shown
        return [_way(group) for group in summed.groups]

    async def _sum(
        self, kind: str, where: str, measures: Sequence[str], by: Sequence[str], asked: Walk
    ) -> pb.AggregateReply:
        async with asked.room:
            question = pb.AggregateRequest(
                kind=kind,
                where=where,
                by=by,
                measures=measures,
                limit=MOST_PLACES,
                region=asked.request.region,
                when=asked.request.when,
            )
            summed = await self._questions.aggregate(question, asked.who)
        _miss(asked, summed.missing)
        return summed

    async def _require(self, request: pb.ImpactRequest, who: Identity) -> None:
        """Raise UnknownKey unless the supplier or the site is known, though nothing depends."""
        if request.kind != "lane":
            asked = pb.SearchRequest(
                kind=request.kind, where=f"id = {quoted(request.id)}", limit=1, when=request.when
            )
            if (await self._questions.search(asked, who)).total:
                return
        raise UnknownKey(f"no {request.kind} is called {request.id[:128]}; search for it")


_SHIPPED = ["count", "sum(quantity)", "sum(value_cents)", "min(promised_at)"]


def _way(group: pb.Group) -> Way:
    origin, product, site = group.by or ("", "", "")
    count, quantity, cents, earliest = map(_known, group.measures)
    return Way(origin, product, site, int(count), round(quantity), cents / 100, round(earliest))


def _known(number: float) -> float:
    return 0.0 if number != number else number  # noqa: PLR0124 - NaN: nothing is known


def _weigh(group: pb.ImpactGroup, told: Way) -> None:
    group.quantity, group.value, group.earliest = told.quantity, told.value, told.earliest


def _miss(asked: Walk, missing: Iterable[str]) -> None:
    asked.reply.missing.extend(name for name in missing if name not in asked.reply.missing)


def _dearest(twin: pb.TwinState) -> tuple[Any, ...]:
    """Return what twins of several questions are put in order by, as ORDERS has it."""
    rank: list[Any] = []
    for name, down in (("value_cents", True), ("promised_at", False), ("on_hand", True)):
        value = twin.values.get(name)
        number = 0 if value is None else value.time if name == "promised_at" else value.integer
        rank += [value is None, -number if down else number]
    return (*rank, twin.id, twin.region)


def walk(kind: str, id: str) -> list[Step]:
    """Return what depends on a supplier, a site or a lane, the nearest first. Raises BadRequest."""
    if not id:
        raise BadRequest("say which supplier, site or lane by its `id`")
    if kind == "lane":
        start = _lane(id)
    elif kind in {"supplier", "site"}:
        start = f"{kind} = {quoted(id)}"
    else:
        raise BadRequest(f"impact is of a supplier, a site or a lane, not of {kind[:40]!r}")
    ships = f"{start} AND {OPEN}"
    steps = [Step("shipment", 1, kind, ships)]
    if kind == "site":
        steps.append(Step("stock", 1, "site", f"site = {quoted(id)}"))
    else:
        goes = f"id IN (SELECT site FROM shipments WHERE {ships})"
        steps.append(Step("site", 2, "site", goes, ships))
    if kind != "supplier":
        sent = f"id IN (SELECT supplier FROM shipments WHERE {ships})"
        steps.append(Step("supplier", 2, "supplier", sent, ships))
    return steps


def _lane(name: str) -> str:
    """Return a condition of the shipments of a lane, ORIGIN-SITE; either may have dashes in it."""
    parts = name.split("-")
    if not 2 <= len(parts) <= MOST_DASHES + 1:
        raise BadRequest("a lane is ORIGIN-SITE, as in HYDERABAD-LAGOS; write it so")
    ways = [
        f"origin = {quoted('-'.join(parts[:at]))} AND site = {quoted('-'.join(parts[at:]))}"
        for at in range(1, len(parts))
    ]
    return f"({' OR '.join(ways)})"
