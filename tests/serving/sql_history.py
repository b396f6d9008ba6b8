"""A random history of all kinds for a twin of two regions: late facts, ties, amendments."""

from serving.client import Event
from tests.serving.several import NOW
from tests.twin.histories import BROKEN, ORDER

DAY = 86_400_000_000
ITEM = {"site": "W1", "product": "P1"}
SOURCES = ("erp", "tms", "demo/telemetry", "model/eta@1")


def history(rng, n=200):
    """Return events in the order they are told; some break their contracts, some amend others."""
    events = [_event(rng, i) for i in range(n)]
    for i in range(0, n, 9):
        amended = events[rng.randrange(n)]
        facts = _facts(rng)[amended.type](rng) if rng.random() < 0.5 else amended.data
        word = "corrects" if facts is not amended.data else "retracts"
        events.append(amended._replace(id=f"a{i}", data=facts, **{word: amended.id}))
    rng.shuffle(events)
    return events


def _event(rng, i):
    type_, says = rng.choice(list(_facts(rng).items()))
    kind = type_.partition(".")[0]
    data = BROKEN[type_] if type_ in BROKEN and rng.random() < 0.1 else says(rng)
    region = {"shipment": rng.choice(["east", "west"]), "supplier": "west"}.get(kind, "east")
    subject = f"{kind[:2].upper()}-é{rng.randrange(12)}" if kind == "shipment" else f"{kind}{i % 3}"
    subject = subject.replace("é", "") if i % 2 else subject.replace("é", ".")
    time = NOW - rng.randrange(1, 30) * DAY + rng.randrange(3)
    sure = rng.choice([1.0, 0.5, 0.25])
    return Event(type_, rng.choice(SOURCES), subject, time, data, f"e{i}", region, confidence=sure)


def _facts(rng):
    few = lambda r: r.randrange(3)  # noqa: E731
    return {
        "shipment.position": lambda r: {"lat": few(r) + 0.5, "lon": -1.25 * few(r)},
        "shipment.condition": lambda r: {"temp_c": -float(few(r))},
        "shipment.customs": lambda r: {"customs_status": r.choice(["held", "cleared"])},
        "shipment.departed": lambda r: {},
        "shipment.delivered": lambda r: {"recorded_at": NOW + few(r)},
        "shipment.promised": lambda r: {"promised_at": NOW - few(r) * DAY},
        "shipment.ordered": lambda r: {
            **ORDER, "quantity": few(r), "supplier": f"SUP{few(r)}", "value_cents": 10**15 + few(r)
        },
        "stock.counted": lambda r: {**ITEM, "quantity": few(r)},
        "stock.moved": lambda r: {**ITEM, "delta": few(r) - 1},
        "site.status": lambda r: {"status": r.choice(["open", "closed"])},
        "supplier.registered": lambda r: {"name": "N", "aggregator": r.random() < 0.5},
        "supplier.lead_time": lambda r: {"lead_time_days": few(r)},
    }  # fmt: skip
