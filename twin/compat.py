"""Compatibility: whether events of yesterday still keep the contracts, and still mean the same.

Compared are exported schemas (`twin.schema`), the older ones from wherever they were kept. A
change is compatible if every payload the older schema accepts is accepted, and if what an old
event sets is what it set: journals are replayed for ever. Anything else is another version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twin.schema import Schema

WORDS = {"description", "x-meanings", "type"}  # of a field: `type` follows x-dtype and required
BOUNDS = {"minimum", "maximum", "minLength", "enum"}
IDENTITY = ("x-type", "x-version", "x-number", "x-kind", "type", "additionalProperties")
KEYS = {*IDENTITY, "properties", "required", "x-sets"}  # what is compared, of every schema


def breaches(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[str]:
    """Say of each incompatible change what it is; nothing if there is none."""
    told = []
    numbers = {was["x-number"]: name for name, was in old.items()}
    for name, was in old.items():
        if name not in new:
            told.append(f"{name} is gone; journals hold events of it")
            continue
        told += [f"{name}: {what}" for what in _breaches(was, new[name])]
    for name in new.keys() - old.keys():
        if (number := new[name]["x-number"]) in numbers:
            told.append(f"{name} takes number {number} of {numbers[number]}; append it")
    return sorted(told)


def _breaches(was: Schema, now: Schema) -> Iterator[str]:
    for key in IDENTITY:
        if was[key] != now[key]:
            yield f"{key} was {was[key]}, and is {now[key]}"
    for name in sorted(set(now["required"]) - set(was["required"])):
        yield f"{name} is required, and was not"
    for name, field in was["properties"].items():
        if name not in now["properties"]:
            yield f"{name} is gone"
        else:
            yield from (f"{name} {what}" for what in _narrower(field, now["properties"][name]))
    yield from _meaning(was, now)


def _narrower(was: Schema, now: Schema) -> Iterator[str]:
    """Say what a field no longer takes, or takes to mean something else."""
    for key in sorted((was.keys() | now.keys()) - WORDS - BOUNDS):
        if was.get(key) != now.get(key):
            yield f"has {key} {now.get(key)!r}, and had {was.get(key)!r}"
    for key, sign in (("minimum", 1), ("maximum", -1), ("minLength", 1)):
        least, held = now.get(key), was.get(key)
        if least is not None and (held is None or sign * least > sign * held):
            yield f"has {key} {least}, and had {'none' if held is None else held}"
    if "enum" in now:
        if "enum" not in was:
            yield "takes some words only, and took any"
        elif lost := [word for word in was["enum"] if word not in now["enum"]]:
            yield f"no longer takes {', '.join(map(repr, lost))}"


def _meaning(was: Schema, now: Schema) -> Iterator[str]:
    """Say where an old event would set something else than it did."""
    before, after = was["x-sets"], now["x-sets"]
    for group in sorted(before.keys() | after.keys()):
        if group not in after:
            yield f"no longer sets {group}"
        elif group not in before:
            yield f"also sets {group}, and so would old events"
        else:
            yield from _group(group, before[group], after[group], was["properties"])


def _group(name: str, was: Schema, now: Schema, said: Mapping[str, Any]) -> Iterator[str]:
    if was["merge"] != now["merge"]:
        yield f"{name} is merged by {now['merge']}, and was by {was['merge']}"
    for field in sorted(was["fields"].keys() | now["fields"].keys()):
        before, after = was["fields"].get(field), now["fields"].get(field)
        new = before is None and isinstance(after, str) and not after.startswith("@")
        if before != after and not (new and after not in said):  # of a new field: old ones lack it
            yield f"sets {field} from {after}, and did from {before}"
