"""Schemas: contracts as JSON Schema (draft 2020-12), for those who write events elsewhere.

A schema describes a payload as it is offered, and a payload that it accepts keeps the contract.
What JSON Schema has no word for stands in members that begin with x-: units and dtypes of
fields, kind and owner of the contract, and what an event of it sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.contracts import CONTRACTS
from twin.kinds import KINDS, Dtype, Merge, Milestone
from twin.promises import Carry, Contract, Promise, Source

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST = 2**62 - 1  # of integers and times
_TYPES = {
    Dtype.TIME: "integer",
    Dtype.INTEGER: "integer",
    Dtype.NUMBER: "number",
    Dtype.TEXT: "string",
    Dtype.FLAG: "boolean",
}


def schemas(contracts: Sequence[Contract] = CONTRACTS) -> dict[str, Schema]:
    """Return name -> schema of every contract."""
    newest = {
        one.type: max(o.version for o in contracts if o.type == one.type) for one in contracts
    }
    return {
        one.name: schema(one, number, one.version < newest[one.type])
        for number, one in enumerate(contracts)
    }


def schema(contract: Contract, number: int, older: bool = False) -> Schema:
    """Return one contract as a schema. `number`: what journals know it by."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:supply-twin:contract:{contract.name}",
        "title": contract.name,
        "description": contract.meaning,
        "deprecated": older,
        "type": "object",
        "properties": {promise.name: _property(promise) for promise in contract.payload},
        "required": [promise.name for promise in contract.payload if promise.required],
        "additionalProperties": False,
        "x-type": contract.type,
        "x-version": contract.version,
        "x-number": number,
        "x-kind": contract.kind,
        "x-owner": contract.owner,
        "x-sets": {
            group: {"merge": _merge(contract.kind, group), "fields": _sources(says)}
            for group, says in contract.sets.items()
        },
    }


def _property(promise: Promise) -> Schema:
    told: Schema = {"description": promise.meaning} if promise.meaning else {}
    type_ = _TYPES[promise.dtype]
    told["type"] = type_ if promise.required else [type_, "null"]
    if promise.among:
        told["enum"] = list(promise.among) if promise.required else [*promise.among, "", None]
        told["x-meanings"] = dict(promise.among)
    if promise.dtype is Dtype.TEXT and promise.required:
        told["minLength"] = 1  # "" says no more than null does
    if promise.dtype in {Dtype.TIME, Dtype.INTEGER}:
        told["minimum"] = max(int(promise.least), -MOST)
        told["maximum"] = min(int(promise.most), MOST)
    elif promise.dtype is Dtype.NUMBER:
        told["minimum"], told["maximum"] = promise.least, promise.most
    return told | {"x-dtype": promise.dtype.value, "x-unit": promise.unit}


def _merge(kind: str, name: str) -> str:
    merge: Merge = next(group.merge for group in KINDS[kind].groups if group.name == name)
    return merge.value


def _sources(says: Mapping[str, Source]) -> Schema:
    return {field: _source(source) for field, source in says.items()}


def _source(source: Source) -> Any:
    """Return where a field is from: payload field, @event_time, a conversion or a constant."""
    if isinstance(source, Carry):
        return {"field": source.field, "factor": source.factor, "shift": source.shift}
    if isinstance(source, Milestone):
        return {"const": int(source), "name": source.name}
    return {"const": source} if isinstance(source, int) else source
