"""Evaluation: the model beside plain baselines, on the same test rows.

Every figure of the model stands beside the same figure of each baseline; no baseline is left
out because it wins.
"""

from __future__ import annotations

import math

import numpy as np

from training.artifact import Scores, Tensors, forward
from training.dataset import Dataset
from twin.forecast import Forecast, forecast
from twin.lanes import Floats

MODEL, LANE, PROMISE = "model", "lane_median", "promised_date"
EVEN = 0.0005  # a difference of less than this share is none
TOLERANCE = 1.15  # how much worse than the lane table a promoted model may be, on either figure


def compare(dataset: Dataset, tensors: Tensors) -> dict[str, Scores]:
    """Scores of the model, the lane table and the promised date taken at its word."""
    answers = forward(tensors, dataset.test.inputs)
    size = len(answers)
    sure = np.ones(size)
    model = forecast(answers[:, :3], answers[:, 3], MODEL, sure)
    promise = forecast(np.zeros((size, 3)), np.full(size, 0.5), PROMISE, sure)
    delays = dataset.test.delays.astype(np.float64)
    return {
        MODEL: scores(model, delays),
        LANE: scores(dataset.baseline, delays),
        PROMISE: scores(promise, delays),
    }


def scores(answer: Forecast, delays: Floats) -> Scores:
    """Figures over rows whose delays (days) came true; rows without an answer count as promise."""
    low, middle, high = (np.nan_to_num(part, nan=0.0) for part in answer[:3])
    return Scores(
        mae=float(np.abs(delays - middle).mean()),
        pinball_p10=pinball(low, delays, 0.1),
        pinball_p50=pinball(middle, delays, 0.5),
        pinball_p90=pinball(high, delays, 0.9),
        coverage=float(((delays >= low) & (delays <= high)).mean()),
        late_auc=auc(np.nan_to_num(answer.late_p, nan=0.5), delays > 0),
    )


def pinball(answers: Floats, delays: Floats, share: float) -> float:
    """Mean pinball loss of the `share` quantile, days (Koenker and Bassett, 1978)."""
    error = delays - answers
    return float(np.maximum(share * error, (share - 1) * error).mean())


def auc(chance: Floats, late: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
    """The chance that a late row ranks above one in time, ties half (Mann-Whitney); None
    when all rows are of one kind."""
    positives, negatives = int(late.sum()), int((~late).sum())
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(chance, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places]
    wins = ranks[late].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def judge(metrics: dict[str, Scores]) -> tuple[bool, str]:
    """Whether the model may answer, and one sentence saying which of the two is better."""
    model, lane = metrics[MODEL], metrics[LANE]
    mae, tail = _ratio(model.mae, lane.mae), _ratio(model.pinball_p90, lane.pinball_p90)
    figures = f"MAE {_change(mae)}, P90 pinball {_change(tail)} against the lane median"
    if max(mae, tail) > TOLERANCE:
        return False, f"The model is too far behind ({figures}): the lane table answers."
    if abs(mae - 1) < EVEN and abs(tail - 1) < EVEN:
        return True, "The model found nothing to add to the lane table, and answers as it does."
    if mae < 1.0 and tail < 1.0:
        return True, f"The model is better ({figures})."
    if mae >= 1.0 and tail >= 1.0:
        return (
            True,
            f"The lane median is better ({figures}), but within the gate: the model answers.",
        )
    return True, f"Neither is better on both ({figures}): the model answers."


def _ratio(ours: float | None, theirs: float | None) -> float:
    if ours is None or theirs is None or not math.isfinite(ours):
        return math.inf
    return ours / theirs if theirs > 0 else (1.0 if ours == 0 else math.inf)


def _change(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"
