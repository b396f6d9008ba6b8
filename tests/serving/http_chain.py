"""A chain in memory: 554 open shipments on 40 lanes, 700 delivered ones, 28 sites with stock."""

from __future__ import annotations

import math
import random
from typing import Any, NamedTuple

from twin.kinds import KINDS, Milestone

DAY = 86_400_000_000
START = 1_378_036_800_000_000  # 2013-09-01T12:00:00Z
ORIGINS = {
    "aurobindo-unit-iii-india": ("Aurobindo Unit III, India", "IN", 17.5, 78.3),
    "cipla-goa-india": ("Cipla, Goa, India", "IN", 15.4, 74.0),
    "mylan-nashik": ("Mylan (formerly Matrix) Nashik", "IN", 20.0, 73.8),
    "hetero-unit-iii-hyderabad": ("Hetero Unit III Hyderabad IN", "IN", 17.4, 78.5),
    "alere-medical": ("Alere Medical Co., Ltd.", "JP", 35.8, 139.9),
    "trinity-biotech": ("Trinity Biotech, Plc", "IE", 53.2, -6.1),
    "abbvie-ludwigshafen": ("ABBVIE Ludwigshafen Germany", "DE", 49.5, 8.4),
    "standard-diagnostics": ("Standard Diagnostics, Korea", "KR", 37.3, 127.0),
}
PLACES = {
    "ZA": ("South Africa", -26.1, 28.2), "NG": ("Nigeria", 6.5, 3.4),
    "SS": ("South Sudan", 4.9, 31.6), "VN": ("Vietnam", 21.0, 105.8),
    "CD": ("Congo, DRC", -4.3, 15.3), "TZ": ("Tanzania", -6.8, 39.3),
    "MZ": ("Mozambique", -25.9, 32.6), "GY": ("Guyana", 6.8, -58.2),
    "HT": ("Haiti", 18.5, -72.3), "ZM": ("Zambia", -15.4, 28.3),
    "UG": ("Uganda", 0.3, 32.6), "CI": ("Côte d'Ivoire", 5.3, -4.0),
    "CM": ("Cameroon", 4.0, 9.7), "BI": ("Burundi", -3.4, 29.4),
    "ZW": ("Zimbabwe", -17.8, 31.0), "RW": ("Rwanda", -1.9, 30.1),
    "KE": ("Kenya", -1.3, 36.8), "ET": ("Ethiopia", 9.0, 38.8),
    "BW": ("Botswana", -24.7, 25.9), "NA": ("Namibia", -22.6, 17.1),
}  # fmt: skip
AFRICA = frozenset(PLACES) - {"VN", "GY", "HT"}
SUPPLIERS = ("Aurobindo Pharma Limited", "SCMS from RDC", "Orgenics, Ltd", "CIPLA LIMITED")
TELEMETRY = "demo/telemetry"


class Fact(NamedTuple):
    """A value and where it is from."""

    value: Any
    as_of: int
    source: str
    confidence: float = 1.0


Row = dict[str, Fact]
Rows = dict[str, dict[tuple[str, str], Row]]  # kind -> (region, id) -> row


def facts(values: dict[str, Any], as_of: int, source: str, confidence: float = 1.0) -> Row:
    return {name: Fact(value, as_of, source, confidence) for name, value in values.items()}


def chain(seed: int) -> Rows:
    """Return the rows of every kind as of START."""
    roll = random.Random(seed)
    rows: Rows = {kind: {} for kind in KINDS}
    for id, (name, country, lat, lon) in ORIGINS.items():
        rows["site"][region(country), id] = site(name, country, lat, lon, "manufacturing")
    for code, (name, lat, lon) in PLACES.items():
        id = f"{code.lower()}-central"
        rows["site"][region(code), id] = site(f"{name} central store", code, lat, lon, "store")
        held = {"site": id, "product": "Zidovudine 300mg", "on_hand": 400 + len(name) * 37}
        rows["stock"][region(code), f"{id}:zidovudine"] = facts(
            held, START - DAY, "demo/stock", 0.9
        )
    lanes = [(origin, code) for origin in ORIGINS for code in roll.sample(sorted(PLACES), 5)]
    for at in range(554):
        origin, code = lanes[at % len(lanes)]
        rows["shipment"][region(code), str(78_000 + at * 17)] = open_one(roll, origin, code, at)
    for at in range(700):
        origin, code = lanes[at % len(lanes)]
        rows["shipment"][region(code), str(60_000 + at * 11)] = delivered(roll, origin, code)
    return rows


def region(country: str) -> str:
    return "east" if country in AFRICA else "west"


def site(name: str, country: str, lat: float, lon: float, function: str) -> Row:
    values = {"name": name, "country": country, "function": function, "lat": lat, "lon": lon}
    return facts(values, START - 400 * DAY, "geo/unlocode")


def open_one(roll: random.Random, origin: str, code: str, at: int) -> Row:
    promised = START + roll.randint(-9, 110) * DAY
    row = order(roll, START - roll.randint(10, 160) * DAY, promised, origin, code)
    if at % 4 == 0 or promised < START + 20 * DAY:
        departed = START - roll.randint(1, 9) * DAY
        row["departed_at"] = Fact(departed, departed, TELEMETRY)
        row["status"] = Fact(int(Milestone.DEPARTED), departed, TELEMETRY, 0.95)
        row |= facts({"lat": 0.0, "lon": 0.0}, START, TELEMETRY, 0.9)
        if row["product_group"].value == "HRDT":
            warm = roll.random() < 0.08
            celsius = round(roll.uniform(31.0, 38.0) if warm else roll.uniform(3, 7), 1)
            row["temp_c"] = Fact(celsius, START, TELEMETRY, 0.97)
    late = roll.gauss(0, 9)
    p50 = max(promised + int(late * DAY), START + 2 * DAY)
    forecast = {
        "eta_p10": p50 - 6 * DAY,
        "eta_p50": p50,
        "eta_p90": p50 + 11 * DAY,
        "eta_baseline": promised + DAY,
        "late_p": round(1 / (1 + math.exp(-late / 4)), 2),
    }
    return row | facts(forecast, START - DAY // 3, "model/eta@1", 0.8)


def order(roll: random.Random, ordered: int, promised: int, origin: str, code: str) -> Row:
    group = "HRDT" if "alere" in origin or "trinity" in origin else "ARV"
    values = {
        "ordered_at": ordered,
        "supplier": roll.choice(SUPPLIERS),
        "origin": ORIGINS[origin][0],
        "site": f"{code.lower()}-central",
        "country": code,
        "mode": roll.choice(("air", "truck", "ocean", "air_charter")),
        "product_group": group,
        "product": "HIV test kit" if group == "HRDT" else "Zidovudine 300mg",
        "quantity": roll.randint(40, 30_000),
        "value_cents": roll.randint(10_000, 90_000_000),
        "promised_at": promised,
        "status": int(Milestone.ORDERED),
    }
    return facts(values, ordered, "scms/orders")


def delivered(roll: random.Random, origin: str, code: str) -> Row:
    at = START - roll.randint(20, 900) * DAY
    row = order(roll, at - 80 * DAY, at + 2 * DAY, origin, code)
    done = {"delivered_at": at, "status": int(Milestone.DELIVERED)}
    return row | facts(done, at, "scms/deliveries")


def move(rows: Rows, now: int) -> None:
    """Bring every shipment that sends positions to where it is at `now`."""
    names = {name: (lat, lon) for name, _, lat, lon in ORIGINS.values()}
    for (_, id), row in rows["shipment"].items():
        if "lat" not in row:
            continue
        spot = int(id)
        if spot % 11 == 0 and row["lat"].value:
            continue  # a silent sender: its position ages
        share = ((now - START) / DAY / (24 + spot % 30) + (spot * 37 % 100) / 100) % 1.0
        a, b = names[row["origin"].value], PLACES[row["country"].value][1:]
        as_of = now - (spot % 7) * DAY // 24
        bend = 2.5 * math.sin(share * math.pi) * math.sin(spot)
        for axis, field in enumerate(("lat", "lon")):
            at = a[axis] + (b[axis] - a[axis]) * share + bend
            row[field] = Fact(round(at, 4), as_of, TELEMETRY, 0.9)
        if "temp_c" in row:
            row["temp_c"] = row["temp_c"]._replace(as_of=as_of)
