import numpy as np
import pytest

from training.dataset import ASKED_AT, build, known_at
from twin.errors import BadRequest
from twin.features import FEATURES

DAY = 86_400_000_000
ABSENT = -(2**63)


def test_no_row_is_both_learned_from_and_tested_on(columns, now_us):
    cut = now_us - 200 * DAY

    split = build(columns, now_us, cut_us=cut).split

    recorded, promised = columns["recorded_at"], columns["promised_at"]
    assert split.train + split.valid == int(((recorded < cut) & (promised < cut)).sum())
    assert split.test == int(((recorded >= cut) & (promised >= cut) & (recorded < now_us)).sum())
    assert split.first_us < split.valid_us < split.cut_us <= split.last_us < now_us


def test_outcomes_recorded_after_as_of_change_nothing(columns, now_us):
    as_of = now_us - 150 * DAY
    later = columns["recorded_at"] >= as_of
    changed = dict(columns)
    changed["delivered_at"] = np.where(
        later, columns["delivered_at"] + 77 * DAY, columns["delivered_at"]
    )

    first, second = build(columns, as_of), build(changed, as_of)

    assert later.any()
    for part, other in zip(first[:3], second[:3], strict=True):
        for values, others in zip(part, other, strict=True):
            np.testing.assert_array_equal(values, others)


def test_the_earliest_rows_read_no_lane_table(columns, now_us):
    dataset = build(columns, now_us)

    count = dataset.train.inputs[:, FEATURES.index("lane_log_count")]

    assert (count == 0).any()
    assert count.max() > 4


def test_a_row_is_asked_about_as_long_as_its_outcome_is_open(columns, now_us):
    dataset = build(columns, now_us)

    ahead = dataset.train.inputs[:, FEATURES.index("days_to_promise")]

    assert len(ahead) == len(ASKED_AT) * dataset.split.train  # none comes 36 days early
    np.testing.assert_allclose(np.unique(ahead), [4.0, 20.0, 40.0], atol=1e-4)


def test_an_order_without_a_date_counts_as_known_sixty_days_before_its_promise():
    columns = {
        "ordered_at": np.array([5 * DAY, ABSENT, ABSENT]),
        "promised_at": np.array([90 * DAY, 90 * DAY, ABSENT]),
    }

    assert known_at(columns).tolist() == [5 * DAY, 30 * DAY, ABSENT]


def test_the_comparison_split_adds_rows_recorded_before_the_cut_to_the_test_only(columns, now_us):
    # Promises 40 days after the order: nothing here is delivered before a cut it was promised
    # after, so one row is made to be.
    cut = now_us - 200 * DAY
    early = dict(columns)
    row = int(np.flatnonzero(columns["promised_at"] >= cut)[0])
    early["recorded_at"] = columns["recorded_at"].copy()
    early["delivered_at"] = columns["delivered_at"].copy()
    early["recorded_at"][row] = early["delivered_at"][row] = cut - DAY

    strict = build(early, now_us, cut_us=cut).split
    compared = build(early, now_us, cut_us=cut, seen_in_test=True).split

    assert compared.test == strict.test + 1
    assert compared.train == strict.train
    assert compared.valid == strict.valid


def test_too_few_deliveries_are_refused_with_a_next_step(columns, now_us):
    few = {name: values[:40] for name, values in columns.items()}

    with pytest.raises(BadRequest, match="Ingest more") as refused:
        build(few, now_us)

    assert refused.value.code == "TRAIN_DATA_SHORT"
