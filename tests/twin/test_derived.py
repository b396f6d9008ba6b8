"""Derived events: what follows from shipments reaches stock and suppliers, and counts once."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    DAY,
    SHIPMENTS,
    SITES,
    SUPPLIERS,
    T0,
    Ledger,
    arrived,
    cut,
    decoded,
    event,
    message,
    words,
)
from tests.twin.post import (
    Receivers,
    emptied,
    expected,
    lives,
    ordered,
    settle,
    shelves,
    taken,
)
from tests.twin.test_order import sizes
from twin import checkpoint, digest
from twin.columns import Message
from twin.derived import DELIVERER, delivered, stock_id
from twin.events import decode_rows
from twin.kinds import ABSENT

MONDAY = T0 - 7 * DAY
DELIVERED = event(id="d", type="shipment.delivered", time=MONDAY + DAY, data={})
ORDERED = ordered("W1", "ARV", 40, "SUP", id="o", time=MONDAY)
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


class Network:
    """Letters under way: late, twice, in any order."""

    def __init__(self, data, receivers):
        self.data, self.receivers = data, receivers
        self.under_way, self.sent = [], []

    def send(self, state):
        found = taken(state, self.data.draw(st.integers(1, 3)))
        if found is None:
            return False
        due, some = found
        arrived_ = np.array([self.data.draw(st.booleans()) for _ in some], np.bool_)
        self.under_way += some
        self.sent += some
        for letter in [one for one, yes in zip(some, arrived_, strict=True) if yes]:
            self.receivers.get(letter)
        settle(state, due, arrived_)
        return True

    def carry(self, most):
        for _ in range(min(most, len(self.under_way))):
            at = self.data.draw(st.integers(0, len(self.under_way) - 1))
            letter = self.under_way[at]
            if self.data.draw(st.booleans()):
                del self.under_way[at]
            self.receivers.get(letter)

    def drain(self):
        """Let everything arrive that is still under way."""
        for letter in self.data.draw(st.permutations(self.under_way)):
            self.receivers.get(letter)
        self.under_way = []


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


def test_an_older_checkpoint_that_knows_no_outbox_has_all_of_it_due():
    sender = arrived([ORDERED, DELIVERED, {**ORDERED, "id": "o2", "subject": "S2"}])
    shot, extra = checkpoint.capture(sender.state)
    old = {n: c for n, c in extra.items() if not n.startswith(("outbox.", "revisions."))}

    restored = checkpoint.restore(checkpoint.write(shot, old, 1), SHIPMENTS)

    _, found = taken(restored)
    assert [(one.kind, one.subject) for one in found] == [("stock", "W1:arv"), ("supplier", "SUP")]


def as_once(state):
    """Return the outbox as checkpoints held it once: what was told of every row that was told."""
    new, table = state.outbox.dump(), state.kinds["shipment"].table
    every = np.arange(table.size)
    told, marks = delivered(table, every).targets + 1, np.zeros((table.size, 2), np.int64)
    times = np.stack([table.take("delivered_at", every), np.full(table.size, T0)], 1)
    for effect, row, first, second, time in new["outbox.gone"].tolist():
        told[row, effect], times[row, 0] = (first + 1, second + 1), time
    for row, mark, bits in new["outbox.waits"].tolist():
        marks[row] = mark * (bits & 1), mark * (bits >> 1)
    return {
        "outbox.cursor": new["outbox.cursor"],
        "outbox.row": every,
        "outbox.told": told,
        "outbox.marks": marks,
        "outbox.times": times,
        "outbox.revoked": new["outbox.revoked"],
    }


@given(lives(), sizes, st.data())
def test_a_checkpoint_that_says_of_every_shipment_what_was_told_is_understood(events, sizes, data):
    sender, receivers = Ledger(), Receivers()
    batches = cut(events, sizes)
    half = data.draw(st.integers(0, len(batches)))
    network = Network(data, receivers)
    for batch in batches[:half]:
        sender.offer(message(*batch))
        network.send(sender.state)

    shot, extra = checkpoint.capture(sender.state)
    old = {n: c for n, c in extra.items() if not n.startswith("outbox.")} | as_once(sender.state)
    again = Ledger(SHIPMENTS, checkpoint.restore(checkpoint.write(shot, old, 1), SHIPMENTS))
    again.raws = sender.raws

    assert again.state.outbox.waiting == sender.state.outbox.waiting
    assert again.state.outbox.settled(again.state.next) == sender.state.outbox.settled(
        sender.state.next
    )
    for batch in batches[half:]:
        again.offer(message(*batch))
    network.drain()
    emptied(again.state, receivers)
    assert receivers.known() == expected(events, [])


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


@given(lives(), sizes, st.data())
def test_a_checkpoint_holds_what_has_not_arrived_and_what_counts(events, sizes, data):
    sender, receivers = Ledger(), Receivers()
    batches = cut(events, sizes)
    half = data.draw(st.integers(0, len(batches)))
    network = Network(data, receivers)
    for batch in batches[:half]:
        sender.offer(message(*batch))
        network.send(sender.state)

    def again(ledger, rule):
        shot, extra = checkpoint.capture(ledger.state)
        restored = Ledger(rule, checkpoint.restore(checkpoint.write(shot, extra, 1), rule))
        restored.raws = ledger.raws
        return restored

    assert again(sender, SHIPMENTS).state.outbox.waiting == sender.state.outbox.waiting
    sender = again(sender, SHIPMENTS)
    rules = {"stock": SITES, "supplier": SUPPLIERS}
    receivers.of = {kind: again(one, rules[kind]) for kind, one in receivers.of.items()}
    for batch in batches[half:]:
        sender.offer(message(*batch))
    network.drain()
    emptied(sender.state, receivers)

    assert receivers.known() == expected(events, [])
    for ledger in receivers.of.values():
        live = digest.digests(ledger.state.snapshot(), ledger.state.seen)
        assert ledger.replayed(2).digests() == live
