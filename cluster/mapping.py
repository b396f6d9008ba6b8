"""Mappings: TOML that says which events the rows of a file are, and which twins they are about.

A mapping is data. Each row becomes all its events or is parked with its line, a reason and the
column: no row is dropped silently, and the same file gives the same event ids every time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from cluster.expressions import (
    OTHERWISE,
    Expression,
    Row,
    UnmappableError,
    compile_condition,
    compile_value,
    unknown,
)
from serving.client import Event
from twin.contracts import CONTRACTS, Contract
from twin.errors import BadRequest

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Reader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file is. A name that ends in .gz is unpacked, whatever the format."""

    format: Literal["csv", "jsonl"] = "csv"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A look-up: single `rows`, whole `groups` (value -> keys), and a value for all others."""

    rows: dict[str, str] = {}
    groups: dict[str, tuple[str, ...]] = {}
    otherwise: str = ""

    def flat(self) -> dict[str, str]:
        found = {key: value for value, keys in self.groups.items() for key in keys} | self.rows
        return found | ({OTHERWISE: self.otherwise} if self.otherwise else {})


class Made(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event made from a row; every text is an expression.

    `known`: when the row, or this part of it, became known; the event's time if empty.
    `once`: only the first event of a subject stands; later rows repeat it.
    """

    type: Text
    id: Text
    subject: Text
    time: Text
    known: str = ""
    when: str = ""
    once: bool = False
    version: int = 1
    payload: dict[str, str] = {}


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file's rows become events.

    `region`: the expression that says where a twin lives; `tenant`: the token's, if empty.
    """

    name: Text
    source: Text
    region: Text
    events: Annotated[tuple[Made, ...], msgspec.Meta(min_length=1)]
    tenant: str = ""
    about: str = ""
    reader: Reader = Reader()
    tables: dict[str, Table] = {}


class Mapped(NamedTuple):
    """An event, when it became known (us) and the line of the file it is from."""

    known_us: int
    line: int
    event: Event


class Parked(NamedTuple):
    """A row that no event could be made from. `line`: in the file, its header being line 1."""

    line: int
    reason: str
    column: str
    value: str


class Result(NamedTuple):
    """Events in the order they became known (ties in the order of the file)."""

    rows: int
    events: list[Mapped]
    parked: list[Parked]


def names() -> list[str]:
    """Return the mappings that come with the package."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in (files("cluster") / "mappings").iterdir()
        if entry.name.endswith(".toml")
    )


def find(name: str) -> Mapping:
    """Return a mapping by the name of one in the package, or by the path of a file.

    Raises BadRequest MAPPING_UNKNOWN, MAPPING_INVALID.
    """
    if name in names():
        return parse((files("cluster") / "mappings" / f"{name}.toml").read_text(encoding="utf-8"))
    if not (name.endswith(".toml") or "/" in name):
        raise unknown(name, names(), "mapping", "MAPPING_UNKNOWN")
    try:
        return parse(Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        known = ", ".join(names())
        message = f"there is no file {name}; give the path of a mapping, or one of {known}"
        raise BadRequest(message, "MAPPING_UNKNOWN") from e
    except (OSError, UnicodeDecodeError) as e:
        raise BadRequest(f"{name} cannot be read: {e}; check it", "MAPPING_INVALID") from e


def parse(text: str) -> Mapping:
    """Return the mapping that TOML declares. Raises BadRequest MAPPING_INVALID."""
    try:
        mapping = msgspec.convert(tomllib.loads(text), Mapping)
    except tomllib.TOMLDecodeError as e:
        raise BadRequest(f"the mapping is no TOML: {e}; correct it", "MAPPING_INVALID") from e
    except msgspec.ValidationError as e:
        raise _explained(str(e)) from e
    for made in mapping.events:
        _keeps(made, _contract(made))
    return mapping


def apply(
    mapping: Mapping, header: Sequence[str], rows: Sequence[tuple[int, Row | Parked]]
) -> Result:
    """Return every row as events, or as parked. `rows`: (line, cells in the order of `header`),
    or what the reader could not take apart.

    Raises BadRequest COLUMN_UNKNOWN, MAPPING_INVALID.
    """
    columns = {name: at for at, name in enumerate(header)}
    tables = {name: table.flat() for name, table in mapping.tables.items()}
    region = compile_value(mapping.region, columns, tables)
    makers = [_maker(mapping, made, region, columns, tables) for made in mapping.events]
    events: list[tuple[Mapped, int]] = []
    parked: list[Parked] = []
    for line, cells in rows:
        if isinstance(cells, Parked):
            parked.append(cells)
            continue
        try:
            made = [(maker(cells, line), at) for at, maker in enumerate(makers)]
        except UnmappableError as e:
            parked.append(Parked(line, e.reason, e.column, e.value))
        else:
            events.extend((event, at) for event, at in made if event)
    events.sort(key=lambda pair: (pair[0].known_us, pair[0].line))
    return Result(len(rows), _first_of_each(mapping, events), parked)


def _first_of_each(mapping: Mapping, events: list[tuple[Mapped, int]]) -> list[Mapped]:
    """Return all events but the repeats of those that a subject gets once."""
    met: set[tuple[int, str]] = set()
    out = []
    for mapped, at in events:
        if mapping.events[at].once:
            if (at, mapped.event.subject) in met:
                continue
            met.add((at, mapped.event.subject))
        out.append(mapped)
    return out


def _maker(
    mapping: Mapping,
    made: Made,
    region: Expression,
    columns: Dictionary[str, int],
    tables: Dictionary[str, Dictionary[str, str]],
) -> Any:
    """Return a function (row, line) -> Mapped, or None where the condition does not hold."""

    def value(text: str) -> Expression:
        return compile_value(text, columns, tables)

    when = compile_condition(made.when, columns, tables).read if made.when else None
    subject, id_, time = value(made.subject), value(made.id), value(made.time)
    known = value(made.known) if made.known else time
    required = {promise.name for promise in _contract(made).payload if promise.required}
    payload = [(name, value(text), name in required) for name, text in made.payload.items()]

    def make(row: Row, line: int) -> Mapped | None:
        if when and not when(row):
            return None
        content: dict[str, Any] = {}
        for name, expression, must in payload:
            found = expression.read(row)
            if found is not None:
                content[name] = found
            elif must:
                raise UnmappableError("FIELD_MISSING", (expression.columns or (name,))[0], "")
        event = Event(
            made.type,
            mapping.source,
            str(_there(subject, row)),
            _moment(time, row),
            content,
            str(_there(id_, row)),
            str(_there(region, row)),
            made.version,
            mapping.tenant,
        )
        return Mapped(_moment(known, row), line, event)

    return make


def _there(expression: Expression, row: Row) -> Any:
    value = expression.read(row)
    if value is None:
        raise UnmappableError("FIELD_MISSING", (expression.columns or ("",))[0], "")
    return value


def _moment(expression: Expression, row: Row) -> int:
    value = _there(expression, row)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnmappableError("VALUE_UNREADABLE", (expression.columns or ("",))[0], str(value))
    return value


def _contract(made: Made) -> Contract:
    for contract in CONTRACTS:
        if (contract.type, contract.version) == (made.type, made.version):
            return contract
    known = sorted({contract.type for contract in CONTRACTS})
    if made.type in known:
        message = f"{made.type} has no version {made.version}; use a version that has a contract"
        raise BadRequest(message, "MAPPING_INVALID")
    raise unknown(made.type, known, "event type", "MAPPING_INVALID")


def _keeps(made: Made, contract: Contract) -> None:
    """Refuse a payload that could never keep the contract of its type."""
    promised = {promise.name: promise.required for promise in contract.payload}
    for name in made.payload:
        if name not in promised:
            what = f"payload field of {contract.name}"
            raise unknown(name, promised, what, "MAPPING_INVALID")
    for name, required in promised.items():
        if required and name not in made.payload:
            message = f"{contract.name} needs a payload field {name!r}; say where it comes from"
            raise BadRequest(message, "MAPPING_INVALID")


_FIELDS = {"events": Made, "reader": Reader, "tables": Table}


def _explained(text: str) -> BadRequest:
    """Return msgspec's complaint with the nearest key, if it is about a key nobody knows."""
    found = re.match(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(\w*))?", text)
    if not found:
        return BadRequest(f"the mapping is invalid: {text}; correct it", "MAPPING_INVALID")
    struct: Any = _FIELDS.get(found[2] or "", Mapping)
    return unknown(found[1], struct.__struct_fields__, "key", "MAPPING_INVALID")
