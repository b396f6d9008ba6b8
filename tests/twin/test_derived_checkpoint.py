"""Derived events in checkpoints: of this program, and of older ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    SHIPMENTS,
    SITES,
    SUPPLIERS,
    T0,
    Ledger,
    arrived,
    cut,
    message,
)
from tests.twin.post import (
    DELIVERED,
    ORDERED,
    Network,
    Receivers,
    emptied,
    expected,
    lives,
    taken,
)
from tests.twin.test_order import sizes
from twin import checkpoint, digest
from twin.derived import delivered


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
