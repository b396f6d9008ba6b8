"""Compatibility: what breaks events of yesterday is told, and what does not is not."""

import copy

import pytest

from twin.compat import breaches
from twin.contracts import CONTRACTS
from twin.kinds import Dtype
from twin.promises import EVENT_TIME, Promise
from twin.schema import schemas

ORDERED = "shipment.ordered.v1"
OLD = schemas()


def contract(name):
    return next(one for one in CONTRACTS if one.name == name)


def changed(name, **says):
    """The schemas after one contract was changed."""
    return schemas([one._replace(**says) if one.name == name else one for one in CONTRACTS])


def field(name, of, /, **says):
    """The schemas after one field of a contract was changed; without it if nothing is said."""
    payload = [
        promise._replace(**says) if promise.name == of else promise
        for promise in contract(name).payload
        if says or promise.name != of
    ]
    return changed(name, payload=tuple(payload))


def added(name, promise, **says):
    return changed(name, payload=(*contract(name).payload, promise), **says)


def sets(name, group, /, **fields):
    one = contract(name)
    return changed(name, sets={**one.sets, group: {**one.sets.get(group, {}), **fields}})


WORDS = {"held": "a", "cleared": "b", "seized": "c"}
NEW = Promise("colour", Dtype.TEXT, required=False)
BREAKING = {
    "a field is gone": (field(ORDERED, "quantity"), "quantity is gone"),
    "a field has another name": (field(ORDERED, "quantity", name="packs"), "quantity is gone"),
    "a field is required that was not": (
        field(ORDERED, "site", required=True),
        "site is required, and was not",
    ),
    "a new field is required": (
        added(ORDERED, NEW._replace(required=True)),
        "colour is required, and was not",
    ),
    "the range is narrower below": (field(ORDERED, "quantity", least=1), "minimum 1, and had 0"),
    "the range is narrower above": (
        field("shipment.position.v1", "lat", most=80.0),
        "maximum 80.0, and had 90.0",
    ),
    "a text must be one of some words": (
        field(ORDERED, "country", among={"NG": "Nigeria"}),
        "takes some words only",
    ),
    "a word is no longer taken": (
        field("shipment.customs.v1", "customs_status", among={"held": "x"}),
        "no longer takes 'cleared'",
    ),
    "the type of a field is another": (
        field(ORDERED, "quantity", dtype=Dtype.NUMBER),
        "has x-dtype 'number', and had 'integer'",
    ),
    "the unit of a field is another": (
        field(ORDERED, "quantity", unit="piece"),
        "has x-unit 'piece', and had 'pack'",
    ),
    "a contract is gone": (
        {name: schema for name, schema in OLD.items() if name != ORDERED},
        "shipment.ordered.v1 is gone",
    ),
    "a contract has another number": (schemas(CONTRACTS[::-1]), "x-number was 0"),
    "the kind is another": (changed("site.capacity.v1", kind="supplier"), "x-kind was site"),
    "a group is no longer set": (changed(ORDERED, sets={}), "no longer sets order"),
    "old events would set one more group": (
        sets("shipment.position.v1", "departure", departed_at=EVENT_TIME),
        "also sets departure",
    ),
    "a field is set from elsewhere": (
        sets("shipment.delivered.v1", "delivery", delivered_at="recorded_at"),
        "sets delivered_at from recorded_at, and did from @event_time",
    ),
    "an old field sets one more": (
        sets("shipment.position.v1", "position", altitude="lat"),
        "sets altitude from lat",
    ),
}
COMPATIBLE = {
    "nothing": OLD,
    "the range is wider": field("shipment.position.v1", "lat", most=91.0),
    "a field need no longer be given": field(ORDERED, "quantity", required=False),
    "one more word is taken": field("shipment.customs.v1", "customs_status", among=WORDS),
    "any word is taken": field("shipment.customs.v1", "customs_status", among={}),
    "a new field may be given": added(ORDERED, NEW),
    "a new field sets a field of a group": added(
        ORDERED,
        NEW,
        sets={
            **contract(ORDERED).sets,
            "order": {**contract(ORDERED).sets["order"], "colour": "colour"},
        },
    ),
    "the owner is another": changed(ORDERED, owner="logistics"),
    "the meaning is told otherwise": changed(ORDERED, meaning="An order."),
    "a field's meaning is told otherwise": field(ORDERED, "quantity", meaning="packs"),
    "a contract is appended": schemas([*CONTRACTS, contract(ORDERED)._replace(version=2)]),
}


@pytest.mark.parametrize("change", list(BREAKING))
def test_a_change_that_breaks_old_events_is_told(change):
    new, what = BREAKING[change]

    assert what in "\n".join(breaches(OLD, new))


@pytest.mark.parametrize("change", list(COMPATIBLE))
def test_a_change_that_breaks_no_event_is_not_told(change):
    assert breaches(OLD, COMPATIBLE[change]) == []


def test_another_rule_for_a_group_is_told():
    new = copy.deepcopy(OLD)
    new["stock.moved.v1"]["x-sets"]["level"]["merge"] = "sum"

    assert breaches(OLD, new) == ["stock.moved.v1: level is merged by sum, and was by level"]


def test_a_new_contract_that_takes_an_old_number_is_told():
    new = {**OLD, "site.new.v1": {**OLD["site.status.v1"], "x-number": 3}}

    assert breaches(OLD, new) == ["site.new.v1 takes number 3 of shipment.delivered.v1; append it"]


def test_what_a_schema_says_beyond_what_is_known_must_stay():
    new = copy.deepcopy(OLD)
    new[ORDERED]["properties"]["country"]["pattern"] = "^[A-Z]{2}$"

    assert "pattern" in breaches(OLD, new)[0]
