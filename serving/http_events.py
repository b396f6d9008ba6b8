"""POST /v1/events: events over HTTP, with the outcomes that gRPC gives, one for each.

An outcome is no error: the answer is 200 whenever the message was sound, whatever became of its
events. A refused message offered none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from serving import answers, http_cloudevents, http_schema, http_session
from serving.access import Identity
from serving.faults import REASONS
from serving.http_addresses import ID
from serving.http_answer import respond
from serving.http_body import parse, read
from serving.http_cloudevents import JSON, Taken
from serving.http_ports import Ingest, TokenPort
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Malformed, TooMany, Unavailable
from twin.events import Row
from twin.outcomes import Outcome, Reason
from twin.redrive import Flaw, flaw

BODY_LIMIT = 8 << 20
MOST_EVENTS = 20_000  # of one request; a stream over gRPC has no such bound
INLINE_BYTES = 64 << 10  # a body of that many takes less time to read than to hand to a thread
STRUCTURED, BATCH, PLAIN = (
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json",
)
ENVELOPE = frozenset(("time", "type", "confidence", "region", "id", "subject"))
AGAIN = "send the same id with the right value, or see: twin quarantine"
# What to do about each reason for which an event is not applied.
REMEDIES: dict[Reason, str] = {
    Reason.NONE: "",
    Reason.BAD_ID: "an id is 1 to 128 letters, digits and . _ : -; send such",
    Reason.REGION_MISSING: "name the region, as `twin status` lists them",
    Reason.WRONG_REGION: "name a region that `twin status` lists",
    Reason.IDEMPOTENCY_CONFLICT: "give a new fact a new id; to amend one, say what it corrects",
    Reason.SCHEMA_UNSUPPORTED: "send a type and version that `twin contracts` lists",
    Reason.FIELD_MISSING: "send the same id with the field, or see: twin quarantine",
    Reason.OUT_OF_RANGE: AGAIN,
    Reason.TIME_OUT_OF_RANGE: "send the same id with the right time, or see: twin quarantine",
    Reason.NOT_FINITE: "leave the field out if its value is not known, and send the same id",
    Reason.FIELD_UNKNOWN: "spell the field as its contract does, and send the same id",
    Reason.TYPE_MISMATCH: "send the same id with a value of the right type",
    Reason.NOT_OWNER: "send it again: it is another shard's",
    Reason.TYPE_RESERVED: "send the event that it follows from; the twin derives this one itself",
}


def router(tokens: TokenPort, ingest: Ingest) -> APIRouter:
    """Return the address that takes events."""
    found = APIRouter()
    door = Door(tokens, ingest)
    found.add_api_route(
        "/v1/events", door.answer, methods=["POST"], response_class=Response, **_documented()
    )
    return found


class Door:
    """Takes events of one gateway's callers."""

    def __init__(self, tokens: TokenPort, ingest: Ingest) -> None:
        self._tokens = tokens
        self._ingest = ingest

    async def answer(self, request: Request) -> Response:
        """Offer one event or several; say what became of each, in order."""
        who = http_session.enter(self._tokens, request, "write")
        raw = await read(request, BODY_LIMIT)
        content = request.headers.get("content-type", PLAIN)
        headers = request.headers.items()
        if len(raw) > INLINE_BYTES:
            taken = await asyncio.to_thread(_taken, raw, content, headers)
        else:
            taken = _taken(raw, content, headers)
        events = [taken] if isinstance(taken, Taken) else taken
        if not events:
            return respond([])
        if len(events) > MOST_EVENTS:
            raise TooMany(f"a request has at most {MOST_EVENTS} events; send them in parts")
        packed = _packed(events)
        reply = await self._offered(packed, request, who)
        told = [_told(reply, n, event) for n, event in enumerate(events)]
        return respond(told[0] if isinstance(taken, Taken) else told)

    async def _offered(self, packed: bytes, request: Request, who: Identity) -> pb.IngestReply:
        urgent = request.query_params.get("urgent", "false")
        if urgent not in {"true", "false"}:
            raise BadRequest("urgent is true or false; say one of them")
        urgency = pb.REALTIME if urgent == "true" else pb.REST

        async def one() -> AsyncIterator[pb.IngestRequest]:
            yield pb.IngestRequest(msgpack=packed, urgency=urgency)

        async for reply in self._ingest(one(), who):
            return answers.require(reply)
        raise Unavailable("no shard answered; send the same events again", 0.5)


def _taken(raw: bytes, content: str, headers: Sequence[tuple[str, str]]) -> Taken | list[Taken]:
    """Return what a body says, by its media type and headers. Raises Malformed, BadRequest."""
    media = content.partition(";")[0].strip().lower()
    if media == STRUCTURED:
        return http_cloudevents.structured(parse(raw, finite=False))
    if media == BATCH:
        return http_cloudevents.batch(parse(raw, finite=False))
    by_headers = any(name == "ce-specversion" for name, _ in headers)
    if not (JSON.fullmatch(media) if by_headers else media == PLAIN):
        wanted = f"{PLAIN}, {STRUCTURED} or {BATCH}"
        raise BadRequest(
            f"a body of {media[:60] or 'no type'} is not read here; send {wanted}", "MEDIA_TYPE"
        )
    found = parse(raw, finite=False)
    if by_headers:
        return http_cloudevents.binary(headers, content, found)
    if isinstance(found, list):
        return http_cloudevents.batch(found, strict=False)
    return http_cloudevents.structured(found, strict=False)


def _packed(events: Sequence[Taken]) -> bytes:
    try:
        return msgspec.msgpack.encode([event.row for event in events])
    except UnicodeEncodeError as e:
        raise Malformed("a text has half a surrogate pair, which is no Unicode; fix it") from e


def _told(reply: pb.IngestReply, n: int, event: Taken) -> dict[str, Any]:
    """Return what became of one event."""
    at = reply.shards[n]
    outcome, reason = Outcome(reply.outcomes[n]), Reason(reply.reasons[n])
    told: dict[str, Any] = {
        "id": str(event.row[0]),
        "source": event.row[1],
        "outcome": outcome.name.lower(),
    }
    if reason:
        field, expected, got = _outside(event.row, reason) or flaw(event.row, reason)
        where = field if not field or field in ENVELOPE else f"data.{field}"
        told |= {"reason": REASONS[reason], "field": where, "expected": expected, "got": got}
        told["remedy"] = REMEDIES[reason]
    if at != 255:
        offset = int.from_bytes(reply.offsets[8 * n : 8 * n + 8], "little", signed=True)
        shard = reply.shard_names[at]
        told |= {"shard": shard, "offset": offset, "epoch": reply.epochs[at]}
        told["receipt"] = f"{shard}/{offset}"
    return told | ({"ignored": event.ignored} if event.ignored else {})


def _outside(row: Row, reason: Reason) -> Flaw | None:
    """Return what is wrong with an event that is rejected, which no contract says."""
    id_, region = row[0], str(row[5])
    if reason in {Reason.REGION_MISSING, Reason.WRONG_REGION}:
        return Flaw("region", "a region that `twin status` lists", region[:64])
    if reason is Reason.IDEMPOTENCY_CONFLICT:
        return Flaw("id", "an id of its own, or the content it had", str(id_)[:64])
    if reason is Reason.BAD_ID:
        is_sound = not id_ or (isinstance(id_, str) and ID.fullmatch(id_))
        name, value = ("subject", row[4]) if is_sound else ("id", id_)
        return Flaw(name, f"of the form {ID.pattern}", str(value)[:64])
    return None


def _documented() -> dict[str, Any]:
    """Return what OpenAPI is told."""
    told, event = _told_schema(), _event_schema()
    several = {"type": "array", "items": event, "maxItems": MOST_EVENTS}
    found = http_schema.operation(
        "post_events",
        "Offer events: CloudEvents 1.0, or JSON of the same names",
        schema={"oneOf": [told, {"type": "array", "items": told}]},
    )
    urgent = {
        "name": "urgent",
        "in": "query",
        "description": "a person must know at once: it waits behind nothing that is not",
        "schema": {"type": "boolean"},
    }
    content = {
        STRUCTURED: {"schema": event},
        BATCH: {"schema": several},
        PLAIN: {"schema": {"oneOf": [event, several]}},
    }
    found["openapi_extra"] = {
        "parameters": [urgent],
        "requestBody": {"required": True, "content": content},
    }
    return found


def _told_schema() -> http_schema.Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "id": text,
            "source": text,
            "outcome": {"enum": [outcome.name.lower() for outcome in Outcome]},
            "reason": {"enum": [reason.name for reason in Reason if reason]},
            "field": text | {"description": "what is wrong"},
            "expected": text,
            "got": text,
            "remedy": text,
            "shard": text,
            "offset": {"type": "integer", "description": "where it is journaled"},
            "epoch": {"type": "integer"},
            "receipt": text | {"description": "its name: GET /v1/receipts?offset="},
            "ignored": {"type": "array", "items": text, "description": "attributes not kept"},
        },
        "required": ["id", "source", "outcome"],
    }


def _event_schema() -> http_schema.Schema:
    text = {"type": "string"}
    shown = {
        "specversion": {"const": http_cloudevents.SPEC},
        "id": text | {"description": "with the source: the same again is a duplicate"},
        "source": text,
        "type": text | {"description": "TYPE or TYPE.vN; `twin contracts` lists them"},
        "subject": text | {"description": "id of the twin"},
        "time": text | {"format": "date-time", "description": "when it became true"},
        "dataschema": text | {"description": "ends with the version of the type"},
        "datacontenttype": text,
        "data": {"type": "object", "description": "what the contract of the type says"},
        "data_base64": text,
    }
    extensions: http_schema.Schema = {name: {} for name in http_cloudevents.OURS}
    return {
        "type": "object",
        "properties": shown | extensions,
        "required": ["source", "type", "subject", "time"],
    }
