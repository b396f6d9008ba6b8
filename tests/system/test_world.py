"""The living world: late, repeated and corrected events end in what a plain fold of them says."""

import itertools
import math

import pytest

from cluster.world.load import START_US, history
from cluster.world.replay import Replay
from cluster.world.run import SEED
from serving.client import Event
from tests.system.running import LIVING, STILL, until
from tests.system.scms import START, day_us, lines
from twin.contracts import DAY_US
from twin.derived import stock_id
from twin.kinds import ABSENT

DAYS = 4
TICK_US = DAY_US // 8

pytestmark = pytest.mark.ray


class Fold:
    """What the world's events say, folded one by one: corrections withdraw what they name."""

    def __init__(self, events):
        unique = {(e.source, e.id): e for e in events}
        self.withdrawn = {(e.source, e.corrects) for e in events if e.corrects}
        self.standing = [e for key, e in unique.items() if key not in self.withdrawn]
        self.repeats = len(events) - len(unique)
        newest: dict[tuple[str, str], int] = {}
        self.late = 0
        for event in events:
            key = event.type, event.subject
            self.late += event.time < newest.get(key, 0)
            newest[key] = max(event.time, newest.get(key, 0))

    def latest(self, type_):
        """Return subject -> the event of that type with the greatest time."""
        found: dict[str, Event] = {}
        for event in self.standing:
            if event.type == type_ and event.time >= found.get(event.subject, event).time:
                found[event.subject] = event
        return found

    def on_hand(self, delivered):
        """Return subject -> the latest count, the movements and the deliveries after it."""
        held = {}
        for subject, count in self.latest("stock.counted").items():
            moves = [
                e.data["delta"]
                for e in self.standing
                if e.type == "stock.moved" and e.subject == subject and e.time > count.time
            ]
            moves += [packs for at, packs in delivered.get(subject, ()) if at > count.time]
            held[subject] = count.data["quantity"] + sum(moves)
        return held


@pytest.fixture(scope="module")
def stopped(running, beginning):
    """The twin after its first days, its clock still again, and all that the world sent."""
    running.pace(LIVING)
    days = START_US + DAYS * DAY_US
    until(lambda: running.world()["sim_us"] > days, f"{DAYS} days to pass", 60)
    running.pace(STILL)
    before = running.world()["at_us"]
    until(lambda: running.world()["at_us"] > before + 2_000_000, "the world to come to rest")
    end = running.world()["sim_us"]
    replay = Replay(history().events, START_US, START_US, SEED)
    events = [e for at in range(START_US + TICK_US, end, TICK_US) for e in replay.advance(at)]
    return running, [*events, *replay.advance(end)]


def test_repeated_late_and_corrected_events_end_in_what_they_say_together(stopped):
    twin, events = stopped
    fold = Fold(events)
    counts = twin.world()["counts"]

    with twin.client() as client:
        until(
            lambda: not any(s.outbox.waiting > s.outbox.homeless for s in client.status().shards),
            "what follows from the deliveries to arrive",
        )
        shipments, stock = client.columns("shipment").columns, client.columns("stock").columns

    assert fold.repeats > 0
    assert fold.late > 0
    assert len(fold.withdrawn) > 0
    assert counts["DUPLICATE"] >= fold.repeats
    assert counts["SUPERSEDED"] > 0
    assert set(counts) <= {"APPLIED", "SUPERSEDED", "DUPLICATE"}
    rows = {id: i for i, id in enumerate(shipments["id"])}
    for type_, group, fields in (
        ("shipment.position", "position", ("lat", "lon")),
        ("shipment.condition", "condition", ("temp_c",)),
    ):
        latest = fold.latest(type_)
        assert latest
        for subject, event in latest.items():
            i = rows[subject]
            assert shipments[f"{group}_as_of"][i] == event.time, subject
            for field in fields:
                assert shipments[field][i] == event.data[field], (subject, field)
        known = {id for id, i in rows.items() if shipments[f"{group}_as_of"][i] != ABSENT}
        assert {id for id in known if not id.startswith("t-")} == latest.keys()
    for subject, departed in fold.latest("shipment.departed").items():
        assert shipments["departed_at"][rows[subject]] == departed.time
    held = dict(zip(stock["id"], stock["on_hand"], strict=True))
    expected = fold.on_hand(_delivered(shipments))
    assert {id: n for id, n in held.items() if not id.startswith("t-")} == expected


def _delivered(shipments):
    """Return stock -> (when, packs) of every delivery."""
    found = {}
    names = ("site", "product_group", "delivered_at", "quantity")
    for site, product, at, packs in zip(*(shipments[n].tolist() for n in names), strict=True):
        if at != ABSENT and site:
            found.setdefault(stock_id(site, product), []).append((at, packs))
    return found


def test_the_receipt_of_a_corrected_event_and_of_its_correction_are_kept(stopped):
    twin, events = stopped
    corrections = [e for e in events if e.corrects][:20]
    sources = {e.source for e in corrections}

    with twin.client() as client:
        told = {
            receipt.id: receipt
            for source in sources
            for receipt in client.receipts(
                source, [i for e in corrections if e.source == source for i in (e.id, e.corrects)]
            )
        }

    assert corrections
    for event in corrections:
        assert told[event.corrects].outcome in {"APPLIED", "SUPERSEDED"}
        assert told[event.id].outcome in {"APPLIED", "SUPERSEDED"}
        assert told[event.id].event_time == told[event.corrects].event_time == event.time
        assert told[event.id].offset > told[event.corrects].offset


def test_shipments_move(living):
    with living.client() as client:

        def places():
            found = client.search("shipment", "lat IS KNOWN", ["lat", "lon"], limit=1000).twins
            return {t.id: (t.values["lat"].value, t.values["lon"].value) for t in found}

        before = places()
        moved = until(
            lambda: {id for id, at in places().items() if at != before.get(id, at)} or None,
            "a shipment to move",
            20,
        )

    assert len(before) > 20
    assert moved
    assert all(math.isfinite(lat) and abs(lat) <= 90 for lat, _ in before.values())


@pytest.mark.slow
def test_a_row_recorded_late_comes_when_it_was_recorded_with_its_own_event_time(living, client):
    # Of the rows still to come: the first one that was recorded a week after its delivery.
    ahead = sorted((one for one in lines() if one.recorded > START), key=lambda o: o.recorded)
    late = next(o for o in ahead if day_us(o.recorded) - day_us(o.delivered) > 7 * DAY_US)
    before = [o.id for o in itertools.takewhile(lambda o: o.recorded < late.recorded, ahead)]

    living.pace(10 * LIVING)  # it is six weeks away
    twin = until(
        lambda: (t := client.get("shipment", late.id)).values.get("delivered_at") and t,
        f"shipment {late.id}, recorded on {late.recorded}",
        90,
    )

    delivered = twin.values["delivered_at"]
    assert delivered.value == delivered.as_of == day_us(late.delivered)
    assert delivered.source == "scms"
    now = client.search("shipment", limit=1).now
    assert now >= day_us(late.recorded)
    receipt = client.receipt(f"{twin.shard}/{delivered.offset}")
    assert receipt.ingest_time >= day_us(late.recorded) > receipt.event_time
    where = "delivered_at IS KNOWN AND recorded_at > '2013-09-01'"
    told = {t.id for t in client.search("shipment", where, ["recorded_at"], limit=2000).twins}
    assert told >= set(before)
