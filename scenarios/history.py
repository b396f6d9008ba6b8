"""History: what a fork's own deliveries say about those still to come.

Every number drawn later is one that was observed: pools of recorded outcomes, the finest that
still has enough of them. Nothing recorded after the fork's clock is in a pool.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scenarios.fork import Fork
from twin.kinds import ABSENT
from twin.lanes import DAY_US, LEVELS, delay_days

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ENOUGH = 10  # outcomes that a pool must still offer; with fewer the next coarser one answers
BEYOND = len(LEVELS)  # the depth of a shipment that is later than anything ever recorded
_JOURNEYS = (("supplier", "country", "mode"), ("country", "mode"), ("mode",))
_FAR = 2.0**22  # days; more than any difference of two times that a contract allows


class Outlook(NamedTuple):
    """What each of n shipments may draw its delay from.

    `values`: days, all pools one after another, each sorted; `start`, `length`: (n,), the part of
    `values` that is still possible; `depth`: (n,), index into LEVELS of the pool, or BEYOND.
    """

    values: Floats
    start: Ints
    length: Ints
    depth: Ints

    def quantile(self, share: Floats) -> Floats:
        """Return the observed delay at `share` in [0, 1) of each pool: (f, n) -> (f, n), days.

        The inverse of the empirical distribution function, so a uniform share is a bootstrap
        draw (B. Efron, "Bootstrap methods", Annals of Statistics 7, 1979).
        """
        at = self.start + (share * self.length).astype(np.int64)
        return np.asarray(self.values[at])


class Transit(NamedTuple):
    """Days from departure to delivery, per shipment: (n,). Absent is NaN: nothing is known."""

    shortest: Floats
    median: Floats


def outlook(state: Fork, rows: Ints, earliest: Floats) -> Outlook:
    """Return the delays that the shipments in `rows` may still have.

    `earliest`: (n,), the least possible delay in whole days. The pool is that of the shipment's
    lane cut off below it, as delay given delay >= earliest; a pool with fewer than ENOUGH left
    gives way to the next of LEVELS. The coarsest answers with one. If even that has none, the
    shipment draws `earliest` itself, and its depth says BEYOND.
    """
    delay = delay_days(state.columns["delivered_at"], state.columns["promised_at"])
    past = np.flatnonzero(state.known & ~np.isnan(delay))
    delay = delay[past]
    start, count = np.zeros(rows.size, np.int64), np.zeros(rows.size, np.int64)
    depth = np.full(rows.size, BEYOND)
    values: list[Floats] = []
    held = 0
    for level, by in enumerate(LEVELS.values()):
        mine, theirs = _codes(state, by, past, rows)
        order = np.lexsort((delay, mine))
        pool, group = delay[order], mine[order]
        ranked = group * _FAR + pool
        first = np.searchsorted(ranked, theirs * _FAR + earliest, "left")
        left = np.searchsorted(group, theirs, "right") - first
        take = (depth == BEYOND) & (left >= (ENOUGH if by else 1))
        start[take], count[take], depth[take] = first[take] + held, left[take], level
        values.append(pool)
        held += pool.size
    beyond = depth == BEYOND
    start[beyond], count[beyond] = held + np.arange(int(beyond.sum())), 1
    values.append(earliest[beyond])
    return Outlook(np.concatenate(values), start, count, depth)


def transit(state: Fork, rows: Ints) -> Transit:
    """Return the shortest and the median transit of each shipment's lane, else of its mode.

    A pool with fewer than ENOUGH journeys says nothing: its shortest would be too long, and
    journeys of another mode are no bound at all.
    """
    left, came = state.columns["departed_at"], state.columns["delivered_at"]
    seen = state.known & (left != ABSENT) & (left <= came)
    past = np.flatnonzero(seen)
    days = (came[past] - left[past]) / DAY_US
    shortest, median = np.full(rows.size, np.nan), np.full(rows.size, np.nan)
    for by in _JOURNEYS:
        mine, theirs = _codes(state, by, past, rows)
        order = np.lexsort((days, mine))
        pool, group = days[order], mine[order]
        first = np.searchsorted(group, theirs, "left")
        count = np.searchsorted(group, theirs, "right") - first
        take = np.isnan(median) & (count >= ENOUGH)
        shortest[take] = pool[first[take]]
        median[take] = pool[first[take] + (count[take] - 1) // 2]
    return Transit(shortest, median)


def lead_days(state: Fork, without: frozenset[str]) -> Floats:
    """Return the sorted days from order to delivery of all suppliers but those of `without`."""
    ordered, came = state.columns["ordered_at"], state.columns["delivered_at"]
    others = np.array([name not in without for name in state.columns["supplier"]], bool)
    seen = state.known & (ordered != ABSENT) & (ordered <= came) & others
    return np.sort((came[seen] - ordered[seen]) / DAY_US)


def _codes(state: Fork, by: tuple[str, ...], past: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return a number per key of `by`, the same for past and open shipments: (p,), (n,)."""
    both = np.concatenate([past, rows])
    codes = np.zeros(both.size, np.int64)
    for name in by:
        _, number = np.unique(state.columns[name][both].astype(str), return_inverse=True)
        codes = codes * (int(number.max(initial=0)) + 1) + number
    return codes[: past.size], codes[past.size :]
