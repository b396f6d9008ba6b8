"""Telemetry: departures, positions and temperatures of open orders. Synthetic, and labelled so.

Every event is a function of the seed, the order and its time bucket: whoever asks again for the
same span gets the same events with the same ids.
"""

from __future__ import annotations

from typing import Any

from cluster.world.atlas import along
from cluster.world.draw import bell, draw
from cluster.world.orders import CHILLED, Journey, Order, journey
from serving.client import Event

SOURCE = "demo/telemetry"
BUCKET_US = 6 * 3600 * 1_000_000  # one report of a vehicle
RESTING = 4  # buckets between the reports of one that has arrived and waits to be unloaded
EXCURSIONS = 0.04  # share of cooled shipments that get too warm once
WARM_BUCKETS = 3


def departure(order: Order, seed: int) -> Event | None:
    """Return when an order left, None if it was delivered before it would have."""
    trip = journey(order, seed)
    if trip.departs_us >= trip.ends_us:
        return None
    return _event(order, "shipment.departed", trip.departs_us, {}, "departed")


def reports(order: Order, since_us: int, until_us: int, seed: int) -> list[Event]:
    """Return the reports of one order with since_us < time <= until_us, oldest first.

    None before it leaves or after it is delivered; positions only where both ends of the lane
    are located; temperatures only of products that must be kept cool.
    """
    trip = journey(order, seed)
    last = min(until_us, trip.ends_us)
    events = []
    offset = int(draw(seed, order.id, "offset") * BUCKET_US)  # vehicles do not report in step
    first = max(since_us, trip.departs_us)
    for bucket in range((first - offset) // BUCKET_US + 1, (last - offset) // BUCKET_US + 1):
        at = bucket * BUCKET_US + offset
        if at > trip.arrives_us + BUCKET_US and bucket % RESTING:
            continue
        if order.start and order.end:
            events.append(_position(order, trip, at, bucket))
        if order.limits:
            temp = {"temp_c": _temperature(order, trip, bucket, seed)}
            events.append(_event(order, "shipment.condition", at, temp, f"condition:{bucket}"))
    return events


def moving(order: Order, now_us: int, seed: int) -> bool:
    """Say whether an order is under way and its position is reported."""
    trip = journey(order, seed)
    located = order.start is not None and order.end is not None
    return located and trip.departs_us <= now_us < min(trip.arrives_us, trip.ends_us)


def _position(order: Order, trip: Journey, at: int, bucket: int) -> Event:
    assert order.start
    assert order.end
    share = (at - trip.departs_us) / max(1, trip.arrives_us - trip.departs_us)
    lat, lon = along(order.start, order.end, share)
    where = {"lat": round(lat, 4), "lon": round(lon, 4)}
    return _event(order, "shipment.position", at, where, f"position:{bucket}")


def _temperature(order: Order, trip: Journey, bucket: int, seed: int) -> float:
    chilled = order.limits == CHILLED
    usual, spread, warm = (5.0, 0.6, 14.0) if chilled else (21.0, 1.8, 37.0)
    temp = usual + spread * bell(seed, order.id, "temp", bucket)
    if draw(seed, order.id, "excursion") < EXCURSIONS:
        span = max(1, (trip.arrives_us - trip.departs_us) // BUCKET_US)
        begin = trip.departs_us // BUCKET_US + int(draw(seed, order.id, "when") * span)
        if begin <= bucket < begin + WARM_BUCKETS:
            temp = warm + spread * bell(seed, order.id, "warm", bucket)
    return round(temp, 1)


def _event(order: Order, type_: str, at: int, data: dict[str, Any], name: str) -> Event:
    return Event(type_, SOURCE, order.id, at, data, f"{order.id}:{name}", order.region)
