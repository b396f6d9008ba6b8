"""The client's questions of the past and of why: history, differences, reasons, what depends on it.

Answers are the messages of `wire/twin.proto`; every time is int64 microseconds UTC, 0 for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from serving.records import when
from serving.wire import twin_pb2 as pb

SLOW_S = 60.0  # of what may read a whole table of an earlier moment


class Asking(Protocol):
    """What asks an rpc by its name. `serving.client.Client` is one."""

    def ask(self, rpc: str, request: Any, timeout_s: float = 0.0) -> Any: ...


class Past:
    """Questions of one connection. Each raises what the twin refuses with, as a TwinError."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking.ask

    def history(
        self,
        kind: str,
        id: str,
        region: str = "",
        *,
        fields: Sequence[str] = (),
        since: int = 0,
        until: int = 0,
        by_event_time: bool = False,
        oldest_first: bool = False,
        limit: int = 100,
        cursor: str = "",
        as_of: int = 0,
        known_at: int = 0,
    ) -> pb.HistoryReply:
        """Return one twin's events and what each did, newest first.

        `since`, `until`: event times, the first inclusive. `cursor`: of an earlier answer.
        """
        request = pb.HistoryRequest(
            kind=kind,
            id=id,
            region=region,
            fields=fields,
            since=since,
            until=until,
            by_event_time=by_event_time,
            oldest_first=oldest_first,
            limit=limit,
            cursor=cursor,
            when=when(as_of, known_at),
        )
        reply: pb.HistoryReply = self._ask("History", request)
        return reply

    def diff(
        self,
        kind: str,
        id: str = "",
        *,
        where: str = "",
        region: str = "",
        fields: Sequence[str] = (),
        before: int = 0,
        after: int = 0,
        before_known_at: int = 0,
        after_known_at: int = 0,
        limit: int = 20,
    ) -> pb.DiffReply:
        """Return what differs of one twin, or of all that match `where` at either moment."""
        request = pb.DiffRequest(
            kind=kind,
            id=id,
            where=where,
            region=region,
            fields=fields,
            before=when(before, before_known_at),
            after=when(after, after_known_at),
            limit=limit,
        )
        reply: pb.DiffReply = self._ask("Diff", request, SLOW_S)
        return reply

    def first_true(
        self,
        kind: str,
        id: str,
        where: str,
        region: str = "",
        *,
        last: bool = False,
        event_axis: bool = False,
        since: int = 0,
        until: int = 0,
    ) -> pb.FirstTrueReply:
        """Return since when, or with `last` until when, a condition held of one twin.

        `event_axis`: when it became true in the world; else when it became known here.
        """
        request = pb.FirstTrueRequest(
            kind=kind,
            id=id,
            region=region,
            where=where,
            last=last,
            event_axis=event_axis,
            since=since,
            until=until,
        )
        reply: pb.FirstTrueReply = self._ask("FirstTrue", request)
        return reply

    def explain(
        self,
        kind: str,
        id: str,
        field: str,
        region: str = "",
        *,
        as_of: int = 0,
        known_at: int = 0,
        limit: int = 20,
    ) -> pb.ExplainReply:
        """Return why a value is what it is: what decided it, and at most `limit` that lost."""
        request = pb.ExplainRequest(
            kind=kind,
            id=id,
            region=region,
            field=field,
            when=when(as_of, known_at),
            limit=limit,
        )
        reply: pb.ExplainReply = self._ask("Explain", request)
        return reply

    def preview(self, *, source: str = "", id: str = "", receipt: str = "") -> pb.PreviewReply:
        """Return what retracting an event, of a source and id or a receipt, would change."""
        request = pb.PreviewRequest(source=source, id=id, receipt=receipt)
        reply: pb.PreviewReply = self._ask("Preview", request)
        return reply

    def impact(
        self,
        kind: str,
        id: str,
        region: str = "",
        *,
        depth: int = 0,
        limit: int = 20,
        as_of: int = 0,
        known_at: int = 0,
    ) -> pb.ImpactReply:
        """Return what depends on a supplier, a site or a lane (ORIGIN-SITE), nearest first.

        `depth`: of relations; 0 for as far as it goes.
        """
        request = pb.ImpactRequest(
            kind=kind,
            id=id,
            region=region,
            depth=depth,
            limit=limit,
            when=when(as_of, known_at),
        )
        reply: pb.ImpactReply = self._ask("Impact", request)
        return reply
