"""Dataset: plain columns of shipments -> features as known at a prediction time, and labels.

A training row reads a lane table cut before its own prediction time, and a row is learned from
only if its outcome was recorded before the cut: nothing is known here earlier than it was then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.artifact import Split
from twin.errors import BadRequest
from twin.features import FEATURES, features
from twin.forecast import Forecast, lane_forecast
from twin.kinds import ABSENT
from twin.lanes import DAY_US, Columns, Lanes, delay_days, measure, recorded_at

TEST_DAYS, VALID_DAYS, TABLE_DAYS = 274, 120, 91
# Where no row says when an order was placed, it counts as known this long before its promise.
UNKNOWN_LEAD_DAYS = 60
# A shipment is asked about all along its way: when ordered, half way to its promise, near it.
ASKED_AT = (0.0, 0.5, 0.9)
LEAST_TRAIN, LEAST_TEST = 50, 10

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Part(NamedTuple):
    """Rows of one side of the split: inputs (n, f), delays in days (n,), late 0 or 1 (n,)."""

    inputs: npt.NDArray[np.float32]
    delays: npt.NDArray[np.float32]
    late: npt.NDArray[np.float32]


class Dataset(NamedTuple):
    """`baseline`: the lane table's answers to the test rows, cut where training was cut.
    `lanes`: the table as of the end of the data, which a published model reads."""

    train: Part
    valid: Part
    test: Part
    baseline: Forecast
    lanes: Lanes
    split: Split


def build(
    columns: Columns, as_of_us: int, *, cut_us: int | None = None, seen_in_test: bool = False
) -> Dataset:
    """Split by time, as known at `as_of_us`; `cut_us` defaults to TEST_DAYS before it.

    Trained on rows recorded before the cut (the last VALID_DAYS of them only stop the training);
    tested on rows promised from the cut on. Rows promised from then on but recorded before the
    cut are of neither side, unless `seen_in_test` puts them into the test, to compare with
    figures that were counted so. Rows promised by `as_of_us` but still open then have no label and
    are of no side either: the latest of all are missing from every figure.

    Raises BadRequest TRAIN_DATA_SHORT.
    """
    cut = as_of_us - TEST_DAYS * DAY_US if cut_us is None else cut_us
    valid_us = cut - VALID_DAYS * DAY_US
    recorded = recorded_at(columns)
    labelled = ~np.isnan(delay_days(columns["delivered_at"], columns["promised_at"]))
    labelled &= (recorded != ABSENT) & (recorded < as_of_us)
    ahead = columns["promised_at"] >= cut
    test = labelled & ahead & ((recorded >= cut) | seen_in_test)
    past = labelled & (recorded < cut) & ~ahead
    valid = past & (recorded >= valid_us)
    train = past & ~valid
    if train.sum() < LEAST_TRAIN or test.sum() < LEAST_TEST:
        raise BadRequest(
            f"{train.sum()} deliveries to learn from and {test.sum()} to test on are too few "
            f"(at least {LEAST_TRAIN} and {LEAST_TEST}). Ingest more, or move --as-of.",
            "TRAIN_DATA_SHORT",
        )
    at_cut, asked = measure(columns, cut), known_at(columns)
    test_columns = take(columns, test)
    split = Split(
        first_us=int(recorded[train].min()),
        valid_us=valid_us,
        cut_us=cut,
        last_us=int(recorded[test].max()),
        train=int(train.sum()),
        valid=int(valid.sum()),
        test=int(test.sum()),
    )
    return Dataset(
        _asked_often(columns, train, asked),
        _asked_often(columns, valid, asked),
        _part(test_columns, at_cut, np.maximum(asked[test], cut)),
        lane_forecast(at_cut, test_columns),
        measure(columns, as_of_us),
        split,
    )


def known_at(columns: Columns) -> Times:
    """When each order became known, us: ordered_at, or UNKNOWN_LEAD_DAYS before the promise."""
    ordered, promised = columns["ordered_at"], columns["promised_at"]
    assumed = np.where(promised == ABSENT, ABSENT, promised - UNKNOWN_LEAD_DAYS * DAY_US)
    return np.where(ordered == ABSENT, assumed, ordered).astype(np.int64)


def take(columns: Columns, rows: Mask | Times) -> dict[str, npt.NDArray[np.generic]]:
    """The same columns, of these rows."""
    return {name: values[rows] for name, values in columns.items()}


def _asked_often(columns: Columns, rows: Mask, asked: Times) -> Part:
    """Every row at each of ASKED_AT, as long as its outcome was not recorded by then."""
    recorded, promised = recorded_at(columns), columns["promised_at"]
    chosen, times = [], []
    for share in ASKED_AT:
        ahead = np.maximum(promised - asked, 0) if share else np.zeros_like(asked)
        now = asked + (ahead * share).astype(np.int64)
        open_rows = np.flatnonzero(rows & ((recorded > now) | (share == 0.0)))
        chosen.append(open_rows)
        times.append(now[open_rows])
    return _as_known(columns, np.concatenate(chosen), np.concatenate(times))


def _as_known(columns: Columns, rows: Times, now: Times) -> Part:
    """Each row reads the newest of the tables, cut TABLE_DAYS apart, that its time allows."""
    if not len(rows):
        return Part(*(np.empty(shape, np.float32) for shape in ((0, len(FEATURES)), 0, 0)))
    step = TABLE_DAYS * DAY_US
    slots = now // step
    parts, order = [], []
    for slot in np.unique(slots):
        here = np.flatnonzero(slots == slot)
        table = measure(columns, int(slot) * step)
        parts.append(_part(take(columns, rows[here]), table, now[here]))
        order.append(here)
    back = np.argsort(np.concatenate(order), kind="stable")
    return Part(*(np.concatenate(column)[back] for column in zip(*parts, strict=True)))


def _part(columns: Columns, lanes: Lanes, now: Times) -> Part:
    delay = delay_days(columns["delivered_at"], columns["promised_at"])
    return Part(
        features(columns, lanes, now),
        delay.astype(np.float32),
        (delay > 0).astype(np.float32),
    )
