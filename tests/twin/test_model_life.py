"""The life of a shipment, and of sites, suppliers and stock: what their events make true."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    SHIPMENTS,
    SITES,
    SUPPLIERS,
    T0,
    Ledger,
    arrived,
    decoded,
    event,
    message,
    order,
    words,
)
from twin import checkpoint
from twin.kinds import Milestone

ITEM = {"site": "W", "product": "P"}


def say(type_, at=0, rule_kind="shipment", **data):
    return event(id=f"{type_}:{at}", type=f"{rule_kind}.{type_}", time=T0 + at, data=data)


def reserve(name, packs, at=0, **more):
    data = {**ITEM, "reserved": packs}
    return event(id=name, type="stock.reserved", subject="W-P", time=T0 + at, data=data, **more)


def withdrawn(name, what, at=9):
    empty = event(id=name, type="stock.reserved", subject="W-P", time=T0 + at, data={})
    return {**empty, "retracts": what}


def twin(events, kind="shipment", rule=SHIPMENTS, name="demo/S1"):
    return decoded(arrived(*[[one] for one in events], rule=rule).state)[kind][name]


LIFE = [
    {**order(), "id": "o", "time": T0},
    say("departed", 1),
    say("arrived", 2, arrived_place="NGLOS"),
    say("customs", 3, customs_status="held", customs_reference="D-1"),
    say("exception", 4, exception_code="UD130", exception_state="open", exception_place="NGLOS"),
    say("customs", 5, customs_status="cleared", customs_reference="D-1"),
    say("exception", 6, exception_code="UD130", exception_state="resolved"),
    say("delivered", 7),
]


def test_a_shipment_lives_from_its_order_to_its_delivery():
    reached = [twin(LIFE[:n])["status"] for n in range(1, len(LIFE) + 1)]
    end = twin(LIFE)

    assert reached == [10, 20, 30, 40, 40, 40, 40, 50]
    assert (end["arrived_at"], end["arrived_place"]) == (T0 + 2, "NGLOS")
    assert (end["customs_status"], end["customs_reference"]) == ("cleared", "D-1")
    assert (end["exception_code"], end["exception_state"]) == ("UD130", "resolved")
    assert "exception_place" not in end  # a group is one event's, absent fields included
    assert end["customs.as_of"] == T0 + 5


@given(st.permutations([*LIFE, say("cancelled", 4, cancelled_reason="funding")]))
def test_the_life_is_the_same_in_any_order(events):
    whole = arrived([*LIFE, say("cancelled", 4, cancelled_reason="funding")])

    assert arrived(*[[one] for one in events]).digests().truth == whole.digests().truth


@pytest.mark.parametrize("after", ["departed", "arrived"])
def test_what_is_reported_of_a_cancelled_shipment_does_not_bring_it_back(after):
    told = twin([LIFE[0], say("cancelled", 1, cancelled_reason="lost"), say(after, 2)])

    assert told["status"] == Milestone.CANCELLED
    assert (told["cancelled_at"], told["cancelled_reason"]) == (T0 + 1, "lost")


@pytest.mark.parametrize("order_", list(itertools.permutations(range(2))))
def test_a_delivered_shipment_cannot_be_cancelled_but_that_it_was_stays_known(order_):
    both = [say("delivered", 3), say("cancelled", 5)]
    told = twin([both[i] for i in order_])

    assert told["status"] == Milestone.DELIVERED
    assert told["cancelled_at"] == T0 + 5


def test_a_cancellation_is_taken_back_by_a_retraction():
    back = {**say("cancelled", 5), "id": "back", "retracts": "cancelled:1"}
    told = twin([LIFE[0], say("cancelled", 1), {**back, "data": {}}])

    assert told["status"] == Milestone.ORDERED
    assert "cancelled_at" not in told


@pytest.mark.parametrize(
    ("type_", "kind", "rule", "data"),
    [
        (
            "exception",
            "shipment",
            SHIPMENTS,
            {"exception_code": "ZZ999", "exception_state": "open"},
        ),
        ("customs", "shipment", SHIPMENTS, {"customs_status": "lost"}),
        ("cancelled", "shipment", SHIPMENTS, {"cancelled_reason": "a whim"}),
        ("status", "site", SITES, {"status": "OPEN"}),
        ("status", "supplier", SUPPLIERS, {"status": "open"}),
    ],
)
def test_a_word_that_is_not_in_the_vocabulary_is_parked(type_, kind, rule, data):
    told = Ledger(rule).offer(message(say(type_, rule_kind=kind, **data)))

    assert words(told) == ["PARKED OUT_OF_RANGE"]


def test_one_wrong_word_parks_no_neighbour():
    right = say("exception", 1, exception_code="AD060", exception_state="open")
    wrong = say("exception", 2, exception_code="AD061", exception_state="open")

    told = words(Ledger().offer(message(right, wrong, LIFE[0])))
    assert told == ["APPLIED", "PARKED OUT_OF_RANGE", "APPLIED"]


def test_sites_and_suppliers_say_whether_and_how_much():
    site = [
        say("status", 1, "site", status="open"),
        say("status", 2, "site", status="limited"),
        say("capacity", 1, "site", capacity=9000),
    ]
    supplier = [
        say("lead_time", 1, "supplier", lead_time_days=60),
        say("lead_time", 2, "supplier", lead_time_days=30),
        say("lead_time", 3, "supplier", lead_time_days=90),
        say("capacity", 1, "supplier", capacity=100),
        say("status", 1, "supplier", status="suspended"),
    ]

    for events in itertools.permutations(site):
        told = twin(events, "site", SITES)
        assert (told["status"], told["capacity"]) == ("limited", 9000)
    for events in itertools.permutations(supplier):
        told = twin(events, "supplier", SUPPLIERS)
        assert (told["lead_time_days"], told["best_lead_time_days"]) == (90, 30)
        assert (told["lead_time.as_of"], told["best_lead_time.as_of"]) == (T0 + 3, T0 + 2)
        assert (told["capacity"], told["status"]) == (100, "suspended")


def test_every_reservation_counts_once_whatever_its_time():
    ledger = Ledger(SITES)
    told = ledger.offer(
        message(reserve("a", 5, 3), reserve("b", -2, 1), reserve("a", 5, 3), reserve("c", 0, 2))
    )

    assert words(told) == ["APPLIED", "APPLIED", "DUPLICATE", "APPLIED"]
    held = decoded(ledger.state)["stock"]["demo/W-P"]
    assert (held["reserved"], held["reservation.as_of"]) == (3, T0 + 3)
    assert ledger.replayed(2).digests() == ledger.digests()


entries = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 2)), min_size=1, max_size=5)


@given(entries, st.data())
def test_a_sum_is_that_of_what_was_not_withdrawn_in_any_order(entries, data):
    facts = [reserve(f"e{i}", packs, at) for i, (packs, at) in enumerate(entries)]
    gone = data.draw(st.sets(st.integers(0, len(facts) - 1), max_size=2))
    events = [*facts, *(withdrawn(f"r{i}", f"e{i}") for i in sorted(gone))]

    ledgers = [
        arrived(*[[one] for one in data.draw(st.permutations(events))], rule=SITES)
        for _ in range(2)
    ]
    left = [packs for i, (packs, _) in enumerate(entries) if i not in gone]
    told = decoded(ledgers[0].state)["stock"]["demo/W-P"]
    assert told.get("reserved", 0) == sum(left)
    assert ("reserved" in told) == bool(left)
    assert ledgers[0].digests().truth == ledgers[1].digests().truth
    for ledger in ledgers:
        raw = checkpoint.write(*checkpoint.capture(ledger.state), 1)
        again = Ledger(SITES, checkpoint.restore(raw, SITES))
        assert again.digests() == ledger.digests() == ledger.replayed(3).digests()


def test_a_correction_counts_instead_of_what_it_corrects():
    right = {**reserve("b", 7, 1), "corrects": "a"}

    for events in itertools.permutations([reserve("a", 5), right, reserve("c", 1)]):
        told = twin(events, "stock", SITES, "demo/W-P")
        assert told["reserved"] == 8
