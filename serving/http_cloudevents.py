"""CloudEvents 1.0 as rows: structured, batched or by headers, and plain JSON of the same names.

What is no event at all is MALFORMED, and then nothing of its message is offered; whatever can be
offered is, as it came, and the shard that writes it says what is wrong with it.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from serving.http_body import parse
from twin.compare import time_us
from twin.errors import BadRequest, Malformed
from twin.events import PAYLOAD, Row
from twin.kinds import Dtype

SPEC = "1.0"
REQUIRED = ("specversion", "id", "source", "type")
OURS = ("tenant", "region", "confidence", "corrects", "retracts")  # extensions that rows have
TAKEN = frozenset(
    {
        *REQUIRED,
        *OURS,
        "subject",
        "time",
        "dataschema",
        "datacontenttype",
        "data",
        "data_base64",
        "version",
        "partitionkey",
    }
)
TYPE = re.compile(r"(.+)\.v([0-9]{1,9})")
SCHEMA = re.compile(r"(?:.*[/:#.])?v?([0-9]{1,9})(?:\.json)?")  # its last part is a version
NAME = re.compile(r"[a-z0-9]{1,64}")  # of an attribute
JSON = re.compile(r"[^/;]+/(?:[^;]+\+)?json(?:;.*)?", re.IGNORECASE)
MOST = 1 << 63


class Taken(NamedTuple):
    """An event as a row of the wire, and the names of what a row has no place for."""

    row: Row
    ignored: list[str]


def structured(found: Any, where: str = "the event", *, strict: bool = True) -> Taken:
    """Return a JSON object as a row. Raises Malformed.

    `strict`: it says itself that it is a CloudEvent, so it has all that one must have; and it may
    have extensions that are not ours, which are not kept. Without it unknown names are refused.
    """
    if not isinstance(found, dict):
        raise Malformed(f'{where} is no JSON object; send one like {{"type": "shipment.position"}}')
    for name in REQUIRED if strict else ():
        value = found.get(name)
        if not isinstance(value, str) or not value:
            raise Malformed(f"{where} has no {name}, a text; CloudEvents demand it")
    if found.get("specversion", SPEC) != SPEC:
        raise Malformed(f"{where} is of another specversion than {SPEC}; send that")
    unknown = [name for name in found if name not in TAKEN and found[name] is not None]
    if strict:
        for name in unknown:
            if not NAME.fullmatch(name):
                raise Malformed(f"{where} has an attribute {name[:40]!r}; they are a-z and 0-9")
    elif unknown:
        raise _unknown(where, unknown[0])
    if "data" in found and "data_base64" in found:
        raise Malformed(f"{where} has data and data_base64; send one of them")
    schema = found.get("dataschema")
    if schema is not None and not (isinstance(schema, str) and SCHEMA.fullmatch(schema)):
        unknown.append("dataschema")
    return Taken(_row(found, _data(found, where), where), unknown)


def batch(found: Any, *, strict: bool = True) -> list[Taken]:
    """Return a JSON array of events as rows, in order. Raises Malformed."""
    if not isinstance(found, list):
        raise Malformed("the body is no JSON array of events; send one")
    return [structured(one, f"event {n}", strict=strict) for n, one in enumerate(found)]


def binary(headers: Iterable[tuple[str, str]], content: str, data: Any) -> Taken:
    """Return an event whose attributes are headers `ce-*`, its data being the body.

    `content`: the media type; `data`: what the body says. Raises Malformed.
    """
    found: dict[str, Any] = {}
    for name, value in headers:
        if name.startswith("ce-"):
            if name[3:] in found:
                raise BadRequest(
                    f"the header {name} is there twice; send it once", "DUPLICATE_FIELD"
                )
            found[name[3:]] = unquote(value)
    if found.keys() & {"data", "data_base64", "datacontenttype"}:
        raise Malformed("data is the body and its type the content-type; send them so")
    return structured(found | {"data": data, "datacontenttype": content})


def _row(found: Mapping[str, Any], data: dict[str, Any], where: str) -> Row:
    type_, version = _type(found, where)
    extensions = {
        name: found[name] for name in OURS if name != "region" and found.get(name) is not None
    }
    if isinstance(sure := extensions.get("confidence"), str):  # as headers have it
        extensions["confidence"] = _number(sure)
    subject = found.get("subject") or found.get("partitionkey") or ""
    when = found.get("time")
    payload = {name: _value(name, value) for name, value in data.items()}
    return [
        found.get("id") or "",
        found.get("source") or "",
        type_,
        version,
        subject,
        found.get("region") or "",
        _time(when) if isinstance(when, str) else when,
        payload,
        {name: _bounded(value) for name, value in extensions.items()},
    ]


def _type(found: Mapping[str, Any], where: str) -> tuple[Any, Any]:
    """Return type and version: of TYPE.vN, of what `dataschema` ends with, or as `version` says."""
    named, said = found.get("type") or "", []
    if isinstance(named, str) and (parsed := TYPE.fullmatch(named)):
        named = parsed[1]
        said.append(int(parsed[2]))
    schema = found.get("dataschema")
    if isinstance(schema, str) and (parsed := SCHEMA.fullmatch(schema)):
        said.append(int(parsed[1]))
    if found.get("version") is not None:
        said.append(found["version"])
    if any(version != said[0] for version in said):
        raise Malformed(f"{where} is of the versions {' and '.join(map(str, said))[:80]}; say one")
    return named, _bounded(said[0]) if said else 1


def _data(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    content = found.get("datacontenttype")
    if content is not None and not (isinstance(content, str) and JSON.fullmatch(content.strip())):
        raise Malformed(f"{where} has data that are no JSON; send them as application/json")
    data = found.get("data")
    if (packed := found.get("data_base64")) is not None:
        data = _unpacked(packed, where)
    if not isinstance(data, dict):
        raise Malformed(f'{where} has data that are no object; send "data": {{"lat": 4.5, ...}}')
    return data


def _unpacked(packed: Any, where: str) -> Any:
    try:
        raw = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError, TypeError) as e:
        raise Malformed(f"{where} has data_base64 that are no Base64; encode them again") from e
    return parse(raw, finite=False)


def _value(name: str, value: Any) -> Any:
    """Return a value of the payload as a row says it: times as microseconds."""
    if isinstance(value, str) and PAYLOAD.get(name) is Dtype.TIME:
        return _time(value)
    return _bounded(value)


def _time(text: str) -> Any:
    """Return a time in microseconds; what is none, as it came: its receipt will say so."""
    try:
        return time_us(text)
    except (BadRequest, OverflowError):
        return text


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _bounded(value: Any) -> Any:
    """Return a value with no whole number that a row cannot hold: too large is out of range."""
    if isinstance(value, int) and not isinstance(value, bool) and not -MOST <= value < MOST:
        return float(value) if abs(value) < 1e308 else math.inf if value > 0 else -math.inf
    if isinstance(value, list):
        return [_bounded(one) for one in value]
    if isinstance(value, dict):
        return {name: _bounded(one) for name, one in value.items()}
    return value


def _unknown(where: str, name: str) -> Malformed:
    near = difflib.get_close_matches(name, TAKEN, 1)
    hint = f"did you mean {near[0]}?" if near else "what it states belongs into data"
    return Malformed(f"{where} has an unknown name {name[:40]!r}; {hint}")
