"""Studies whose answer is known beforehand, and what repeats them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.compare import differences
from scenarios.run import BASE, MOST_CELLS, run
from scenarios.wording import assumptions
from tests.scenarios.forks import TODAY, day, delivered, forked, loss, past, port, scenario
from tests.scenarios.forks import shipment as open_one
from twin.errors import BadRequest
from twin.kinds import Milestone
from twin.lanes import DAY_US

SPREAD = past(range(-10, 20), supplier="acme")
BOTH = (
    '[[port_delay]]\nname = "port"\ncountries = ["KE"]\nprobability = 0.5\nshare = 0.5\n'
    'extra_h = { shape = "exponential", mean = 60 }\n'
    '[[supplier_loss]]\nname = "loss"\nsuppliers = ["acme"]\n'
    'replacement_d = { shape = "triangular", low = 5, mode = 20, high = 60 }\n'
)


def study(what, *rows, futures=40, days=365, seed=7, **options):
    chunk = options.pop("chunk", 0)
    return run(what, forked(*rows, **options), futures=futures, days=days, seed=seed, chunk=chunk)


def diff(done, arm, measure):
    return next(one for one in differences(done, arm) if one.measure == measure)


def paired(done, arm, measure):
    return done.arms[arm].measures[measure] - done.arms[BASE].measures[measure]


def test_a_constant_port_delay_is_exactly_the_paired_difference():
    done = study(port(), open_one("a"), *SPREAD)

    assert set(paired(done, "port", "mean_delay_d").tolist()) == {3.0}
    found = diff(done, "port", "mean_delay_d")
    assert (found.diff, found.low, found.high) == (3.0, 3.0, 3.0)


def test_a_port_delay_of_half_a_day_makes_no_promise_of_midnight_late():
    done = study(port('{ shape = "constant", value = 12 }'), open_one("a"), *past([0] * 12))

    assert diff(done, "port", "late_shipments").diff == 0.0
    assert diff(done, "port", "mean_delay_d").diff == 0.5


def test_the_base_is_the_empirical_distribution_of_the_lane():
    delays = [-3] * 5 + [0] * 10 + [2] * 4 + [40]
    done = study(port(), open_one("a", 100), *past(delays), futures=20_000)

    base = done.arms[BASE].measures

    assert base["on_time_share"].mean() == pytest.approx(0.75, abs=0.01)
    assert base["mean_delay_d"].mean() == pytest.approx(np.mean(delays), abs=0.25)


def test_an_overdue_shipment_has_only_the_delays_it_can_still_have():
    done = study(port(), open_one("a", -5), *past(range(20)), futures=400)

    assert done.arms[BASE].measures["mean_delay_d"].min() == 5.0
    assert set(done.arms[BASE].measures["on_time_share"].tolist()) == {0.0}


def test_a_supplier_lost_without_replacement_delivers_nothing():
    done = study(loss(), open_one("a", 10), *past([0] * 12), days=30)

    assert set(done.arms["loss"].measures["on_time_share"].tolist()) == {0.0}
    assert set(done.arms["loss"].measures["mean_delay_d"].tolist()) == {20.0}  # until the end
    assert diff(done, "loss", "value_late_usd").diff == 100.0


def test_a_replacement_comes_its_lead_time_after_the_loss():
    what = loss('from_day = 2\nreplacement_d = { shape = "constant", value = 25 }')
    done = study(what, open_one("a", 10), *past([0] * 12))

    assert set(done.arms["loss"].measures["mean_delay_d"].tolist()) == {17.0}


def test_a_replacement_is_never_earlier_than_the_order_it_replaces():
    what = loss('replacement_d = { shape = "constant", value = 25 }')
    done = study(what, open_one("a", 100), *past([4] * 12))

    assert diff(done, "loss", "mean_delay_d").diff == 0.0


def test_a_replacement_by_history_takes_what_other_suppliers_took():
    orders = [
        delivered(f"h{i}", 0, promised=-50, ordered_at=day(-80), supplier="other") for i in range(3)
    ]
    what = loss('replacement_d = { shape = "history" }')
    done = study(what, open_one("a", 10), *past([0] * 12), *orders)

    assert set(done.arms["loss"].measures["mean_delay_d"].tolist()) == {20.0}


def test_a_replacement_by_history_without_any_history_is_refused():
    with pytest.raises(BadRequest, match="no order of another supplier") as raised:
        study(loss('replacement_d = { shape = "history" }'), open_one("a"), *SPREAD)

    assert raised.value.code == "SCENARIO_INVALID"


@pytest.mark.parametrize(
    "facts", [{"status": Milestone.DEPARTED}, {"departed_at": day(-1)}], ids=["status", "time"]
)
def test_what_has_left_its_supplier_is_not_lost_with_it(facts):
    done = study(loss(), open_one("a", **facts), *SPREAD)

    assert diff(done, "loss", "late_shipments").diff == 0.0


def test_what_leaves_before_the_loss_is_not_lost():
    journeys = [
        delivered(f"j{i}", 0, promised=-50, departed_at=day(-58)) for i in range(12)
    ]  # all take 8 days and come on the day promised
    done = study(loss("from_day = 5"), open_one("a", 10), open_one("b", 14), *journeys)

    # a leaves on day 2, b on day 6
    assert done.arms["loss"].late.tolist() == [0.0, 1.0]


def test_what_has_not_left_cannot_come_sooner_than_the_fastest_journey():
    journeys = [delivered(f"j{i}", 0, promised=-50, departed_at=day(-58)) for i in range(12)]
    slow = [delivered(f"s{i}", 9, promised=-50, departed_at=day(-58)) for i in range(12)]
    done = study(port(), open_one("a", 2), *journeys, *slow, futures=200)

    assert set(done.arms[BASE].measures["mean_delay_d"].tolist()) == {9.0}


def test_only_arrivals_in_the_window_wait_at_the_port():
    what = port(more="from_day = 5\nuntil_day = 12")
    early, inside, after = (open_one(name, at) for name, at in (("a", 4), ("b", 5), ("c", 12)))
    done = study(what, early, inside, after, *past([0] * 12))

    assert (done.arms["port"].delay_d - done.arms[BASE].delay_d).tolist() == [0.0, 3.0, 0.0]


def test_a_port_of_sites_and_modes_hits_only_what_both_lists_name():
    what = port(where='sites = ["KEMBA"]\nmodes = ["ocean"]')
    rows = [
        open_one("a", site="KEMBA", mode="ocean"),
        open_one("b", site="KEMBA", mode="air"),
        open_one("c", site="TZDAR", mode="ocean"),
    ]
    done = study(what, *rows, *past([0] * 12))

    assert (done.arms["port"].delay_d - done.arms[BASE].delay_d).tolist() == [3.0, 0.0, 0.0]


def test_both_together_pass_the_port_after_the_loss():
    what = scenario(
        '[[port_delay]]\nname = "port"\ncountries = ["KE"]\nuntil_day = 20\n'
        'extra_h = { shape = "constant", value = 72 }\n'
        '[[supplier_loss]]\nname = "loss"\nsuppliers = ["acme"]\n'
        'replacement_d = { shape = "constant", value = 25 }\n'
    )
    done = study(what, open_one("a", 10), *past([0] * 12))

    by_arm = {arm: float(held.measures["mean_delay_d"][0]) for arm, held in done.arms.items()}
    assert by_arm == {BASE: 0.0, "port": 3.0, "loss": 15.0, "both": 15.0}


def test_a_disruption_of_even_chance_happens_to_a_whole_future_or_not_at_all():
    rows = [open_one(f"o{i}") for i in range(5)]
    done = study(port(more="probability = 0.5"), *rows, *past([0] * 12), futures=2000)

    extra = paired(done, "port", "mean_delay_d")

    assert set(extra.tolist()) == {0.0, 3.0}
    assert (extra > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_a_share_chooses_shipments_one_by_one():
    rows = [open_one(f"o{i}") for i in range(50)]
    done = study(port(more="share = 0.3"), *rows, *past([0] * 12), futures=200)

    extra = paired(done, "port", "mean_delay_d") / 3.0

    assert extra.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.0 < extra.std() < 0.1


def test_a_disruption_that_touches_nothing_changes_nothing():
    rows = [open_one("a"), open_one("b", status=Milestone.DEPARTED), *SPREAD]
    elsewhere = past([1], country="NG", supplier="late")
    what = scenario(BOTH.replace('["KE"]', '["NG"]').replace('["acme"]', '["late"]'))
    done = study(what, *rows, *elsewhere)

    for arm in ("port", "loss", "both"):
        for found in differences(done, arm):
            assert (found.diff, found.low, found.high, found.worst) == (0.0, 0.0, 0.0, "-")


def test_the_same_seed_repeats_a_study_and_another_does_not():
    rows = [open_one("a"), open_one("b", 30), *SPREAD]
    first, again, other = (study(scenario(BOTH), *rows, seed=seed) for seed in (7, 7, 8))

    for arm, held in first.arms.items():
        for name, values in held.measures.items():
            assert np.array_equal(values, again.arms[arm].measures[name])
    changed = other.arms["both"].measures["mean_delay_d"]
    assert not np.array_equal(first.arms["both"].measures["mean_delay_d"], changed)


@settings(deadline=None, max_examples=30)
@given(chunk=st.integers(1, 45))
def test_no_future_depends_on_how_many_run_in_one_pass(chunk):
    rows = [open_one(f"o{i}", 3 * i) for i in range(9)] + SPREAD
    whole = study(scenario(BOTH), *rows)
    pieces = study(scenario(BOTH), *rows, chunk=chunk)

    for arm, held in whole.arms.items():
        for name, values in held.measures.items():
            assert np.array_equal(values, pieces.arms[arm].measures[name]), (arm, name)
        assert pieces.arms[arm].delay_d == pytest.approx(held.delay_d)


def test_a_future_is_the_same_whatever_other_shipments_are_open():
    alone = study(scenario(BOTH), open_one("b", 9), *SPREAD)
    among = study(scenario(BOTH), open_one("a", 4), open_one("b", 9), open_one("c"), *SPREAD)

    for arm, held in alone.arms.items():
        assert among.arms[arm].delay_d[1] == pytest.approx(held.delay_d[0])


def test_more_futures_begin_with_the_same_ones():
    rows = [open_one("a"), *SPREAD]
    few, many = (study(scenario(BOTH), *rows, futures=count) for count in (20, 60))

    for arm, held in few.arms.items():
        longer = many.arms[arm].measures["mean_delay_d"]
        assert np.array_equal(held.measures["mean_delay_d"], longer[:20])


def test_pairing_makes_the_difference_surer_than_independent_arms_would():
    rows = [open_one(f"o{i}", 5 + i) for i in range(20)] + SPREAD
    what = port('{ shape = "uniform", low = 24, high = 96 }')
    one, other = (study(what, *rows, futures=200, seed=seed) for seed in (1, 2))

    together = paired(one, "port", "mean_delay_d")
    apart = one.arms["port"].measures["mean_delay_d"] - other.arms[BASE].measures["mean_delay_d"]

    assert together.var() < 0.05 * apart.var()
    assert together.mean() == pytest.approx(apart.mean(), abs=3 * apart.std() / 200**0.5)


@pytest.mark.parametrize("rows", [[], SPREAD], ids=["empty", "all delivered"])
def test_a_fork_without_open_shipments_has_nothing_to_disrupt(rows):
    done = study(scenario(BOTH), *rows)

    assert done.basis.due.size == 0
    assert set(done.arms["both"].measures["late_shipments"].tolist()) == {0.0}
    assert np.isnan(done.arms["both"].measures["on_time_share"]).all()
    assert np.isnan(diff(done, "both", "mean_delay_d").diff)
    assert assumptions(done)


def test_what_is_promised_after_the_end_is_not_measured():
    done = study(port(), open_one("a", 10), open_one("b", 30), *past([0] * 12), days=30)

    assert done.state.columns["id"][done.basis.rows[done.basis.due]].tolist() == ["a"]
    assert "1 open shipments are promised for after the end: not measured." in assumptions(done)


def test_a_shipment_without_a_promise_is_left_out_and_counted():
    done = study(port(), open_one("a"), open_one("b", None), *SPREAD)

    assert (done.basis.rows.size, done.basis.unpromised) == (1, 1)
    assert "1 open shipments have no promise: left out." in assumptions(done)


def test_the_clock_may_stand_at_any_time_of_day():
    noon = TODAY * DAY_US + DAY_US // 2
    done = study(port(), open_one("a", 0), *past([0] * 12), now=noon, days=10)

    assert set(done.arms[BASE].measures["on_time_share"].tolist()) == {1.0}
    assert set(paired(done, "port", "mean_delay_d").tolist()) == {3.0}


def test_largest_is_the_supplier_with_most_open_value_that_is_no_aggregator():
    rows = [
        open_one("a", supplier="depot", value_cents=900),
        open_one("b", supplier="big", value_cents=500),
        open_one("c", supplier="small", value_cents=100),
    ]
    done = study(loss(suppliers='["largest"]'), *rows, *past([0] * 12), aggregators=("depot",))

    assert (done.arms["loss"].late - done.arms[BASE].late).tolist() == [0.0, 1.0, 0.0]
    assert "big (largest by open value, aggregators left out)" in done.targets[0].says


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (port(where='countries = ["KEE"]'), "did you mean 'KE'?"),
        (port(where='modes = ["oceann"]'), "has mode 'oceann'"),
        (loss(suppliers='["acmee"]'), "did you mean 'acme'?"),
    ],
)
def test_a_name_that_no_shipment_has_is_refused(what, says):
    with pytest.raises(BadRequest) as raised:
        study(what, open_one("a"), *SPREAD)

    assert raised.value.code == "SCENARIO_INVALID"
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"futures": 9}, "SCENARIO_INVALID"),
        ({"days": 0}, "SCENARIO_INVALID"),
        ({"seed": -1}, "SCENARIO_INVALID"),
        ({"seed": 2**63}, "SCENARIO_INVALID"),
        ({"futures": 10**9}, "SCENARIO_TOO_LARGE"),
        ({"days": 10**9}, "SCENARIO_TOO_LARGE"),
    ],
)
def test_impossible_and_excessive_studies_are_refused_before_they_run(options, code):
    with pytest.raises(BadRequest) as raised:
        study(port(), open_one("a"), *SPREAD, **options)

    assert raised.value.code == code


def test_futures_times_shipments_times_arms_is_bounded():
    rows = [open_one(f"o{i}") for i in range(2001)]

    with pytest.raises(BadRequest, match=str(MOST_CELLS)) as raised:
        study(port(), *rows, futures=100_000)

    assert raised.value.code == "SCENARIO_TOO_LARGE"


def test_an_empty_shelf_stays_empty_until_its_shipment_comes():
    stock = {
        "site": np.array(["KEMBA", "KEMBA", "TZDAR"], object),
        "product": np.array(["ARV", "HRDT", "ARV"], object),
        "on_hand": np.array([0, 40, 0], np.int64),
    }
    row = open_one("a", 10, site="KEMBA", product="pills", product_group="ARV")
    done = study(port(), row, *past([0] * 12), stock=stock, days=30)

    found = diff(done, "port", "empty_shelf_d")

    assert (found.base, found.shock, found.diff) == (40.0, 43.0, 3.0)  # TZDAR: all 30 days
