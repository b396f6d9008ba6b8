import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.forecast import RULE, arrival, forecast, held_to_now, lane_forecast
from twin.lanes import measure

DAY = 86_400_000_000
ABSENT = -(2**63)
T0 = 1_325_376_000_000_000


def delivered(delays):
    size = len(delays)
    texts = dict.fromkeys(("supplier", "country", "mode", "origin", "product_group"), "x")
    columns = {name: np.full(size, text, dtype=object) for name, text in texts.items()}
    times = T0 + np.array(delays, dtype=np.int64) * DAY
    return columns | {
        "promised_at": np.full(size, T0, dtype=np.int64),
        "delivered_at": times,
        "recorded_at": times,
    }


def answer_of(delays, late=0.2):
    return forecast(np.array([delays], dtype=float), np.array([late]), "x", np.ones(1))


def test_the_rule_answers_what_the_lane_did_and_says_it_is_a_rule():
    columns = delivered([0, 0, 10, 20, 30])

    answer = lane_forecast(measure(columns, T0 + 99 * DAY), columns)

    assert answer.answered_by == RULE
    assert answer.p50[0] == 10.0
    assert answer.late_p[0] == 0.6
    assert answer.confidence[0] == 5 / 15


def test_without_history_the_rule_gives_no_number():
    columns = delivered([1])

    answer = lane_forecast(measure(columns, T0), columns)

    assert np.isnan(answer.p50[0])
    assert answer.confidence[0] == 0.0
    assert arrival(answer, columns["promised_at"]).p50[0] == ABSENT


@given(
    st.lists(st.floats(-400, 400), min_size=3, max_size=3),
    st.floats(-2, 3),
    st.integers(-100, 100),
)
def test_quantiles_are_sorted_chances_are_chances_and_nothing_comes_before_now(delays, late, days):
    now, promised = T0 + days * DAY, np.array([T0])

    answer = held_to_now(answer_of(delays, late), promised, now)

    times = arrival(answer, promised)
    assert answer.p10[0] <= answer.p50[0] <= answer.p90[0]
    assert 0.0 <= answer.late_p[0] <= 1.0
    assert now <= times.p10[0] <= times.p50[0] <= times.p90[0]


def test_past_the_promised_day_late_is_certain_and_on_it_is_not():
    promised = np.array([T0 + DAY // 2])

    on_it = held_to_now(answer_of([0, 1, 2]), promised, T0 + DAY - 1)
    past_it = held_to_now(answer_of([0, 1, 2]), promised, T0 + DAY)

    assert on_it.late_p[0] == 0.2
    assert past_it.late_p[0] == 1.0


def test_without_a_promise_there_is_a_delay_but_no_time_of_arrival():
    promised = np.array([ABSENT])

    answer = held_to_now(answer_of([-1, 1, 2]), promised, T0)

    assert answer.p10[0] == -1.0
    assert arrival(answer, promised).p10[0] == ABSENT
