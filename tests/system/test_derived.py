"""What follows from deliveries is known exactly, though who says it and who hears it are killed.

Each test fails if its fault did not happen.
"""

import threading

import pytest

from serving.client import Event
from tests.system.facts import NOON
from tests.system.running import kill, until
from twin.contracts import DAY_US
from twin.errors import Retryable

SOURCE = "test/deliveries"
SITE, PRODUCT, SUPPLIER = "t-W", "Test kits", "t-supplier"
HERE, THERE = "t-W:test-kits", "t-V:test-kits"
SHIPMENTS, BATCH, PACKS = 1200, 20, 7
KILLED = ("shipment/east/0", "site/east/0", "supplier/west/0")

pytestmark = pytest.mark.ray


def said(type_, subject, name, data, days=0, region="east", **more):
    at = NOON + days * DAY_US
    return Event(type_, SOURCE, subject, at, data, f"{subject}:{name}", region, **more)


def ordered(number, site=SITE, name="ordered", **more):
    data = {"supplier": SUPPLIER, "site": site, "country": "NG", "product_group": PRODUCT}
    data |= {"product": "a kit", "quantity": PACKS}
    return said("shipment.ordered", f"t-out-{number}", name, data, -9, **more)


def story(number):
    """What is said of one shipment; every fifth is late, some are corrected or withdrawn."""
    subject = f"t-out-{number}"
    promised = NOON - (3 if number % 5 == 0 else 1) * DAY_US
    events = [
        ordered(number),
        said("shipment.promised", subject, "promised", {"promised_at": promised}, -9),
        said("shipment.delivered", subject, "delivered", {}, -2),
    ]
    if number % 10 == 1:
        events.append(said("shipment.delivered", subject, "again", {}, -2))
    if number % 10 == 2:
        events.append(ordered(number, "t-V", "corrected", corrects=f"{subject}:ordered"))
    if number % 10 == 3:
        name = f"{subject}:delivered"
        events.append(said("shipment.delivered", subject, "withdrawn", {}, -2, retracts=name))
    return events


def counted(subject, site):
    facts = {"site": site, "product": PRODUCT, "quantity": 100}
    return said("stock.counted", subject, "counted", facts, -5)


class Offering:
    """A client that offers every story, again where no answer came; in a thread of its own."""

    def __init__(self, twin):
        self.offered, self.unsure, self.told = 0, 0, []
        self._twin = twin
        self._thread = threading.Thread(target=self._offer)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _offer(self):
        again = threading.Event()
        with self._twin.client() as client:
            for at in range(0, SHIPMENTS, BATCH):
                batch = [one for number in range(at, at + BATCH) for one in story(number)]
                while True:
                    try:
                        self.told += client.ingest(batch)
                    except Retryable as e:
                        self.unsure += len(batch)
                        again.wait(e.retry_after)
                    else:
                        break
                self.offered += BATCH
                again.wait(0.05)  # so that all of it does not arrive before the first kill


def waiting(client):
    return [s for s in client.status().shards if s.outbox.waiting > s.outbox.homeless]


def test_stock_and_suppliers_are_exact_though_senders_and_receivers_were_killed(twin, client):
    facts = {"name": "Test supplier", "aggregator": True}
    client.ingest([said("supplier.registered", SUPPLIER, "registered", facts, -9, "west")])
    client.ingest([counted(HERE, SITE), counted(THERE, "t-V")])
    before = {name: twin.shard(name) for name in KILLED}

    with Offering(twin) as offering:
        for step, name in enumerate(KILLED, 1):
            until(lambda n=step: offering.offered > n * SHIPMENTS // 5, "deliveries to flow", 60)
            kill(before[name].pid)
    until(
        lambda: all(
            (s := twin.shard(name)).state == "serving" and s.epoch > before[name].epoch
            for name in KILLED
        ),
        "every successor",
        60,
    )
    until(lambda: not waiting(client), "everything to arrive", 60)

    assert offering.unsure > 0 or len({r.epoch for r in offering.told}) > 1
    whole = range(SHIPMENTS)
    there = [n for n in whole if n % 10 == 2]
    here = [n for n in whole if n % 10 not in {2, 3}]
    late = [n for n in whole if n % 5 == 0 and n % 10 != 3]
    assert client.get("stock", HERE).values["on_hand"].value == 100 + PACKS * len(here)
    assert client.get("stock", THERE).values["on_hand"].value == 100 + PACKS * len(there)
    supplier = client.get("supplier", SUPPLIER, "west").values
    assert supplier["delivered_shipments"].value == len(here) + len(there)
    assert supplier["late_shipments"].value == len(late)
    for shard in client.status(verify=True).shards:
        assert shard.truth_digest == shard.journal_truth_digest
        assert shard.replay_digest == shard.journal_replay_digest
        assert shard.outbox.refused == 0


def test_what_the_real_deliveries_did_for_suppliers_is_what_their_shipments_say(beginning, client):
    until(lambda: not waiting(client), "the history's facts to arrive", 60)
    shipments, suppliers = (client.columns(kind).columns for kind in ("shipment", "supplier"))
    delivered, late = {}, {}
    for id, supplier, at, promised in zip(
        *(shipments[name].tolist() for name in ("id", "supplier", "delivered_at", "promised_at")),
        strict=True,
    ):
        if at > 0 and not id.startswith("t-"):
            delivered[supplier] = delivered.get(supplier, 0) + 1
            late[supplier] = late.get(supplier, 0) + (at // DAY_US > promised // DAY_US)

    known = {
        id: (count, behind)
        for id, count, behind in zip(
            *(suppliers[n].tolist() for n in ("id", "delivered_shipments", "late_shipments")),
            strict=True,
        )
        if count > 0 and not id.startswith("t-")
    }

    assert sum(delivered.values()) > 7000
    assert known == {name: (count, late[name]) for name, count in delivered.items()}
