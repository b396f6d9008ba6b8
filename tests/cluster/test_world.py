import json
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.world import run
from cluster.world.atlas import along, distance_km, origins, places
from cluster.world.load import START_US, history
from cluster.world.noise import HELD_US, sendings
from cluster.world.orders import journey, limits, orders
from cluster.world.replay import Replay
from cluster.world.telemetry import reports
from cluster.world.warehouse import WEEK_US, Item, counted, passed_on, stock
from serving.client import Event
from tests.cluster.recorder import Recorder
from twin.contracts import DAY_US
from twin.derived import stock_id
from twin.errors import BadRequest

TICK = DAY_US // 8  # half a second of the demo's replay clock


@pytest.fixture(scope="module")
def real():
    return history().events


@pytest.fixture(scope="module")
def week(real):
    """What the first week sends, tick by tick."""
    replay = Replay(real, START_US, START_US, 1)
    return [replay.advance(START_US + TICK * (n + 1)) for n in range(8 * 7)]


def sent(ticks):
    return [event for tick in ticks for event in tick]


def test_what_a_place_has_is_a_published_position():
    found = places()

    assert len([p for p in found.values() if p.function == "destination"]) == 40
    assert set(origins().values()) <= found.keys()
    assert all(-90 <= p.lat <= 90 and -180 <= p.lon <= 180 for p in found.values())


@given(st.sampled_from(sorted(places().values())), st.sampled_from(sorted(places().values())))
def test_half_way_along_a_lane_is_as_far_from_both_ends(a, b):
    lat, lon = along(a, b, 0.5)

    middle = a._replace(lat=lat, lon=lon)
    assert distance_km(a, middle) == pytest.approx(distance_km(middle, b), abs=0.01)
    assert distance_km(a, middle) * 2 == pytest.approx(distance_km(a, b), abs=0.01)


def test_goods_leave_after_their_order_and_are_never_reported_once_delivered(real):
    every = [o for o in orders(real, places(), origins()) if o.closed_us > START_US]

    for order in every:
        trip = journey(order, 1)
        assert trip.departs_us > order.ordered_us
        assert trip.arrives_us > trip.departs_us
        for event in reports(order, START_US, START_US + 30 * DAY_US, 1):
            assert trip.departs_us <= event.time <= order.delivered_us


def test_the_same_span_gives_the_same_reports_however_it_is_cut(real):
    every = [o for o in orders(real, places(), origins()) if o.closed_us > START_US]
    end = START_US + 20 * DAY_US

    for order in every[:100]:
        whole = reports(order, START_US, end, 1)
        cuts = [START_US + n * TICK for n in range(8 * 20 + 1)]
        parts = [reports(order, a, b, 1) for a, b in zip(cuts, cuts[1:], strict=False)]
        assert whole == sent(parts)


def test_an_order_without_a_located_origin_has_no_position(real):
    lost = [o for o in orders(real, places(), origins()) if o.closed_us > START_US and not o.start]

    events = [e for o in lost for e in reports(o, START_US, START_US + 90 * DAY_US, 1)]

    assert lost
    assert not any(e.type == "shipment.position" for e in events)


@pytest.mark.parametrize(
    ("group", "product", "expected"),
    [
        ("ARV", "Lopinavir/Ritonavir 80/20mg/ml [Kaletra], oral solution, 5 x 60ml", (2.0, 8.0)),
        ("ARV", "Efavirenz 600mg, tablets, 30 Tabs", None),
        ("HRDT", "HIV 1/2, Determine Complete HIV Kit, 100 Tests", (2.0, 30.0)),
    ],
)
def test_what_must_be_kept_cool_is_decided_by_the_product(group, product, expected):
    assert limits(group, product) == expected


@given(st.integers(0, 99), st.integers(2000, 2300))
def test_a_week_of_stock_leads_from_one_count_to_the_next_and_never_below_nothing(seed, number):
    item = Item("NGLOS:arv", "east", "NGLOS", "ARV", 1000)
    events = stock(item, number * WEEK_US, (number + 2) * WEEK_US, seed)

    held = None
    losses = []
    for event in events:
        if event.type == "stock.counted":
            if held is not None:
                losses.append(held - event.data["quantity"])
            held = event.data["quantity"]
        elif held is not None:
            held += event.data["delta"]
            assert held > 0
    assert all(0 <= lost <= counted(item, number, seed) // 50 for lost in losses)


def test_what_a_shipment_brings_is_passed_on_and_no_count_comes_between(real):
    replay = Replay(real, START_US, START_US, 1)
    items = {item.id: item for item in replay.items}
    every = [o for o in orders(real, places(), origins()) if o.delivered_us > START_US]
    assert len(every) > 600

    for order in every:
        item = items[stock_id(order.end.id, order.product_group)]
        for brought in (order.delivered_us, _count(item, order.delivered_us)):
            event = passed_on(item, order._replace(delivered_us=brought), 1)
            assert event.data["delta"] == -order.quantity
            assert brought <= event.time <= brought + DAY_US // 4
            assert brought <= event.time <= max(brought, _count(item, brought) - 1)


def _count(item, at_us):
    """Return when an item is counted next, now if it is counted now."""
    week = stock(item, at_us - 1, at_us + WEEK_US, 1)
    return next(event.time for event in week if event.type == "stock.counted")


def test_all_that_the_twin_derives_of_a_week_is_passed_on_again(real, week):
    brought = Counter()
    for event in sent(week):
        if event.id.partition(":passed:")[2]:
            brought[event.id] += 1
    delivered = {e.subject for e in sent(week) if e.type == "shipment.delivered"}

    told = {name.rpartition(":")[2] for name in brought}
    recent = {
        o.id
        for o in orders(real, places(), origins())
        if o.delivered_us > START_US - WEEK_US and o.closed_us <= START_US
    }
    assert set(brought.values()) == {1}
    assert recent
    assert told >= recent
    late = delivered - told  # delivered long before: a count since then holds them
    assert all(
        e.time <= START_US - WEEK_US
        for e in sent(week)
        if e.type == "shipment.delivered" and e.subject in late
    )


def test_noise_keeps_the_time_of_an_event_and_has_its_shares():
    plain = [
        Event("shipment.position", "demo/telemetry", "1", n, {"lat": 1.0, "lon": 2.0}, f"1:p:{n}")
        for n in range(20_000)
    ]

    made = [sendings(event, 1) for event in plain]

    late = sum(m[0][0] > e.time for m, e in zip(made, plain, strict=True))
    corrected = [m[-1][1] for m in made if m[-1][1].corrects]
    twice = sum(len([s for s in m if not s[1].corrects]) - 1 for m in made)
    assert 0.02 < late / 20_000 < 0.04
    assert 0.02 < twice / 20_000 < 0.04
    assert 0.005 < len(corrected) / 20_000 < 0.015
    for m, e in zip(made, plain, strict=True):
        assert all(event.time == e.time and at - e.time <= HELD_US for at, event in m)
        assert m[-1][1].data == e.data or not m[-1][1].corrects


def test_a_correction_follows_the_mistake_it_names_and_has_its_source(week):
    seen = set()

    corrections = 0
    for event in sent(week):
        if event.corrects:
            corrections += 1
            assert (event.source, event.corrects) in seen
        seen.add((event.source, event.id))
    assert corrections


def test_all_that_is_made_up_says_so_in_its_source(week):
    real_types = {
        "shipment.ordered",
        "shipment.promised",
        "shipment.delivered",
        "supplier.registered",
    }

    for event in sent(week):
        if event.source == "scms":
            assert event.type in real_types
        else:
            assert event.source.startswith("demo/")


def test_a_real_row_comes_when_it_was_recorded_and_keeps_its_own_event_time(real):
    replay = Replay(real, START_US, START_US, 1)
    lags = []

    for n in range(180):
        now = START_US + (n + 1) * DAY_US
        for event in replay.advance(now):
            if event.source == "scms" and event.type == "shipment.delivered":
                lags.append(now - event.time)
                assert event.data["recorded_at"] <= now

    assert len(lags) == 660
    assert max(lags) > 60 * DAY_US
    assert sum(lag > DAY_US for lag in lags) > 100


def test_no_event_is_sent_before_it_happened_and_no_more_than_a_few_hundred_a_tick(week):
    for n, tick in enumerate(week):
        now = START_US + TICK * (n + 1)
        assert all(e.time <= now + DAY_US for e in tick)
        assert all(e.time <= now for e in tick if e.source != "scms")
        assert len(tick) < (2000 if n == 0 else 300)


@pytest.mark.parametrize("stopped", [3, 20, 55])
def test_a_restart_sends_what_was_sent_again_as_duplicates_and_loses_nothing(real, week, stopped):
    whole, broken = Recorder(), Recorder()
    list(whole.stream(week))
    list(broken.stream(week[:stopped]))

    again = Replay(real, START_US, START_US + TICK * stopped, 1)
    receipts = [
        receipt
        for n in range(stopped, len(week))
        for answer in broken.stream([again.advance(START_US + TICK * (n + 1))])
        for receipt in answer
    ]

    assert all(broken.known[name] == content for name, content in whole.known.items())
    assert not any(receipt.outcome == "REJECTED" for receipt in receipts)
    assert any(receipt.outcome == "DUPLICATE" for receipt in receipts)


def test_when_the_real_rows_end_synthetic_shipments_that_say_so_keep_moving(real):
    end = START_US + 182 * DAY_US
    replay = Replay(real, START_US, end, 1)

    events = [e for n in range(150) for e in replay.advance(end + (n + 1) * DAY_US)]

    standing = replay.standing(end + 150 * DAY_US)
    assert standing.real_rows_left == 0
    assert standing.moving > 50
    assert not any(e.source == "scms" and e.type == "shipment.delivered" for e in events)
    made = {e.subject for e in events if e.source == "demo/orders"}
    assert all(name.startswith("demo") for name in made)
    assert Counter(e.type for e in events)["shipment.delivered"] > 500
    labels = [e for e in events if e.type == "supplier.registered" and e.subject == "demo"]
    assert [e.data["aggregator"] for e in labels] == [True]


def test_the_world_writes_down_how_far_it_came_only_when_all_is_answered(real, tmp_path):
    replay = Replay(real, START_US, START_US, 1)
    twin = Recorder(breaks=[0, 1])
    stop = threading.Event()
    world = run.World(twin, replay, tmp_path, stop)

    world.tick(START_US + TICK)

    state = json.loads((tmp_path / "world.json").read_text())
    assert state["state"] == "replaying"
    assert state["sim"] == "2013-09-01T03:00:00Z"
    assert state["open"] == 554
    assert state["real_rows_left"] == 660
    assert sum(state["counts"].values()) == sum(state["sent"].values()) == twin.offered
    assert run.read(tmp_path).sim_us == START_US + TICK


def test_a_world_told_to_end_while_the_twin_is_away_writes_nothing_down(real, tmp_path):
    stop = threading.Event()
    stop.set()
    world = run.World(Recorder(breaks=[0]), Replay(real, START_US, START_US, 1), tmp_path, stop)

    with pytest.raises(run.Stopped):
        world.tick(START_US + TICK)

    assert run.read(tmp_path) is None


def test_the_end_of_the_real_rows_is_said(real, tmp_path):
    end = START_US + 181 * DAY_US
    world = run.World(Recorder(), Replay(real, START_US, end, 1), tmp_path, threading.Event())

    world.tick(end + TICK)

    assert run.read(tmp_path).state == "real rows ended"
    assert "2014-02-28" in run.read(tmp_path).text


def test_without_a_replay_clock_the_world_refuses_and_says_what_to_do(tmp_path):
    with pytest.raises(BadRequest, match="twin up --demo") as caught:
        run.run(tmp_path, threading.Event())

    assert caught.value.code == "CLOCK_MISSING"
