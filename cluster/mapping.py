"""Mappings: TOML that says which events the rows of a file are, and which twins they are about.

A mapping is data, and all of it is checked before a row is read: a payload that could never keep
its contract, a unit that measures something else, a word nobody knows.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cluster.expressions import OTHERWISE, unknown
from cluster.units import converter
from twin.contracts import CONTRACTS, Contract
from twin.errors import BadRequest

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Reader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file is; its name says what is left empty. .gz, .zst, .bz2, .lz4 are unpacked."""

    format: Literal["", "csv", "jsonl", "parquet"] = ""
    delimiter: Annotated[str, msgspec.Meta(max_length=1)] = ""  # of a CSV
    encoding: str = "utf-8"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A look-up: single `rows`, whole `groups` (value -> keys), and a value for all others."""

    rows: dict[str, str] = {}
    groups: dict[str, tuple[str, ...]] = {}
    otherwise: str = ""

    def flat(self) -> dict[str, str]:
        found = {key: value for value, keys in self.groups.items() for key in keys} | self.rows
        return found | ({OTHERWISE: self.otherwise} if self.otherwise else {})


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An expression whose value is in `unit`; it is converted to that of its contract."""

    value: Text
    unit: Text


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
    payload: dict[str, str | Measured] = {}


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file's rows become events.

    `region`: the expression that says where a twin lives; `tenant`: the token's, if empty;
    `columns`: derived ones, each an expression that may use those above it.
    """

    name: Text
    source: Text
    region: Text
    events: Annotated[tuple[Made, ...], msgspec.Meta(min_length=1)]
    tenant: str = ""
    about: str = ""
    reader: Reader = Reader()
    tables: dict[str, Table] = {}
    columns: dict[str, str] = {}


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
    try:
        codecs.lookup(mapping.reader.encoding)
    except LookupError as e:
        message = f"there is no encoding {mapping.reader.encoding!r}; use utf-8 or latin-1, say"
        raise BadRequest(message, "MAPPING_INVALID") from e
    for made in mapping.events:
        _keeps(made, contract_of(made))
    return mapping


def contract_of(made: Made) -> Contract:
    """Return the contract that the events of `made` keep. Raises BadRequest MAPPING_INVALID."""
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
    units = {promise.name: promise for promise in contract.payload}
    for name, said in made.payload.items():
        if name not in promised:
            what = f"payload field of {contract.name}"
            raise unknown(name, promised, what, "MAPPING_INVALID")
        if isinstance(said, Measured):
            converter(said.unit, units[name].unit, units[name].dtype, name)
    for name, required in promised.items():
        if required and name not in made.payload:
            message = f"{contract.name} needs a payload field {name!r}; say where it comes from"
            raise BadRequest(message, "MAPPING_INVALID")


_FIELDS = {"events": Made, "reader": Reader, "tables": Table, "payload": Measured}


def _explained(text: str) -> BadRequest:
    """Return msgspec's complaint with the nearest key, if it is about a key nobody knows."""
    found = re.match(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?", text)
    if not found:
        return BadRequest(f"the mapping is invalid: {text}; correct it", "MAPPING_INVALID")
    inside = [name for name in re.findall(r"\.(\w+)", found[2] or "") if name in _FIELDS]
    struct: Any = _FIELDS[inside[-1]] if inside else Mapping
    return unknown(found[1], struct.__struct_fields__, "key", "MAPPING_INVALID")
