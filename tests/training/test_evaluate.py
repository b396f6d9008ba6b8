import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.artifact import Scores
from training.evaluate import LANE, MODEL, auc, judge, pinball, scores
from twin.forecast import forecast


def scored(mae, tail):
    return Scores(
        mae=mae, pinball_p10=1.0, pinball_p50=1.0, pinball_p90=tail, coverage=0.8, late_auc=0.5
    )


def test_figures_of_a_case_counted_by_hand():
    answer = forecast(
        np.array([[0.0, 2.0, 4.0], [0.0, 2.0, 4.0]]), np.array([0.9, 0.1]), "x", np.ones(2)
    )

    held = scores(answer, np.array([6.0, 0.0]))

    assert held.mae == 3.0
    assert held.pinball_p50 == 1.5
    assert held.pinball_p90 == pytest.approx((0.9 * 2 + 0.1 * 4) / 2)
    assert held.coverage == 0.5
    assert held.late_auc == 1.0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_auc_is_the_share_of_pairs_ranked_right(rows):
    chance = np.array([float(row[0]) for row in rows])
    late = np.array([row[1] for row in rows])

    value = auc(chance, late)

    pairs = [(a > b) + 0.5 * (a == b) for a in chance[late] for b in chance[~late]]
    assert value == (None if not pairs else pytest.approx(np.mean(pairs)))


@given(st.lists(st.integers(-50, 50), min_size=5, max_size=60), st.sampled_from([0.1, 0.5, 0.9]))
def test_no_constant_has_a_smaller_pinball_loss_than_the_quantile(delays, share):
    values = np.array(delays, dtype=np.float64)
    best = np.quantile(values, share, method="inverted_cdf")

    loss = pinball(np.full(len(values), best), values, share)

    assert all(loss <= pinball(np.full(len(values), c), values, share) + 1e-9 for c in values)


@pytest.mark.parametrize(
    ("mae", "tail", "may_answer", "word"),
    [
        (9.0, 2.9, True, "model is better"),
        (11.0, 2.9, True, "Neither"),
        (11.0, 3.1, True, "lane median is better"),
        (10.0, 3.0, True, "nothing to add"),
        (11.6, 2.9, False, "too far behind"),
        (10.0, 3.5, False, "too far behind"),
        (float("nan"), 3.0, False, "too far behind"),
    ],
)
def test_a_model_far_behind_the_lane_table_may_not_answer(mae, tail, may_answer, word):
    gate, verdict = judge({MODEL: scored(mae, tail), LANE: scored(10.0, 3.0)})

    assert gate is may_answer
    assert word in verdict
