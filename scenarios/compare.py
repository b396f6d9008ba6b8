"""Compare: what a disruption changes, future by future, with intervals.

A difference is always between two arms of the same future; means of arms are never compared as
if they were independent.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scenarios.history import Floats
from scenarios.run import BASE, UNITS, Study

LEVEL = 0.95
_Z = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
NOBODY = "-"


class Difference(NamedTuple):
    """One measure of one arm against base: means, the mean difference and its 95 % interval.

    `spread`: 5 % and 95 % quantiles of the differences themselves, over futures; `worst`: the
    lane that contributes most to the change, and its part in it.
    """

    measure: str
    unit: str
    base: float
    shock: float
    diff: float
    low: float
    high: float
    spread: tuple[float, float]
    worst: str


class Hit(NamedTuple):
    """What a group of due shipments loses, on average over futures."""

    name: str
    shipments: int
    late: float
    delay_d: float
    value_late_usd: float


def differences(study: Study, arm: str) -> list[Difference]:
    """Return every measure of `arm` against base, in the order of UNITS."""
    base, shock = study.arms[BASE], study.arms[arm]
    lanes = hits(study, arm, ("supplier", "country"))
    found = []
    for name, unit in UNITS.items():
        if name not in shock.measures:
            continue
        paired = shock.measures[name] - base.measures[name]
        low, high = interval(paired)
        spread = np.quantile(paired, (0.05, 0.95))
        found.append(
            Difference(
                name,
                unit,
                float(base.measures[name].mean()),
                float(shock.measures[name].mean()),
                float(paired.mean()),
                low,
                high,
                (float(spread[0]), float(spread[1])),
                _worst(name, lanes),
            )
        )
    return found


def interval(paired: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean of paired differences, (n,) with n >= 2.

    The paired-t interval, mean -+ t(n - 1) s / sqrt(n): A. M. Law, "Simulation Modeling and
    Analysis", 5th ed. 2015, section 10.2.1. It holds the error of drawing n futures, and no
    other: not that of the model.
    """
    mean = float(paired.mean())
    if bool((paired == paired[0]).all()):
        return float(paired[0]), float(paired[0])
    half = student(paired.size - 1) * float(paired.std(ddof=1)) / math.sqrt(paired.size)
    return mean - half, mean + half


def student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, within 0.001 from 4 degrees of freedom on.

    M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 26.7.5.
    """
    x, v = _Z, float(freedom)
    g1 = (x**3 + x) / 4
    g2 = (5 * x**5 + 16 * x**3 + 3 * x) / 96
    g3 = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
    g4 = (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92_160
    return x + g1 / v + g2 / v**2 + g3 / v**3 + g4 / v**4


def hits(study: Study, arm: str, by: tuple[str, ...]) -> list[Hit]:
    """Return what each group of due shipments loses in `arm`, most delay days first."""
    base, shock, basis = study.arms[BASE], study.arms[arm], study.basis
    rows = basis.rows[basis.due]
    if not rows.size:
        return []
    columns = [study.state.columns[name][rows].astype(str).tolist() for name in by]
    names, at = np.unique(
        [" → ".join(part or "unknown" for part in key) for key in zip(*columns, strict=True)],
        return_inverse=True,
    )
    late, delay = shock.late - base.late, shock.delay_d - base.delay_d
    value = late * basis.cents[basis.due] / 100.0
    sums = [np.bincount(at, weights) for weights in (np.ones(at.size), late, delay, value)]
    found = [
        Hit(str(names[i]), int(sums[0][i]), *(float(part[i]) for part in sums[1:]))
        for i in range(names.size)
    ]
    return sorted(found, key=lambda hit: (-hit.delay_d, hit.name))


def _worst(measure: str, lanes: list[Hit]) -> str:
    """Return the lane that lost most in the terms of `measure`."""
    shelf = measure == "empty_shelf_d"
    if not lanes or shelf:
        return NOBODY
    match measure:
        case "on_time_share" | "late_shipments":
            top = max(lanes, key=lambda hit: hit.late)
            lost, said = top.late, f"{top.late:+.1f} late of {top.shipments}"
        case "value_late_usd":
            top = max(lanes, key=lambda hit: hit.value_late_usd)
            lost, said = top.value_late_usd, f"{top.value_late_usd:+,.0f} USD".replace(",", " ")
        case _:
            top = max(lanes, key=lambda hit: hit.delay_d)
            lost, said = top.delay_d, f"{top.delay_d:+.1f} days in {top.shipments}"
    return f"{top.name} ({said})" if lost > 0 else NOBODY
