"""Noise: the share of duplicates, late and corrected events that real feeds have.

An event keeps its own time whatever happens to it; only when it is sent changes. Everything
depends on the seed and the event's id, so a restart makes the same mistakes again.
"""

from __future__ import annotations

from typing import Any

from cluster.world.draw import draw
from serving.client import Event

HOUR_US = 3600 * 1_000_000
LATE, TWICE, WRONG = 0.03, 0.03, 0.01
HELD_US = 48 * HOUR_US  # no event is sent later than this after its time
Sending = tuple[int, Event]  # when (us), what


def sendings(event: Event, seed: int) -> list[Sending]:
    """Return when an event is sent, once or twice, and the correction that follows a mistake."""
    at = event.time
    if draw(seed, event.id, "late") < LATE:
        at += int((6 + 26 * draw(seed, event.id, "lateness")) * HOUR_US)
    wrong = spoilt(event, seed) if draw(seed, event.id, "wrong") < WRONG else None
    sent = [(at, wrong or event)]
    if draw(seed, event.id, "twice") < TWICE:
        sent.append((at + int(6 * HOUR_US * draw(seed, event.id, "again")), wrong or event))
    if wrong:
        right = event._replace(id=f"{event.id}:corrected", corrects=event.id)
        sent.append((at + int((1 + 8 * draw(seed, event.id, "found")) * HOUR_US), right))
    return sent


def spoilt(event: Event, seed: int) -> Event | None:
    """Return the event with a plausible mistake, None if it holds nothing to get wrong."""
    much = 0.5 + draw(seed, event.id, "much")
    facts: dict[str, Any] = dict(event.data)
    match event.type:
        case "shipment.position":
            facts["lat"] = round(max(-90.0, min(90.0, facts["lat"] + 3 * much)), 4)
        case "shipment.condition":
            facts["temp_c"] = round(facts["temp_c"] + 9 * much, 1)  # a sensor in the sun
        case "stock.counted":
            facts["quantity"] = int(facts["quantity"] * (1 + much))  # a shelf counted twice
        case _:
            return None
    return event._replace(data=facts)
