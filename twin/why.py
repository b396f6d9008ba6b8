"""Why a value is what it is: the event that decided it, and what beat every other.

Each reason is read off the same keys, masks and levels that decide the value (twin.course), so a
sentence cannot say anything but what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import CONTRACTS, STEPS
from twin.course import NONE, Course, Facts
from twin.events import RETRACTS
from twin.kinds import Group, Merge
from twin.retraction import event_of

_FURTHER = {Merge.MAX: "greatest", Merge.MIN: "least"}


class Loser(NamedTuple):
    """An event that says something about a group, and did not decide it."""

    event: int
    rule: str


class Why(NamedTuple):
    """Events by their place in the chain. `decided`: NONE where nothing is known."""

    decided: int
    rule: str
    losers: list[Loser]  # the strongest first
    inputs: list[int]  # of a sum or a level: what is counted, the newest first


class Names(NamedTuple):
    """How events and what they state are called."""

    receipt: Callable[[int], str]
    source: Callable[[int], str]
    value: Callable[[int], str]


def explain(course: Course, group: Group, names: Names, at: int) -> Why:
    """Return what decides a group at `at`, and which rule beat every other event about it."""
    facts = course.facts[group.name]
    winner = int(course.at(at).tracks[group.name].winner[0])
    time = course.chain.column("time")
    speaks = course.chain.column("does") != RETRACTS
    about = np.flatnonzero((facts.number != NONE) & (time <= at) & speaks)
    about = about[np.argsort(-facts.number[about], kind="stable")]
    inputs: list[int] = []
    if group.merge in {Merge.SUM, Merge.LEVEL} and winner != NONE:
        inputs = [i for i in about.tolist() if _counted(course, facts, i, at)]
    beaten = [i for i in about.tolist() if i != winner and i not in set(inputs)]
    losers = [Loser(i, _beaten(course, facts, i, winner, names, at)) for i in beaten]
    return Why(winner, _rule(facts, winner, about.size, inputs), losers, inputs)


def lifted(contract: int) -> str:
    """Say by which steps an event of an older version is read, or nothing."""
    one = CONTRACTS[contract]
    newest = max(other.version for other in CONTRACTS if other.type == one.type)
    steps = [s for s in STEPS if s.type == one.type and one.version <= s.version < newest]
    told = []
    for step in sorted(steps, key=lambda step: step.version):
        changes = [
            f"{name} is not said" if carry is None else f"{name} is {carry.field} converted"
            for name, carry in step.fields.items()
        ]
        said = f": {', '.join(changes)}" if changes else ""
        told.append(f"v{step.version} to v{step.version + 1}{said}")
    return "; ".join(told)


def _rule(facts: Facts, winner: int, about: int, inputs: list[int]) -> str:
    group = facts.group
    if winner == NONE:
        return f"no event that counts says anything about {group.name}"
    if group.merge is Merge.SUM:
        return f"a sum: every one of {len(inputs)} events counts once, this is the newest"
    if group.merge is Merge.LEVEL:
        counts = [i for i in inputs if facts.counts[i]]
        if not counts:
            return f"a level that was never counted: {len(inputs)} movements wait for a count"
        moves = len(inputs) - 1
        return f"a level: the latest count, and {moves} movements after it; this is the newest"
    if group.merge in _FURTHER:
        word = _FURTHER[group.merge]
        return f"of {about} events about {group.name} it says the {word}, whatever its time"
    if about == 1:
        return f"it is the only event about {group.name}"
    return f"of {about} events about {group.name} that count, it has the latest event time"


def _beaten(course: Course, facts: Facts, i: int, winner: int, names: Names, at: int) -> str:
    group = facts.group
    if not course.masks.speaks[i]:
        by = silencer(course, i)
        return f"{names.receipt(by)} withdrew it" if by != NONE else "it was withdrawn"
    if group.merge in {Merge.SUM, Merge.LEVEL} and not course.masks.adds[i]:
        return _restated(course, i, names)
    if group.merge is Merge.LEVEL:
        count = _latest(course, facts, at)
        when = instant(int(course.chain.column("time")[count]))
        if facts.counts[i]:
            return f"a later count, {names.receipt(count)} of {when}, takes its place"
        return f"the count {names.receipt(count)} of {when} already includes it"
    field = group.fields[0].name
    mine, best = facts.values[field][i], facts.values[field][winner]
    if group.merge in _FURTHER and mine != best:
        word = "greatest" if group.merge is Merge.MAX else "least"
        return f"it says {names.value(i)}; the {word}, {names.value(winner)}, decides at any time"
    return _older(course, i, winner, names)


def _older(course: Course, i: int, winner: int, names: Names) -> str:
    time, rank = course.chain.column("time"), course.rank
    if time[i] != time[winner]:
        return f"it is older: {instant(int(time[i]))} is before {instant(int(time[winner]))}"
    if rank[i] != rank[winner]:
        return (
            f"it is of the same time, and {names.source(i)} is trusted less than "
            f"{names.source(winner)}"
        )
    return "it is of the same time and as trusted; of equals the greater hash of the id decides"


def _restated(course: Course, i: int, names: Names) -> str:
    if course.revoked[i]:
        return "it says that what it derives from holds no longer"
    same = np.flatnonzero(
        (course.cause == course.cause[i]) & (course.revision > course.revision[i])
    )
    if not same.size:
        return "what it derives from holds no longer"
    last = int(same[np.argmax(course.revision[same])])
    word = "withdrew" if course.revoked[last] else "restated"
    return f"{names.receipt(last)} {word} what it derives from"


def silencer(course: Course, i: int) -> int:
    """Return the standing retraction of an event with the greatest key, or NONE."""
    found = course.withdrawn.standing(event_of(course.chain.frame, "hash", i))
    if not found:
        return NONE
    high, low = found[-1].by[:2]
    hashes: NDArray[np.uint64] = course.chain.column("hash")
    return int(np.flatnonzero((hashes[:, 0] == high) & (hashes[:, 1] == low))[0])


def _counted(course: Course, facts: Facts, i: int, at: int) -> bool:
    if not course.masks.adds[i]:
        return False
    if facts.group.merge is Merge.SUM:
        return True
    count = _latest(course, facts, at)
    time = course.chain.column("time")
    return count in {NONE, i} or (not facts.counts[i] and bool(time[i] > time[count]))


def _latest(course: Course, facts: Facts, at: int) -> int:
    """Return the latest count that counts, or NONE."""
    counts = facts.counts & course.masks.adds & (course.chain.column("time") <= at)
    number = np.where(counts, facts.number, NONE)
    best = int(number.argmax())
    return best if number[best] != NONE else NONE


def instant(us: int) -> str:
    """Return a moment as RFC 3339 text, in seconds."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
