"""The client's questions of many twins: search, its pages, aggregates, whole columns.

Every answer names how many there are beside how many it shows, and the clock it was given by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from serving.records import ColumnSet, Found, Groups, TwinState, found, including, when
from serving.records import fallback as fallback_of
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest

SLOW_S = 60.0  # of what sends whole tables


class Asking(Protocol):
    """What asks an rpc by its name, or one that streams. `serving.client.Client` is one."""

    def ask(self, rpc: str, request: Any, timeout_s: float = 0.0) -> Any: ...

    def pieces(
        self, rpc: str, request: Any, timeout_s: float | None = None, silence_s: float = 0.0
    ) -> Iterator[Any]: ...


class Searching:
    """Questions of one connection. Each raises what the twin refuses with, as a TwinError."""

    def __init__(self, asking: Asking) -> None:
        self._ask, self._pieces = asking.ask, asking.pieces

    def search(
        self,
        kind: str,
        where: str = "",
        fields: Sequence[str] = (),
        order: str = "",
        limit: int = 20,
        region: str = "",
        *,
        cursor: str = "",
        max_age_s: float = 0.0,
        min_confidence: float = 0.0,
        fallback: str = "refuse",
        as_of: int = 0,
        known_at: int = 0,
        after: Sequence[str] = (),
    ) -> Found:
        """Return the twins that match `where`, at most `limit`, and how many there are.

        `cursor`: of an earlier answer to the same question, for what follows it. `after`: names of
        receipts that the answer must include. `as_of`, `known_at`, `fallback`: as of `get`.
        """
        request = pb.SearchRequest(
            kind=kind,
            where=where,
            fields=fields,
            order=order,
            limit=limit,
            region=region,
            cursor=cursor,
            max_age_s=max_age_s,
            min_confidence=min_confidence,
            fallback=fallback_of(fallback),
            when=when(as_of, known_at),
            after=including(after),
        )
        return found(self._ask("Search", request))

    def search_all(
        self,
        kind: str,
        where: str = "",
        fields: Sequence[str] = (),
        order: str = "",
        *,
        page: int = 1000,
        **more: Any,
    ) -> Iterator[TwinState]:
        """Yield all twins that match, `page` at a time; `more`: as of `search`."""
        cursor = ""
        while True:
            reply = self.search(kind, where, fields, order, page, cursor=cursor, **more)
            yield from reply.twins
            cursor = reply.cursor
            if not cursor:
                return

    def aggregate(
        self,
        kind: str,
        where: str = "",
        by: Sequence[str] = (),
        measures: Sequence[str] = ("count",),
        order: str = "",
        limit: int = 20,
        region: str = "",
        *,
        as_of: int = 0,
        known_at: int = 0,
        after: Sequence[str] = (),
    ) -> Groups:
        """Return a row per group: the fields of `by`, and every measure.

        `after`: names of receipts that the answer must include.
        """
        request = pb.AggregateRequest(
            kind=kind,
            where=where,
            by=by,
            measures=measures,
            order=order,
            limit=limit,
            region=region,
            when=when(as_of, known_at),
            after=including(after),
        )
        reply: pb.AggregateReply = self._ask("Aggregate", request)
        rows = [
            dict(zip(by, group.by, strict=True)) | dict(zip(measures, group.measures, strict=True))
            for group in reply.groups
        ]
        mode = pb.Mode.Name(reply.mode).lower()
        return Groups(rows, reply.shown, reply.total, mode, reply.now, reply.oldest_as_of)

    def columns(
        self,
        kind: str,
        fields: Sequence[str] = (),
        where: str = "",
        region: str = "",
        *,
        as_of: int = 0,
        known_at: int = 0,
    ) -> ColumnSet:
        """Return whole columns of one snapshot per shard. Needs the extra `arrow`."""
        arrow = extra()
        request = pb.ColumnsRequest(
            kind=kind, fields=fields, where=where, region=region, when=when(as_of, known_at)
        )
        columns, offsets, now = arrow.gather(self._pieces("Columns", request, SLOW_S))
        return ColumnSet(columns, offsets, now)


def extra() -> Any:
    """Return the module that reads columns. Raises BadRequest EXTRA_MISSING."""
    try:
        from serving import arrow  # noqa: PLC0415 - the base install has no pyarrow
    except ImportError as e:
        raise BadRequest(
            "columns need pyarrow; pip install 'supply-twin[arrow]'", "EXTRA_MISSING"
        ) from e
    return arrow
