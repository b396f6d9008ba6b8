"""The demo's data: real rows as they are, what is made up labelled, and nothing invented."""

import pytest

from tests.system.scms import START, day_us, lines
from twin.kinds import ABSENT, KINDS

GROUPS = {kind.name: [group.name for group in kind.groups] for kind in KINDS.values()}
REAL = {"scms", "places"}
MADE_UP = ("demo/", "rule/", "model/")
# What the rows do not have, and so must never be shown as theirs.
SYNTHETIC = {
    "shipment": ("departure", "position", "condition", "prediction"),
    "stock": ("item", "level"),
}
FOLLOWS = {("stock", "item"), ("stock", "level"), ("supplier", "deliveries")}  # from shipments

pytestmark = pytest.mark.ray


def by_id(columns):
    """Turn plain columns into a dictionary per twin."""
    return {
        row[0]: dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    }


def test_at_the_start_554_orders_are_known_and_none_of_them_is_delivered(beginning):
    open_rows = {one.id for one in lines() if one.known <= START < one.recorded}

    found = beginning.open

    assert (found.total, found.shown, found.mode) == (554, 554, "normal")
    assert {twin.id for twin in found.twins} == open_rows
    assert beginning.now - day_us(START) < 3600 * 1_000_000


def test_a_twin_says_what_its_row_says_and_what_the_row_lacks_is_absent(beginning):
    twins = by_id(beginning.columns["shipment"])
    known = [one for one in lines() if one.known <= START]

    assert twins.keys() == {one.id for one in known}
    for one in known:
        twin, row = twins[one.id], one.row
        told = one.recorded <= START
        assert twin["ordered_at"] == (day_us(one.ordered) if one.ordered else ABSENT)
        assert twin["promised_at"] == day_us(row["scheduled delivery date"])
        assert twin["delivered_at"] == (day_us(one.delivered) if told else ABSENT)
        assert twin["recorded_at"] == (day_us(one.recorded) if told else ABSENT)
        assert twin["quantity"] == int(row["line item quantity"])
        assert twin["value_cents"] == round(float(row["line item value"]) * 100)
        assert twin["mode"] == row["shipment mode"].lower().replace(" ", "_")
        assert twin["product"] == row["item description"]
    assert sum(not one.ordered for one in known) > 1900
    assert sum(twins[one.id]["mode"] == "" for one in known) > 300


def test_all_that_is_made_up_says_so_in_its_source(beginning):
    seen = set()

    for kind, groups in GROUPS.items():
        if kind == "alert":
            continue  # the twin raises them itself: tests/system/test_alerts.py
        columns = beginning.columns[kind]
        for group in groups:
            sources = {source for source in columns[f"{group}_source"] if source}
            seen |= sources
            derived = {s for s in sources if s.startswith(("twin/", "demo/twin/"))}
            assert not derived or (kind, group) in FOLLOWS, (kind, group)
            sources -= derived
            assert all(s in REAL or s.startswith(MADE_UP) for s in sources), (kind, group)
            if group in SYNTHETIC.get(kind, ()):
                assert not sources & REAL, (kind, group)
            elif (kind, group) != ("shipment", "milestone"):  # a departure is a milestone too
                assert sources <= REAL, (kind, group)
    assert {"scms", "places", "demo/telemetry", "demo/warehouse"} <= seen


def test_goods_from_some_40_sites_are_held_in_both_regions(beginning):
    stock = beginning.columns["stock"]

    assert 35 <= len(set(stock["site"])) <= 45
    assert set(stock["region"]) == {"east", "west"}
    assert (stock["on_hand"] > 0).all()


def test_a_row_that_was_recorded_months_late_keeps_its_own_event_time(beginning, client):
    twins = by_id(beginning.columns["shipment"])
    late = [
        one
        for one in lines()
        if one.recorded <= START and day_us(one.recorded) - day_us(one.delivered) > 60 * 86400e6
    ]

    assert late
    for one in late:
        assert twins[one.id]["delivery_as_of"] == day_us(one.delivered)
    twin = client.get("shipment", late[0].id)
    offset = twin.values["delivered_at"].offset
    receipt = client.receipt(f"{twin.shard}/{offset}")
    assert (receipt.type, receipt.source) == ("shipment.delivered.v1", "scms")
    assert receipt.event_time == day_us(late[0].delivered)
    assert receipt.key == f"demo/shipment/{twin.region}/{late[0].id}"
