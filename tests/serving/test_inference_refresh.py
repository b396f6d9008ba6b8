"""Predictions as events: every open shipment, once a stretch of time, by whoever answers."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from serving.inference import Inference
from serving.inference_models import Shelf
from serving.inference_refresh import Refresher, event_id
from tests.serving.inference_recorder import NOW, MemoryTwin, delivered, publish_model, shipment
from twin.contracts import CONTRACTS
from twin.errors import Recovering

MINUTE = 60_000_000


class Time:
    def __init__(self):
        self.us = NOW

    def __call__(self):
        return self.us


def region(registry, rows, **bounds):
    twin, now = MemoryTwin(rows), Time()
    shelf = Shelf(registry)
    shelf.look()
    inference = Inference("east", twin, shelf, now)
    return twin, now, Refresher(inference, twin, stretch_us=MINUTE, **bounds)


def test_open_shipments_are_predicted_as_events_of_the_version_that_answers(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    rows = {"a": shipment(), "b": shipment(5), "came": delivered(1)}
    twin, _, refresher = region(tmp_path, rows)

    done = refresher.round()

    assert done == (2, 2, {"APPLIED": 2})
    assert {event.subject for event in twin.offered} == {"a", "b"}
    event = twin.offered[0]
    contract = next(c for c in CONTRACTS if c.type == event.type)
    assert set(event.data) == {promise.name for promise in contract.payload}
    assert (event.source, event.region, event.time) == ("model/eta@1", "east", NOW)
    assert 0 < event.confidence < 1


def test_a_second_round_in_the_same_stretch_offers_nothing_and_the_next_stretch_all(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    twin, now, refresher = region(tmp_path, {"a": shipment(), "b": shipment()})
    refresher.round()

    same = refresher.round()
    now.us += MINUTE
    later = refresher.round()

    assert same.offered == 0
    assert later.outcomes == {"APPLIED": 2}
    assert len({event.id for event in twin.offered}) == 4


def test_a_replica_started_anew_repeats_ids_so_that_nothing_counts_twice(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    rows = {"a": shipment()}
    twin, _, refresher = region(tmp_path, rows)
    refresher.round()
    again = Refresher(
        Inference("east", twin, refresher._inference.shelf, lambda: NOW), twin, stretch_us=MINUTE
    )

    done = again.round()

    assert done.outcomes == {"DUPLICATE": 1}


def test_the_rule_predicts_under_its_own_source(tmp_path):
    publish_model(tmp_path, shift_days=1.0, promoted=False)
    twin, _, refresher = region(tmp_path, {"a": shipment()})

    refresher.round()

    assert [event.source for event in twin.offered] == ["rule/lane-median@1"]


def test_what_cannot_be_predicted_is_not_offered(tmp_path):
    twin, _, refresher = region(tmp_path, {"a": shipment()})  # nobody ever delivered anything

    done = refresher.round()

    assert (done.open, done.offered, twin.offered) == (1, 0, [])


def test_rounds_are_bounded_and_take_turns_until_all_were_predicted(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    rows = {f"s{n:02}": shipment() for n in range(25)}
    twin, _, refresher = region(tmp_path, rows, most=10)

    rounds = [refresher.round().offered for _ in range(3)]

    assert rounds == [10, 10, 5]
    assert {event.subject for event in twin.offered} == set(rows)


def test_a_region_without_shipments_is_a_round_of_nothing(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, _, refresher = region(tmp_path, {})

    assert refresher.round() == (0, 0, {})


def test_the_loop_outlives_a_shard_that_recovers_and_follows_a_new_model(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    twin, now, refresher = region(tmp_path, {"a": shipment()}, every_s=0.01)
    twin.fault = Recovering("shipment/east/0 is replaying its journal", 0.1)
    stop = threading.Event()
    thread = threading.Thread(target=refresher.run, args=(stop,))

    thread.start()
    try:
        assert wait(lambda: refresher.fault.startswith("SHARD_RECOVERING"))
        twin.fault = None
        assert wait(lambda: sources(twin) == {"model/eta@1"})
        publish_model(tmp_path, shift_days=2.0)
        now.us += MINUTE
        assert wait(lambda: sources(twin) == {"model/eta@1", "model/eta@2"})
    finally:
        stop.set()
        thread.join(10)

    assert not thread.is_alive()
    assert refresher.fault == ""


def sources(twin):
    return {event.source for event in twin.offered}


def wait(holds):
    paused = threading.Event()
    return any(holds() or paused.wait(0.01) for _ in range(1000))


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.integers(0, 3))
def test_an_id_names_one_shipment_version_and_stretch(by, place, key, stretch):
    made = event_id(by, place, key, stretch)

    assert made == event_id(by, place, key, stretch)
    assert made != event_id(by, place, key, stretch + 1)
    assert made != event_id(by + "x", place, key, stretch)
    assert len(made) <= 128
    assert made.replace("-", "").isalnum()
