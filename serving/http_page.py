"""The page over HTTP: its files, its stream of ticks, reports of studies, and predictions for it.

Ticks are computed once a tenant, whoever watches; nothing here is seen without a token or cookie.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from serving import http_json, http_problem, http_session, http_static
from serving.access import Identity
from serving.http_answer import MODE, respond
from serving.http_asked import names
from serving.http_body import read_object
from serving.http_live import Live
from serving.http_ports import Answers, GatewayPort, Predict, Reader, TokenPort
from serving.http_schema import operation
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Denied, Overloaded

REPORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.html")
BODY_LIMIT = 1 << 20
REPORT_LIMIT = 8 << 20
REPORTS_SHOWN = 20
TENANTS = 64  # that may have streams of their own
SERVE_AWAY = "no model serves this region yet; ask again, `twin status` says when it joined"
# A report is a document with styles of its own: it may show itself, and reach nothing.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
Text = Annotated[str, Query(max_length=4096)]


_HEALTH = operation("get_healthz", "Whether this process answers at all", schema={"type": "object"})
_LIVE = operation(
    "get_live",
    "What the page shows, as it changes",
    schema={"type": "string", "description": "one tick a second"},
    media=["text/event-stream"],
)
_REPORTS = operation("get_reports", "Reports of studies, newest first", schema={"type": "object"})
_PREDICT = operation(
    "post_predict_eta",
    "When shipments will arrive, by this region's model or its rule",
    body=("id", "ids"),
    fields={"ids": names(pb.BatchGetRequest)["ids"]},
    schema={"type": "object"},
)
Ticks = Annotated[int, Query(ge=0, le=1000, description="end after so many; 0: do not end")]


class Lives:
    """A stream of ticks per tenant: what one may see is computed once for all its viewers."""

    def __init__(self, answers: Answers, make: Callable[[GatewayPort], Live]) -> None:
        self._answers = answers
        self._make = make
        self._of: dict[str, Live] = {}

    def of(self, who: Identity) -> Live:
        """Return the stream of this asker's tenant. Raises Overloaded."""
        if who.tenant not in self._of:
            if len(self._of) >= TENANTS:
                raise Overloaded(f"{TENANTS} tenants watch already; close a page", 10.0)
            viewer = Identity("live", who.tenant, who.region, frozenset({"read"}), 0)
            self._of[who.tenant] = self._make(Reader(self._answers, viewer))
        return self._of[who.tenant]

    async def close(self) -> None:
        """End every stream."""
        for live in self._of.values():
            await live.close()


class Page:
    """One method per address."""

    def __init__(
        self,
        tokens: TokenPort,
        folder: Path,
        version: str,
        predict: Predict | None,
        lives: Lives,
    ) -> None:
        self._tokens = tokens
        self._reports = folder / "reports"
        self._version = version
        self._predict = predict
        self._lives = lives
        self._assets = http_static.load()

    def router(self) -> APIRouter:
        router = APIRouter()
        for path, method in (
            ("/", self.page),
            ("/static/{name}", self.static),
            ("/reports/{name}", self.report),
        ):
            router.add_api_route(path, method, include_in_schema=False, response_class=Response)
        for path, shown, told in (
            ("/healthz", self.health, _HEALTH),
            ("/v1/live", self.watch, _LIVE),
            ("/v1/reports", self.reports, _REPORTS),
        ):
            router.add_api_route(path, shown, response_class=Response, **told)
        router.add_api_route(
            "/v1/predict/eta", self.predict, methods=["POST"], response_class=Response, **_PREDICT
        )
        return router

    async def page(self, request: Request, code: Text = "") -> Response:
        if code:
            try:
                token = self._tokens.redeem(code)
            except Denied:
                return http_static.respond(self._assets, "used.html", request, 401)
            request.state.set_cookie = http_session.cookie(request, token)
            return RedirectResponse("/", 303, {"cache-control": "no-store"})
        try:
            http_session.enter(self._tokens, request)
        except Denied:
            return http_static.respond(self._assets, "welcome.html", request, 401)
        return http_static.respond(self._assets, "index.html", request)

    async def static(self, request: Request, name: str) -> Response:
        return http_static.respond(self._assets, name, request)

    async def health(self) -> Response:
        """Whether this process answers at all; /v1/status says how well."""
        return respond({"status": "ok", "version": self._version})

    async def watch(self, request: Request, ticks: Ticks = 0) -> Response:
        """One tick a second as Server-Sent Events; `ticks` of them, or all."""
        live = self._lives.of(http_session.enter(self._tokens, request))
        frames = live.frames(live.enter(), ticks)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(frames, headers=headers, media_type="text/event-stream")

    async def predict(self, request: Request) -> Response:
        """When shipments will arrive, by this region's model or its rule."""
        http_session.enter(self._tokens, request)
        body = await read_object(request, BODY_LIMIT)
        if self._predict is None:
            away = http_problem.named("SERVE_UNAVAILABLE", SERVE_AWAY, 5.0)
            return http_problem.response(away, http_problem.trace_id(request))
        status, answer, mode = await self._predict(body)
        if status < 400:
            return respond(answer, mode, status)
        retry_after = float(answer.get("retry_after", 0.0))
        code = str(answer.get("code") or ("SERVE_UNAVAILABLE" if status >= 500 else "MALFORMED"))
        title = str(answer.get("title") or "The prediction was refused")
        told = http_problem.Problem(code, str(answer.get("detail", "")), status, title, retry_after)
        refused = http_problem.response(told, http_problem.trace_id(request))
        refused.headers[MODE] = mode
        return refused

    async def reports(self, request: Request) -> Response:
        """Reports of studies, newest first."""
        http_session.enter(self._tokens, request)
        found = sorted(self._kept(), key=lambda one: one[1], reverse=True)
        rows = [
            {"name": path.name, "written": http_json.rfc3339(int(at * 1e6))} for path, at in found
        ]
        shown = rows[:REPORTS_SHOWN]
        return respond({"reports": shown, "shown": len(shown), "total": len(rows)})

    async def report(self, request: Request, name: str) -> Response:
        http_session.enter(self._tokens, request)
        for path, _ in self._kept():
            if path.name == name:
                policy = {"content-security-policy": REPORT_POLICY, "cache-control": "no-store"}
                return Response(path.read_bytes(), 200, policy, media_type="text/html")
        raise BadRequest("no report has this name; /v1/reports lists them", "NOT_FOUND")

    def _kept(self) -> list[tuple[Path, float]]:
        if not self._reports.is_dir():
            return []
        plain = [
            path
            for path in self._reports.iterdir()
            if REPORT.fullmatch(path.name) and path.is_file() and not path.is_symlink()
        ]
        stats = [(path, path.stat()) for path in plain]
        return [(path, stat.st_mtime) for path, stat in stats if stat.st_size <= REPORT_LIMIT]
