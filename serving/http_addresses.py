"""Addresses: one table of what HTTP may ask, each line an rpc of `wire/twin.proto`.

Parameters, bodies, answers and their documentation are all made from the messages, so that HTTP
says what gRPC says, and a new field needs no line here. What the gateway does not answer has no
address.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.responses import Response

from serving import http_asked, http_json, http_schema, http_session
from serving.http_answer import respond
from serving.http_body import read, read_object
from serving.http_ports import Answer, Answers, TokenPort
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Malformed, TooLarge

BODY_LIMIT = 1 << 20  # of a request, as over gRPC
INLINE_BYTES = 64 << 10  # an answer of that many takes some milliseconds to write
TOML = "application/toml"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
LONGER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")  # an alert's has its subject's in it
PLURALS = {"shipments": "shipment", "sites": "site", "suppliers": "supplier", "stock": "stock"}
SERVICE = pb.DESCRIPTOR.services_by_name["Twin"]


class Address(NamedTuple):
    """One address. `fixed`: what the address itself says; `told`: of the request, in the answer;
    `needs`: names of which all of one line must be said."""

    rpc: str
    path: str
    summary: str
    method: str = "GET"
    scope: str = "read"
    fixed: Mapping[str, str] = {}
    defaults: Mapping[str, Any] = {}
    told: tuple[str, ...] = ()
    needs: tuple[tuple[str, ...], ...] = ()

    @property
    def request(self) -> type[Message]:
        return GetMessageClass(SERVICE.methods_by_name[self.rpc].input_type)

    @property
    def reply(self) -> type[Message]:
        return GetMessageClass(SERVICE.methods_by_name[self.rpc].output_type)


_SEARCH: dict[str, Any] = {"defaults": {"limit": 20}, "told": ("limit",)}
_EVENT: dict[str, Any] = {"needs": (("source", "id"), ("receipt",))}
_ALERT: dict[str, Any] = {"fixed": {"kind": "alert"}}
_GROUPS: dict[str, Any] = {
    "defaults": {"limit": 20, "measures": ["count"]},
    "told": ("by", "measures", "limit"),
}
_PLAIN = (
    Address("Status", "/v1/status", "Mode, clock, regions, shards"),
    Address("Search", "/v1/search", "Twins of a kind that match", **_SEARCH),
    Address("Search", "/v1/search", "The same, of a filter of any length", "POST", **_SEARCH),
    Address("Aggregate", "/v1/aggregate", "Counts, sums and averages by group", **_GROUPS),
    Address("Aggregate", "/v1/aggregate", "The same, as a body", "POST", **_GROUPS),
    Address("BatchGet", "/v1/batch", "Several twins of a kind by their ids", "POST"),
    Address("Locate", "/v1/locate", "Who writes a twin", needs=(("id",),)),
    Address(
        "Receipts", "/v1/receipts", "What became of events", needs=(("source", "id"), ("offset",))
    ),
    Address("Quarantine", "/v1/quarantine", "Parked events, newest first", **_SEARCH),
    Address("Redrive", "/v1/quarantine/redrive", "Judge parked events again", "POST", "write"),
    Address("Diff", "/v1/diff", "What differs between two moments"),
    Address("Diff", "/v1/diff", "The same, of a filter of any length", "POST"),
    Address("Preview", "/v1/preview", "What retracting an event would change", "POST", **_EVENT),
    Address("Impact", "/v1/impact/{kind}/{id}", "What depends on a supplier, a site or a lane"),
    Address("Alerts", "/v1/exceptions", "What needs a person, the worst first"),
    Address("Get", "/v1/exceptions/{id}", "One alert, each value with its provenance", **_ALERT),
    Address("History", "/v1/exceptions/{id}/history", "What became of one alert", **_ALERT),
    Address("Act", "/v1/exceptions/{alert}/{action}", "Act on an alert", "POST", "write"),
    Address(
        "Rehearse",
        "/v1/rules/test",
        "How often rules would have fired",
        "POST",
        needs=(("rules",),),
    ),
)
_OF_A_KIND: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("Search", "", "The {kind} twins that match", _SEARCH),
    ("Get", "/{id}", "One {kind}, each value with its provenance", {}),
    ("History", "/{id}/history", "What the values of one {kind} were, event by event", {}),
    ("Explain", "/{id}/explain/{field}", "Why a value of one {kind} is what it is", {}),
    ("Diff", "/{id}/diff", "What differs of one {kind} between two moments", {}),
    (
        "FirstTrue",
        "/{id}/first",
        "Since when, or until when, a condition held",
        {"needs": (("where",),)},
    ),
)
ADDRESSES = (
    *_PLAIN,
    *(
        Address(rpc, f"/v1/{plural}{path}", summary.format(kind=kind), fixed={"kind": kind}, **more)
        for plural, kind in PLURALS.items()
        for rpc, path, summary, more in _OF_A_KIND
    ),
)


def router(tokens: TokenPort, answers: Answers) -> APIRouter:
    """Return the addresses of all that `answers` has an answer to."""
    found = APIRouter()
    for address in ADDRESSES:
        if address.rpc in answers:
            door = Door(address, tokens, answers[address.rpc])
            found.add_api_route(
                address.path,
                door.answer,
                methods=[address.method],
                response_class=Response,
                **documented(address),
            )
    return found


def documented(address: Address) -> dict[str, Any]:
    """Return what OpenAPI is told of an address, as arguments of `add_api_route`."""
    name = re.sub(r"\W+", "_", f"{address.method.lower()}_{address.path.removeprefix('/v1/')}")
    asked = http_asked.names(address.request, address.fixed)
    in_path = re.findall(r"{(\w+)}", address.path)
    found = http_schema.operation(
        name.strip("_"),
        address.summary,
        reply=http_schema.name_of(address.reply),
        path=in_path,
        query=[n for n in asked if n not in in_path] if address.method == "GET" else (),
        body=[n for n in asked if n not in in_path] if address.method == "POST" else (),
        fields=asked,
        told=address.told,
    )
    if "rules" in asked:
        content = found["openapi_extra"]["requestBody"]["content"]
        content[TOML] = {"schema": {"type": "string", "description": "the rules alone"}}
    return found


class Door:
    """One address and what answers it."""

    def __init__(self, address: Address, tokens: TokenPort, answer: Answer) -> None:
        self._address = address
        self._tokens = tokens
        self._answer = answer
        self._names = http_asked.names(address.request, address.fixed)

    async def answer(self, request: Request) -> Response:
        address = self._address
        who = http_session.enter(self._tokens, request, address.scope)
        asked = await self._asked(request)
        reply = await self._answer(asked, who)
        if reply.ByteSize() > INLINE_BYTES:  # nobody else is to wait for it
            return await asyncio.to_thread(self._shown, reply, asked)
        return self._shown(reply, asked)

    def _shown(self, reply: Message, asked: Message) -> Response:
        shown = http_json.reply(reply)
        shown |= {name: _plain(getattr(asked, name)) for name in self._address.told}
        return respond(shown, http_json.mode(reply))

    async def _asked(self, request: Request) -> Message:
        """Return the message that a request says. Raises BadRequest, Malformed, TooLarge."""
        address, said = self._address, dict(request.path_params)
        kind = address.fixed.get("kind")  # without one it may be a lane: the name of a place
        if kind and not (LONGER_ID if kind == "alert" else ID).fullmatch(said.get("id", "a")):
            raise BadRequest("an id is 1 to 128 letters, digits and . _ : -; send such", "BAD_ID")
        if address.method == "GET":
            given = http_asked.of_query(self._names, request.query_params.multi_items())
        else:
            given = await self._body(request)
        if twice := said.keys() & given.keys():
            raise BadRequest(
                f"the address says {min(twice)} already; leave it out", "DUPLICATE_FIELD"
            )
        if address.needs and not any(all(given.get(n) for n in names) for names in address.needs):
            wanted = ", or ".join(" and ".join(names) for names in address.needs)
            raise BadRequest(f"the question names too little; say {wanted}")
        asked = http_asked.message(
            address.request, self._names, dict(address.defaults) | given | said
        )
        for name, value in address.fixed.items():
            setattr(asked, name, value)
        if asked.ByteSize() > BODY_LIMIT:
            raise TooLarge(f"a request has at most {BODY_LIMIT} bytes; ask for less")
        return asked

    async def _body(self, request: Request) -> dict[str, Any]:
        """Return what a body says: JSON, or rules as the text that they are."""
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != TOML or "rules" not in self._names:
            return await read_object(request, BODY_LIMIT, empty=True)
        try:
            rules = (await read(request, BODY_LIMIT)).decode()
        except UnicodeDecodeError as e:
            raise Malformed("the rules are not UTF-8; encode them so") from e
        more = http_asked.of_query(self._names, request.query_params.multi_items())
        return more | {"rules": rules}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else list(value)
