"""The HTTP surface of a gateway: the page, JSON under /v1, and live ticks.

It adds nothing to what gRPC says: the same requests, the same names, the same code words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response, StreamingResponse

from serving import http_json, http_problem, http_session, http_static
from serving.access import Identity
from serving.http_body import read_object
from serving.http_live import Live
from serving.http_ports import GatewayPort, Predict, TokenPort
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Denied, Overloaded, TwinError

PLURALS = {"shipments": "shipment", "sites": "site", "suppliers": "supplier", "stock": "stock"}
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
REPORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.html")
BODY_LIMIT = 1 << 20
REPORT_LIMIT = 8 << 20
REPORTS_SHOWN = 20
TENANTS = 64  # that may have streams of their own
MODE = "twin-mode"
SERVE_AWAY = "no model serves this region yet; ask again, `twin status` says when it joined"
# A report is a document with styles of its own: it may show itself, and reach nothing.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
Text = Annotated[str, Query(max_length=4096)]
Limit = Annotated[int, Query(ge=1, le=10_000)]


def create_app(
    gateway: Callable[[Identity], GatewayPort],
    *,
    tokens: TokenPort,
    folder: Path,
    version: str,
    predict: Predict | None = None,
    live: Callable[[GatewayPort], Live] = Live,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Return the application of one gateway.

    `gateway`: who asks -> the answers they may have. `folder`: the data directory, of which
    reports/ is shown. `predict`: asks this region's models; without it predictions answer
    SERVE_UNAVAILABLE. `routers`: more addresses, each of a file of its own (`http_*.py`); who
    asks is `http_session.enter(tokens, request, scope)`. `app.state.live` holds the streams of ticks: close it before the server
    stops, or open pages hold the server up.
    """
    lives = Lives(gateway, live)
    app = FastAPI(
        title="Supply twin", version=version, docs_url=None, redoc_url=None,
        openapi_url="/v1/openapi.json",
    )  # fmt: skip
    app.state.live = lives
    routes = Routes(gateway, tokens, folder, version, predict, lives)
    for router in (*routers, routes.router()):
        app.include_router(router)
    app.add_exception_handler(TwinError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(RequestValidationError, _refuse_query)
    app.add_middleware(http_problem.Guard)
    return app


class Lives:
    """A stream of ticks per tenant: what one may see is computed once for all its viewers."""

    def __init__(
        self, gateway: Callable[[Identity], GatewayPort], make: Callable[[GatewayPort], Live]
    ) -> None:
        self._as = gateway
        self._make = make
        self._of: dict[str, Live] = {}

    def of(self, who: Identity) -> Live:
        """Return the stream of this asker's tenant. Raises Overloaded."""
        if who.tenant not in self._of:
            if len(self._of) >= TENANTS:
                raise Overloaded(f"{TENANTS} tenants watch already; close a page", 10.0)
            viewer = Identity("live", who.tenant, who.region, frozenset({"read"}), 0)
            self._of[who.tenant] = self._make(self._as(viewer))
        return self._of[who.tenant]

    async def close(self) -> None:
        """End every stream."""
        for live in self._of.values():
            await live.close()


class Routes:
    """One method per address."""

    def __init__(
        self,
        gateway: Callable[[Identity], GatewayPort],
        tokens: TokenPort,
        folder: Path,
        version: str,
        predict: Predict | None,
        lives: Lives,
    ) -> None:
        self._as = gateway
        self._tokens = tokens
        self._reports = folder / "reports"
        self._version = version
        self._predict = predict
        self._lives = lives
        self._assets = http_static.load()

    def router(self) -> APIRouter:
        router = APIRouter()
        for path, method, shown in (
            ("/", self.page, False),
            ("/static/{name}", self.static, False),
            ("/reports/{name}", self.report, False),
            ("/healthz", self.health, True),
            ("/v1/status", self.status, True),
            ("/v1/search", self.search, True),
            ("/v1/aggregate", self.aggregate, True),
            ("/v1/receipts", self.receipts, True),
            ("/v1/quarantine", self.quarantine, True),
            ("/v1/live", self.watch, True),
            ("/v1/reports", self.reports, True),
            ("/v1/{plural}/{id}", self.get, True),
        ):
            router.add_api_route(
                path, method, methods=["GET"], include_in_schema=shown, response_class=Response
            )
        router.add_api_route(
            "/v1/predict/eta", self.predict, methods=["POST"], response_class=Response
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
        return _json({"status": "ok", "version": self._version})

    async def status(self, request: Request, digests: bool = False) -> Response:
        gateway = self._as(http_session.enter(self._tokens, request))
        reply = await gateway.status(pb.StatusRequest(digests=digests))
        return _json(http_json.plain(reply), http_json.mode(reply))

    async def get(
        self,
        request: Request,
        plural: str,
        id: str,
        region: Text = "",
        max_age_s: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
        min_confidence: Annotated[float, Query(ge=0, le=1)] = 0.0,
    ) -> Response:
        gateway = self._as(http_session.enter(self._tokens, request))
        if plural not in PLURALS:
            raise BadRequest(f"there are {', '.join(PLURALS)} under /v1", "NOT_FOUND")
        if not ID.fullmatch(id):
            raise BadRequest("an id is 1 to 128 letters, digits and . _ : -; send such", "BAD_ID")
        reply = await gateway.get(
            pb.GetRequest(
                kind=PLURALS[plural],
                id=id,
                region=region,
                max_age_s=max_age_s,
                min_confidence=min_confidence,
            )
        )
        mode, now = http_json.mode(reply), http_json.rfc3339(reply.now)
        shown = http_json.twin(reply.twin)
        return _json(shown | {"mode": mode, "now": now, "withheld": list(reply.withheld)}, mode)

    async def search(
        self,
        request: Request,
        kind: Text = "shipment",
        where: Text = "",
        fields: Text = "",
        order: Text = "",
        limit: Limit = 20,
        region: Text = "",
    ) -> Response:
        gateway = self._as(http_session.enter(self._tokens, request))
        reply = await gateway.search(
            pb.SearchRequest(
                kind=kind,
                where=where,
                fields=_names(fields),
                order=order,
                limit=limit,
                region=region,
            )
        )
        return _json(http_json.plain(reply) | {"limit": limit}, http_json.mode(reply))

    async def aggregate(
        self,
        request: Request,
        kind: Text = "shipment",
        where: Text = "",
        by: Text = "",
        measures: Text = "count",
        order: Text = "",
        limit: Limit = 20,
        region: Text = "",
    ) -> Response:
        gateway = self._as(http_session.enter(self._tokens, request))
        asked = {"by": _names(by), "measures": _names(measures), "limit": limit}
        reply = await gateway.aggregate(
            pb.AggregateRequest(
                kind=kind,
                where=where,
                by=_names(by),
                measures=_names(measures),
                order=order,
                limit=limit,
                region=region,
            )
        )
        return _json(http_json.plain(reply) | asked, http_json.mode(reply))

    async def receipts(
        self,
        request: Request,
        source: Text = "",
        id: Annotated[list[str], Query(max_length=1000)] = [],  # noqa: B006 - read by FastAPI only
        offset: Text = "",
    ) -> Response:
        gateway = self._as(http_session.enter(self._tokens, request))
        if not offset and not (source and id):
            raise BadRequest("name source and id, or offset as kind/region/shard/offset")
        reply = await gateway.receipts(pb.ReceiptsRequest(source=source, ids=id, offset=offset))
        return _json(http_json.plain(reply))

    async def quarantine(self, request: Request, limit: Limit = 20) -> Response:
        gateway = self._as(http_session.enter(self._tokens, request))
        reply = await gateway.quarantine(pb.QuarantineRequest(limit=limit))
        return _json(http_json.plain(reply) | {"limit": limit})

    async def watch(
        self, request: Request, ticks: Annotated[int, Query(ge=0, le=1000)] = 0
    ) -> Response:
        """One tick a second as Server-Sent Events; `ticks` of them, or all."""
        live = self._lives.of(http_session.enter(self._tokens, request))
        frames = live.frames(live.enter(), ticks)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(frames, headers=headers, media_type="text/event-stream")

    async def predict(self, request: Request) -> Response:
        http_session.enter(self._tokens, request)
        body = await read_object(request, BODY_LIMIT)
        if self._predict is None:
            away = http_problem.named("SERVE_UNAVAILABLE", SERVE_AWAY, 5.0)
            return http_problem.response(away, http_problem.trace_id(request))
        status, answer, mode = await self._predict(body)
        if status < 400:
            return _json(answer, mode, status)
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
        return _json({"reports": shown, "shown": len(shown), "total": len(rows)})

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


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _json(data: Any, mode: str = "", status: int = 200) -> Response:
    headers = {"cache-control": "no-store"} | ({MODE: mode} if mode else {})
    return Response(msgspec.json.encode(data), status, headers, media_type="application/json")


async def _refuse(request: Request, e: Exception) -> Response:
    assert isinstance(e, TwinError)
    return http_problem.response(http_problem.problem(e), http_problem.trace_id(request))


async def _refuse_http(request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    code = "METHOD_NOT_ALLOWED" if e.status_code == 405 else "NOT_FOUND"
    told = http_problem.named(code, "the page is at /, the answers are under /v1")
    answer = http_problem.response(told, http_problem.trace_id(request))
    answer.headers.update(e.headers or {})
    return answer


async def _refuse_query(request: Request, e: Exception) -> Response:
    assert isinstance(e, RequestValidationError)
    first = e.errors()[0]
    field = str(first["loc"][-1])
    told = http_problem.problem(BadRequest(f"{field}: {first['msg']}; correct it and ask again"))
    return http_problem.response(told, http_problem.trace_id(request))
