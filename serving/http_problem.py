"""Problems: how an error of twin.errors looks over HTTP (RFC 9457), one table for all.

The text of an exception nobody expected never leaves the process: only INTERNAL and a trace id.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin.errors import Fatal, Retryable, TwinError

log = logging.getLogger(__name__)

MOST_OPEN = 512  # requests at once, open streams among them: as of gRPC
MEDIA_TYPE = "application/problem+json"
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
DEFENCES = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# code word -> (HTTP status, title). A word that is not here gets its class's status.
TABLE: dict[str, tuple[int, str]] = {
    "TOKEN_MISSING": (401, "The request carries no token"),
    "TOKEN_INVALID": (401, "The token is not valid"),
    "TOKEN_EXPIRED": (401, "The token has expired"),
    "TOKEN_NOT_YET_VALID": (401, "The token is not valid yet"),
    "TOKEN_AUDIENCE": (401, "The token is for another region"),
    "TOKEN_TOO_LARGE": (431, "The token is too large"),
    "CODE_INVALID": (401, "The link does not work any more"),
    "SCOPE_MISSING": (403, "The token does not allow this"),
    "TENANT_MISMATCH": (403, "The token is for another tenant"),
    "CROSS_SITE": (403, "Another site sent this request"),
    "NOT_FOUND": (404, "There is nothing at this address"),
    "ENTITY_NOT_FOUND": (404, "No twin has this id"),
    "METHOD_NOT_ALLOWED": (405, "This address does not take that method"),
    "NOT_ACCEPTABLE": (406, "The answer has no such form"),
    "ENTITY_AMBIGUOUS": (409, "Twins of several regions have this id"),
    "FENCED": (409, "A newer writer has taken over"),
    "AS_OF_FUTURE": (400, "That moment has not come yet"),
    "AS_OF_TOO_EARLY": (410, "Nothing was known by then"),
    "EPOCH_STALE": (409, "A newer supervisor has taken over"),
    "ALERT_STATE": (409, "The alert is not in a state for that"),
    "MESSAGE_TOO_LARGE": (413, "The message is too large"),
    "DECOMPRESSED_TOO_LARGE": (413, "The message is too large once unpacked"),
    "MEDIA_TYPE": (415, "The body is of a type that is not read here"),
    "WRONG_REGION": (421, "Another region holds this twin"),
    "NOT_OWNER": (421, "Another shard writes this key"),
    "OVERLOADED": (429, "Too much at once"),
    "SOURCE_LIMIT": (429, "Too many sources"),
    "SLOW_CONSUMER": (429, "The subscriber did not keep up"),
    "FUTURE_OFFSET": (410, "The cursor is ahead of what there is"),
    "FILTER_TIMED": (400, "What the filter matches changes with the clock"),
    "INTERNAL": (500, "Something failed inside"),
    "JOURNAL_FAILED": (500, "The journal could not be written"),
    "JOURNAL_CORRUPT": (500, "The journal is damaged"),
    "JOURNAL_NEWER": (500, "A newer program wrote the journal"),
    "SQL_SYNTAX": (400, "The statement cannot be read"),
    "SQL_UNKNOWN": (400, "The statement names what is not there"),
    "SQL_INVALID": (400, "The statement cannot be computed"),
    "SQL_FORBIDDEN": (403, "The statement does more than read tables"),
    "SQL_TOO_LARGE": (413, "The statement needs too much room"),
    "SQL_TIMEOUT": (504, "The statement took too long"),
    "SQL_UNAVAILABLE": (503, "The query process does not answer"),
    "SHARD_RECOVERING": (503, "The shard is replaying its journal"),
    "SHARD_UNAVAILABLE": (503, "The shard does not answer"),
    "REGION_UNAVAILABLE": (503, "The region does not answer"),
    "SERVE_UNAVAILABLE": (503, "Predictions are not being served"),
    "TOO_OLD": (503, "No value is that fresh"),
    "DISK_FULL": (503, "The disk is full"),
    "STORAGE_UNAVAILABLE": (503, "The archive does not answer"),
    "COMPACTED": (410, "These events are in the archive alone"),
    "DEADLINE_EXCEEDED": (504, "The answer took too long"),
}


class Problem(NamedTuple):
    """One refusal, before it has a trace id. `retry_after` in s; 0: asking again is no use."""

    code: str
    detail: str
    status: int
    title: str
    retry_after: float = 0.0

    def fields(self, trace: str) -> dict[str, object]:
        fields: dict[str, object] = {
            "type": f"urn:supplytwin:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "trace_id": trace,
        }
        return fields | ({"retry_after": self.retry_after} if self.retry_after else {})


def problem(e: TwinError) -> Problem:
    """Return the problem that tells of `e`."""
    retry_after = e.retry_after if isinstance(e, Retryable) else 0.0
    usual = 503 if isinstance(e, Retryable) else 500 if isinstance(e, Fatal) else 400
    status, title = TABLE.get(e.code, (usual, HTTPStatus(usual).phrase))
    # A journal's own words name files, which are nobody's business outside.
    detail = "a shard had to stop; `twin status` says which" if isinstance(e, Fatal) else str(e)
    return Problem(e.code, detail, status, title, retry_after)


def named(code: str, detail: str, retry_after: float = 0.0) -> Problem:
    """Return the problem of a code in TABLE."""
    status, title = TABLE[code]
    return Problem(code, detail, status, title, retry_after)


def response(told: Problem, trace: str) -> Response:
    headers = {"cache-control": "no-store"}
    if told.retry_after:
        headers["retry-after"] = str(max(1, math.ceil(told.retry_after)))
    if told.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(
        msgspec.json.encode(told.fields(trace)), told.status, headers, media_type=MEDIA_TYPE
    )


def trace_id(request: Request) -> str:
    return str(request.state.trace_id)


class Guard:
    """Outermost: gives each request a trace id, each answer its defences, each fault a body.

    More than `most` requests at once are told to come back, before anything is read of them.
    """

    def __init__(self, app: ASGIApp, most: int = MOST_OPEN) -> None:
        self._app = app
        self._most = most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = _trace(scope)
        if self._open >= self._most:
            told = named("OVERLOADED", f"{self._most} requests are open; ask again", 0.2)
            await response(told, trace)(scope, receive, send)
            return
        self._open += 1
        try:
            await self._guarded(scope, receive, send, trace)
        finally:
            self._open -= 1

    async def _guarded(self, scope: Scope, receive: Receive, send: Send, trace: str) -> None:
        scope.setdefault("state", {})["trace_id"] = trace
        started = False

        async def defended(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in DEFENCES.items():
                    headers.setdefault(name, value)
                if renewed := scope["state"].get("set_cookie"):
                    headers.append("set-cookie", renewed)
            await send(message)

        try:
            await self._app(scope, receive, defended)
        except TimeoutError:
            log.warning("no answer in time for %s, trace %s", scope["path"], trace)
            if started:
                raise
            told = named("DEADLINE_EXCEEDED", "no answer came in time; ask again", 1.0)
            await response(told, trace)(scope, receive, defended)
        except Exception:
            log.exception("unexpected, trace %s", trace)
            if started:
                raise
            told = named("INTERNAL", f"something failed inside; look for {trace} in the log")
            await response(told, trace)(scope, receive, defended)


def _trace(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent" and (found := TRACEPARENT.fullmatch(value.decode("latin-1"))):
            return found[1]
    return secrets.token_hex(16)
