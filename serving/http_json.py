"""JSON: protobuf messages as plain data, with the names of `wire/twin.proto`.

Every time is RFC 3339 text in UTC and every value keeps its provenance; absent is null, never 0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from serving.wire import twin_pb2 as pb
from twin.kinds import ABSENT

TIMES = frozenset(
    {
        "now",
        "event_time",
        "ingest_time",
        "as_of",
        "oldest_as_of",
        "newest_as_of",
        "at",
        "deadline",
        "earliest",
    }
)
HELD = ("text", "number", "integer", "time", "flag")  # a value has one of these
INNER = frozenset({"Columns", "Texts"})  # messages of bytes: between a gateway and its shards
OF_SHARDS = frozenset({"SearchReply.left", "PreviewReply.restated"})  # what only a gateway asks for
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(8192)  # values of a group share their as_of
def rfc3339(us: int) -> str | None:
    """Return microseconds since 1970 as text; None where there is no time."""
    if us in {ABSENT, 0}:
        return None
    try:
        text = (EPOCH + timedelta(microseconds=us)).isoformat()
    except OverflowError:
        return None
    return text.replace("+00:00", "Z")


def mode(message: Any) -> str:
    """Return normal or degraded; empty where an answer has no mode."""
    if "mode" not in message.DESCRIPTOR.fields_by_name:
        return ""
    return "degraded" if message.mode == pb.Mode.DEGRADED else "normal"


def is_shown(field: FieldDescriptor) -> bool:
    """Say whether a field is for people: bytes are not."""
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        return is_shown(nested.fields_by_name["value"])
    if field.type == FieldDescriptor.TYPE_BYTES or (nested is not None and nested.name in INNER):
        return False
    return f"{field.containing_type.name}.{field.name}" not in OF_SHARDS


def is_said(field: FieldDescriptor) -> bool:
    """Say whether values are what one event stated: they are from it, and from nowhere else."""
    return bool(field.full_name == "supplytwin.v1.HistoryEntry.said")


def said(given: pb.Value) -> dict[str, Any]:
    """Return a value alone, named for its type."""
    held = given.WhichOneof("value")
    return {held: bare(given)} if held else {}


def is_time(field: FieldDescriptor) -> bool:
    return field.name in TIMES or field.full_name == "supplytwin.v1.Value.time"


def reply(message: Message) -> dict[str, Any]:
    """Return an answer as plain data: one twin flat, anything else as it is."""
    if isinstance(message, pb.GetReply):
        rest = {"mode": mode(message), "now": rfc3339(message.now)}
        return twin(message.twin) | rest | {"withheld": list(message.withheld)}
    return plain(message)


def plain(message: Message) -> dict[str, Any]:
    """Return `message` as a dict of all its fields; a message that is not there is None."""
    if isinstance(message, pb.TwinState):
        return twin(message)
    if isinstance(message, pb.Value):
        return value(message)
    return {
        field.name: _field(message, field) for field in message.DESCRIPTOR.fields if is_shown(field)
    }


def twin(state: pb.TwinState) -> dict[str, Any]:
    return {
        "key": state.key,
        "id": state.id,
        "region": state.region,
        "values": {name: value(state.values[name]) for name in sorted(state.values)},
        "shard": state.shard,
        "offset": state.offset,
        "epoch": state.epoch,
    }


def value(given: pb.Value) -> dict[str, Any]:
    """Return one value and where it is from; its member is named for its type, as in the proto."""
    held = given.WhichOneof("value")
    return said(given) | {
        "as_of": rfc3339(given.as_of),
        "age_ms": given.age_ms,
        "confidence": given.confidence,
        "source": given.source,
        "offset": given.offset,
        "state": given.state,
        "unit": "" if held == "time" else given.unit,  # it is text
    }


def bare(given: pb.Value) -> str | float | int | bool | None:
    """Return the value alone; times as text."""
    held = given.WhichOneof("value")
    if held is None:
        return None
    found: str | float | int | bool = getattr(given, held)
    return rfc3339(int(found)) if held == "time" else found


def _field(message: Message, field: FieldDescriptor) -> Any:
    given = getattr(message, field.name)
    kind = field.message_type
    if is_said(field):
        return {key: said(given[key]) for key in sorted(given)}
    if kind is not None and kind.GetOptions().map_entry:
        nested = kind.fields_by_name["value"].message_type is not None
        return {key: plain(given[key]) if nested else given[key] for key in sorted(given)}
    if field.is_repeated:
        return [plain(one) if kind is not None else one for one in given]
    if kind is not None:
        return plain(given) if message.HasField(field.name) else None
    if field.enum_type is not None:
        return field.enum_type.values_by_number[given].name.lower()
    return rfc3339(given) if is_time(field) else given
