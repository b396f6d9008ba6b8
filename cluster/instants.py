"""Instants: texts, clocks and calendars as microseconds UTC; what has no zone is not guessed.

A local time that a change of clocks shows twice is the first of the two; one that it skips is the
moment of the change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.vectors import WHOLE, Flaw, Value, Vector, flawed, hidden, texts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US, DAY_US = 60_000_000, 86_400_000_000
SPANS = {"us": 1, "ms": 1000, "s": 1_000_000, "min": MINUTE_US, "h": 3_600_000_000, "d": DAY_US}
_CLOCK = re.compile(r"(\d{1,2}):?(\d{2})|(\d{1,2})")


@lru_cache(maxsize=65_536)
def micros(text: Value) -> int | None:
    """Return an ISO date or RFC 3339 time as microseconds UTC, or None if it is neither."""
    if not isinstance(text, str):
        return text if isinstance(text, int) else None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return (day.toordinal() - EPOCH.toordinal()) * DAY_US
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or len(text) < 16:
        return None  # a time without a zone could be any of 26 hours
    return _since(moment)


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


def reader(form: str, zone: str) -> Callable[[str], int | None]:
    """Return a function that reads texts of a strptime format; `zone`: of those that name none."""
    home = ZoneInfo(zone) if zone else None

    def read(text: str) -> int | None:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - its zone is looked at below
            if moment.tzinfo is None:
                if home is None:
                    return None
                moment = moment.replace(tzinfo=home)
            return _since(moment)
        except (ValueError, OverflowError):
            return None

    return read


def clock(text: str) -> int | None:
    """Return what a clock shows as minutes since midnight: 5, 0005 and 00:05 are 5."""
    found = _CLOCK.fullmatch(text.removesuffix(".0"))
    if not found:
        return None
    hours, minutes = (found[1], found[2]) if found[2] else ("0", found[3])
    total = int(hours) * 60 + int(minutes)
    return total if int(minutes) < 60 and total <= 1440 else None


def local(day: Vector, minutes: Vector, zone: Vector, column: str) -> Vector:
    """Return the instant at which the clock of `zone` shows `minutes` past midnight of `day`."""
    naive = pc.add_checked(day.values, pc.multiply_checked(minutes.values, MINUTE_US))
    return _by_zone(naive, zone, column, flawed(day, minutes, zone), _instant)


def upcoming(minutes: Vector, zone: Vector, after: Vector, column: str) -> Vector:
    """Return the first instant from `after` on at which the clock of `zone` shows `minutes`."""
    flaws = flawed(minutes, zone, after)
    here = _by_zone(after.values, zone, column, flaws, _shown)
    day = pc.subtract_checked(here.values, _modulo(here.values, DAY_US))
    shown = pc.add_checked(day, pc.multiply_checked(minutes.values, MINUTE_US))
    today = _by_zone(shown, zone, column, here.flaws, _instant)
    next_day = _by_zone(pc.add_checked(shown, DAY_US), zone, column, here.flaws, _instant)
    early = pc.less(today.values, after.values)
    return Vector(pc.if_else(early, next_day.values, today.values), today.flaws)


def _by_zone(
    values: Any,
    zone: Vector,
    column: str,
    flaws: Mapping[int, Flaw],
    convert: Callable[[Any, str], Any],
) -> Vector:
    """Return `convert(values, zone)`, a zone at a time; an unknown zone is a flaw."""
    coded = texts(zone).values.dictionary_encode()
    names = coded.dictionary.to_pylist()
    code = np.asarray(coded.indices.fill_null(-1))
    out, flaws = pa.nulls(len(values), WHOLE), dict(flaws)
    for number, name in enumerate(names):
        here = code == number
        if name not in zones():
            rows = np.flatnonzero(here).tolist()
            flaws = {row: Flaw("VALUE_UNKNOWN", column, name) for row in rows} | flaws
            continue
        mine = hidden(values, ~here)
        out = pc.coalesce(out, convert(mine, name))
    return Vector(out, flaws)


def _instant(naive: Any, zone: str) -> Any:
    stamps = naive.cast(pa.timestamp("us"))
    at = pc.assume_timezone(stamps, zone, ambiguous="earliest", nonexistent="latest")
    return at.cast(WHOLE)


def _shown(instant: Any, zone: str) -> Any:
    """Return what the clock of a zone shows at an instant, as microseconds."""
    return pc.local_timestamp(instant.cast(pa.timestamp("us", zone))).cast(WHOLE)


def _modulo(values: Any, by: int) -> Any:
    """Return the remainder as Python has it: of a negative number it is not negative."""
    known = np.asarray(values.fill_null(0))
    return pa.array(known % by, WHOLE, mask=np.asarray(values.is_null()))


def _since(moment: datetime) -> int:
    passed = moment - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
