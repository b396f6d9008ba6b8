"""The replay: what the world sends between two moments of the replay clock.

A window gives the same events whenever it is asked for, so a restart sends some of them twice
and changes nothing. Real rows come as they were recorded, some of them months late.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from cluster.load import Mapped
from cluster.world.atlas import origins, places
from cluster.world.noise import HELD_US, sendings
from cluster.world.orders import (
    DEMO_LONGEST,
    NEVER,
    Order,
    closing,
    demo_supplier,
    invented,
    opening,
    orders,
)
from cluster.world.telemetry import departure, moving, reports
from cluster.world.warehouse import WEEK_US, Item, items, passed_on, stock
from serving.client import Event
from twin.contracts import DAY_US
from twin.derived import stock_id

CATCH_UP_US = 3 * DAY_US  # after a long pause: telemetry older than this is not made up any more
BACK_US = DAY_US // 2  # of reports before an order is met first, so that it has a position at once
YEAR_US = 365 * DAY_US
# The file holds what was recorded by its last day, so the orders open towards it dwindle away;
# invented ones, which say so, begin this long before, and something is always under way.
OVERLAP_US = 14 * DAY_US


class Standing(NamedTuple):
    """Where the world stands. `real_rows_left`: deliveries of the file still to be recorded."""

    open: int
    moving: int
    real_rows_left: int


class Replay:
    """`start_us`: where the loaded history ends; `since_us`: what was sent before is not again,
    save for two days of telemetry that may have been held back then."""

    def __init__(self, history: list[Mapped], start_us: int, since_us: int, seed: int) -> None:
        every = orders(history, places(), origins())
        self.seed = seed
        self.real_end_us = max((o.closed_us for o in every), default=start_us)
        self.items: list[Item] = items(every, start_us - YEAR_US, start_us)
        self._left = [m for m in history if m.known_us > max(start_us, since_us - DAY_US)]
        self._left.reverse()  # the next to be known is last
        self._orders = [o for o in every if o.closed_us > start_us]
        self._counted = {item.id: item for item in self.items}
        self._passed = self._passing([o for o in every if o.delivered_us > start_us - WEEK_US])
        recent = [o for o in every if o.start and o.end and o.known_us > start_us - YEAR_US]
        self._patterns = [o for o in recent if o.start != o.end]
        self._invented: dict[int, list[Order]] = {}
        self._labelled = False
        self._met: set[str] = set()
        self._held: list[tuple[int, int, Event]] = []
        self._number = 0  # breaks ties of the heap: equal times leave in the order they were made
        self._sent_us = max(start_us, since_us - HELD_US)
        self._fresh = self._sent_us == start_us  # the first window looks back further

    def advance(self, now_us: int) -> list[Event]:
        """Return what is to be sent since the last call, in the order it became known."""
        since = self._sent_us
        if now_us <= since:
            return []
        made = max(since, now_us - CATCH_UP_US)
        for order in self._current(made, now_us):
            self._report(order, since, made, now_us)
        for item in self.items:
            self._hold(stock(item, made - WEEK_US if self._fresh else made, now_us, self.seed))
        due = self._recorded(now_us)
        due.extend(self._demo(since, now_us))
        passed = [*self._passed, *self._passing(self._ours(now_us))]
        begin = -WEEK_US if self._fresh else since
        due.extend(pair for pair in passed if begin < pair[0] <= now_us)
        while self._held and self._held[0][0] <= now_us:
            at, _, event = heapq.heappop(self._held)
            due.append((at, event))
        due.sort(key=lambda pair: pair[0])
        self._sent_us, self._fresh = now_us, False
        return [event for _, event in due]

    def standing(self, now_us: int) -> Standing:
        current = [o for o in self._current(now_us, now_us) if o.closed_us > now_us]
        left = sum(o.closed_us > now_us for o in self._orders)
        under_way = sum(moving(o, now_us, self.seed) for o in current)
        return Standing(len(current), under_way, left)

    def _report(self, order: Order, since_us: int, made_us: int, now_us: int) -> None:
        """Hold the telemetry of an order; of one met first, that it has left as well."""
        first = order.id not in self._met
        self._met.add(order.id)
        left = departure(order, self.seed)
        if left and left.time <= now_us and (first or left.time > since_us):
            self._hold([left])
        self._hold(reports(order, made_us - BACK_US * first, now_us, self.seed))

    def _current(self, since_us: int, now_us: int) -> list[Order]:
        """Return the orders known by now and not closed before `since_us`."""
        found = [o for o in self._orders if o.known_us <= now_us and o.closed_us > since_us]
        for order in self._ours(now_us):
            if order.known_us <= now_us and order.closed_us > since_us:
                found.append(order)
        return found

    def _ours(self, now_us: int) -> list[Order]:
        """Return the invented orders of the last weeks: none before the real rows run out."""
        today = now_us // DAY_US
        first = max((self.real_end_us - OVERLAP_US) // DAY_US, today - DEMO_LONGEST)
        for day in [day for day in self._invented if day < first]:
            del self._invented[day]
        for day in range(first, today + 1):
            if day not in self._invented and self._patterns:
                self._invented[day] = invented(day * DAY_US, self._patterns, self.seed)
        return [order for day in sorted(self._invented) for order in self._invented[day]]

    def _recorded(self, now_us: int) -> list[tuple[int, Event]]:
        due = []
        while self._left and self._left[-1].known_us <= now_us:
            mapped = self._left.pop()
            due.append((mapped.known_us, mapped.event))
        return due

    def _demo(self, since_us: int, now_us: int) -> list[tuple[int, Event]]:
        """Return the openings and closings of invented orders, and their supplier at the first."""
        due: list[tuple[int, Event]] = []
        for order in self._ours(now_us):
            if since_us < order.known_us <= now_us:
                if not self._labelled:
                    supplier = demo_supplier(
                        self._patterns[0].region, self.real_end_us - OVERLAP_US
                    )
                    due.append((order.known_us, supplier))
                    self._labelled = True
                due.extend((order.known_us, event) for event in opening(order))
            if since_us < order.closed_us <= now_us:
                due.append((order.closed_us, closing(order)))
        return due

    def _passing(self, orders: Sequence[Order]) -> list[tuple[int, Event]]:
        """Return when it is known, and how, that sites passed on what orders brought."""
        found = []
        for order in orders:
            item = self._counted.get(
                stock_id(order.end.id, order.product_group) if order.end else ""
            )
            if item is not None and order.delivered_us != NEVER:
                event = passed_on(item, order, self.seed)
                found.append((max(order.closed_us, event.time), event))
        return found

    def _hold(self, events: list[Event]) -> None:
        for event in events:
            for at, sent in sendings(event, self.seed):
                self._number += 1
                heapq.heappush(self._held, (at, self._number, sent))
