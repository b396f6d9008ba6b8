"""Kinds: what a twin consists of, declared as data. No rule about a field is elsewhere.

A kind is a table of groups; a group is a set of fields that always arrive together, so one
event decides them all, and they share as_of, offset, source and confidence. Absent means
absent: every dtype has a value that says so, and it is never shown as a number.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple

import numpy as np

ABSENT = -(2**63)  # the int64 that means: not known
NO_CODE = -1  # the code that means the same of a text, a flag or a milestone


class Dtype(StrEnum):
    """How a field is held: times are int64 microseconds UTC, texts are codes of a lexicon."""

    TIME = "time"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"
    MILESTONE = "milestone"


class Merge(StrEnum):
    LATEST = "latest"  # greatest (event_time, source rank, event id)
    MAX = "max"  # furthest value, whatever its time
    LEVEL = "level"  # latest count, and the movements with event_time after it
    SUM = "sum"  # every event's change counts once; integers in the unit of the field
    MIN = "min"  # least value, whatever its time


class Field(NamedTuple):
    name: str
    dtype: Dtype
    unit: str = ""
    sensitivity: str = "internal"
    is_as_of: bool = False  # the time of the deciding event itself: kept once, as the group's as_of

    @property
    def blank(self) -> np.generic:
        return BLANKS[self.dtype]


class Group(NamedTuple):
    """Fields that one event decides together; older than `sla_s` they are stale.

    `sparse`: few twins ever have a value, so memory is taken only for those.
    """

    name: str
    merge: Merge
    fields: tuple[Field, ...]
    sla_s: float
    sparse: bool = False


class Kind(NamedTuple):
    name: str
    groups: tuple[Group, ...]

    def field(self, name: str) -> tuple[Group, Field] | None:
        for group in self.groups:
            for field in group.fields:
                if field.name == name:
                    return group, field
        return None

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(field for group in self.groups for field in group.fields)


class Milestone(IntEnum):
    """How far a shipment has come. Numbers are on disk: append between tens, never renumber.

    Cancelled is further than anything but delivered: what carriers still report of a cancelled
    shipment does not bring it back, and goods that did arrive cannot be cancelled any more. The
    cancellation itself stays known in its own group; taking it back is a retraction.
    """

    ORDERED = 10
    DEPARTED = 20
    ARRIVED = 30
    CUSTOMS = 40
    CANCELLED = 45
    DELIVERED = 50


BLANKS: dict[Dtype, np.generic] = {
    Dtype.TIME: np.int64(ABSENT),
    Dtype.INTEGER: np.int64(ABSENT),
    Dtype.NUMBER: np.float64(np.nan),
    Dtype.TEXT: np.int32(NO_CODE),
    Dtype.FLAG: np.int8(NO_CODE),
    Dtype.MILESTONE: np.int8(NO_CODE),
}

HOUR_S, DAY_S = 3600.0, 86_400.0
_TIME, _TEXT = Dtype.TIME, Dtype.TEXT

SHIPMENT = Kind(
    "shipment",
    (
        Group("milestone", Merge.MAX, (Field("status", Dtype.MILESTONE),), 30 * DAY_S),
        Group(
            "order",
            Merge.LATEST,
            (
                Field("ordered_at", _TIME, "us"),
                Field("supplier", _TEXT),
                Field("origin", _TEXT),
                Field("site", _TEXT),
                Field("country", _TEXT),
                Field("mode", _TEXT),
                Field("product_group", _TEXT),
                Field("product", _TEXT),
                Field("quantity", Dtype.INTEGER, "pack"),
                Field("value_cents", Dtype.INTEGER, "USD 0.01", "confidential"),
            ),
            365 * DAY_S,
        ),
        Group("promise", Merge.LATEST, (Field("promised_at", _TIME, "us"),), 365 * DAY_S),
        Group(
            "departure",
            Merge.LATEST,
            (Field("departed_at", _TIME, "us", is_as_of=True),),
            90 * DAY_S,
        ),
        Group(
            "delivery",
            Merge.LATEST,
            (Field("delivered_at", _TIME, "us", is_as_of=True), Field("recorded_at", _TIME, "us")),
            365 * DAY_S,
        ),
        Group(
            "position",
            Merge.LATEST,
            (Field("lat", Dtype.NUMBER, "deg"), Field("lon", Dtype.NUMBER, "deg")),
            2 * DAY_S,
            sparse=True,
        ),
        Group(
            "condition",
            Merge.LATEST,
            (Field("temp_c", Dtype.NUMBER, "degC"), Field("humidity_pct", Dtype.NUMBER, "%")),
            2 * DAY_S,
            sparse=True,
        ),
        Group(
            "prediction",
            Merge.LATEST,
            (
                Field("eta_p10", _TIME, "us"),
                Field("eta_p50", _TIME, "us"),
                Field("eta_p90", _TIME, "us"),
                Field("eta_baseline", _TIME, "us"),
                Field("late_p", Dtype.NUMBER, "1"),
            ),
            7 * DAY_S,
            sparse=True,
        ),
        Group(
            "arrival",
            Merge.LATEST,
            (Field("arrived_at", _TIME, "us", is_as_of=True), Field("arrived_place", _TEXT)),
            90 * DAY_S,
            sparse=True,
        ),
        Group(
            "customs",
            Merge.LATEST,
            (Field("customs_status", _TEXT), Field("customs_reference", _TEXT)),
            14 * DAY_S,
            sparse=True,
        ),
        Group(
            "exception",
            Merge.LATEST,
            (
                Field("exception_code", _TEXT),
                Field("exception_state", _TEXT),
                Field("exception_place", _TEXT),
            ),
            30 * DAY_S,
            sparse=True,
        ),
        Group(
            "cancellation",
            Merge.LATEST,
            (Field("cancelled_at", _TIME, "us", is_as_of=True), Field("cancelled_reason", _TEXT)),
            365 * DAY_S,
            sparse=True,
        ),
    ),
)
SITE = Kind(
    "site",
    (
        Group(
            "place",
            Merge.LATEST,
            (
                Field("name", _TEXT),
                Field("country", _TEXT),
                Field("function", _TEXT),
                Field("lat", Dtype.NUMBER, "deg"),
                Field("lon", Dtype.NUMBER, "deg"),
            ),
            3650 * DAY_S,
        ),
        Group("status", Merge.LATEST, (Field("status", _TEXT),), 30 * DAY_S),
        Group(
            "capacity",
            Merge.LATEST,
            (Field("capacity", Dtype.INTEGER, "pack"),),
            365 * DAY_S,
        ),
    ),
)
SUPPLIER = Kind(
    "supplier",
    (
        Group(
            "profile",
            Merge.LATEST,
            (Field("name", _TEXT), Field("aggregator", Dtype.FLAG)),
            3650 * DAY_S,
        ),
        Group(
            "lead_time",
            Merge.LATEST,
            (Field("lead_time_days", Dtype.INTEGER, "d"),),
            180 * DAY_S,
        ),
        Group(
            "best_lead_time",
            Merge.MIN,
            (Field("best_lead_time_days", Dtype.INTEGER, "d"),),
            3650 * DAY_S,
        ),
        Group("status", Merge.LATEST, (Field("status", _TEXT),), 365 * DAY_S),
        Group(
            "capacity",
            Merge.LATEST,
            (Field("capacity", Dtype.INTEGER, "pack/month"),),
            365 * DAY_S,
        ),
        Group(
            "deliveries",
            Merge.SUM,
            (
                Field("delivered_shipments", Dtype.INTEGER, "shipment"),
                Field("late_shipments", Dtype.INTEGER, "shipment"),
            ),
            365 * DAY_S,
        ),
    ),
)
STOCK = Kind(
    "stock",
    (
        Group("item", Merge.LATEST, (Field("site", _TEXT), Field("product", _TEXT)), 3650 * DAY_S),
        Group("level", Merge.LEVEL, (Field("on_hand", Dtype.INTEGER, "pack"),), 7 * DAY_S),
        Group("reservation", Merge.SUM, (Field("reserved", Dtype.INTEGER, "pack"),), 7 * DAY_S),
    ),
)

ALERT = Kind(  # what needs a person: one rule about one twin (twin.alerts)
    "alert",
    (
        Group("standing", Merge.LATEST, (Field("state", _TEXT),), 365 * DAY_S),
        Group(
            "about",
            Merge.LATEST,
            (Field("rule", _TEXT), Field("subject_kind", _TEXT), Field("subject_id", _TEXT)),
            3650 * DAY_S,
        ),
        Group(
            "raising",
            Merge.LATEST,
            (
                Field("raised_at", _TIME, "us", is_as_of=True),
                Field("severity", _TEXT),
                Field("message", _TEXT),
                Field("deadline", _TIME, "us"),
                Field("value_at_risk_cents", Dtype.INTEGER, "USD 0.01", "confidential"),
                Field("next_step", _TEXT),
                Field("causes", _TEXT),
                Field("supplier", _TEXT),
                Field("origin", _TEXT),
                Field("site", _TEXT),
                Field("lane", _TEXT),
            ),
            365 * DAY_S,
        ),
        Group(
            "clearing",
            Merge.LATEST,
            (Field("cleared_at", _TIME, "us", is_as_of=True), Field("clear_causes", _TEXT)),
            365 * DAY_S,
            sparse=True,
        ),
        Group(
            "clock",
            Merge.LATEST,
            (Field("out_since", _TIME, "us"), Field("out_s", Dtype.INTEGER, "s")),
            365 * DAY_S,
        ),
        Group(
            "judgement",
            Merge.MAX,
            (Field("judged_offset", Dtype.INTEGER),),
            365 * DAY_S,
        ),
        Group(
            "acknowledgement",
            Merge.LATEST,
            (Field("acknowledged_at", _TIME, "us", is_as_of=True), Field("acknowledged_by", _TEXT)),
            365 * DAY_S,
            sparse=True,
        ),
        Group("assignment", Merge.LATEST, (Field("owner", _TEXT),), 365 * DAY_S),
        Group(
            "snooze",
            Merge.LATEST,
            (Field("snoozed_until", _TIME, "us"), Field("snoozed_by", _TEXT)),
            365 * DAY_S,
            sparse=True,
        ),
        Group(
            "comment",
            Merge.LATEST,
            (Field("note", _TEXT), Field("noted_by", _TEXT)),
            365 * DAY_S,
            sparse=True,
        ),
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (SHIPMENT, SITE, SUPPLIER, STOCK, ALERT)}
# Which kinds one shard writes: stock lives with its site, an alert with the twin it is about.
SHARD_KINDS: dict[str, tuple[str, ...]] = {
    "shipment": ("shipment", "alert"),
    "site": ("site", "stock", "alert"),
    "supplier": ("supplier", "alert"),
}
# Of each kind: the fields that hold the id of another twin, and of which kind that is.
REFERENCES: dict[str, dict[str, str]] = {
    "shipment": {"supplier": "supplier", "site": "site"},
    "stock": {"site": "site"},
    "alert": {"supplier": "supplier", "site": "site"},
}
# What a kind is called as a table: in a sub-query, and in SQL.
TABLES: dict[str, str] = {
    "shipments": "shipment",
    "sites": "site",
    "suppliers": "supplier",
    "alerts": "alert",
}
