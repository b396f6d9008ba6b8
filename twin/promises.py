"""Promises: what a contract is made of; the contracts themselves are in `twin.contracts`.

A promise is one field of a payload: its type, unit and range, or the words it may be. What holds
for one event of a contract holds for every one, so all of it is checked a column at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from twin.kinds import Dtype, Milestone

EVENT_TIME = "@event_time"  # a field set to the time of the event itself
COUNTED, MOVED = "@counted", "@moved"  # what an event gives to a level: the whole, or a change
MICROS = 1_000_000
DAY_US = 86_400 * MICROS
YEAR_1990, YEAR_2100 = 631_152_000 * MICROS, 4_102_444_800 * MICROS
MOST_CHANGE = 2**31  # of a sum by one event: 2**31 of them still fit an int64


class Promise(NamedTuple):
    """One field of a payload."""

    name: str
    dtype: Dtype
    unit: str = ""
    required: bool = True
    least: float = -(2.0**62)
    most: float = 2.0**62
    meaning: str = ""
    among: Mapping[str, str] = {}  # of a text: the words it may be, and what each means


class Carry(NamedTuple):
    """A value of an older version as the newer one has it: old * factor + shift."""

    field: str  # of the older payload
    factor: float = 1.0
    shift: float = 0.0


# Where a field gets its value: a payload field, EVENT_TIME, a payload field converted, or a number.
Source = str | Carry | Milestone | int
Sets = Mapping[str, Mapping[str, Source]]  # group -> field -> where it is from


class Contract(NamedTuple):
    """One version of one event type.

    `sets`: what it says about a twin; of an older version that is what the newest says, lifted.
    """

    type: str
    version: int
    kind: str
    owner: str
    payload: tuple[Promise, ...]
    sets: Sets
    meaning: str = ""

    @property
    def name(self) -> str:
        return f"{self.type}.v{self.version}"


def time(name: str, *, required: bool = True, meaning: str = "") -> Promise:
    """Return the promise of a moment between 1990 and 2100."""
    return Promise(name, Dtype.TIME, "us", required, YEAR_1990, YEAR_2100, meaning)


def text(name: str, *, required: bool = True, meaning: str = "") -> Promise:
    return Promise(name, Dtype.TEXT, "", required, meaning=meaning)


def word(
    name: str, among: Mapping[str, str], *, required: bool = True, meaning: str = ""
) -> Promise:
    """Return the promise of one of some words."""
    return Promise(name, Dtype.TEXT, "", required, meaning=meaning, among=among)


def same(*names: str) -> dict[str, Source]:
    """Return fields that are set to payload fields of their own name."""
    return {name: name for name in names}
