"""What is asked over HTTP: parameters and bodies as messages of `wire/twin.proto`.

Every name that is not known is refused, and so is every value that would have to be guessed at:
a mistyped question is never answered as if it were another.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from serving.http_json import is_shown
from twin.compare import time_us
from twin.errors import BadRequest, Malformed
from twin.ordering import split

# Between a gateway and its shards, or of another encoding: no question of a user's.
INNER = frozenset({"format", "distinct", "restated", "RedriveRequest.since"})
ALIAS = {"ReceiptsRequest.ids": "id"}
TIMES = frozenset({"at", "known_at", "since", "until"})
BOUNDS: dict[str, tuple[float, float]] = {
    "limit": (1, 10_000),
    "SqlRequest.limit": (1, 1_000_000),
    "depth": (1, 8),
    "max_age_s": (0, 1e12),
    "min_confidence": (0, 1),
}
PLUS = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)")  # a + of an address is a space once decoded
MOST_NAMES = 10_000
_WHOLE = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
_WIDTH = {
    FieldDescriptor.CPPTYPE_INT32: 31,
    FieldDescriptor.CPPTYPE_INT64: 63,
    FieldDescriptor.CPPTYPE_UINT32: 32,
    FieldDescriptor.CPPTYPE_UINT64: 64,
}


class Asked(NamedTuple):
    """A name one may say. `within`: the message of the request that holds it, if it is nested."""

    field: FieldDescriptor
    within: str
    type: str  # texts, receipts, time, whole, number, flag, word, text
    low: float = -math.inf
    high: float = math.inf

    @property
    def words(self) -> list[str]:
        """The words of an enum, as they are written."""
        return [value.name.lower() for value in self.field.enum_type.values]


def names(message: type[Message], fixed: Iterable[str] = ()) -> dict[str, Asked]:
    """Return every name that can be said of a request, and what it stands for."""
    found: dict[str, Asked] = {}
    of = message.DESCRIPTOR.name
    for field in message.DESCRIPTOR.fields:
        full = f"{of}.{field.name}"
        if not is_shown(field) or field.name in INNER or full in INNER:
            continue
        if field.name in fixed:
            continue
        name = ALIAS.get(full, field.name)
        nested = field.message_type
        if nested is not None and nested.name == "When":
            first, second = ("as_of", "known_at") if name == "when" else (name, f"{name}_known_at")
            found[first] = Asked(nested.fields_by_name["at"], field.name, "time")
            found[second] = Asked(nested.fields_by_name["known_at"], field.name, "time")
        else:
            low, high = BOUNDS.get(full, BOUNDS.get(name, (-math.inf, math.inf)))
            found[name] = Asked(field, "", _type(field), low, high)
    return found


def of_query(known: Mapping[str, Asked], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the parameters of an address as a body would say them. Raises BadRequest."""
    said: dict[str, Any] = {}
    for name, text in pairs:
        asked = known.get(name)
        if asked is None:
            raise _unknown(name, known)
        if asked.type in {"texts", "receipts"}:
            said.setdefault(name, []).extend(_listed(text))
        elif name in said:
            raise BadRequest(f"{name} is said twice; say it once", "DUPLICATE_FIELD")
        else:
            said[name] = _of_text(name, asked, text)
    return said


def message(of: type[Message], known: Mapping[str, Asked], said: Mapping[str, Any]) -> Message:
    """Return the request that names and values say. Raises BadRequest."""
    made = of()
    for name, value in said.items():
        asked = known.get(name)
        if asked is None:
            raise _unknown(name, known)
        if value is None:
            continue
        try:
            _say(made, name, asked, value)
        except UnicodeEncodeError as e:
            raise Malformed(f"{name} has half a surrogate pair, which is no Unicode") from e
    return made


def _say(made: Message, name: str, asked: Asked, value: Any) -> None:
    into = getattr(made, asked.within) if asked.within else made
    if asked.type == "texts":
        getattr(into, asked.field.name).extend(_texts(name, value))
    elif asked.type == "receipts":
        _receipts(name, value, getattr(into, asked.field.name))
    else:
        setattr(into, asked.field.name, _value(name, asked, value))


def _type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return "receipts"  # the one map: shard -> offset that an answer must include
    if field.is_repeated:
        return "texts"
    if field.enum_type is not None:
        return "word"
    if field.cpp_type in _WHOLE:
        return "time" if field.name in TIMES else "whole"
    kinds = {FieldDescriptor.CPPTYPE_DOUBLE: "number", FieldDescriptor.CPPTYPE_BOOL: "flag"}
    return kinds.get(field.cpp_type, "text")


def _of_text(name: str, asked: Asked, text: str) -> Any:
    try:
        if asked.type == "whole":
            return int(text)
        if asked.type == "number":
            return float(text)
    except ValueError as e:
        raise BadRequest(f"{name} is a number, not {text[:40]!r}; correct it and ask again") from e
    if asked.type == "flag":
        if text.lower() not in {"true", "false", "1", "0"}:
            raise BadRequest(f"{name} is true or false, not {text[:40]!r}")
        return text.lower() in {"true", "1"}
    return PLUS.sub(r"\1+\2", text) if asked.type == "time" else text


def _value(name: str, asked: Asked, value: Any) -> Any:
    """Return a value as its field holds it."""
    if asked.type in {"whole", "number"}:
        return _number(name, asked, value)
    if asked.type == "flag":
        if not isinstance(value, bool):
            raise BadRequest(f"{name} is true or false; send one of these")
        return value
    if not isinstance(value, str):
        raise BadRequest(f"{name} is a text; send it in quotes")
    if asked.type == "time":
        return _time(name, value) if value else 0
    if asked.type == "word":
        if value.lower() not in asked.words:
            raise BadRequest(f"{name} is {', '.join(asked.words)}; not {value[:40]!r}")
        return asked.words.index(value.lower())
    return value


def _time(name: str, text: str) -> int:
    try:
        return time_us(text)
    except (BadRequest, OverflowError) as e:
        hint = "write 2013-09-01 or 2013-09-01T12:00:00Z"
        raise BadRequest(f"{name} is a time, not {text[:40]!r}; {hint}") from e


def _number(name: str, asked: Asked, value: Any) -> Any:
    whole = asked.type == "whole"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise BadRequest(f"{name} is a {'whole ' if whole else ''}number; send one")
    low, high = asked.low, asked.high
    if whole:
        most = 1 << _WIDTH[asked.field.cpp_type]
        low, high = max(low, -most), min(high, most - 1)
    if not low <= value <= high:
        between = f"{low:g} to {high:,.15g}" if math.isfinite(high) else "a finite number"
        raise BadRequest(f"{name} is {between}, not {value!s:.40}; correct it and ask again")
    return value


def _listed(text: str) -> list[str]:
    return [name.strip() for name in split(text)]


def _texts(name: str, value: Any) -> list[str]:
    found = _listed(value) if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadRequest(f'{name} is a list of texts; send ["..."]')
    if len(found) > MOST_NAMES:
        raise BadRequest(f"{name} has at most {MOST_NAMES} entries; send fewer at once")
    return found


def _receipts(name: str, value: Any, into: Any) -> None:
    for receipt in _texts(name, value):
        shard, _, offset = receipt.rpartition("/")
        if not shard or not offset.isascii() or not offset.isdigit() or len(offset) > 18:
            raise BadRequest(f"{name} is a receipt like shipment/east/0/57, not {receipt[:40]!r}")
        into[shard] = max(into[shard], int(offset))


def _unknown(name: str, known: Mapping[str, Asked]) -> BadRequest:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return BadRequest(f"there is no parameter {name[:40]!r}; {hint}")
