"""Fetching: the columns a statement reads, of one snapshot of every shard, kept while unchanged.

A shard is always asked, so an answer is as fresh as its last acknowledged write; what it says is
unchanged is not sent again. Nothing is shared between tenants: a tenant is part of every key.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import grpc
import pyarrow as pa
import pyarrow.compute as pc

from serving import faults
from serving.access import Identity
from serving.relay import PAUSE_S, patience, reachable
from serving.routes import Route
from serving.shards import Shards
from serving.sql_columns import NEWEST
from serving.sql_statement import Bounds, Statement
from serving.sql_tables import AGE, EVENTS, QUARANTINE, TABLES
from serving.wire import twin_pb2 as pb
from twin.errors import AsOfTooEarly, BadRequest, Fatal, Retryable, TooMany, TwinError, Unavailable
from twin.kinds import SHARD_KINDS

MOST_EVENTS = 5_000_000  # of one question
CACHED = 512 << 20  # bytes of columns kept for the next question
LARGEST = 1 << 30  # bytes that one statement reads, of all shards
ATTEMPT_S = 60.0  # for one answer of one shard
FEWEST = "region"  # the column to ask for when only the number of rows is wanted
_Key = tuple[str, str, int, int]


class Held(NamedTuple):
    """Columns of one shard as of one offset of one writer: kind -> name -> column."""

    epoch: int
    offset: int
    columns: dict[str, dict[str, pa.ChunkedArray]]

    @property
    def bytes(self) -> int:
        return sum(c.nbytes for columns in self.columns.values() for c in columns.values())


class Taken(NamedTuple):
    """The tables of a statement, and as of when: shard -> offset."""

    tables: dict[str, pa.Table]
    offsets: dict[str, int]
    missing: list[str]
    now_us: int


class Cache:
    """What was fetched last, within a bound of bytes; the oldest question's go first."""

    def __init__(self, bound: int = CACHED) -> None:
        self._bound = bound
        self._held: OrderedDict[_Key, Held] = OrderedDict()
        self.bytes = 0

    def get(self, key: _Key) -> Held | None:
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
        return held

    def put(self, key: _Key, held: Held) -> None:
        """Keep `held`, with what else is known of the same offset; drop what is older."""
        known = self._held.pop(key, None)
        if known is not None:
            self.bytes -= known.bytes
            if (known.epoch, known.offset) == (held.epoch, held.offset):
                kinds = held.columns.keys() | known.columns.keys()
                merged = {k: known.columns.get(k, {}) | held.columns.get(k, {}) for k in kinds}
                held = held._replace(columns=merged)
        self._held[key] = held
        self.bytes += held.bytes
        while self.bytes > self._bound and self._held:
            self.bytes -= self._held.popitem(last=False)[1].bytes


class Fetch:
    """Asks the shards on somebody's behalf. All methods run in one event loop."""

    def __init__(self, shards: Shards, cache: Cache | None = None) -> None:
        self._shards = shards
        self._cache = cache or Cache()

    async def take(
        self, statement: Statement, request: pb.SqlRequest, who: Identity, now_us: int
    ) -> Taken:
        """Return what a statement reads. Raises BadRequest, TooMany, Retryable or Fatal."""
        self._require_region(request.region)
        wanted = {TABLES[n].kind: _asked(n, c) for n, c in statement.reads.items()}
        journals = [name for name in (EVENTS, QUARANTINE) if name in statement.reads]
        wanted.pop("", None)
        routes = [
            route
            for route in self._shards.routes.all().values()
            if request.region in {"", route.region}
            and (journals or set(SHARD_KINDS[_kind(route)]) & wanted.keys())
        ]
        for kind in wanted:
            if not self._shards.routes.of_kind(kind):
                raise Unavailable(f"no shard of {kind} is known yet; ask again", 0.5)
        if journals and not routes:
            raise Unavailable("no shard is known yet; ask again", 0.5)
        room = Room()
        answers = await asyncio.gather(
            *(self._columns(route, wanted, request.when, who, room) for route in routes),
            return_exceptions=True,
        )
        early = [e for e in answers if isinstance(e, AsOfTooEarly)]
        if answers and len(early) == len(answers):
            raise early[0]
        there, missing = sorted_out(
            routes, [_nothing(now_us) if isinstance(a, AsOfTooEarly) else a for a in answers]
        )
        tables = {
            name: _table(name, columns, [held for _, (held, _) in there])
            for name, columns in statement.reads.items()
            if name not in journals
        }
        offsets = {route.name: held.offset for route, (held, _) in there}
        past = request.when.at or request.when.known_at  # ages are as of then
        now = past or max([now_us, *(told for _, (_, told) in there)])
        for name in journals:
            bounds = within(statement.bounds.get(name, Bounds()), request.when)
            asked = [(route, held.offset) for route, (held, _) in there]
            tables[name], lost = await self._events(
                name, sorted(statement.reads[name]), bounds, asked, who, room
            )
            missing += [shard for shard in lost if shard not in missing]
        for name, columns in statement.reads.items():
            table = _aged(tables[name], now) if AGE in columns else tables[name]
            order = [column for column in TABLES[name].columns if column in table.column_names]
            tables[name] = table.select(order)  # as DESCRIBE says, and `SELECT *` answers
        return Taken(tables, offsets, missing, now)

    async def _columns(
        self,
        route: Route,
        wanted: Mapping[str, set[str]],
        when: pb.When,
        who: Identity,
        room: Room,
    ) -> tuple[Held, int]:
        """Return columns of one shard's kinds, and its clock."""
        key = (route.name, who.tenant, when.at, when.known_at)
        held = self._cache.get(key) or Held(0, 0, {})
        kinds = [kind for kind in SHARD_KINDS[_kind(route)] if kind in wanted]
        request = pb.ColumnsRequest(when=when, have_epoch=held.epoch, have_offset=held.offset)
        for kind in kinds or SHARD_KINDS[_kind(route)][:1]:  # events: where the snapshot ends
            columns = sorted(wanted.get(kind, ())) or [FEWEST]
            have = [name for name in columns if name in held.columns.get(kind, {})]
            request.tables.add(kind=kind, columns=columns, have=have)
        pieces = await self._ask(route, "Columns", request, who, room)
        first = pieces[0]
        raws: dict[str, list[bytes]] = {}
        for piece in pieces:
            raws.setdefault(piece.kind, []).append(piece.arrow)
        got = {kind: _decoded(b"".join(raw)) for kind, raw in raws.items()}
        if first.unchanged:
            got = {kind: held.columns.get(kind, {}) | columns for kind, columns in got.items()}
        found = Held(first.epoch, first.offset, got)
        self._cache.put(key, found)
        return found, first.now

    async def _events(
        self,
        name: str,
        columns: list[str],
        bounds: Bounds,
        asked: Iterable[tuple[Route, int]],
        who: Identity,
        room: Room,
    ) -> tuple[pa.Table, list[str]]:
        """Return journaled events of all shards, and which shards did not answer."""
        routes = [(r, offset) for r, offset in asked if bounds.shard in {"", r.name} and offset]
        calls = []
        for route, offset in routes:
            request = pb.EventsRequest(
                parked=name == QUARANTINE, fields=columns or ["offset"], before=offset,
                limit=MOST_EVENTS, **bounds._replace(shard="")._asdict(),
            )  # fmt: skip
            calls.append(self._ask(route, "Events", request, who, room))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        there, missing = sorted_out([route for route, _ in routes], answers)
        schema = pa.schema([(n, TABLES[name].columns[n]) for n in columns or ["offset"]])
        parts = [_opened(b"".join(p.arrow for p in pieces)) for _, pieces in there]
        table = pa.concat_tables([schema.empty_table(), *parts])
        if table.num_rows > MOST_EVENTS:
            raise TooMany(
                f"more than {MOST_EVENTS} events match; narrow them by ingest_time, event_time "
                "or shard"
            )
        return table, missing

    async def _ask(
        self, route: Route, method: str, request: Any, who: Identity, room: Room
    ) -> list[Any]:
        """Return all pieces of a stream of whoever writes a shard, or of its successor."""
        until = patience(time.monotonic() + ATTEMPT_S)
        while True:
            error: TwinError
            try:
                current = reachable(self._shards.routes.named(route.name))
                call = getattr(self._shards.stub(current), method)
                stream = call(request, metadata=self._shards.speak(who), timeout=ATTEMPT_S)
                return [piece async for piece in room.taking(stream)]
            except grpc.aio.AioRpcError as e:
                error = faults.from_grpc(e)
            except TwinError as e:
                error = e
            if not faults.moves(error) or time.monotonic() + PAUSE_S > until:
                raise error
            await asyncio.sleep(PAUSE_S)

    def _require_region(self, region: str) -> None:
        known = self._shards.routes.regions()
        if region and known and region not in known:
            raise BadRequest(f"there is no region {region}; there are {', '.join(known)}")


def sorted_out(
    routes: list[Route], answers: list[Any]
) -> tuple[list[tuple[Route, Any]], list[str]]:
    """Return the answers there are, and the names of shards that gave none."""
    there, missing = [], []
    for route, answer in zip(routes, answers, strict=True):
        if isinstance(answer, Retryable | Fatal):  # it moves, or is quarantined
            missing.append(route.name)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            there.append((route, answer))
    if routes and not there:
        raise next(a for a in answers if isinstance(a, BaseException))
    return there, missing


class Room:
    """How many bytes one statement may still read."""

    def __init__(self) -> None:
        self._left = LARGEST

    async def taking(self, stream: Any) -> AsyncIterator[Any]:
        """Yield the pieces of a stream. Raises BadRequest SQL_TOO_LARGE when they are too many."""
        async for piece in stream:
            self._left -= len(piece.arrow)
            if self._left < 0:
                raise BadRequest(
                    f"the statement reads more than {LARGEST >> 20} MiB; name fewer columns, or "
                    "bound the time of events",
                    "SQL_TOO_LARGE",
                )
            yield piece


def within(bounds: Bounds, when: pb.When) -> Bounds:
    """Return bounds that also leave out what was not known, or not true, as of `when`."""
    if when.known_at:
        until = when.known_at + 1
        bounds = bounds._replace(until=min(bounds.until, until) if bounds.until else until)
    if when.at:
        until = when.at + 1
        known = bounds.event_until
        bounds = bounds._replace(event_until=min(known, until) if known else until)
    return bounds


def _nothing(now_us: int) -> tuple[Held, int]:
    """Return what a shard holds that knew of nothing yet."""
    return Held(0, 0, {}), now_us


def _asked(name: str, columns: Iterable[str]) -> set[str]:
    """Return the columns to ask a shard for: how old something is, is known here alone."""
    return {NEWEST if column == AGE else column for column in columns}


def _kind(route: Route) -> str:
    return route.name.partition("/")[0]


def _opened(raw: bytes) -> pa.Table:
    with pa.ipc.open_stream(raw) as reader:
        return reader.read_all()


def _decoded(raw: bytes) -> dict[str, pa.ChunkedArray]:
    return (
        dict(zip((table := _opened(raw)).column_names, table.columns, strict=True)) if raw else {}
    )


def _table(name: str, columns: Iterable[str], parts: Iterable[Held]) -> pa.Table:
    """Return the rows of all shards; what is asked for is in all of them."""
    known = TABLES[name]
    names = [n for n in known.columns if n in _asked(name, columns)] or [FEWEST]
    found = [part.columns[known.kind] for part in parts if known.kind in part.columns]
    return pa.table(
        {
            n: pa.chunked_array([c for part in found for c in part[n].chunks], known.columns[n])
            for n in names
        }
    )


def _aged(table: pa.Table, now_us: int) -> pa.Table:
    """Return a table with how old the newest group of each twin is, in seconds."""
    newest = table[NEWEST].cast(pa.int64())
    age = pc.divide(pc.cast(pc.subtract(pa.scalar(now_us), newest), pa.float64()), 1e6)
    return table.append_column(AGE, age)
