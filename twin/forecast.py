"""Forecast: how many days past its promise a shipment will come, and who says so.

Quantiles are sorted, and nothing that has not come yet is forecast to have come: whatever
answers, model or rule, its answer passes through `held_to_now` before it is an arrival time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.kinds import ABSENT
from twin.lanes import DAY_US, Columns, Floats, Lanes, look_up

RULE = "rule/lane-median@1"
QUANTILES = (0.1, 0.5, 0.9)
SUPPORT = 10.0  # deliveries at which a lane is believed half


class Forecast(NamedTuple):
    """Delays in days (delivered - promised), one per row, p10 <= p50 <= p90; `late_p` is the
    chance to come after the promised day; `confidence` in [0, 1] grows with the deliveries the
    lane has seen. NaN delays and confidence 0 where nothing is known at all."""

    p10: Floats
    p50: Floats
    p90: Floats
    late_p: Floats
    answered_by: str
    confidence: Floats


class Arrival(NamedTuple):
    """The forecast as times, int64 us, ABSENT where no promise or no delay is known."""

    p10: npt.NDArray[np.int64]
    p50: npt.NDArray[np.int64]
    p90: npt.NDArray[np.int64]


def forecast(
    delays: npt.NDArray[np.floating], late_p: npt.NDArray[np.floating], by: str, confidence: Floats
) -> Forecast:
    """A Forecast from raw quantiles (n, 3): sorted, and the chance clipped into [0, 1]."""
    low, middle, high = np.sort(np.asarray(delays, dtype=np.float64), axis=1).T
    late = np.clip(np.asarray(late_p, dtype=np.float64), 0.0, 1.0)
    return Forecast(low, middle, high, late, by, confidence)


def lane_forecast(
    lanes: Lanes, columns: Columns, now_us: int | npt.NDArray[np.int64] | None = None
) -> Forecast:
    """The rule: what the lane's recorded deliveries did, backing off to coarser lanes.

    With `now_us` the answer is held to it (`held_to_now`); without, it is the bare table.
    """
    stats = look_up(lanes, columns).stats
    answer = forecast(stats[:, :3], stats[:, 3], RULE, lane_confidence(stats))
    return answer if now_us is None else held_to_now(answer, columns["promised_at"], now_us)


def lane_confidence(stats: Floats) -> Floats:
    """n / (n + SUPPORT) over the n deliveries that answered; (m, 5) statistics -> (m,)."""
    count = stats[:, -1]
    return np.asarray(count / (count + SUPPORT), dtype=np.float64)


def held_to_now(
    answer: Forecast, promised_at: npt.NDArray[np.int64], now_us: int | npt.NDArray[np.int64]
) -> Forecast:
    """For shipments not delivered yet: none can come before now, and past the promised day late
    is certain."""
    now = np.broadcast_to(np.asarray(now_us, dtype=np.int64), promised_at.shape)
    promised = promised_at != ABSENT
    floor = np.full(promised_at.shape, -np.inf)
    floor[promised] = (now[promised] - promised_at[promised]) / DAY_US
    overdue = promised & (now // DAY_US > promised_at // DAY_US)
    return answer._replace(
        p10=np.maximum(answer.p10, floor),
        p50=np.maximum(answer.p50, floor),
        p90=np.maximum(answer.p90, floor),
        late_p=np.where(overdue, 1.0, answer.late_p),
    )


def arrival(answer: Forecast, promised_at: npt.NDArray[np.int64]) -> Arrival:
    """Times of arrival: promise + delay, shape (n,) each."""
    return Arrival(
        _later(promised_at, answer.p10),
        _later(promised_at, answer.p50),
        _later(promised_at, answer.p90),
    )


def _later(promised_at: npt.NDArray[np.int64], days: Floats) -> npt.NDArray[np.int64]:
    known = (promised_at != ABSENT) & np.isfinite(days)
    times = np.full(len(promised_at), ABSENT, dtype=np.int64)
    times[known] = promised_at[known] + np.rint(days[known] * DAY_US).astype(np.int64)
    return times
