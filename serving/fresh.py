"""Freshness as a contract: what a request demands of values, and what becomes of those that fail.

REFUSE answers with an error that says which value failed; WITHHOLD leaves such values out and
names their fields; LABEL gives them with a state that says so, and the mode is DEGRADED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Stale
from twin.fields import VIRTUAL, Mask, group_of, reads
from twin.kinds import ABSENT, KINDS, Group
from twin.query import View

AGAIN_S = 1.0  # until a value may be fresher


class Demand(NamedTuple):
    """How old values may be, and how sure they must be; 0: as they are."""

    max_age_s: float
    min_confidence: float
    fallback: int  # pb.Fallback

    @property
    def asks(self) -> bool:
        return self.max_age_s > 0 or self.min_confidence > 0

    def failing(self, view: View, rows: NDArray[np.int64], group: Group) -> tuple[Mask, Mask]:
        """Return which of some rows know the group, but too old a one; and too unsure a one."""
        table = view.snapshot.tables[view.kind]
        as_of = table.take(f"{group.name}.as_of", rows)
        told = as_of != ABSENT
        old = np.zeros(rows.size, np.bool_)
        if self.max_age_s > 0:
            old = told & (as_of < view.now_us - int(self.max_age_s * 1e6) - 999)
        unsure = np.zeros(rows.size, np.bool_)
        if self.min_confidence > 0:
            unsure = told & (table.take(f"{group.name}.confidence", rows) < self.min_confidence)
        return old, unsure


NO_DEMAND = Demand(0.0, 0.0, pb.REFUSE)


def demand(request: pb.SearchRequest | pb.GetRequest) -> Demand:
    """Return what a request demands. Raises BadRequest for a demand that makes no sense."""
    age, sure = request.max_age_s, request.min_confidence
    if not 0 <= age < 1e12 or not 0 <= sure <= 1:
        raise BadRequest("max_age_s is 0 or more, and min_confidence from 0 to 1; ask so")
    return Demand(age, sure, request.fallback)


def groups_of(kind: str, fields: Sequence[str]) -> dict[str, tuple[Group, list[str]]]:
    """Return the groups that some fields are of (all if none are named), and which of them are."""
    found: dict[str, tuple[Group, list[str]]] = {}
    for name in fields or [field.name for field in KINDS[kind].fields]:
        if (real := KINDS[kind].field(name)) is not None:
            group = real[0]
        elif (virtual := VIRTUAL.get(kind, {}).get(name)) is not None:
            group = group_of(kind, virtual.group)
        else:
            continue
        found.setdefault(group.name, (group, []))[1].append(name)
    return found


def behind(kind: str, names: Sequence[str]) -> list[Group]:
    """Return the groups that fields, or functions of groups, have their values from."""
    found = [group for group, _ in groups_of(kind, names or ("id",)).values()]
    for name in names:
        found += [group_of(kind, read) for read in reads(kind, name)[1] if name != "now()"]
    return list(dict.fromkeys(found))


def judged(
    view: View, rows: NDArray[np.int64], fields: Sequence[str], demand: Demand
) -> tuple[dict[str, tuple[Mask, Mask]], list[str]]:
    """Return what fails, by group as (too old, too unsure); and the fields that it is of.

    Raises Stale, or BadRequest TOO_UNSURE, where the request would rather have no answer.
    """
    failing: dict[str, tuple[Mask, Mask]] = {}
    named: list[str] = []
    if not demand.asks:
        return failing, named
    for group, names in groups_of(view.kind, fields).values():
        old, unsure = demand.failing(view, rows, group)
        if not old.any() and not unsure.any():
            continue
        if demand.fallback == pb.REFUSE:
            raise _refusal(view, rows, group, names[0], old, unsure)
        failing[group.name] = old, unsure
        named += names
    return failing, named


def _refusal(
    view: View, rows: NDArray[np.int64], group: Group, name: str, old: Mask, unsure: Mask
) -> Exception:
    table = view.snapshot.tables[view.kind]
    at = rows[np.flatnonzero(old if old.any() else unsure)[:1]]
    id = view.ids(at)[0]
    if old.any():
        age_s: Any = (view.now_us - int(table.take(f"{group.name}.as_of", at)[0])) / 1e6
        return Stale(f"{name} of {id} is {age_s:.15g} s old; allow more, or wait", AGAIN_S)
    sure = float(table.take(f"{group.name}.confidence", at)[0])
    return BadRequest(f"{name} of {id} is sure to {sure:.3g} only; allow less", "TOO_UNSURE")
