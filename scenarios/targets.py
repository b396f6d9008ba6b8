"""Targets: which shipments of a fork each disruption can hit.

Names are resolved once, against the fork: a name that no shipment of the fork has is refused,
never a disruption that silently touches nothing.
"""

from __future__ import annotations

import difflib
from typing import NamedTuple

import numpy as np

from scenarios.disruptions import LARGEST, Disruption, History, PortDelay, Scenario, text
from scenarios.fork import Fork
from scenarios.history import Floats, Ints, lead_days
from twin.errors import BadRequest
from twin.kinds import ABSENT

_NONE = np.empty(0)


class Target(NamedTuple):
    """A disruption, bound to a fork.

    `hits`: indices into the open shipments; `leads`: observed days from order to delivery, for a
    replacement by history; `says`: what it does, in words, with the names it resolved to.
    """

    disruption: Disruption
    hits: Ints
    leads: Floats
    says: str


def targets(scenario: Scenario, state: Fork, rows: Ints) -> tuple[Target, ...]:
    """Return the target of each disruption of `scenario`, in its order.

    `rows`: the open shipments. Raises BadRequest SCENARIO_INVALID for an unknown name, and where
    a replacement by history finds no order in the fork.
    """
    bound: list[Target] = []
    for disruption in scenario.disruptions:
        if isinstance(disruption, PortDelay):
            bound.append(_port(disruption, state, rows))
            continue
        names, chosen = _resolve(state, rows, "supplier", disruption.suppliers, disruption.name)
        hit = np.isin(state.columns["supplier"][rows].astype(str), names)
        leads = _NONE
        how = "nobody replaces it"
        if disruption.replacement_d is not None:
            how = f"replacement comes in {text(disruption.replacement_d, 'days')}"
        if isinstance(disruption.replacement_d, History):
            leads = lead_days(state, (state.aggregators or frozenset()) | set(names))
            if not leads.size and hit.any():
                raise BadRequest(
                    f"{disruption.name}.replacement_d: the snapshot has no order of another"
                    " supplier that says how long it took; give another shape",
                    "SCENARIO_INVALID",
                )
            if leads.size:
                low, mid, high = np.quantile(leads, (0.1, 0.5, 0.9))
                how = (
                    "replacement comes as long after as orders at other suppliers took"
                    f" (80 %: {low:.0f} to {high:.0f} days, median {mid:.0f})"
                )
        hits = np.flatnonzero(hit & ~state.departed[rows])
        says = (
            f"{', '.join(names) or 'nobody'}{chosen} delivers nothing more that has not left by"
            f" day {disruption.from_day:g}; {how}{_chance(disruption)}"
        )
        bound.append(Target(disruption, hits, leads, says))
    return tuple(bound)


def _port(disruption: PortDelay, state: Fork, rows: Ints) -> Target:
    hit = np.ones(rows.size, bool)
    places: list[str] = []
    for field, given in (
        ("country", disruption.countries),
        ("site", disruption.sites),
        ("mode", disruption.modes),
    ):
        if given:
            names, chosen = _resolve(state, rows, field, given, disruption.name)
            hit &= np.isin(state.columns[field][rows].astype(str), names)
            places.append(f"{field} {', '.join(names) or 'none'}{chosen}")
    share = f", {disruption.share:.0%} of the shipments" if disruption.share < 1 else ""
    says = (
        f"{', '.join(places)}: arrivals of days {disruption.from_day:g} to"
        f" {disruption.until_day:g} take {text(disruption.extra_h, 'h')} longer"
        f"{share}{_chance(disruption)}"
    )
    return Target(disruption, np.flatnonzero(hit), _NONE, says)


def _chance(disruption: Disruption) -> str:
    chance = disruption.probability
    return f"; happens in {chance:.0%} of the futures" if chance < 1 else ""


def _resolve(
    state: Fork, rows: Ints, field: str, given: tuple[str, ...], who: str
) -> tuple[list[str], str]:
    """Return the names that `given` means, and a note if one of them was chosen here."""
    known = set(state.columns[field].tolist()) - {""}
    names: list[str] = []
    note = ""
    for name in given:
        if name == LARGEST:
            names += _largest(state, rows, field)
            note = " (largest by open value"
            note += ", aggregators left out)" if field == "supplier" and _flagged(state) else ")"
        elif name in known or not known:
            names.append(name)
        else:
            near = difflib.get_close_matches(name, sorted(known), 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"{len(known)} others are known"
            raise BadRequest(
                f"{who}: no shipment of the snapshot has {field} {name!r}; {hint}",
                "SCENARIO_INVALID",
            )
    return list(dict.fromkeys(names)), note


def _largest(state: Fork, rows: Ints, field: str) -> list[str]:
    """Return the name with most open value, among equals that with most open shipments."""
    if not rows.size:
        return []
    cents = state.columns["value_cents"][rows]
    names, at = np.unique(state.columns[field][rows].astype(str), return_inverse=True)
    value = np.bincount(at, np.where(cents == ABSENT, 0, cents))
    ranked = np.lexsort((np.arange(names.size), -np.bincount(at), -value))
    barred = (state.aggregators or frozenset()) if field == "supplier" else frozenset()
    fit = [str(names[i]) for i in ranked if names[i] and str(names[i]) not in barred]
    return fit[:1]


def _flagged(state: Fork) -> bool:
    return state.aggregators is not None
