"""Run: every future of every arm of a study, as tensors [future, entity].

All arms draw the same numbers at the same addresses, so their futures are paired. NumPy, not
torch: a study of the demo takes less time than importing torch does, and needs no second plain
form to be checked against.

The model. A shipment's delay (days after promise) is drawn from what its lane was delayed so
far, given that it has not come yet. Supplier losses act on what has not left, then port delays
on what arrives in their window; both are described in disruptions.py. At the end of the study
whatever has not come counts as delayed until that day. Only shipments promised before the end
are measured: by then it is decided whether they were on time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scenarios.disruptions import PortDelay, Scenario, SupplierLoss, sample
from scenarios.draws import EVENT, SEEDS, Words, entities, uniforms
from scenarios.fork import Fork, keys
from scenarios.history import Floats, Ints, Outlook, outlook, transit
from scenarios.shelves import Shelves, empty_days, shelves
from scenarios.targets import Target, targets
from twin.errors import BadRequest
from twin.kinds import ABSENT
from twin.lanes import DAY_US

BASE = "base"
FEWEST, MOST_FUTURES, MOST_DAYS = 10, 100_000, 3650
MOST_CELLS = 400_000_000  # futures x shipments x arms: a few minutes on two cores
CHUNK_CELLS = 1_000_000  # futures x shipments in one pass: keeps a pass within 100 MB
# Addresses of draws: the base outcome, and per disruption whether it happens, to whom, how long.
_DELAY, _STRIDE = 0, 16
_HAPPENS, _CHOSEN, _SPAN = range(3)
_WHOLE = np.array([EVENT], np.uint64)

UNITS: dict[str, str] = {
    "on_time_share": "1",
    "late_shipments": "shipments",
    "mean_delay_d": "days",
    "p95_delay_d": "days",
    "value_late_usd": "USD",
    "empty_shelf_d": "item days",
}


class Basis(NamedTuple):
    """What all arms share. n open shipments with a promise, d of them due; times in days.

    `rows`: (n,) of the fork; `due`: (d,) indices into rows; `lead`: (n,) promise - now;
    `part`: (n,) time of day of the promise; `travel`: (n,) median transit, 0 where unknown;
    `cents`: (n,) value, 0 where unknown; `end`: of the study, after now.
    """

    rows: Ints
    due: Ints
    lead: Floats
    part: Floats
    travel: Floats
    cents: Floats
    end: float
    outlook: Outlook
    shelves: Shelves
    unpromised: int
    transits: int  # of how many shipments the transit is known


class Outcome(NamedTuple):
    """One arm. `measures`: name -> (futures,); `late`, `delay_d`: (d,), means over futures."""

    measures: dict[str, Floats]
    late: Floats
    delay_d: Floats


class Study(NamedTuple):
    """A finished study; `arms`: BASE first, then each disruption, then all of them together."""

    scenario: Scenario
    state: Fork
    futures: int
    days: int
    seed: int
    basis: Basis
    targets: tuple[Target, ...]
    arms: Mapping[str, Outcome]


def run(
    scenario: Scenario,
    state: Fork,
    *,
    futures: int,
    days: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, whole: None,
    chunk: int = 0,
) -> Study:
    """Run `futures` futures of `days` days from `state`, in every arm.

    `chunk`: futures in one pass, 0 for as many as fit CHUNK_CELLS; it changes no future.
    Raises BadRequest SCENARIO_INVALID or SCENARIO_TOO_LARGE, before anything runs.
    """
    arms = _arms(scenario)
    _limits(futures, days, seed, int(state.open.sum()) * len(arms))
    basis = _basis(state, days)
    bound = targets(scenario, state, basis.rows)
    who = entities(keys(state, basis.rows))
    step = chunk or max(1, CHUNK_CELLS // max(1, basis.rows.size))
    parts: dict[str, list[tuple[dict[str, Floats], Floats, Floats]]] = {name: [] for name in arms}
    for first in range(0, futures, step):
        some = np.arange(first, min(first + step, futures), dtype=np.int64)
        delay = basis.outlook.quantile(uniforms(seed, some, who, _DELAY))
        for name, members in arms.items():
            hit = _disrupted(basis, bound, members, delay, some, who, seed)
            parts[name].append(_measured(basis, hit))
        progress(int(some[-1]) + 1, futures)
    outcomes = {name: _joined(pieces, futures) for name, pieces in parts.items()}
    return Study(scenario, state, futures, days, seed, basis, bound, outcomes)


def _limits(futures: int, days: int, seed: int, cells: int) -> None:
    if futures < FEWEST:
        raise BadRequest(
            f"futures is {futures}; an interval needs {FEWEST} or more", "SCENARIO_INVALID"
        )
    if days < 1:
        raise BadRequest(f"days is {days}; give 1 or more", "SCENARIO_INVALID")
    if not 0 <= seed < SEEDS:
        raise BadRequest(f"seed is {seed}; give 0 or more, below 2**63", "SCENARIO_INVALID")
    if futures > MOST_FUTURES or days > MOST_DAYS or futures * cells > MOST_CELLS:
        raise BadRequest(
            f"{futures} futures of {days} days x {cells} shipments in all arms are too many: the"
            f" most are {MOST_FUTURES} futures, {MOST_DAYS} days and {MOST_CELLS} cells;"
            " ask for fewer",
            "SCENARIO_TOO_LARGE",
        )


def _arms(scenario: Scenario) -> dict[str, tuple[int, ...]]:
    """Return arm -> indices of its disruptions, ports first as a reader expects them."""
    names = [disruption.name for disruption in scenario.disruptions]
    ports, losses = len(scenario.port_delay), len(scenario.supplier_loss)
    arms: dict[str, tuple[int, ...]] = {BASE: ()}
    for index in (*range(losses, losses + ports), *range(losses)):
        arms[names[index]] = (index,)
    if len(names) > 1:
        arms["both" if len(names) == 2 else "all"] = tuple(range(len(names)))
    return arms


def _basis(state: Fork, days: int) -> Basis:
    promised_all = state.columns["promised_at"]
    rows = np.flatnonzero(state.open & (promised_all != ABSENT))
    promised, now = promised_all[rows], state.now_us
    day, today = promised // DAY_US, now // DAY_US
    journey = transit(state, rows)
    left = state.columns["departed_at"][rows]
    since = np.where(left == ABSENT, now, np.minimum(left, now))
    soonest = np.maximum(now, since + np.nan_to_num(journey.shortest) * DAY_US)
    earliest = np.floor(soonest / DAY_US) - day
    cents = state.columns["value_cents"][rows]
    return Basis(
        rows=rows,
        due=np.flatnonzero(day < today + days),
        lead=(promised - now) / DAY_US,
        part=(promised - day * DAY_US) / DAY_US,
        travel=np.nan_to_num(journey.median),
        cents=np.where(cents == ABSENT, 0, cents).astype(np.float64),
        end=((today + days) * DAY_US - now) / DAY_US,
        outlook=outlook(state, rows, earliest),
        shelves=shelves(state, rows),
        unpromised=int(state.open.sum()) - rows.size,
        transits=int((~np.isnan(journey.median)).sum()),
    )


def _disrupted(
    basis: Basis,
    bound: tuple[Target, ...],
    members: tuple[int, ...],
    delay: Floats,
    futures: npt.NDArray[np.int64],
    who: Words,
    seed: int,
) -> Floats:
    """Return the delays of one arm, (f, n); inf for what never comes. `delay` stays as it is."""
    out = delay
    upstream: Floats | None = None  # the delays once all losses are known: what ports see
    for index in members:
        target, step = bound[index], _STRIDE * (index + 1)
        if not target.hits.size:
            continue
        disruption, hits = target.disruption, target.hits
        if out is delay:
            out = delay.copy()
        happens = uniforms(seed, futures, _WHOLE, step + _HAPPENS) < disruption.probability
        if isinstance(disruption, SupplierLoss):
            lost = happens & (_leaves(basis, delay, hits) >= disruption.from_day)
            anew = np.full(lost.shape, np.inf)
            if disruption.replacement_d is not None:
                share = uniforms(seed, futures, who[hits], step + _SPAN)
                span = sample(disruption.replacement_d, share, target.leads)
                anew = disruption.from_day + span - basis.lead[hits]
            held = np.take(out, hits, axis=1)
            out[:, hits] = np.where(lost, np.maximum(held, anew), held)
        else:
            upstream = out.copy() if upstream is None else upstream
            out[:, hits] += _waits(basis, target, disruption, upstream, happens) * (
                _extra_days(disruption, futures, who[hits], seed, step)
            )
    return out


def _leaves(basis: Basis, delay: Floats, hits: Ints) -> Floats:
    """Return when shipments that have not left yet would leave, days after now."""
    arrival = np.take(delay, hits, axis=1) + basis.lead[hits]
    return np.maximum(arrival - basis.travel[hits], 0.0)


def _waits(
    basis: Basis,
    target: Target,
    port: PortDelay,
    upstream: Floats,
    happens: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Return which shipments would arrive while the port is slow, (f, hits)."""
    hits = target.hits
    arrival = np.maximum(np.take(upstream, hits, axis=1) + basis.lead[hits], 0.0)
    return np.asarray(happens & (arrival >= port.from_day) & (arrival < port.until_day))


def _extra_days(
    port: PortDelay, futures: npt.NDArray[np.int64], who: Words, seed: int, step: int
) -> Floats:
    """Return the extra days of each shipment, 0 for those the port does not choose."""
    hours = sample(port.extra_h, uniforms(seed, futures, who, step + _SPAN), np.empty(0))
    if port.share < 1:
        hours = hours * (uniforms(seed, futures, who, step + _CHOSEN) < port.share)
    return hours / 24.0


def _measured(basis: Basis, delay: Floats) -> tuple[dict[str, Floats], Floats, Floats]:
    """Return the measures of each future, and the sums over futures of each due shipment.

    Every future is reduced by itself, along contiguous memory: its numbers do not depend on how
    many others are in the pass.
    """
    due, count = basis.due, basis.due.size
    capped = np.minimum(np.take(delay, due, axis=1), basis.end - basis.lead[due])
    late = capped + basis.part[due] >= 1.0
    each = np.full(delay.shape[0], np.nan)
    measures = {
        "on_time_share": 1.0 - late.sum(axis=1) / count if count else each,
        "late_shipments": late.sum(axis=1).astype(np.float64),
        "mean_delay_d": capped.sum(axis=1) / count if count else each,
        "p95_delay_d": np.quantile(capped, 0.95, axis=1) if count else each,
        "value_late_usd": (late * basis.cents[due]).sum(axis=1) / 100.0,
    }
    if basis.shelves.ships.size:
        measures["empty_shelf_d"] = empty_days(basis.shelves, delay + basis.lead, basis.end)
    return measures, late.sum(axis=0).astype(np.float64), capped.sum(axis=0)


def _joined(pieces: list[tuple[dict[str, Floats], Floats, Floats]], futures: int) -> Outcome:
    names = pieces[0][0]
    measures = {name: np.concatenate([piece[0][name] for piece in pieces]) for name in names}
    late = np.sum([piece[1] for piece in pieces], axis=0) / futures
    return Outcome(measures, late, np.sum([piece[2] for piece in pieces], axis=0) / futures)
