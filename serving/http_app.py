"""The HTTP surface of a gateway: the page, JSON under /v1, and live ticks.

It adds nothing to what gRPC says: the same requests, the same names, the same code words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serving import http_addresses, http_problem, http_schema
from serving.http_answer import respond
from serving.http_live import Live
from serving.http_page import Lives, Page
from serving.http_ports import Answers, GatewayPort, Predict, TokenPort
from twin.errors import BadRequest, TwinError


def create_app(
    answers: Answers,
    *,
    tokens: TokenPort,
    folder: Path,
    version: str,
    predict: Predict | None = None,
    live: Callable[[GatewayPort], Live] = Live,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Return the application of one gateway.

    `answers`: name of an rpc -> what answers it; status, search and aggregate at least. `folder`:
    the data directory, of which reports/ is shown. `predict`: asks this region's models; without
    it predictions answer SERVE_UNAVAILABLE. `routers`: more addresses, each of a file of its own
    (`http_*.py`); who asks is `http_session.enter(tokens, request, scope)`, what OpenAPI says of
    them is `http_schema.operation`. `app.state.live` holds the streams of ticks: close it before
    the server stops, or open pages hold the server up.
    """
    lives = Lives(answers, live)
    app = FastAPI(
        title="Supply twin", version=version, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.live = lives
    page = Page(tokens, folder, version, predict, lives)
    for router in (*routers, page.router(), http_addresses.router(tokens, answers)):
        app.include_router(router)
    app.add_exception_handler(TwinError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(RequestValidationError, _refuse_query)
    app.add_middleware(http_problem.Guard)
    describe = partial(_describe, app, [a for a in http_addresses.ADDRESSES if a.rpc in answers])
    app.add_api_route("/v1/openapi.json", describe, include_in_schema=False)
    return app


async def _describe(app: FastAPI, addresses: Sequence[http_addresses.Address]) -> Response:
    """Answer with the OpenAPI document of all addresses."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        known = found.setdefault("components", {})
        known["schemas"] = known.get("schemas", {}) | http_schema.components(
            [address.reply for address in addresses]
        )
        known["securitySchemes"] = {"bearer": http_schema.BEARER}
        found["security"] = [{"bearer": []}]
        app.openapi_schema = found
    return respond(app.openapi_schema)


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
