"""Derived events: what follows from shipments reaches stock and suppliers, and counts once."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    DAY,
    SITES,
    SUPPLIERS,
    Ledger,
    arrived,
    cut,
    decoded,
    event,
    message,
    words,
)
from tests.twin.post import (
    DELIVERED,
    MONDAY,
    ORDERED,
    Network,
    Receivers,
    emptied,
    expected,
    lives,
    ordered,
    shelves,
    taken,
)
from tests.twin.test_order import sizes
from twin.columns import Message
from twin.derived import DELIVERER, stock_id
from twin.events import decode_rows
from twin.kinds import ABSENT

COUNTED = event(
    id="c",
    time=MONDAY,
    type="stock.counted",
    subject="W1:arv",
    data={"site": "W1", "product": "ARV", "quantity": 100},
)
PROMISED = event(id="p", type="shipment.promised", time=MONDAY, data={"promised_at": MONDAY})


def brought(*batches, stock=(COUNTED,)):
    """Offer batches to a shipments shard, bringing out what follows after each."""
    sender, receivers = Ledger(), Receivers()
    if stock:
        receivers.of["stock"].offer(message(*stock))
    for events in batches:
        sender.offer(message(*events))
        emptied(sender.state, receivers)
    return receivers.known()


def test_a_delivery_adds_its_packs_to_the_stock_of_its_site_and_counts_for_its_supplier():
    assert brought([ORDERED, PROMISED, DELIVERED]) == (
        {"demo/W1:arv": 140},
        {"demo/SUP": (1, 1)},
    )


def test_what_is_known_later_completes_what_follows():
    assert brought([DELIVERED]) == ({"demo/W1:arv": 100}, {})
    assert brought([DELIVERED], [ORDERED]) == ({"demo/W1:arv": 140}, {"demo/SUP": (1, 0)})
    assert brought([DELIVERED], [ORDERED], [PROMISED])[1] == {"demo/SUP": (1, 1)}


def test_two_reports_of_one_delivery_count_once():
    again = {**DELIVERED, "id": "d2", "source": "tms", "time": MONDAY + 2 * DAY}

    assert brought([ORDERED, DELIVERED], [again])[0] == {"demo/W1:arv": 140}


def test_a_delivery_that_is_withdrawn_never_counted_and_again_does_when_that_is_withdrawn():
    back = {**DELIVERED, "id": "r", "retracts": "d", "time": MONDAY}
    again = {**back, "id": "rr", "retracts": "r", "time": MONDAY + DAY}

    assert brought([ORDERED, DELIVERED], [back]) == ({"demo/W1:arv": 100}, {})
    assert brought([ORDERED, DELIVERED], [back], [again]) == (
        {"demo/W1:arv": 140},
        {"demo/SUP": (1, 0)},
    )


def test_goods_that_were_ordered_for_another_site_are_taken_from_the_first():
    moved = ordered("W2", "ARV", 40, "OTHER", id="o2", time=MONDAY + 1)
    there = {
        **COUNTED,
        "id": "c2",
        "subject": "W2:arv",
        "data": {"site": "W2", "product": "ARV", "quantity": 7},
    }

    known = brought([ORDERED, DELIVERED], [moved], stock=(COUNTED, there))

    assert known == ({"demo/W1:arv": 100, "demo/W2:arv": 47}, {"demo/OTHER": (1, 0)})


def test_a_count_after_the_delivery_holds_it_already():
    late = {**COUNTED, "id": "c2", "time": MONDAY + DAY}

    assert brought([ORDERED, DELIVERED], stock=(COUNTED, late))[0] == {"demo/W1:arv": 100}


def test_a_count_that_is_withdrawn_leaves_what_was_delivered():
    sender, receivers = arrived([ORDERED, DELIVERED]), Receivers()
    late = {**COUNTED, "id": "c2", "time": MONDAY + 2 * DAY}
    receivers.of["stock"].offer(message(COUNTED, late))
    emptied(sender.state, receivers)
    assert receivers.known()[0] == {"demo/W1:arv": 100}

    receivers.of["stock"].offer(message({**late, "id": "r", "retracts": "c2", "data": {}}))

    assert receivers.known()[0] == {"demo/W1:arv": 140}


def test_what_follows_from_something_made_up_says_so():
    sender, receivers = Ledger(), Receivers()
    sender.offer(message(ORDERED, {**DELIVERED, "source": "demo/x"}))

    emptied(sender.state, receivers)

    twin = decoded(receivers.of["supplier"].state)["supplier"]["demo/SUP"]
    assert twin["deliveries.source"] == "demo/twin/shipment/east/0"
    assert twin["deliveries.as_of"] == MONDAY + DAY


@pytest.mark.parametrize("rule", [SITES, SUPPLIERS], ids=["stock", "supplier"])
def test_nobody_else_may_say_what_the_twin_derives(rule):
    found = taken(arrived([ORDERED, DELIVERED]).state)
    kind = rule.kinds[-1]
    (letter,) = [one for one in found[1] if one.kind == kind]
    rows = decode_rows(msgspec.msgpack.encode([letter.event]))

    assert words(Ledger(rule).offer(Message(rows, "demo", "tester"))) == ["REJECTED TYPE_RESERVED"]
    assert words(Ledger(rule).offer(Message(rows, "demo", DELIVERER))) == ["APPLIED"]


def test_nobody_else_may_speak_in_the_name_of_the_twin():
    for source in ("twin/shipment/east/0", "demo/twin/shipment/east/0"):
        told = Ledger(SITES).offer(message({**COUNTED, "source": source}))

        assert words(told) == ["REJECTED TYPE_RESERVED"]


@pytest.mark.parametrize("site", ["no id", "-", "W" * 130])
def test_a_site_that_is_no_id_gets_nothing_and_holds_nothing_up(site):
    sender = arrived([ordered(site, "ARV", 1, "no id either", id="o"), DELIVERED])

    _, found = taken(sender.state)

    assert [letter.subject for letter in found] == ["", ""]


def test_a_product_is_part_of_an_id_in_plain_letters():
    assert stock_id("NGLOS", "ARV") == "NGLOS:arv"
    assert stock_id("NGLOS", "Kits (Réactif 2)") == "NGLOS:kits-reactif-2"


def test_what_arrived_does_not_leave_again_until_it_changes():
    sender = arrived([ORDERED, DELIVERED])
    emptied(sender.state, Receivers())
    assert taken(sender.state) is None
    assert sender.state.outbox.waiting == 0

    sender.offer(message(PROMISED))

    due, found = taken(sender.state)
    assert [letter.kind for letter in found] == ["stock", "supplier"]
    assert due.revision == 3


def test_what_changes_on_its_way_leaves_again():
    sender = arrived([ORDERED, DELIVERED])
    due, _ = taken(sender.state)
    sender.offer(message(PROMISED))

    sender.state.outbox.settle(due, np.ones(2, np.bool_))

    assert sender.state.outbox.waiting == 2
    assert taken(sender.state)[0].revision == 3


def test_a_journal_that_lost_its_end_with_its_disk_is_believed_from_its_next_epoch_on():
    receivers = Receivers()
    receivers.of["stock"].offer(message(COUNTED))
    sender = arrived([ORDERED, DELIVERED], [PROMISED], [{**PROMISED, "id": "p2"}])
    for letter in taken(sender.state, epoch=1)[1]:
        receivers.get(letter)

    home = arrived([{**ORDERED, "data": {**ORDERED["data"], "quantity": 9}}, DELIVERED])
    for letter in taken(home.state, epoch=2)[1]:
        receivers.get(letter)

    assert receivers.known()[0] == {"demo/W1:arv": 109}


def test_the_cursor_is_behind_all_that_arrived():
    sender = arrived([ORDERED, DELIVERED], [{**ORDERED, "id": "o2", "subject": "S2"}])
    assert sender.state.outbox.settled(3) == 1

    emptied(sender.state, Receivers())

    assert sender.state.outbox.settled(3) == 3


@given(lives(), shelves(), sizes, st.data())
def test_any_order_of_reports_and_of_arrival_leads_to_what_the_shipments_say(
    events, shelf, sizes, data
):
    shuffled = data.draw(st.permutations(events))
    sender, receivers = Ledger(), Receivers()
    network = Network(data, receivers)
    for batch in cut(shuffled, sizes):
        sender.offer(message(*batch))
        for one in shelf[: data.draw(st.integers(0, len(shelf)))]:
            receivers.of["stock"].offer(message(one))
        network.send(sender.state)
        network.carry(2)
    for one in shelf:
        receivers.of["stock"].offer(message(one))
    emptied(sender.state, receivers)
    network.drain()

    assert receivers.known() == expected(shuffled, shelf)
    assert sender.state.outbox.waiting == 0
    for ledger in receivers.of.values():
        assert ledger.replayed(data.draw(st.integers(1, 4))).digests() == ledger.digests()


@given(lives(), shelves(), sizes, st.data())
def test_what_a_receiver_knows_depends_on_what_came_and_not_on_when(events, shelf, sizes, data):
    sender, one, other = Ledger(), Receivers(), Receivers()
    network = Network(data, one)
    for fact in shelf:
        one.of["stock"].offer(message(fact))
    for batch in cut(events, sizes):
        sender.offer(message(*batch))
        network.send(sender.state)
    last = emptied(sender.state, one)
    network.drain()

    same = {letter.event[0]: letter for letter in network.sent + last}
    for item in data.draw(st.permutations([*shelf, *same.values()])):
        if isinstance(item, dict):
            other.of["stock"].offer(message(item))
        else:
            other.get(item)

    assert other.known() == one.known() == expected(events, shelf)
    for kind, ledger in one.of.items():
        assert ledger.digests().truth == other.of[kind].digests().truth


def test_a_delivery_that_is_withdrawn_and_reported_for_another_site_leaves_the_first():
    back = {**DELIVERED, "id": "r", "retracts": "d", "time": MONDAY}
    moved = ordered("W2", "ARV", 40, "OTHER", id="o2", time=MONDAY + 1)
    there = {
        **COUNTED,
        "id": "c2",
        "subject": "W2:arv",
        "data": {"site": "W2", "product": "ARV", "quantity": 7},
    }
    sender, receivers = arrived([ORDERED, DELIVERED], [back]), Receivers()
    receivers.of["stock"].offer(message(COUNTED, there))

    sender.offer(message(moved, {**DELIVERED, "id": "d3"}))
    emptied(sender.state, receivers)

    assert receivers.known() == ({"demo/W1:arv": 100, "demo/W2:arv": 47}, {"demo/OTHER": (1, 0)})
    assert sender.state.outbox.waiting == 0


def test_something_waits_since_it_was_decided_to_the_second():
    sender = arrived([ORDERED, DELIVERED])
    assert sender.state.outbox.oldest() == sender.state.now

    emptied(sender.state, Receivers())

    assert sender.state.outbox.oldest() == ABSENT


def test_a_supplier_that_is_registered_anew_keeps_its_counts():
    sender, receivers = arrived([ORDERED, DELIVERED]), Receivers()
    named = event(
        id="n", type="supplier.registered", subject="SUP", data={"name": "A", "aggregator": False}
    )
    receivers.of["supplier"].offer(message(named))
    emptied(sender.state, receivers)

    receivers.of["supplier"].offer(message({**named, "id": "r", "retracts": "n", "data": {}}))

    known = decoded(receivers.of["supplier"].state)["supplier"]["demo/SUP"]
    assert "name" not in known
    assert (known["delivered_shipments"], known["late_shipments"]) == (1, 0)
