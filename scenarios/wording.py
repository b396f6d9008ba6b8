"""Wording: how a study's numbers and assumptions are written, the same on every surface.

Whatever a study took for granted is said here, with how many shipments it concerns.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from scenarios.compare import Difference
from scenarios.history import BEYOND
from scenarios.run import Study
from twin.kinds import ABSENT, Milestone
from twin.lanes import DAY_US, LEVELS

NAMES: dict[str, str] = {
    "on_time_share": "on-time delivery",
    "late_shipments": "late shipments",
    "mean_delay_d": "mean delay, days",
    "p95_delay_d": "P95 delay, days",
    "value_late_usd": "value late, USD",
    "empty_shelf_d": "empty shelves, item days",
}
SHORT = 8  # digits of a fork's name that people see


def number(value: float, unit: str, *, signed: bool = False) -> str:
    """Return a measure as people read it: 94.1 %, -10.5 pp, 1 204 311; - where there is none."""
    if np.isnan(value):
        return "-"
    sign = "+" if signed else ""
    match unit:
        case "1":
            return f"{100 * value:{sign}.1f} {'pp' if signed else '%'}"
        case "USD":
            return f"{value:{sign},.0f}".replace(",", " ")
        case "shipments":
            return f"{value:{sign}.1f}"
        case _:
            return f"{value:{sign}.2f}"


def span(low: float, high: float, unit: str) -> str:
    """Return an interval of differences."""
    if np.isnan(low):
        return "-"
    if unit == "1":
        return f"[{100 * low:+.1f}, {100 * high:+.1f}] pp"
    return f"[{number(low, unit, signed=True)}, {number(high, unit, signed=True)}]"


def row(difference: Difference) -> tuple[str, ...]:
    """Return measure, base, shock, difference, 95 % interval and worst-hit lane as texts."""
    unit = difference.unit
    return (
        NAMES[difference.measure],
        number(difference.base, unit),
        number(difference.shock, unit),
        number(difference.diff, unit, signed=True),
        span(difference.low, difference.high, unit),
        difference.worst,
    )


def instant(us: int) -> str:
    """Return a time in RFC 3339, to the second."""
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def subject(study: Study) -> str:
    """Say in a line what was studied."""
    state, basis = study.state, study.basis
    end = instant((state.now_us // DAY_US + study.days) * DAY_US)[:10]
    return (
        f"snapshot {state.name[:SHORT]}: {basis.rows.size} open shipments of {state.size},"
        f" {basis.due.size} promised before {end}; clock {instant(state.now_us)} ({state.clock})"
    )


def effort(study: Study) -> str:
    """Say in a line what was computed."""
    return (
        f"{study.futures} futures x {study.basis.rows.size} open shipments x"
        f" {len(study.arms)} arms, seed {study.seed}; every arm draws the same numbers: paired"
    )


def assumptions(study: Study) -> list[str]:
    """Return everything a study took for granted, a sentence each."""
    return [
        *(f"{target.disruption.name}: {target.says}." for target in study.targets),
        *_history(study),
        *_departures(study),
        *_left_out(study),
        "Shipments are drawn one by one: what delays many at once, other than a disruption here,"
        " is in no future, so the futures differ less than the world would.",
        "An interval is the 95 % paired-t interval of the mean difference over futures: the error"
        " of drawing them, not that of the model.",
        *_stock(study),
        *_age(study),
        f"Snapshot {study.state.name} holds the offsets "
        + (", ".join(f"{k}@{v}" for k, v in study.state.offsets.items()) or "of no shard")
        + ".",
    ]


def _history(study: Study) -> list[str]:
    state, depth = study.state, study.basis.outlook.depth
    known = state.known
    made_up = state.synthetic("delivery_source") & (state.columns["delivered_at"] != ABSENT)
    levels = [f"{int((depth == i).sum())} by {name}" for i, name in enumerate(LEVELS)]
    said = (
        f"Delays are drawn from {int(known.sum())} recorded deliveries of this snapshot"
        f" ({', '.join(levels)}), given that the shipment has not come yet."
    )
    if made_up.any() and not (known & made_up).any():
        said += f" {int(made_up.sum())} synthetic deliveries (demo/*) are left out."
    elif made_up.any():
        said += " All of them are synthetic (demo/*)."
    beyond = int((depth == BEYOND).sum())
    if beyond:
        said += f" {beyond} are later than any delivery ever was, and are taken to come today."
    return [said]


def _departures(study: Study) -> list[str]:
    state, rows = study.state, study.basis.rows
    left = state.departed[rows]
    made_up = state.synthetic("departure_source")[rows] & left
    said = f"{int(left.sum())} of the open shipments are known to have left their supplier"
    said += f" ({int(made_up.sum())} by synthetic events, demo/*)." if made_up.any() else "."
    unknown = rows.size - study.basis.transits
    if unknown:
        said += (
            f" Of {unknown} no transit time is known: they count as at their supplier until they"
            " arrive."
        )
    orders = int(state.synthetic("order_source")[rows].sum())
    return [said, *([f"{orders} of the open shipments are synthetic (demo/*)."] if orders else [])]


def _left_out(study: Study) -> list[str]:
    basis, said = study.basis, []
    later = basis.rows.size - basis.due.size
    if later:
        said.append(f"{later} open shipments are promised for after the end: not measured.")
    if basis.unpromised:
        said.append(f"{basis.unpromised} open shipments have no promise: left out.")
    cents = study.state.columns["value_cents"][basis.rows[basis.due]]
    if missing := int((cents == ABSENT).sum()):
        said.append(f"The value of {missing} measured shipments is unknown: it counts as none.")
    if study.state.aggregators is None:
        said.append("Suppliers are unknown: none could be left out as an aggregator.")
    return said


def _stock(study: Study) -> list[str]:
    held = study.basis.shelves
    if not held.known:
        return []
    if not held.empty:
        return [
            f"None of {held.known} stock items is empty now; what is used is in no snapshot, so no"
            " stock-out is foretold."
        ]
    coming = f"{held.starts.size} of them have" if held.starts.size else "none of them has"
    return [
        f"Of {held.known} stock items {held.empty} are empty now; {coming} an open shipment on"
        " its way. What is used is in no snapshot, so no further stock-out is foretold."
    ]


def _age(study: Study) -> list[str]:
    state = study.state
    as_of = state.columns["milestone_as_of"][study.basis.rows]
    status = state.columns["status"][study.basis.rows]
    fresh = as_of[(as_of != ABSENT) & (status >= Milestone.ORDERED)]
    if not fresh.size:
        return []
    days = (state.now_us - fresh) / DAY_US
    return [
        f"The last milestone of an open shipment is {np.median(days):.0f} days old in the median,"
        f" {days.max():.0f} at most."
    ]
