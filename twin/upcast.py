"""Upcasts: what an event of an older version says, in the words of the newest.

The journal keeps each event as it came, under its own contract. One step leads from a version to
the next, as data; the steps of a type are joined once, so replay lifts a column at a time and an
old event costs what a new one does. A step never changes: another version gets another step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.kinds import ABSENT, Dtype
from twin.promises import EVENT_TIME, Carry, Contract, Promise, Source

Column = NDArray[Any]
Carries = dict[str, Carry]  # field of a newer payload -> where it is from in an older one


class Step(NamedTuple):
    """From `version` of a type to the next.

    `fields`: of the next version, where one is not the field of the same name, or None where the
    older version did not say it. What both versions name alike is carried as it is.
    """

    type: str
    version: int
    fields: Mapping[str, Carry | None] = {}


def lift(contracts: Sequence[Contract], steps: Sequence[Step]) -> tuple[Contract, ...]:
    """Return the contracts, older versions saying what the newest says of what they carry.

    Raises ValueError where a step is missing.
    """
    newest = {one.type: one for one in sorted(contracts, key=lambda one: one.version)}
    lifted = []
    for one in contracts:
        if one is newest[one.type]:
            lifted.append(one)
            continue
        carries = _carries(one, contracts, steps)
        sets = {group: _lifted(says, carries) for group, says in newest[one.type].sets.items()}
        lifted.append(one._replace(sets={group: says for group, says in sets.items() if says}))
    return tuple(lifted)


def converted(column: Column, carry: Carry) -> Column:
    """Return an older column as the newer version has it; absent stays absent.

    Integers are rounded to the nearest, and exact up to 2**53 (IEEE 754 doubles).
    """
    moved: Column = column * carry.factor + carry.shift
    if column.dtype.kind == "f":
        return moved
    return np.where(column == ABSENT, ABSENT, np.rint(moved).astype(np.int64))


def unsound(contracts: Sequence[Contract], steps: Sequence[Step]) -> list[str]:
    """Say of each step what keeps a good event of its version from being a good one of the next."""
    told = []
    by_name = {(one.type, one.version): one for one in contracts}
    for step in steps:
        old = by_name.get((step.type, step.version))
        new = by_name.get((step.type, step.version + 1))
        if old is None or new is None:
            told.append(f"{step.type}: no versions {step.version} and {step.version + 1}")
            continue
        given = {promise.name: promise for promise in old.payload}
        carries = _step(old, new, step)
        for promise in new.payload:
            carry = carries.get(promise.name)
            what = _flaw(promise, carry, given.get(carry.field) if carry else None)
            if what:
                told.append(f"{new.name}: {promise.name} {what}")
    return told


def _carries(old: Contract, contracts: Sequence[Contract], steps: Sequence[Step]) -> Carries:
    """Return where the newest version's fields are from in `old`."""
    later = sorted(
        (one for one in contracts if one.type == old.type and one.version > old.version),
        key=lambda one: one.version,
    )
    by_version = {step.version: step for step in steps if step.type == old.type}
    carries = {promise.name: Carry(promise.name) for promise in old.payload}
    before = old
    for after in later:
        step = by_version.get(before.version)
        if step is None or after.version != before.version + 1:
            raise ValueError(f"no step leads from {before.name} to {after.name}; add one")
        carries = {
            name: _joined(carries[carry.field], carry)
            for name, carry in _step(before, after, step).items()
            if carry.field in carries
        }
        before = after
    return carries


def _step(old: Contract, new: Contract, step: Step) -> Carries:
    given = {promise.name for promise in old.payload}
    carries: Carries = {}
    for promise in new.payload:
        carry = step.fields.get(promise.name, Carry(promise.name))
        if carry is not None and (promise.name in step.fields or carry.field in given):
            carries[promise.name] = carry
    return carries


def _joined(first: Carry, then: Carry) -> Carry:
    """Return one carry that does what two do, one after the other."""
    return Carry(first.field, first.factor * then.factor, first.shift * then.factor + then.shift)


def _lifted(says: Mapping[str, Source], carries: Carries) -> dict[str, Source]:
    """Return what one group is set to, by the names of an older payload.

    Nothing, if the older version carries none of the payload fields that set it.
    """
    told: dict[str, Source] = {}
    wanted = [source for source in says.values() if _payload(source)]
    for field, source in says.items():
        if not _payload(source):
            told[field] = source
        elif isinstance(source, str) and source in carries:
            carry = carries[source]
            told[field] = carry.field if carry == Carry(carry.field) else carry
    return told if not wanted or any(_payload(source) for source in told.values()) else {}


def _payload(source: Source) -> bool:
    return isinstance(source, Carry) or (isinstance(source, str) and source != EVENT_TIME)


def _flaw(new: Promise, carry: Carry | None, old: Promise | None) -> str:
    """Say what is wrong with a carried field; "" if nothing is."""
    if carry is None:
        return "is required, and older events do not say it" if new.required else ""
    if old is None:
        return f"is carried from {carry.field}, which there is not"
    if new.required and not old.required:
        return "is required, and older events need not say it"
    if old.dtype is not new.dtype:
        return f"is a {new.dtype.value}, and was a {old.dtype.value}"
    if new.among and (not old.among or set(old.among) - set(new.among)):
        return "may no longer be what older events say"
    ends = sorted(end * carry.factor + carry.shift for end in (old.least, old.most))
    if new.dtype is not Dtype.TEXT and not (new.least <= ends[0] and ends[1] <= new.most):
        return (
            f"ranges from {new.least:g} to {new.most:g}, older events to {ends[0]:g}..{ends[1]:g}"
        )
    if carry == Carry(carry.field) and old.unit != new.unit:
        return f"is in {new.unit or 'no unit'}, and was in {old.unit or 'no unit'}"
    return ""
