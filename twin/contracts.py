"""Contracts: what sources promise about each event type, and what it says about a twin.

A contract is data: the fields a payload must or may carry, their ranges, and which group of
which kind each value goes to. Whatever keeps its contract can be applied; whatever breaks it
is parked as it came.
"""

from __future__ import annotations

from typing import NamedTuple

from twin.kinds import Dtype, Milestone

EVENT_TIME = "@event_time"  # a field set to the time of the event itself
COUNTED, MOVED = "@counted", "@moved"  # what an event gives to a level: the whole, or a change
MICROS = 1_000_000
DAY_US = 86_400 * MICROS
YEAR_1990, YEAR_2100 = 631_152_000 * MICROS, 4_102_444_800 * MICROS


class Promise(NamedTuple):
    """One field of a payload."""

    name: str
    dtype: Dtype
    unit: str = ""
    required: bool = True
    least: float = -(2.0**62)
    most: float = 2.0**62
    meaning: str = ""


class Contract(NamedTuple):
    """One version of one event type.

    `sets`: group -> {field: payload field, EVENT_TIME, or the milestone reached}.
    """

    type: str
    version: int
    kind: str
    owner: str
    payload: tuple[Promise, ...]
    sets: dict[str, dict[str, str | Milestone]]

    @property
    def name(self) -> str:
        return f"{self.type}.v{self.version}"


def _time(name: str, *, required: bool = True, meaning: str = "") -> Promise:
    return Promise(name, Dtype.TIME, "us", required, YEAR_1990, YEAR_2100, meaning)


def _text(name: str, *, required: bool = True, meaning: str = "") -> Promise:
    return Promise(name, Dtype.TEXT, "", required, meaning=meaning)


def _same(*names: str) -> dict[str, str | Milestone]:
    return {name: name for name in names}


_LAT = Promise("lat", Dtype.NUMBER, "deg", True, -90.0, 90.0, "WGS 84 latitude")
_LON = Promise("lon", Dtype.NUMBER, "deg", True, -180.0, 180.0, "WGS 84 longitude")

# Positions are on disk, as the number of an event's contract: append, never insert or remove.
CONTRACTS: tuple[Contract, ...] = (
    Contract(
        "shipment.ordered",
        1,
        "shipment",
        "procurement",
        (
            _time("ordered_at", required=False, meaning="absent when no row says when"),
            _text("supplier", meaning="id of a supplier"),
            _text("origin", required=False, meaning="manufacturing site, as the source writes it"),
            _text("site", required=False, meaning="id of the destination site"),
            _text("country", meaning="destination, ISO 3166 alpha-2"),
            _text("mode", required=False, meaning="air, air_charter, truck or ocean"),
            _text("product_group"),
            _text("product"),
            Promise("quantity", Dtype.INTEGER, "pack", True, 0),
            Promise("value_cents", Dtype.INTEGER, "USD 0.01", False, 0),
        ),
        {
            "milestone": {"status": Milestone.ORDERED},
            "order": _same(
                "ordered_at",
                "supplier",
                "origin",
                "site",
                "country",
                "mode",
                "product_group",
                "product",
                "quantity",
                "value_cents",
            ),
        },
    ),
    Contract(
        "shipment.promised",
        1,
        "shipment",
        "procurement",
        (_time("promised_at"),),
        {"promise": _same("promised_at")},
    ),
    Contract(
        "shipment.departed",
        1,
        "shipment",
        "carrier",
        (),
        {
            "milestone": {"status": Milestone.DEPARTED},
            "departure": {"departed_at": EVENT_TIME},
        },
    ),
    Contract(
        "shipment.delivered",
        1,
        "shipment",
        "receiving",
        (_time("recorded_at", required=False, meaning="when the source wrote it down"),),
        {
            "milestone": {"status": Milestone.DELIVERED},
            "delivery": {"delivered_at": EVENT_TIME, "recorded_at": "recorded_at"},
        },
    ),
    Contract(
        "shipment.position",
        1,
        "shipment",
        "carrier",
        (_LAT, _LON),
        {"position": _same("lat", "lon")},
    ),
    Contract(
        "shipment.condition",
        1,
        "shipment",
        "carrier",
        (Promise("temp_c", Dtype.NUMBER, "degC", True, -90.0, 90.0),),
        {"condition": _same("temp_c")},
    ),
    Contract(
        "shipment.predicted",
        1,
        "shipment",
        "analytics",
        (
            _time("eta_p10"),
            _time("eta_p50"),
            _time("eta_p90"),
            _time("eta_baseline", meaning="the lane's median delay added to the promise"),
            Promise("late_p", Dtype.NUMBER, "1", True, 0.0, 1.0, "chance to arrive past promise"),
        ),
        {"prediction": _same("eta_p10", "eta_p50", "eta_p90", "eta_baseline", "late_p")},
    ),
    Contract(
        "site.registered",
        1,
        "site",
        "network",
        (_text("name"), _text("country"), _text("function"), _LAT, _LON),
        {"place": _same("name", "country", "function", "lat", "lon")},
    ),
    Contract(
        "supplier.registered",
        1,
        "supplier",
        "procurement",
        (
            _text("name"),
            Promise(
                "aggregator", Dtype.FLAG, "", True, 0, 1, "ships others' goods, as a depot does"
            ),
        ),
        {"profile": _same("name", "aggregator")},
    ),
    Contract(
        "stock.counted",
        1,
        "stock",
        "warehouse",
        (_text("site"), _text("product"), Promise("quantity", Dtype.INTEGER, "pack", True, 0)),
        {"item": _same("site", "product"), "level": {COUNTED: "quantity"}},
    ),
    Contract(
        "stock.moved",
        1,
        "stock",
        "warehouse",
        (_text("site"), _text("product"), Promise("delta", Dtype.INTEGER, "pack")),
        {"item": _same("site", "product"), "level": {MOVED: "delta"}},
    ),
)
