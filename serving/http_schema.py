"""What OpenAPI is told: schemas of messages as `http_json` writes them, and of what is asked.

Made from the descriptors, so that the description cannot say other than the answers do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from serving import http_json
from serving.http_asked import Asked
from serving.wire import twin_pb2 as pb

Schema = dict[str, Any]
REFS = "#/components/schemas/"
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `twin error CODE` explains each",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, and what to do"},
        "code": {"type": "string"},
        "trace_id": {"type": "string"},
        "retry_after": {"type": "number", "description": "seconds; absent: asking again is no use"},
    },
    "required": ["type", "title", "status", "detail", "code", "trace_id"],
}
BEARER: Schema = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "`twin token` makes one; scopes are read, write and admin",
}
MEANING = {
    "action": "acknowledge, assign, snooze, unsnooze or comment",
    "after": "receipts that the answer must include: read your own writes",
    "after_known_at": "as it was known then",
    "alert": "id of an alert",
    "as_of": "what was true then: only facts of that event time or before",
    "before": "the earlier moment, by event time",
    "before_known_at": "as it was known then",
    "by": "fields to group by",
    "by_event_time": "in the order of event times; else as they became known",
    "cursor": "of an earlier answer to the same question: what follows it",
    "depth": "of relations; 3 if absent",
    "digests": "also digests of every shard, from memory",
    "dry_run": "say what would become of them, and change nothing",
    "events": "instead, what was journaled of alerts, oldest first",
    "event_axis": "when it became true in the world; else when it became known",
    "fallback": "what to do about values that are too old or too unsure",
    "field": "name of a field",
    "fields": "names of fields; all if absent",
    "format": "arrow, parquet, csv or json; else as Accept says",
    "from": "kind/region/shard/offset of each shard to go on from; else from now on",
    "id": "of a twin or an event",
    "ids": "of twins, or of events",
    "incidents": "alerts of one cause as one incident",
    "kind": "of twins; shipment if absent",
    "known_at": "as it was known then: only what was journaled by then",
    "last": "the last moment instead: since when it is no longer so",
    "limit": "rows at most",
    "max_age_s": "seconds; what is older is refused, withheld or labelled",
    "measures": "count, sum(FIELD), avg(FIELD), min(FIELD), max(FIELD)",
    "min_confidence": "what is less sure is refused, withheld or labelled",
    "name": "of a table, perhaps with .csv, .json, .parquet or .arrow",
    "note": "for whoever reads the alert next",
    "offset": "one receipt by its name: kind/region/shard/offset",
    "oldest_first": "else newest first",
    "only_changes": "no first answer: from now on",
    "order": "FIELD or -FIELD, several by comma",
    "owner": "who takes the alert",
    "reason": "code word for which events were parked",
    "receipt": "of an event: kind/region/shard/offset",
    "region": "all if absent",
    "rules": "rules of alerts, as TOML",
    "since": "from this time on",
    "source": "of an event",
    "sql": "one read-only statement",
    "type": "of events",
    "until": "before this time; of snooze, until when",
    "verify": "also digests from the journal alone; takes longer",
    "where": "SQL's WHERE over the fields",
}


def name_of(message: type[Message]) -> str:
    return str(message.DESCRIPTOR.name)


def operation(
    id: str,
    summary: str,
    *,
    reply: str = "",
    path: Iterable[str] = (),
    query: Iterable[str] = (),
    body: Iterable[str] = (),
    fields: Mapping[str, Asked] | None = None,
    media: Iterable[str] = ("application/json",),
    schema: Schema | None = None,
    told: Iterable[str] = (),
) -> dict[str, Any]:
    """Return what one address is documented with, as arguments of `add_api_route`.

    `reply`: name of the message answered with, or `schema`, in one of `media`. `fields`: what is
    known of the names in `path`, `query` and `body`; a name that is not there is a text. `told`:
    names of the request that the answer has as well.
    """
    fields = fields or {}
    body = list(body)
    shown = schema or {"$ref": REFS + reply}
    if more := {name: _asked(name, fields.get(name)) for name in told}:
        shown = {"allOf": [shown, {"type": "object", "properties": more}]}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "The answer", "content": {m: {"schema": shown} for m in media}},
        "default": {
            "description": "A problem, with a stable code word",
            "content": {"application/problem+json": {"schema": {"$ref": REFS + "Problem"}}},
        },
    }
    parameters = [_parameter(n, fields.get(n), "path") for n in path]
    parameters += [_parameter(n, fields.get(n), "query") for n in query]
    extra: dict[str, Any] = {"parameters": parameters} if parameters else {}
    if body:
        properties = {name: _asked(name, fields.get(name)) for name in body}
        shape = {"type": "object", "properties": properties, "additionalProperties": False}
        extra["requestBody"] = {"content": {"application/json": {"schema": shape}}}
    return {
        "operation_id": id,
        "summary": summary,
        "responses": answers,
        "openapi_extra": extra,
    }


def components(replies: Iterable[type[Message]]) -> dict[str, Schema]:
    """Return the schemas of these messages, and of all that is in them."""
    found: dict[str, Schema] = {"Problem": PROBLEM}
    waiting: list[Descriptor] = [reply.DESCRIPTOR for reply in replies]
    while waiting:
        one = waiting.pop()
        if one.name in found:
            continue
        found[one.name] = _schema(one)
        for field in filter(http_json.is_shown, one.fields):
            inner = _inner(field)
            if inner is not None:
                waiting.append(inner)
    return found


def _schema(of: Descriptor) -> Schema:
    if of is pb.GetReply.DESCRIPTOR:
        told = {
            f.name: _field(f)
            for f in (*pb.TwinState.DESCRIPTOR.fields, *of.fields)
            if f.name != "twin"
        }
    else:
        told = {f.name: _field(f) for f in of.fields if http_json.is_shown(f)}
    optional = set(http_json.HELD) if of is pb.Value.DESCRIPTOR else set()
    return {
        "type": "object",
        "properties": told,
        "required": [name for name in told if name not in optional],
    }


def _field(field: FieldDescriptor) -> Schema:
    nested = field.message_type
    if http_json.is_said(field):
        alone = {f.name: _one(f) for f in pb.Value.DESCRIPTOR.fields if f.name in http_json.HELD}
        one = {"type": "object", "properties": alone, "maxProperties": 1}
        return {"type": "object", "additionalProperties": one}
    if nested is not None and nested.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _field(nested.fields_by_name["value"])}
    one = _one(field)
    return {"type": "array", "items": one} if field.is_repeated else one


def _one(field: FieldDescriptor) -> Schema:
    if (nested := field.message_type) is not None:
        shown = {"$ref": REFS + nested.name}
        in_map = field.containing_type.GetOptions().map_entry
        return shown if field.is_repeated or in_map else {"anyOf": [shown, {"type": "null"}]}
    if field.enum_type is not None:
        return {"type": "string", "enum": [v.name.lower() for v in field.enum_type.values]}
    if http_json.is_time(field):
        return TIME
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return {"type": ["number", "null"], "description": "null: not a number"}
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return {"type": "string"}
    return {"type": "integer"}


def _inner(field: FieldDescriptor) -> Descriptor | None:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        nested = nested.fields_by_name["value"].message_type
    return nested


def _parameter(name: str, asked: Asked | None, where: str) -> Schema:
    shape = _asked(name, asked)
    meaning = shape.pop("description")
    found = {"name": name, "in": where, "description": meaning, "schema": shape}
    if where == "path":
        return found | {"required": True}
    return found | ({"style": "form", "explode": False} if shape["type"] == "array" else {})


def _asked(name: str, asked: Asked | None) -> Schema:
    shape: Schema = {"type": "string", "description": MEANING.get(name, "")}
    if asked is None or asked.type == "text":
        return shape
    if asked.type in {"texts", "receipts"}:
        return shape | {"type": "array", "items": {"type": "string"}}
    if asked.type == "time":
        return shape | {"format": "date-time"}
    if asked.type == "word":
        return shape | {"enum": asked.words}
    if asked.type == "flag":
        return shape | {"type": "boolean"}
    shape["type"] = "integer" if asked.type == "whole" else "number"
    if math.isfinite(asked.low):
        shape["minimum"] = asked.low
    if math.isfinite(asked.high):
        shape["maximum"] = asked.high
    return shape
