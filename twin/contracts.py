"""Contracts: what sources promise about each event type, and what it says about a twin.

A contract is data: the fields a payload must or may carry, their ranges, and which group of
which kind each value goes to. Whatever keeps its contract can be applied; whatever breaks it
is parked as it came. `twin contracts check` holds the table against its last export.
"""

from __future__ import annotations

from twin.alert_contracts import ALERTS
from twin.delays import REASONS
from twin.kinds import Dtype, Milestone
from twin.promises import (
    COUNTED,
    DAY_US,
    EVENT_TIME,
    MICROS,
    MOST_CHANGE,
    MOVED,
    Contract,
    Promise,
    same,
    text,
    time,
    word,
)
from twin.upcast import Step, lift

__all__ = ["CONTRACTS", "COUNTED", "DAY_US", "EVENT_TIME", "MICROS", "MOVED", "STEPS", "Contract"]

_LAT = Promise("lat", Dtype.NUMBER, "deg", True, -90.0, 90.0, "WGS 84 latitude")
_LON = Promise("lon", Dtype.NUMBER, "deg", True, -180.0, 180.0, "WGS 84 longitude")
_TEMP = Promise("temp_c", Dtype.NUMBER, "degC", True, -90.0, 90.0, "of the goods, or next to them")
_ITEM = (text("site", meaning="id of a site"), text("product"))
_CAUSE = (  # of what the twin derives itself: nobody else may say it (twin.derived)
    Promise("cause", Dtype.INTEGER, "", True, 0, meaning="hash of whose fact it is, and for whom"),
    Promise("revision", Dtype.INTEGER, "", True, 0, meaning="of a cause the greatest one counts"),
    Promise("cause_offset", Dtype.INTEGER, "", False, 0, meaning="of the fact, in its journal"),
)
_CUSTOMS = {
    "held": "customs keep the goods, or have asked for something",
    "cleared": "the goods may enter",
}
_EXCEPTION = {"open": "it holds the shipment up", "resolved": "it does so no longer"}
_CANCELLED = {
    "customer": "the recipient needs it no longer",
    "supplier": "the supplier cannot or will not deliver",
    "funding": "the money is not there",
    "recall": "the product must not be used",
    "replaced": "another order takes its place",
    "lost": "the goods are lost or destroyed",
    "other": "another reason",
}
_SITE = {
    "open": "takes in and sends out as usual",
    "limited": "takes in or sends out less than usual",
    "closed": "neither takes in nor sends out",
}
_SUPPLIER = {
    "active": "takes orders",
    "suspended": "takes no orders for the time being",
    "ended": "takes orders no more",
}

# Positions are on disk, as the number of an event's contract: append, never insert or remove.
_TABLE: tuple[Contract, ...] = (
    Contract(
        "shipment.ordered",
        1,
        "shipment",
        "procurement",
        (
            time("ordered_at", required=False, meaning="absent when no row says when"),
            text("supplier", meaning="id of a supplier"),
            text("origin", required=False, meaning="manufacturing site, as the source writes it"),
            text("site", required=False, meaning="id of the destination site"),
            text("country", meaning="destination, ISO 3166 alpha-2"),
            text("mode", required=False, meaning="air, air_charter, truck or ocean"),
            text("product_group"),
            text("product"),
            Promise("quantity", Dtype.INTEGER, "pack", True, 0),
            Promise("value_cents", Dtype.INTEGER, "USD 0.01", False, 0),
        ),
        {
            "milestone": {"status": Milestone.ORDERED},
            "order": same(
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
        "An order exists, with what was ordered from whom for where.",
    ),
    Contract(
        "shipment.promised",
        1,
        "shipment",
        "procurement",
        (time("promised_at"),),
        {"promise": same("promised_at")},
        "The supplier or the programme promises a day of delivery.",
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
        "The goods left their supplier at the time of the event.",
    ),
    Contract(
        "shipment.delivered",
        1,
        "shipment",
        "receiving",
        (time("recorded_at", required=False, meaning="when the source wrote it down"),),
        {
            "milestone": {"status": Milestone.DELIVERED},
            "delivery": {"delivered_at": EVENT_TIME, "recorded_at": "recorded_at"},
        },
        "The recipient has the goods since the time of the event.",
    ),
    Contract(
        "shipment.position",
        1,
        "shipment",
        "carrier",
        (_LAT, _LON),
        {"position": same("lat", "lon")},
        "Where the goods were at the time of the event.",
    ),
    Contract(
        "shipment.condition",
        1,
        "shipment",
        "carrier",
        (_TEMP,),
        {},
        "How warm the goods were at the time of the event.",
    ),
    Contract(
        "shipment.predicted",
        1,
        "shipment",
        "analytics",
        (
            time("eta_p10"),
            time("eta_p50"),
            time("eta_p90"),
            time("eta_baseline", meaning="the lane's median delay added to the promise"),
            Promise("late_p", Dtype.NUMBER, "1", True, 0.0, 1.0, "chance to arrive past promise"),
        ),
        {"prediction": same("eta_p10", "eta_p50", "eta_p90", "eta_baseline", "late_p")},
        "When a model expects the delivery, as quantiles.",
    ),
    Contract(
        "site.registered",
        1,
        "site",
        "network",
        (text("name"), text("country"), text("function"), _LAT, _LON),
        {"place": same("name", "country", "function", "lat", "lon")},
        "A site exists, with its name, place and function.",
    ),
    Contract(
        "supplier.registered",
        1,
        "supplier",
        "procurement",
        (
            text("name"),
            Promise(
                "aggregator", Dtype.FLAG, "", True, 0, 1, "ships others' goods, as a depot does"
            ),
        ),
        {"profile": same("name", "aggregator")},
        "A supplier exists, with its name.",
    ),
    Contract(
        "stock.counted",
        1,
        "stock",
        "warehouse",
        (*_ITEM, Promise("quantity", Dtype.INTEGER, "pack", True, 0)),
        {"item": same("site", "product"), "level": {COUNTED: "quantity"}},
        "All packs of a product at a site were counted at the time of the event.",
    ),
    Contract(
        "stock.moved",
        1,
        "stock",
        "warehouse",
        (*_ITEM, Promise("delta", Dtype.INTEGER, "pack", meaning="negative: they left")),
        {"item": same("site", "product"), "level": {MOVED: "delta"}},
        "Packs of a product came to a site or left it at the time of the event.",
    ),
    Contract(
        "shipment.condition",
        2,
        "shipment",
        "carrier",
        (_TEMP, Promise("humidity_pct", Dtype.NUMBER, "%", False, 0.0, 100.0, "relative")),
        {"condition": same("temp_c", "humidity_pct")},
        "How warm, and how humid, it was around the goods at the time of the event.",
    ),
    Contract(
        "shipment.arrived",
        1,
        "shipment",
        "carrier",
        (text("arrived_place", required=False, meaning="port or airport, UN/LOCODE"),),
        {
            "milestone": {"status": Milestone.ARRIVED},
            "arrival": {"arrived_at": EVENT_TIME, "arrived_place": "arrived_place"},
        },
        "The goods reached the country of destination at the time of the event.",
    ),
    Contract(
        "shipment.customs",
        1,
        "shipment",
        "customs broker",
        (
            word("customs_status", _CUSTOMS),
            text("customs_reference", required=False, meaning="number of the declaration"),
        ),
        {
            "milestone": {"status": Milestone.CUSTOMS},
            "customs": same("customs_status", "customs_reference"),
        },
        "Customs of the country of destination hold the goods, or have cleared them.",
    ),
    Contract(
        "shipment.exception",
        1,
        "shipment",
        "control tower",
        (
            word("exception_code", REASONS, meaning="why, as GHSC-PSM codes it"),
            word("exception_state", _EXCEPTION),
            text("exception_place", required=False, meaning="site or port, UN/LOCODE"),
        ),
        {"exception": same("exception_code", "exception_state", "exception_place")},
        "Something holds the shipment up since the time of the event, or does so no longer.",
    ),
    Contract(
        "shipment.cancelled",
        1,
        "shipment",
        "procurement",
        (word("cancelled_reason", _CANCELLED, required=False),),
        {
            "milestone": {"status": Milestone.CANCELLED},
            "cancellation": {"cancelled_at": EVENT_TIME, "cancelled_reason": "cancelled_reason"},
        },
        "The order was cancelled at the time of the event; a delivery nevertheless is one.",
    ),
    Contract(
        "site.status",
        1,
        "site",
        "network",
        (word("status", _SITE),),
        {"status": same("status")},
        "Whether a site works, since the time of the event.",
    ),
    Contract(
        "site.capacity",
        1,
        "site",
        "network",
        (Promise("capacity", Dtype.INTEGER, "pack", True, 0, meaning="that it can hold"),),
        {"capacity": same("capacity")},
        "How much a site can hold, since the time of the event.",
    ),
    Contract(
        "supplier.lead_time",
        1,
        "supplier",
        "procurement",
        (Promise("lead_time_days", Dtype.INTEGER, "d", True, 0, 3650, "from order to departure"),),
        {
            "lead_time": same("lead_time_days"),
            "best_lead_time": {"best_lead_time_days": "lead_time_days"},
        },
        "The lead time that a supplier quotes, since the time of the event.",
    ),
    Contract(
        "supplier.capacity",
        1,
        "supplier",
        "procurement",
        (Promise("capacity", Dtype.INTEGER, "pack/month", True, 0, meaning="that it can make"),),
        {"capacity": same("capacity")},
        "How much a supplier can make in a month, since the time of the event.",
    ),
    Contract(
        "supplier.status",
        1,
        "supplier",
        "procurement",
        (word("status", _SUPPLIER),),
        {"status": same("status")},
        "Whether a supplier takes orders, since the time of the event.",
    ),
    Contract(
        "stock.reserved",
        1,
        "stock",
        "warehouse",
        (
            *_ITEM,
            Promise(
                "reserved",
                Dtype.INTEGER,
                "pack",
                True,
                -MOST_CHANGE,
                MOST_CHANGE,
                "set aside; negative: given free again",
            ),
        ),
        {"item": same("site", "product"), "reservation": same("reserved")},
        "Packs of a product at a site were set aside, or given free, at the time of the event.",
    ),
    Contract(
        "stock.delivered",
        1,
        "stock",
        "twin",
        (
            *_ITEM,
            Promise("packs", Dtype.INTEGER, "pack", False, 0, meaning="absent: withdrawn"),
            *_CAUSE,
        ),
        {"item": same("site", "product"), "level": {MOVED: "packs"}},
        "Derived: a shipment brought packs of a product to a site at the time of the event.",
    ),
    Contract(
        "supplier.delivered",
        1,
        "supplier",
        "twin",
        (
            Promise(
                "delivered_shipments", Dtype.INTEGER, "shipment", False, 0, 1, "absent: withdrawn"
            ),
            Promise("late_shipments", Dtype.INTEGER, "shipment", False, 0, 1, "after its promise"),
            *_CAUSE,
        ),
        {"deliveries": same("delivered_shipments", "late_shipments")},
        "Derived: a shipment of a supplier was delivered at the time of the event.",
    ),
    *ALERTS,
)
# From each version of a type to the next. Never edit one: what it did to old events would change.
STEPS: tuple[Step, ...] = (Step("shipment.condition", 1, {"humidity_pct": None}),)
CONTRACTS: tuple[Contract, ...] = lift(_TABLE, STEPS)
