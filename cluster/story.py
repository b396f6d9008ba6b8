"""The story: questions a user asks first, and the twin's answers as lines of text.

Every line comes from one call of the client; a value is shown with its age and its source.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from serving.client import Client, TwinState, Value

Say = Callable[[str], None]
ENOUGH = 25  # deliveries below which a rate says little
OPEN = "delivered_at IS ABSENT AND cancelled_at IS ABSENT"
WORTH = (
    "SELECT country, count(*) AS shipments, sum(value_cents) // 100 AS usd, "
    "min(promised_at)::DATE AS next FROM shipments WHERE delivered_at IS NULL "
    "GROUP BY country ORDER BY usd DESC NULLS LAST LIMIT 5"
)
PREDICTED = "eta_p50 IS KNOWN AND status != 'DELIVERED'"


def fleet(client: Client, say: Say) -> None:
    groups = client.aggregate("shipment", by=["status"], order="-count")
    total = sum(row["count"] for row in groups.rows)
    for row in groups.rows:
        bar = "█" * max(1, round(40 * row["count"] / total))
        say(f"  {row['status']:<10} {row['count']:>6,.0f}  {bar}")
    oldest = day(groups.oldest_as_of) if groups.oldest_as_of else "-"
    say(f"  {total:,.0f} shipments; now {instant(groups.now)}, mode {groups.mode}, oldest {oldest}")


def latest(client: Client, say: Say) -> None:
    fields = ["lat", "lon", "site", "supplier"]
    found = client.search("shipment", "lat IS KNOWN", fields, "age(position)", 10)
    for twin in found.twins:
        lat, lon = twin.values["lat"], twin.values["lon"]
        where = f"{lat.value:7.2f} {lon.value:8.2f}"
        to = text(twin, "site") or "?"
        say(
            f"  {twin.id:<8} {where}  to {to:<6} age {age(lat.age_s):>7}  "
            f"confidence {lat.confidence:.2f}  {lat.source}"
        )
    say(f"  shown {found.shown} of {found.total}")


def suppliers(client: Client, say: Say) -> None:
    aggregators = client.search("supplier", "aggregator = true", ["name"], limit=100)
    left_out = {twin.id for twin in aggregators.twins}
    groups = client.aggregate(
        "shipment",
        "delivered_at IS KNOWN",
        ["supplier"],
        ["count", "avg(on_time)", "avg(delay_days)"],
        "-avg(on_time)",
        1000,
    )
    rows = [r for r in groups.rows if r["count"] >= ENOUGH and r["supplier"] not in left_out]
    say("  supplier                                  deliveries  on time  mean delay")
    for row in rows[:4] + rows[-4:]:
        say(
            f"  {row['supplier'][:40]:<40} {row['count']:>11,.0f} {row['avg(on_time)']:>8.0%} "
            f"{row['avg(delay_days)']:>9.1f} d"
        )
    names = ", ".join(sorted(left_out))
    say(f"  best and worst 4 of {len(rows)} with {ENOUGH}+ deliveries; left out: {names}")


def receipt(client: Client, say: Say) -> None:
    found = client.search(
        "shipment", "delivered_at IS KNOWN", ["delivered_at", "recorded_at"], "-delivered_at", 1
    )
    twin = found.twins[0]
    offset = twin.values["delivered_at"].offset
    one = client.receipt(f"{twin.shard}/{offset}")
    say(f"  {one.type} of {one.key}")
    say(f"  {one.outcome}  receipt {one.receipt}  epoch {one.epoch}  source {one.source} {one.id}")
    true, seen = instant(one.event_time), instant(one.ingest_time)
    say(f"  true in the world {true}, seen by the twin {seen}")
    say(f"  offered by {one.writer}")


def busiest(client: Client) -> str:
    """Return the supplier of the most open shipments."""
    where = f"{OPEN} AND supplier IS KNOWN"
    groups = client.aggregate("shipment", where, ["supplier"], order="-count", limit=1)
    return str(groups.rows[0]["supplier"])


def delivered(client: Client) -> str:
    """Return the shipment that was delivered last."""
    found = client.search("shipment", "delivered_at IS KNOWN", ["delivered_at"], "-delivered_at", 1)
    return found.twins[0].id


def predicted(client: Client) -> bool:
    return client.search("shipment", PREDICTED, limit=1).total > 0


def prediction(client: Client, say: Say) -> None:
    fields = ["promised_at", "eta_p10", "eta_p50", "eta_p90", "eta_baseline", "late_p", "country"]
    found = client.search("shipment", PREDICTED, fields, "-late_p", 1)
    twin = found.twins[0]
    p50 = twin.values["eta_p50"]
    low, mid, high = (moment(twin, name) for name in ("eta_p10", "eta_p50", "eta_p90"))
    say(f"  shipment {twin.id} to {text(twin, 'country')}   promised {moment(twin, 'promised_at')}")
    sure = f"{p50.source}, confidence {p50.confidence:.2f}"
    say(f"  predicted {mid} (80%: {low} to {high})   by {sure}")
    say(f"  baseline  {moment(twin, 'eta_baseline')} (the lane's median delay)")
    say(f"  chance to be late {twin.values['late_p'].value:.0%}   predicted {age(p50.age_s)} ago")


def day(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d")


def instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(seconds: float) -> str:
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def text(twin: TwinState, name: str) -> str:
    value: Value | None = twin.values.get(name)
    return str(value.value) if value else ""


def moment(twin: TwinState, name: str) -> str:
    value = twin.values.get(name)
    return day(value.value) if value else "unknown"
