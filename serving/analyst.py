"""For analysts: a twin's rows as pyarrow tables, now or as of an earlier moment.

Every value has its provenance beside it, and every table says what it is of: `told(table)`.
Imports nothing heavy until a table is asked for; that needs the extra `arrow`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from serving.client_search import Asking
from serving.client_watch import Watching
from serving.records import TwinState, fallback, got, including, when
from serving.sql_client import Statements, told
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, TooMany

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Analyst", "Demand", "micros", "told"]

PAGE = 10_000  # rows of one answer
MOST = 1_000_000  # rows of a table, some hundred MB, unless the caller says otherwise
EVENTS = 10_000  # of a history
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Moment = int | str | date | datetime


class Demand(TypedDict, total=False):
    """What else may be asked of a table of twins.

    `region`: only its twins. `limit`: rows at most. `most`: rows beyond which the question is
    refused as TOO_LARGE. `max_age_s`, `min_confidence`, `fallback` (refuse, withhold or label):
    what is demanded of values. `after`: names of receipts that the table must include.
    """

    region: str
    limit: int
    most: int
    max_age_s: float
    min_confidence: float
    fallback: str
    after: Sequence[str]


def micros(moment: Moment) -> int:
    """Return a moment as microseconds since 1970 UTC; one without a zone is UTC. 0 is none.

    A day is its midnight. Raises BadRequest for what is no moment.
    """
    if isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        moment = _parsed(moment)
    if not isinstance(moment, datetime):
        if not isinstance(moment, date):
            raise _no_time(moment)
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - UTC: below
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as e:
        raise _no_time(text[:40]) from e


def _no_time(given: object) -> BadRequest:
    hint = "write 2013-09-01 or 2013-09-01T12:00:00Z"
    return BadRequest(f"{given!r} is no time; {hint}")


class Analyst:
    """A twin's tables as of one moment; `as_of` gives those of another, and changes nothing here.

    Columns of a table of twins: id, region; each FIELD asked for, all if none, and of its group
    GROUP_as_of, GROUP_age_s, GROUP_source, GROUP_confidence, GROUP_offset; shard. They are the same
    whatever is known: what is not is null. Times are timestamp[us, UTC]. Every method raises what
    the twin refuses with, as a TwinError, and EXTRA_MISSING without pyarrow.
    """

    def __init__(self, asking: Asking, *, as_of: int = 0, known_at: int = 0) -> None:
        self._asking = asking
        self._at, self._known_at = as_of, known_at
        self._statements = Statements(asking)

    def __repr__(self) -> str:
        return f"Analyst(as_of={self._at}, known_at={self._known_at})"

    def as_of(self, at: Moment = 0, *, known_at: Moment = 0) -> Analyst:
        """Return the tables as of another moment: what was true at `at`, as known at `known_at`."""
        return Analyst(self._asking, as_of=micros(at), known_at=micros(known_at))

    def get(self, kind: str, id: str, region: str = "", fields: Sequence[str] = ()) -> TwinState:
        """Return one twin. Raises UnknownKey, AmbiguousKey."""
        moment = when(self._at, self._known_at)
        request = pb.GetRequest(kind=kind, id=id, region=region, fields=fields, when=moment)
        return got(self._asking.ask("Get", request))

    def shipments(
        self, where: str = "", fields: Sequence[str] = (), order: str = "", **more: Unpack[Demand]
    ) -> pa.Table:
        """Return shipments that match `where`, all without it, in `order` if one is given."""
        return self.twins("shipment", where, fields, order, **more)

    def sites(
        self, where: str = "", fields: Sequence[str] = (), order: str = "", **more: Unpack[Demand]
    ) -> pa.Table:
        """Return sites, as `shipments` does."""
        return self.twins("site", where, fields, order, **more)

    def suppliers(
        self, where: str = "", fields: Sequence[str] = (), order: str = "", **more: Unpack[Demand]
    ) -> pa.Table:
        """Return suppliers, as `shipments` does."""
        return self.twins("supplier", where, fields, order, **more)

    def stock(
        self, where: str = "", fields: Sequence[str] = (), order: str = "", **more: Unpack[Demand]
    ) -> pa.Table:
        """Return products at sites, as `shipments` does."""
        return self.twins("stock", where, fields, order, **more)

    def alerts(
        self, where: str = "", fields: Sequence[str] = (), order: str = "", **more: Unpack[Demand]
    ) -> pa.Table:
        """Return alerts, cleared ones too, as `shipments` does."""
        return self.twins("alert", where, fields, order, **more)

    def twins(
        self,
        kind: str,
        where: str = "",
        fields: Sequence[str] = (),
        order: str = "",
        **more: Unpack[Demand],
    ) -> pa.Table:
        """Return twins of a kind that match.

        Read in pages: what changes meanwhile is as of its page; `as_of` gives one moment for all.
        Raises TooMany where more than `most` match.
        """
        tables = _tables()
        limit, most = more.get("limit", 0), more.get("most", MOST)
        request = pb.SearchRequest(
            kind=kind,
            where=where,
            fields=fields,
            order=order,
            region=more.get("region", ""),
            format=pb.ARROW,
            when=when(self._at, self._known_at),
            max_age_s=more.get("max_age_s", 0.0),
            min_confidence=more.get("min_confidence", 0.0),
            fallback=fallback(more.get("fallback", "refuse")),
            after=including(more.get("after", ())),
        )
        pages = []
        for reply in self._pages(request, limit):
            if not limit and reply.total > most:
                raise TooMany(f"{reply.total} twins match, at most {most} are given; narrow it")
            pages.append(reply)
        found: pa.Table = tables.twins(kind, fields, pages)
        return found

    def sql(self, text: str, region: str = "", limit: int = 0) -> pa.Table:
        """Return the answer to a read-only statement; `limit`: rows at most, 100,000 if 0."""
        found: pa.Table = self._statements.sql(
            text, region, limit, as_of=self._at, known_at=self._known_at
        )
        return found

    def history(
        self,
        kind: str,
        id: str,
        region: str = "",
        fields: Sequence[str] = (),
        *,
        since: Moment = 0,
        until: Moment = 0,
        by_event_time: bool = False,
        limit: int = EVENTS,
    ) -> pa.Table:
        """Return one twin's events, oldest first, and what each said and changed.

        Columns: of the event; FIELD, where it changed it, as it stood after; said_FIELD.
        """
        tables = _tables()
        request = pb.HistoryRequest(
            kind=kind,
            id=id,
            region=region,
            fields=fields,
            since=micros(since),
            until=micros(until),
            by_event_time=by_event_time,
            oldest_first=True,
            when=when(self._at, self._known_at),
        )
        pages, left = [], limit
        while left > 0:
            request.limit = min(left, PAGE)
            reply = self._asking.ask("History", request)
            pages.append(reply)
            left -= len(reply.entries)
            request.cursor = reply.cursor
            if not reply.cursor:
                break
        found: pa.Table = tables.history(kind, pages)
        return found

    def explain(
        self, kind: str, id: str, field: str, region: str = "", *, limit: int = 100
    ) -> pa.Table:
        """Return why a value is what it is: the event that decided it, then those that lost.

        Columns: role (decided, lost or input), value, rule, and of the event. `told` says the
        value's unit, merge rule, contract and SLA class.
        """
        tables = _tables()
        request = pb.ExplainRequest(
            kind=kind,
            id=id,
            region=region,
            field=field,
            limit=limit,
            when=when(self._at, self._known_at),
        )
        found: pa.Table = tables.reasons(self._asking.ask("Explain", request))
        return found

    def watch(
        self,
        kind: str = "shipment",
        where: str = "",
        fields: Sequence[str] = (),
        region: str = "",
        cursor: str = "",
    ) -> Iterator[pa.Table]:
        """Yield what matches now, then its changes as they come; close it to end.

        Columns: change (entered, changed or left), offset, absent (fields of which nothing is known
        any more), and those of a table of twins; of one that changed, those that were told. A table
        without rows is a bookmark. `told` says the cursor to go on with: a later `watch` misses
        nothing and repeats nothing. Goes on by itself behind a break (docs/subscribe.md).
        """
        if self._at or self._known_at:
            raise BadRequest("what was does not change; watch without as_of")
        tables = _tables()
        replies = Watching(self._asking).subscribe(kind, where, fields, region, cursor=cursor)
        return (tables.changes(kind, fields, reply) for reply in replies)

    def _pages(self, request: pb.SearchRequest, limit: int) -> Iterator[pb.SearchReply]:
        left = limit
        while True:
            request.limit = min(left or PAGE, PAGE)
            reply: pb.SearchReply = self._asking.ask("Search", request)
            yield reply
            left -= reply.shown if limit else 0
            request.cursor = reply.cursor
            if not reply.cursor or (limit and left <= 0):
                return


def _tables() -> Any:
    """Return the module that makes tables. Raises BadRequest EXTRA_MISSING."""
    try:
        from serving import analyst_tables  # noqa: PLC0415 - the base install has no pyarrow
    except ImportError as e:
        raise BadRequest(
            "tables need pyarrow; pip install 'supply-twin[arrow]'", "EXTRA_MISSING"
        ) from e
    return analyst_tables
