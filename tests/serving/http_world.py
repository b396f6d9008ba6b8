"""A gateway in memory: the answers of HTTP over a sample chain, moving by a clock of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from serving.http_ports import Answer, Answers
from serving.wire import twin_pb2 as pb
from tests.serving.http_chain import DAY, START, Fact, Row, chain, move
from twin.errors import AmbiguousKey, Recovering, Stale, UnknownField, UnknownKey
from twin.kinds import KINDS, Dtype, Milestone

TERM = re.compile(r"(\w+)\s*(>=|<=|!=|=|<|>|IS ABSENT|IS KNOWN)\s*(.*)")


class World:
    """GatewayPort: the clock advances by `step_us` with each status asked for."""

    def __init__(self, seed: int = 7, step_us: int = DAY // 4) -> None:
        self.now = START
        self.notes = {"serve": "east eta@1 ready, west eta@1 ready"}
        self.away: set[str] = set()
        self.fault: Exception | None = None
        self._step = step_us
        self._rows = chain(seed)
        move(self._rows, self.now)

    async def status(self, request: pb.StatusRequest) -> pb.StatusReply:
        self._fail()
        self.now += self._step
        move(self._rows, self.now)
        reply = pb.StatusReply(
            mode=pb.Mode.DEGRADED if self.away else pb.Mode.NORMAL,
            now=self.now,
            clock="replay",
            speed=21600.0,
            version="0.1.0",
            notes=self.notes,
        )
        for at, name in enumerate(("shipment/{}/0", "shipment/{}/1", "site/{}/0", "supplier/{}/0")):
            for region in ("east", "west"):
                reply.shards.append(self._shard(name.format(region), region, at, request.digests))
        return reply

    async def get(self, request: pb.GetRequest) -> pb.GetReply:
        self._fail()
        kind = request.kind or "shipment"
        hits = [
            key
            for key in self._rows[kind]
            if key[1] == request.id and request.region in {"", key[0]}
        ]
        if not hits:
            raise UnknownKey(f"no {kind} has the id {request.id}; `twin search` finds ids")
        if len(hits) > 1:
            raise AmbiguousKey(f"{request.id} is in east and west; name the region")
        twin = self._twin(kind, hits[0], ())
        oldest = max((value.age_ms for value in twin.values.values()), default=0)
        if request.max_age_s and oldest > request.max_age_s * 1000:
            raise Stale(f"a value is older than {request.max_age_s:g} s; allow more", 2.0)
        return pb.GetReply(twin=twin, mode=self._mode(), now=self.now)

    async def search(self, request: pb.SearchRequest) -> pb.SearchReply:
        self._fail()
        kind = request.kind or "shipment"
        hits = [
            key for key, row in self._rows[kind].items() if self._fits(kind, row, request.where)
        ]
        hits = [key for key in hits if request.region in {"", key[0]}]
        by = request.order.lstrip("-")
        if by:
            hits.sort(
                key=lambda key: self._sortable(kind, key, by), reverse=request.order.startswith("-")
            )
        limit = request.limit or 20
        shown = [self._twin(kind, key, request.fields) for key in hits[:limit]]
        return pb.SearchReply(
            twins=shown,
            shown=len(shown),
            total=len(hits),
            mode=self._mode(),
            now=self.now,
            missing=sorted(self.away),
        )

    async def aggregate(self, request: pb.AggregateRequest) -> pb.AggregateReply:
        self._fail()
        kind = request.kind or "shipment"
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in self._rows[kind].values():
            if self._fits(kind, row, request.where):
                by = tuple(_word(name, row) for name in request.by)
                groups.setdefault(by, []).append(row)
        reply = pb.AggregateReply(
            shown=len(groups), total=len(groups), mode=self._mode(), now=self.now
        )
        for by, rows in sorted(groups.items()):
            measures = [_measure(name, rows) for name in request.measures or ("count",)]
            reply.groups.append(pb.Group(by=by, measures=measures))
        return reply

    async def receipts(self, request: pb.ReceiptsRequest) -> pb.ReceiptsReply:
        self._fail()
        return pb.ReceiptsReply(
            receipts=[
                pb.Receipt(
                    id=id,
                    source=request.source,
                    outcome="APPLIED",
                    shard="shipment/east/0",
                    offset=41,
                    epoch=1,
                    event_time=START,
                    ingest_time=START,
                    receipt="shipment/east/0/41",
                )
                for id in request.ids
            ]
        )

    async def quarantine(self, request: pb.QuarantineRequest) -> pb.QuarantineReply:
        self._fail()
        parked = pb.Receipt(id="e-2", source="my-tms", outcome="PARKED", reason="OUT_OF_RANGE")
        return pb.QuarantineReply(parked=[parked], shown=1, total=1)

    def answers(self) -> Answers:
        """Return what HTTP is answered with, whoever asks."""

        def of(method: Callable[[Any], Awaitable[Any]]) -> Answer:
            return lambda request, who: method(request)

        return {
            "Status": of(self.status),
            "Get": of(self.get),
            "Search": of(self.search),
            "Aggregate": of(self.aggregate),
            "Receipts": of(self.receipts),
            "Quarantine": of(self.quarantine),
        }

    def put(self, kind: str, region: str, id: str, row: Row) -> None:
        self._rows[kind][region, id] = row

    def ids(self, kind: str) -> list[str]:
        return [id for _, id in self._rows[kind]]

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _mode(self) -> pb.Mode:
        return pb.Mode.DEGRADED if self.away else pb.Mode.NORMAL

    def _shard(self, name: str, region: str, at: int, digests: bool) -> pb.ShardStatus:
        kind = name.split("/", maxsplit=1)[0]
        away = name in self.away
        ticks = (self.now - START) // max(1, self._step)
        busy = 0.0 if away else (900.0, 870.0, 240.0, 3.5)[at] * (1 + 0.2 * math.sin(ticks + at))
        offset = int(5_000 + ticks * busy)
        return pb.ShardStatus(
            name=name,
            region=region,
            kind=kind,
            epoch=2 if at == 1 else 1,
            state="recovering" if away else "serving",
            pid=20_800 + at,
            address="127.0.0.1:34567",
            offset=offset,
            durable_offset=offset,
            checkpoint_offset=max(0, offset - 613),
            twins={kind: len(self._rows[kind]) // 2},
            outcomes={
                "APPLIED": offset,
                "SUPERSEDED": offset // 50,
                "DUPLICATE": offset // 90,
                "PARKED": at,
            },
            events_per_s=busy,
            memory_bytes=(96 + 7 * at) << 20,
            queue=int(busy / 20),
            queue_bound=4096,
            headroom=0.0 if away else 4.1 + at,
            newest_as_of=self.now - (at + 1) * DAY // 24,
            truth_digest="9f2c41" if digests else "",
            journal_bytes=offset * 210,
            fsync_p99_ms=0.4,
        )

    def _twin(self, kind: str, key: tuple[str, str], fields: Any) -> pb.TwinState:
        row = self._rows[kind][key]
        for name in fields:
            if KINDS[kind].field(name) is None:
                raise UnknownField(f"{kind} has no field {name}; see `twin search --help`")
        values = {n: self._value(kind, n, f) for n, f in row.items() if not fields or n in fields}
        region, id = key
        return pb.TwinState(
            key=f"demo/{kind}/{region}/{id}",
            id=id,
            region=region,
            values=values,
            shard=f"{kind}/{region}/0",
            offset=7912,
            epoch=1,
        )

    def _value(self, kind: str, name: str, fact: Fact) -> pb.Value:
        found = KINDS[kind].field(name)
        assert found is not None
        group, field = found
        age = self.now - fact.as_of
        value = pb.Value(
            as_of=fact.as_of,
            age_ms=age // 1000,
            confidence=fact.confidence,
            source=fact.source,
            offset=7911,
            state="stale" if age > group.sla_s * 1e6 else "live",
            unit=field.unit,
        )
        if field.dtype is Dtype.MILESTONE:
            value.text = Milestone(fact.value).name
        else:
            setattr(value, _MEMBERS[field.dtype], fact.value)
        return value

    def _fits(self, kind: str, row: Row, where: str) -> bool:
        return all(self._holds(kind, row, term) for term in where.split(" AND ") if term)

    def _holds(self, kind: str, row: Row, term: str) -> bool:
        parsed = TERM.fullmatch(term.strip())
        assert parsed is not None, term
        name, op, text = parsed.groups()
        found = KINDS[kind].field(name)
        if found is None:
            raise UnknownField(f"{kind} has no field {name}; see `twin search --help`")
        if op.startswith("IS"):
            return (name in row) is (op == "IS KNOWN")
        if name not in row:
            return False
        given, wanted = row[name].value, _literal(found[1].dtype, text.strip("'"))
        return {
            "=": given == wanted, "!=": given != wanted, "<": given < wanted,
            "<=": given <= wanted, ">": given > wanted, ">=": given >= wanted,
        }[op]  # fmt: skip

    def _sortable(self, kind: str, key: tuple[str, str], by: str) -> Any:
        fact = self._rows[kind][key].get(by)
        return -math.inf if fact is None else fact.value


_MEMBERS = {
    Dtype.TIME: "time",
    Dtype.INTEGER: "integer",
    Dtype.NUMBER: "number",
    Dtype.TEXT: "text",
    Dtype.FLAG: "flag",
}


def recovering() -> Recovering:
    return Recovering("shard shipment/east/1 replays its journal; ask again", 1.5)


def _literal(dtype: Dtype, text: str) -> Any:
    if dtype is Dtype.TIME:
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return int(day.timestamp() * 1e6)
    if dtype is Dtype.MILESTONE:
        return int(Milestone[text])
    return text if dtype is Dtype.TEXT else float(text)


def _word(name: str, row: Row) -> str:
    if name not in row:
        return ""
    return Milestone(row[name].value).name if name == "status" else str(row[name].value)


def _measure(name: str, rows: list[Row]) -> float:
    if name == "count":
        return float(len(rows))
    field = name[4:-1]
    held = [float(row[field].value) for row in rows if field in row]
    return sum(held) if name.startswith("sum") else sum(held) / len(held) if held else math.nan
