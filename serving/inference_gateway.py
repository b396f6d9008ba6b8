"""Predictions at a gateway: a replica's answer, or the rule's while no replica answers.

Nobody who asks waits for Serve, and nobody is told a rule's answer is a model's.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from serving.inference import Inference
from serving.inference_http import refusal
from twin.errors import BadRequest, TwinError

AWAY = BadRequest(
    "no replica answers in this region; `twin status` says when Serve has joined",
    "SERVE_UNAVAILABLE",
)
ANSWERED_ANYWAY = (502, 503, 504, 500, 408, 429)  # by the rule; any other refusal is the caller's


class ServeOrRule:
    """Answers `POST /v1/predict/eta` of one region's gateway; it is a `serving.http_ports.Predict`.

    `url`: of the region's application on Serve, "" if there is none. `token`: one it takes.
    `rule`: an Inference made with `by_rule=AWAY`. `timeout_s` bounds the question to Serve.
    """

    def __init__(
        self, url: str, token: Callable[[], str], rule: Inference, *, timeout_s: float = 4.0
    ) -> None:
        self._url = urlsplit(url)
        self._token = token
        self._rule = rule
        self._timeout_s = timeout_s

    async def __call__(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        """Return (HTTP status, answer, mode). Never raises a TwinError: a refusal is an answer."""
        return await asyncio.to_thread(self.answer, body)

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        """The same, for a caller without an event loop."""
        asked = self._ask(body) if self._url.netloc else None
        if asked is not None and asked[0] not in ANSWERED_ANYWAY:
            return asked
        try:
            self._rule.shelf.look()
            answer = self._rule.predict(body)
        except TwinError as e:
            status, fields = refusal(e)
            return status, fields, "degraded" if status >= 500 else "normal"
        return 200, answer, str(answer["mode"])

    def _ask(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], str] | None:
        """What a replica says, or None if none did in time."""
        connection = http.client.HTTPConnection(self._url.netloc, timeout=self._timeout_s)
        headers = {
            "authorization": f"Bearer {self._token()}",
            "content-type": "application/json",
        }
        try:
            connection.request(
                "POST", f"{self._url.path}/v1/predict/eta", msgspec.json.encode(body), headers
            )
            reply = connection.getresponse()
            found = msgspec.json.decode(reply.read(), type=dict[str, Any])
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return None
        finally:
            connection.close()
        if reply.status == 404 and "code" not in found:  # the proxy's own: no such application yet
            return None
        return reply.status, found, reply.headers.get("twin-mode", "normal")
