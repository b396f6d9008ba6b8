"""The warehouse: what some 40 sites hold. Synthetic, labelled so, and sized by real deliveries.

Counts and movements agree: a week's issues and its receipt lead from one count to the next, but
for a small loss now and then; all of it depends on the seed, the item and the week alone. What a
shipment brings is not said here: the twin derives it. The site, a port or a capital, passes those
goods on inland before it counts again, and that is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.world.draw import draw
from cluster.world.orders import Order
from serving.client import Event
from twin.contracts import DAY_US
from twin.derived import stock_id

SOURCE = "demo/warehouse"
WEEK_US = 7 * DAY_US
ISSUES = 13  # a week, every half day; the receipt takes the fourteenth
STOCK_WEEKS = (4.0, 12.0)  # of usual use that sites tend to hold
DRIFT = 0.06  # of that, from count to count: less than a week's use, so goods only ever come in
PASSED_US = DAY_US // 4  # from a delivery to when its goods have left the port
LOSSES = 0.1  # share of weeks whose count finds less than the book says


class Item(NamedTuple):
    """One product group at one site. `weekly`: packs used in a usual week."""

    id: str
    region: str
    site: str
    product: str
    weekly: int


def items(orders: Sequence[Order], since_us: int, until_us: int) -> list[Item]:
    """Return what sites hold: the product groups ever ordered for them, used at the pace of
    their orders in the span."""
    ordered: dict[tuple[str, str, str], int] = {}
    for order in orders:
        if order.end and order.known_us <= until_us:
            key = (order.end.id, order.product_group, order.region)
            recent = order.quantity if order.known_us > since_us else 0
            ordered[key] = ordered.get(key, 0) + recent
    weeks = max(1, (until_us - since_us) // WEEK_US)
    return [
        Item(stock_id(site, product), region, site, product, max(ISSUES * 4, packs // weeks))
        for (site, product, region), packs in sorted(ordered.items())
    ]


def stock(item: Item, since_us: int, until_us: int, seed: int) -> list[Event]:
    """Return the counts and movements of one item with since_us < time <= until_us."""
    offset = int(draw(seed, item.id, "offset") * WEEK_US)
    events: list[Event] = []
    for week in range((since_us - offset) // WEEK_US, (until_us - offset) // WEEK_US + 1):
        begin = week * WEEK_US + offset
        events.extend(e for e in _week(item, week, begin, seed) if since_us < e.time <= until_us)
    return events


def passed_on(item: Item, order: Order, seed: int) -> Event:
    """Return how a site passes on what an order brought: before the next count, all of it."""
    offset = int(draw(seed, item.id, "offset") * WEEK_US)
    count = -(-(order.delivered_us - offset) // WEEK_US) * WEEK_US + offset
    at = max(order.delivered_us, min(order.delivered_us + PASSED_US, count - 1))
    return _event(item, "stock.moved", at, {"delta": -order.quantity}, f"passed:{order.id}")


def counted(item: Item, week: int, seed: int) -> int:
    """Return what the count at the beginning of a week finds, in packs."""
    least, most = STOCK_WEEKS
    weeks = least + (most - least) * draw(seed, item.id, "habit")
    return int(item.weekly * weeks * (1 + DRIFT * (draw(seed, item.id, "count", week) - 0.5)))


def _week(item: Item, week: int, begin: int, seed: int) -> list[Event]:
    held = counted(item, week, seed)
    used = [_used(item, week, number, seed) for number in range(ISSUES)]
    lost = 0
    if draw(seed, item.id, "loss", week) < LOSSES:
        lost = max(1, held // 200)
    received = counted(item, week + 1, seed) - held + sum(used) + lost
    moves = [-packs for packs in used]
    moves.insert(ISSUES // 2, received)
    events = [_event(item, "stock.counted", begin, {"quantity": held}, f"count:{week}")]
    for number, delta in enumerate(moves):
        at = begin + (2 * number + 1) * (DAY_US // 4)
        events.append(_event(item, "stock.moved", at, {"delta": delta}, f"move:{week}:{number}"))
    return events


def _used(item: Item, week: int, number: int, seed: int) -> int:
    share = 0.5 + draw(seed, item.id, "use", week, number)
    return int(item.weekly / ISSUES * share)


def _event(item: Item, type_: str, at: int, data: dict[str, Any], name: str) -> Event:
    facts = {"site": item.site, "product": item.product} | data
    return Event(type_, SOURCE, item.id, at, facts, f"{item.id}:{name}", item.region)
