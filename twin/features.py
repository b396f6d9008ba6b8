"""Features: columns -> feature matrix, the one definition for training and for serving.

A feature is a function of what was known at the prediction time; no column of an outcome is
ever read here. Absent stays absent: NaN, with an indicator beside it where absence is usual.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from twin.kinds import ABSENT
from twin.lanes import DAY_US, LEVELS, SIDES, STATS, Columns, Lanes, at_level, look_up

MODES = ("air", "air_charter", "truck", "ocean")
# What `features` reads, and all it reads.
INPUTS = (
    "supplier",
    "origin",
    "country",
    "mode",
    "product_group",
    "quantity",
    "value_cents",
    "ordered_at",
    "promised_at",
)
FEATURES: tuple[str, ...] = (
    "lane_p10_days",
    "lane_p50_days",
    "lane_p90_days",
    "lane_late_rate",
    "lane_log_count",
    "lane_depth",
    *(f"{side}_{stat}" for side in SIDES for stat in ("p50_days", "p90_days", "late_rate")),
    *(f"mode_{mode}" for mode in MODES),
    "mode_absent",
    "lead_days",
    "ordered_absent",
    "days_to_promise",
    "log_quantity",
    "log_value",
    "value_absent",
    "promise_month_sin",
    "promise_month_cos",
)
# Where the lane's own answer stands in a row: the model starts from it (p10, p50, p90, late).
BASE = slice(0, 4)


def schema_hash(names: tuple[str, ...] = FEATURES) -> str:
    """Identity of the feature matrix: names, their order, and the levels they are counted at."""
    text = "\n".join((*names, repr(LEVELS), repr(SIDES), repr(STATS)))
    return hashlib.sha256(text.encode()).hexdigest()


def features(
    columns: Columns, lanes: Lanes, now_us: int | npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """The matrix (n, len(FEATURES)), as known at `now_us` (one time, or one per row).

    `columns` are plain columns of shipments, at least INPUTS; `lanes` must have been cut at or
    before the prediction time. A time of ordering after the prediction time is not known yet.
    """
    size = len(columns["supplier"])
    now = np.broadcast_to(np.asarray(now_us, dtype=np.int64), (size,))
    promised = columns["promised_at"].astype(np.int64)
    ordered = columns["ordered_at"].astype(np.int64)
    ordered = np.where(ordered > now, np.int64(ABSENT), ordered)
    mode = columns["mode"]
    lead, value = _days(promised, ordered), _log(columns["value_cents"])
    angle = _year_angle(promised)
    parts = [
        *_lane_parts(columns, lanes),
        *((mode == name).astype(np.float64) for name in MODES),
        (mode == "").astype(np.float64),
        lead,
        np.isnan(lead).astype(np.float64),
        _days(promised, now),
        _log(columns["quantity"]),
        value,
        np.isnan(value).astype(np.float64),
        np.sin(angle),
        np.cos(angle),
    ]
    return np.stack(parts, axis=1).astype(np.float32)


def _lane_parts(columns: Columns, lanes: Lanes) -> list[npt.NDArray[np.float64]]:
    stats, depth = look_up(lanes, columns)
    parts = [*stats[:, :4].T, np.log1p(stats[:, 4]), depth.astype(np.float64)]
    for side in SIDES:
        parts.extend(at_level(lanes, side, columns)[:, 1:4].T)
    return parts


def _days(late: npt.NDArray[np.int64], early: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    known = (late != ABSENT) & (early != ABSENT)
    days = np.full(len(known), np.nan)
    days[known] = (late[known] - early[known]) / DAY_US
    return days


def _log(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    known = values != ABSENT
    logs = np.full(len(values), np.nan)
    logs[known] = np.log1p(np.maximum(values[known], 0).astype(np.float64))
    return logs


def _year_angle(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    known = times != ABSENT
    angle = np.full(len(times), np.nan)
    angle[known] = times[known] / DAY_US / 365.2425 * (2 * np.pi)
    return angle
