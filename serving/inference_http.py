"""The HTTP surface of a replica: predictions by shipment key, and Open Inference Protocol v2.

Whoever asks for an answer shows a token; health and metadata need none, as probes have none.
Whatever fails, the body is a problem with a code word, and `error` as the protocol wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serving import http_problem, oip
from serving.access import Identity
from serving.http_body import read_object
from serving.inference import Inference, missing
from twin.errors import BadRequest, Denied, Retryable, TwinError
from twin.features import FEATURES

LARGEST = 1 << 20  # bytes of a request
MODE = "twin-mode"
AGAIN_S = 5.0  # a model that is missing may be there then
# code word -> (HTTP status, title), beside those every surface has.
TABLE = {
    "MODEL_MISSING": (503, "No model is promoted"),
    "MODEL_HASH_MISMATCH": (503, "The promoted model is damaged"),
    "MODEL_GATE_FAILED": (503, "The promoted model may not answer"),
    "MODEL_UNKNOWN": (404, "No model has this name and version"),
    "ALREADY_DELIVERED": (409, "The shipment has arrived"),
}

Verify = Callable[[str], Identity]


def problem_of(e: TwinError) -> http_problem.Problem:
    """The problem that tells of `e`; a missing model may be asked for again."""
    if e.code not in TABLE:
        return http_problem.problem(e)
    status, title = TABLE[e.code]
    return http_problem.Problem(e.code, str(e), status, title, AGAIN_S if status == 503 else 0.0)


def create_app(
    inference: Inference,
    verify: Verify,
    version: str,
    state: Callable[[], Mapping[str, Any]],
) -> FastAPI:
    """The application of one region's replica.

    `verify`: who bears a token; raises Denied. `state`: what the replica is doing, for operators.
    """
    app = FastAPI(
        title="Supply twin inference",
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v2/openapi.json",
    )
    routes = Routes(inference, verify, version, state)
    for path, method in routes.gets().items():
        app.add_api_route(path, method, methods=["GET"], response_class=Response)
    for path, method in routes.posts().items():
        app.add_api_route(path, method, methods=["POST"], response_class=Response)
    app.add_exception_handler(TwinError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_middleware(http_problem.Guard)
    return app


class Routes:
    """One method per address."""

    def __init__(
        self,
        inference: Inference,
        verify: Verify,
        version: str,
        state: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._inference = inference
        self._verify = verify
        self._version = version
        self._state = state

    def gets(self) -> dict[str, Callable[..., Any]]:
        return {
            "/v1/predict/state": self.state,
            "/v2/health/live": self.live,
            "/v2/health/ready": self.ready,
            "/v2": self.server,
            "/v2/models/{model}": self.metadata,
            "/v2/models/{model}/versions/{version}": self.metadata,
            "/v2/models/{model}/ready": self.model_ready,
            "/v2/models/{model}/versions/{version}/ready": self.model_ready,
        }

    def posts(self) -> dict[str, Callable[..., Any]]:
        return {
            "/v1/predict/eta": self.predict,
            "/v2/models/{model}/infer": self.infer,
            "/v2/models/{model}/versions/{version}/infer": self.infer,
        }

    async def predict(self, request: Request) -> Response:
        """When a shipment will come, by its key: {"id": "..."} or {"ids": [...]}."""
        self._enter(request)
        body = await read_object(request, LARGEST)
        answer = await run_in_threadpool(self._inference.predict, body)
        return _json(answer, str(answer["mode"]))

    async def infer(self, request: Request, model: str, version: str = "") -> Response:
        """Open Inference Protocol: raw features [n, f] as FP32, or shipments as a BYTES `id`."""
        self._enter(request)
        self._named(model)
        asked = oip.parse(await read_object(request, LARGEST), len(FEATURES))
        answer = await run_in_threadpool(self._inference.infer, asked, version)
        return _json(answer, str(answer["parameters"].get("mode", "normal")))

    async def state(self, request: Request) -> Response:
        self._enter(request)
        return _json(dict(self._state()))

    async def live(self) -> Response:
        return _json({"live": True})

    async def ready(self) -> Response:
        return self._readiness({})

    async def model_ready(self, model: str, version: str = "") -> Response:
        self._named(model)
        self._inference.require(version, self._inference.held)
        return self._readiness({"name": model})

    async def server(self) -> Response:
        return _json(oip.server_metadata(self._version))

    async def metadata(self, model: str, version: str = "") -> Response:
        self._named(model)
        held = self._inference.held
        self._inference.require(version, held)
        versions = [held.artifact.version] if held.artifact else []
        return _json(oip.model_metadata(model, versions, FEATURES))

    def _readiness(self, named: dict[str, Any]) -> Response:
        held = self._inference.held
        if held.artifact is not None:
            return _json({**named, "ready": True})
        told = problem_of(missing(held))
        body = {**named, "ready": False, "code": told.code, "detail": told.detail}
        return _json(body, "degraded", told.status)

    def _enter(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied("the call carries no token; send `authorization: Bearer`", "TOKEN_MISSING")
        self._verify(token.strip()).require("read")

    def _named(self, model: str) -> None:
        if model != self._inference.shelf.name:
            raise BadRequest(
                f"no model has this name; there is {self._inference.shelf.name}", "MODEL_UNKNOWN"
            )


def refusal(e: TwinError) -> tuple[int, dict[str, Any]]:
    """HTTP status and plain fields of a refusal, where another surface builds the answer."""
    told = problem_of(e)
    again = {"retry_after": told.retry_after} if told.retry_after else {}
    return told.status, {"code": told.code, "detail": told.detail, **again}


def _json(answer: Mapping[str, Any], mode: str = "", status: int = 200) -> Response:
    headers = {"cache-control": "no-store"} | ({MODE: mode} if mode else {})
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")


def _respond(told: http_problem.Problem, request: Request) -> Response:
    answer = http_problem.response(told, http_problem.trace_id(request))
    fields = {**told.fields(http_problem.trace_id(request)), "error": told.detail}
    answer.body = msgspec.json.encode(fields)
    answer.headers["content-length"] = str(len(answer.body))
    return answer


async def _refuse(request: Request, e: Exception) -> Response:
    assert isinstance(e, TwinError)
    answer = _respond(problem_of(e), request)
    if isinstance(e, Retryable) or e.code in TABLE:
        answer.headers[MODE] = "degraded" if answer.status_code == 503 else "normal"
    return answer


async def _refuse_http(request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    code = "METHOD_NOT_ALLOWED" if e.status_code == 405 else "NOT_FOUND"
    answer = _respond(http_problem.named(code, "answers are under /v1/predict and /v2"), request)
    answer.headers.update(e.headers or {})
    return answer
