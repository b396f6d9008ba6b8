"""What a fork is, and what its name says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.fork import fork
from tests.scenarios.forks import NOW, columns, delivered, forked, shipment
from twin.errors import BadRequest
from twin.kinds import ABSENT, Milestone

ROWS = [shipment("a"), shipment("b", region="west"), delivered("c", 2), shipment("d", 3)]


@settings(deadline=None)
@given(st.permutations(ROWS))
def test_the_order_in_which_shards_answered_changes_nothing(rows):
    assert forked(*rows).name == forked(*ROWS).name


def test_the_name_changes_with_the_content_the_offsets_and_the_clock():
    here = forked(*ROWS)
    others = [
        forked(*ROWS[:3], offsets={"shipment/east/0": 4}),
        forked(*ROWS, offsets={"shipment/east/0": 5}),
        forked(*ROWS, now=NOW + 1),
        forked(*ROWS, aggregators=("depot",)),
        forked(*ROWS[:3], shipment("d", 4)),
    ]

    assert len({here.name, *(other.name for other in others)}) == len(others) + 1


def test_open_are_those_neither_delivered_nor_cancelled():
    state = forked(
        shipment("a"),
        shipment("b", status=Milestone.CANCELLED),
        delivered("c", 1),
        shipment("d", status=Milestone.ARRIVED),
        shipment("e", delivered_at=NOW),
    )

    assert state.columns["id"][state.open].tolist() == ["a", "d"]


def test_synthetic_deliveries_are_history_only_where_there_is_no_other():
    real, made_up = delivered("a", 1, delivery_source="scms"), delivered("b", 1)
    made_up["delivery_source"] = "demo/orders"

    assert forked(real, made_up).known.tolist() == [True, False]
    assert forked(made_up).known.tolist() == [True]


def test_a_delivery_recorded_after_the_clock_is_no_history_yet():
    state = forked(delivered("a", 5, promised=0), delivered("b", 5, promised=-10))

    assert state.known.tolist() == [False, True]


def test_optional_columns_may_be_absent_and_stay_absent():
    held = columns(ROWS)
    del held["departed_at"], held["site"]

    state = fork(held, {}, NOW)

    assert set(state.columns["departed_at"].tolist()) == {ABSENT}
    assert set(state.columns["site"].tolist()) == {""}


def test_a_needed_column_that_is_missing_is_named():
    held = columns(ROWS)
    del held["promised_at"]

    with pytest.raises(BadRequest, match="no column promised_at") as raised:
        fork(held, {}, NOW)

    assert raised.value.code == "SNAPSHOT_INVALID"


def test_columns_of_different_lengths_are_refused():
    held = columns(ROWS) | {"mode": np.array(["air"], object)}

    with pytest.raises(BadRequest, match="differ in length"):
        fork(held, {}, NOW)


def test_a_fork_of_nothing_is_a_fork():
    assert fork({}, {}, NOW).size == 0
