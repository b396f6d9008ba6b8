"""Senders and receivers of derived events without a disk, and what must come of them, plainly."""

from collections import defaultdict

import msgspec
import numpy as np
from hypothesis import strategies as st

from tests.twin.histories import DAY, ORDER, SITES, SUPPLIERS, T0, Ledger, decoded, event
from tests.twin.oracle import Oracle, key
from twin.columns import Message
from twin.derived import DELIVERER, stock_id
from twin.events import decode_rows
from twin.letters import letters

SHARD = "shipment/east/0"
few = st.integers(0, 2)


def taken(state, most=100, epoch=1):
    """Return what is due of a state of shipments, with its letters, or None."""
    held = state.kinds["shipment"]
    due = state.outbox.take(held.table, held.keys, state.next, most)
    if due is None:
        return None
    found = letters(due, state.lexicon, "east", SHARD, epoch)
    for letter in found:
        letter.event[5] = "east"
    return due, found


def settle(state, due, arrived):
    """Settle what was due; what did not arrive is due again."""
    state.outbox.settle(due, arrived)
    state.outbox.again(due.row[~arrived])


class Receivers:
    """The shards of one region that derived events are for."""

    def __init__(self):
        self.of = {"stock": Ledger(SITES), "supplier": Ledger(SUPPLIERS)}

    def get(self, *some):
        """Offer letters of one kind in one batch; none of them may be refused."""
        rows = decode_rows(msgspec.msgpack.encode([letter.event for letter in some]))
        told = self.of[some[0].kind].offer(Message(rows, some[0].tenant, DELIVERER))
        assert not {outcome for outcome, _, _ in told} & {"PARKED", "REJECTED"}, (told, some)

    def known(self):
        """Return (stock -> on_hand, supplier -> (delivered, late)) of what counts."""
        stock = decoded(self.of["stock"].state)["stock"]
        suppliers = decoded(self.of["supplier"].state)["supplier"]
        return (
            {name: twin["on_hand"] for name, twin in stock.items() if "on_hand" in twin},
            {
                name: (twin["delivered_shipments"], twin["late_shipments"])
                for name, twin in suppliers.items()
                if "deliveries.as_of" in twin
            },
        )


def emptied(state, receivers):
    """Bring everything that is due to where it belongs; return its letters."""
    sent = []
    while (found := taken(state)) is not None:
        due, some = found
        for letter in some:
            receivers.get(letter)
        sent += some
        state.outbox.settle(due, np.ones(due.size, np.bool_))
    return sent


def expected(shipments, stocks, until=2**62):
    """Return what `Receivers.known` must say, by the plainest reading of both histories.

    Of what was true at `until`, by all that is known.
    """
    oracle = Oracle()
    for one in shipments:
        oracle.take(one)
    moves, counts = defaultdict(list), defaultdict(lambda: [0, 0])
    for twin in oracle.truth().get("shipment", {}).values():
        if twin.get("delivered_at", until + 1) > until:
            continue
        at = twin["delivered_at"]
        if "site" in twin:
            item = f"demo/{stock_id(twin['site'], twin['product_group'])}"
            moves[item].append((at, twin["quantity"]))
        if "supplier" in twin:
            late = "promised_at" in twin and at // DAY > twin["promised_at"] // DAY
            counts[f"demo/{twin['supplier']}"][0] += 1
            counts[f"demo/{twin['supplier']}"][1] += late
    sites = Oracle()
    for one in stocks:
        sites.take(one)
    on_hand = {}
    for item in {f"demo/{one['subject']}" for one in stocks}:
        told = [e for e in sites.standing if f"demo/{e['subject']}" == item and sites.speaks(e)]
        told = [e for e in told if e["time"] <= until]
        counted = [e for e in told if e["type"] == "stock.counted"]
        if not counted:
            continue
        last = max(counted, key=key)
        total = last["data"]["quantity"]
        total += sum(
            e["data"]["delta"]
            for e in told
            if e["type"] == "stock.moved" and e["time"] > last["time"]
        )
        total += sum(packs for at, packs in moves[item] if at > last["time"])
        on_hand[item] = total
    return on_hand, {name: tuple(pair) for name, pair in counts.items()}


def ordered(site, product, quantity, supplier, **says):
    data = {**ORDER, "product_group": product, "quantity": quantity, "supplier": supplier}
    return event(type="shipment.ordered", data=data | ({"site": site} if site else {}), **says)


_orders = st.builds(
    lambda a, b, c, d: ordered(f"W{a}" if a else "", f"P{b}", c, f"SUP{d}"), few, few, few, few
)
_delivered = st.just(event(type="shipment.delivered", data={}))
_promised = st.integers(-3, 1).map(
    lambda a: event(type="shipment.promised", data={"promised_at": T0 + a * DAY // 2})
)
_facts = st.one_of(_orders, _delivered, _delivered, _promised)


@st.composite
def lives(draw, facts=_facts):
    """Reports of few shipments: twice, corrected, withdrawn, at times that tie, in any order."""
    events = []
    for number in range(draw(st.integers(1, 10))):
        one = {
            **draw(facts),
            "id": f"e{number}",
            "subject": draw(st.sampled_from(["S1", "S1", "S2"])),
            "source": draw(st.sampled_from(["erp", "erp", "demo/x"])),
            "time": T0 + draw(st.integers(-3, 1)) * DAY // 2,
        }
        events.append(one)
    for number in range(draw(st.integers(0, 3))):
        target = draw(st.sampled_from(events))
        does = draw(st.sampled_from(["retracts", "corrects"]))
        base = {k: v for k, v in target.items() if k not in {"retracts", "corrects"}}
        same = [one for one in events if one["type"] == target["type"] and one["data"]]
        data = draw(st.sampled_from(same))["data"] if same and does == "corrects" else {}
        time = T0 + draw(st.integers(-3, 1)) * DAY // 2
        name = f"w{number}"
        events.append({**base, "id": name, "time": time, "data": data, does: target["id"]})
    return events


@st.composite
def shelves(draw):
    """Counts and movements of the same items, some of them withdrawn."""
    events = []
    for number in range(draw(st.integers(0, 5))):
        site, product = draw(st.sampled_from(["W1", "W2"])), f"P{draw(few)}"
        counts = draw(st.booleans())
        amount = {"quantity" if counts else "delta": draw(st.integers(0, 9))}
        events.append(
            event(
                id=f"s{number}",
                type="stock.counted" if counts else "stock.moved",
                subject=stock_id(site, product),
                time=T0 + draw(st.integers(-4, 1)) * DAY // 2,
                data={"site": site, "product": product, **amount},
            )
        )
    for number in range(draw(st.integers(0, 1)) if events else 0):
        target = draw(st.sampled_from(events))
        name = f"u{number}"
        events.append({**target, "id": name, "data": {}, "retracts": target["id"]})
    return events


MONDAY = T0 - 7 * DAY
DELIVERED = event(id="d", type="shipment.delivered", time=MONDAY + DAY, data={})
ORDERED = ordered("W1", "ARV", 40, "SUP", id="o", time=MONDAY)


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
