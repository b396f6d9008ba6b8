"""Orders: what the world itself knows of a shipment, from the real rows or invented by the demo.

Nothing here looks ahead: a journey is planned from the order and its promise, and ends when the
goods were delivered; how late they really came decides no position.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cluster.load import Mapped
from cluster.world.atlas import DEPOT, Place, distance_km, nearest
from cluster.world.draw import draw
from serving.client import Event
from twin.contracts import DAY_US

WAREHOUSES = "scms-from-rdc"  # the supplier of all that regional warehouses send
NEVER = 2**62
# Products that must stay between two temperatures (degC), by group and text: refrigerated
# protease-inhibitor solutions, capsules and injections; test kits and malaria products at room
# temperature, as their labels say.
CHILLED, COOL = (2.0, 8.0), (2.0, 30.0)
_CHILLED = re.compile(r"ritonavir.*(solution|capsule)|saquinavir|injection", re.IGNORECASE)
_COOL_GROUPS = ("HRDT", "MRDT", "ACT", "ANTM")
# Days from door to door that do not depend on the distance (papers, consolidation, customs), and
# kilometres a day of the rest. Assumed: no row says when goods left.
_PACE = {
    "air": (12.0, 1200.0),
    "air_charter": (8.0, 2000.0),
    "truck": (10.0, 200.0),
    "ocean": (20.0, 300.0),
}
SLACK_DAYS = 6.0  # how early before the promise a carrier plans to be there, at most
DEMO_SUPPLIER, DEMO_SOURCE = "demo", "demo/orders"
DEMO_A_DAY = 8  # invented orders, as the real rows end
DEMO_LONGEST = 60  # days after which every invented order has been delivered


class Order(NamedTuple):
    """`known_us`: from when on it is known; `closed_us`: when its delivery was recorded;
    `delivered_us`: when telemetry ends, as the goods are there. `start`: None if not located."""

    id: str
    region: str
    known_us: int
    ordered_us: int
    promised_us: int
    delivered_us: int
    closed_us: int
    start: Place | None
    end: Place | None
    mode: str
    limits: tuple[float, float] | None
    product: str
    product_group: str
    quantity: int


class Journey(NamedTuple):
    """`ends_us`: after that no telemetry; `arrives_us` may be later than that, or earlier."""

    departs_us: int
    arrives_us: int
    ends_us: int


def orders(
    history: Sequence[Mapped], places: dict[str, Place], origins: dict[str, str]
) -> list[Order]:
    """Return the orders that events describe, in the order they became known."""
    promised: dict[str, int] = {}
    delivered: dict[str, tuple[int, int]] = {}
    placed: list[Mapped] = []
    for mapped in history:
        event = mapped.event
        if event.type == "shipment.ordered":
            placed.append(mapped)
        elif event.type == "shipment.promised":
            promised[event.subject] = event.data["promised_at"]
        elif event.type == "shipment.delivered":
            delivered[event.subject] = (event.time, mapped.known_us)
    depots = [place for place in places.values() if place.function == DEPOT]
    found = []
    for mapped in placed:
        id_, facts = mapped.event.subject, mapped.event.data
        end = places.get(facts.get("site", ""))
        start = places.get(origins.get(facts.get("origin", ""), ""))
        if facts["supplier"] == WAREHOUSES:
            start = nearest(end, depots) if end and depots else None
        at, recorded = delivered.get(id_, (NEVER, NEVER))
        found.append(
            Order(
                id_,
                mapped.event.region,
                mapped.known_us,
                mapped.event.time,
                promised.get(id_, mapped.event.time),
                at,
                recorded,
                start,
                end,
                facts.get("mode", ""),
                limits(facts["product_group"], facts["product"]),
                facts["product"],
                facts["product_group"],
                facts["quantity"],
            )
        )
    return found


def limits(product_group: str, product: str) -> tuple[float, float] | None:
    """Return the temperatures (degC) a product must stay between, None if any will do."""
    if _CHILLED.search(product):
        return CHILLED
    return COOL if product_group in _COOL_GROUPS else None


def transit_us(start: Place | None, end: Place | None, mode: str) -> int:
    """Return how long a lane usually takes, door to door."""
    days, pace = _PACE.get(mode, _PACE["air"])
    km = distance_km(start, end) if start and end else 6000.0
    return int((days + km / pace) * DAY_US)


def journey(order: Order, seed: int) -> Journey:
    """Return when the goods leave, and when they would arrive: planned to be there in time, and
    one in six is up to 60 % slower."""
    usual = transit_us(order.start, order.end, order.mode)
    slack = int(SLACK_DAYS * DAY_US * draw(seed, order.id, "slack"))
    departs = max(order.ordered_us + DAY_US, order.promised_us - usual - slack)
    pace = 0.85 + 0.2 * draw(seed, order.id, "pace")
    if draw(seed, order.id, "slow") < 1 / 6:
        pace += 0.6 * draw(seed, order.id, "slower")
    ends = min(order.delivered_us, order.closed_us)
    return Journey(departs, departs + int(pace * usual), ends)


def invented(day_us: int, patterns: Sequence[Order], seed: int) -> list[Order]:
    """Return the synthetic orders of the day that begins at `day_us`: real lanes and products,
    shipped the same day. Their ids and their source say demo."""
    made = []
    day = day_us // DAY_US
    for number in range(DEMO_A_DAY):
        pattern = patterns[int(draw(seed, "pattern", day, number) * len(patterns))]
        id_ = f"demo-{day}-{number:02d}"
        ordered = day_us + int(draw(seed, id_, "at") * DAY_US)
        usual = transit_us(pattern.start, pattern.end, pattern.mode)
        order = pattern._replace(
            id=id_,
            known_us=ordered,
            ordered_us=ordered,
            promised_us=ordered + DAY_US + int(usual * 1.1),
            delivered_us=NEVER,
            closed_us=NEVER,
        )
        arrives = journey(order, seed).arrives_us
        made.append(order._replace(delivered_us=arrives, closed_us=arrives + DAY_US // 4))
    return made


def opening(order: Order) -> list[Event]:
    """Return the events that place an invented order, known at `known_us`."""
    assert order.end  # patterns are located
    facts = {
        "ordered_at": order.ordered_us,
        "supplier": DEMO_SUPPLIER,
        "site": order.end.id,
        "country": order.end.country,
        "product_group": order.product_group,
        "product": order.product,
        "quantity": order.quantity,
    }
    if order.mode:
        facts["mode"] = order.mode
    ordered = Event(
        "shipment.ordered",
        DEMO_SOURCE,
        order.id,
        order.ordered_us,
        facts,
        f"{order.id}:ordered",
        order.region,
    )
    promised = {"promised_at": order.promised_us}
    return [
        ordered,
        ordered._replace(type="shipment.promised", data=promised, id=f"{order.id}:promised"),
    ]


def closing(order: Order) -> Event:
    """Return the event that an invented order was delivered, known at `closed_us`."""
    return Event(
        "shipment.delivered",
        DEMO_SOURCE,
        order.id,
        order.delivered_us,
        {"recorded_at": order.closed_us},
        f"{order.id}:delivered",
        order.region,
    )


def demo_supplier(region: str, at_us: int) -> Event:
    """Return the registration of the supplier of invented orders: labelled, and an aggregator, so
    that no table of suppliers counts it."""
    facts = {"name": "Demo (synthetic orders)", "aggregator": True}
    return Event(
        "supplier.registered", DEMO_SOURCE, DEMO_SUPPLIER, at_us, facts, "demo:registered", region
    )
