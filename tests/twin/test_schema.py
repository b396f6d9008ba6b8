"""Schemas: a payload keeps its contract exactly if its JSON Schema accepts it."""

from collections import Counter

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import SHIPMENTS, SITES, SUPPLIERS, Ledger, event, message
from twin.contracts import CONTRACTS
from twin.derived import DELIVERER
from twin.kinds import Dtype
from twin.schema import DIALECT, schemas

ALERTS = SHIPMENTS._replace(kinds=("shipment", "alert"))
RULES = {"shipment": SHIPMENTS, "site": SITES, "stock": SITES, "supplier": SUPPLIERS}
RULES["alert"] = ALERTS
SCHEMAS = schemas()


def edges(promise):
    """Values in, at and beyond what a promise allows, and of other types."""
    odd = [None, True, "", "x", 7, -7, 0.5, 1e300]
    if promise.dtype is Dtype.TEXT:
        return odd + list(promise.among)[:3]
    if promise.dtype in {Dtype.TIME, Dtype.INTEGER}:
        least, most = max(int(promise.least), 1 - 2**62), min(int(promise.most), 2**62 - 1)
        return [*odd, least, most, least - 1, most + 1, 1_400_000_000_000_000]
    return [*odd, promise.least, promise.most, promise.most + 1.0]


@st.composite
def payloads(draw):
    contract = draw(st.sampled_from(CONTRACTS))
    data = {}
    for promise in contract.payload:
        good = draw(st.booleans()) or draw(st.booleans())
        values = [v for v in edges(promise) if v is not None] if good else edges(promise)
        if good or draw(st.booleans()):
            data[promise.name] = draw(st.sampled_from(values))
    if not draw(st.integers(0, 9)):
        data["no_such_field"] = 1
    return contract, data


def accepts(schema, data):
    return jsonschema.Draft202012Validator(schema).is_valid(data)


@given(payloads())
def test_what_a_schema_accepts_is_what_is_not_parked(given):
    contract, data = given
    subject = "shipment:S1:warm" if contract.kind == "alert" else "S1"
    one = event(id="e", type=contract.type, version=contract.version, subject=subject, data=data)

    own = contract.kind == "alert"  # others may not say it at all
    writer = DELIVERER if contract.owner == "twin" else "tester"
    said = message(one)._replace(writer=writer, own=own)

    ((outcome, _, _),) = Ledger(RULES[contract.kind]).offer(said)
    assert accepts(SCHEMAS[contract.name], data) == (outcome != "PARKED")


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_every_contract_is_a_schema_that_says_what_json_schema_cannot(name):
    schema = SCHEMAS[name]

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert f"{schema['x-type']}.v{schema['x-version']}" == name == schema["title"]
    assert schema["description"].endswith(".")
    assert schema["x-kind"] in RULES
    assert schema["x-owner"]
    for field in schema["properties"].values():
        assert field["x-dtype"]
        assert "x-unit" in field


def test_only_older_versions_are_deprecated():
    newest = {}
    for one in CONTRACTS:
        newest[one.type] = max(one.version, newest.get(one.type, 0))

    for one in CONTRACTS:
        assert SCHEMAS[one.name]["deprecated"] == (one.version < newest[one.type])


def test_numbers_count_up_from_nought():
    numbers = Counter(schema["x-number"] for schema in SCHEMAS.values())

    assert sorted(numbers) == list(range(len(CONTRACTS)))


def test_the_words_of_an_enum_have_meanings():
    field = SCHEMAS["shipment.exception.v1"]["properties"]["exception_code"]

    assert len(field["enum"]) == 32
    assert field["x-meanings"]["UD160"].startswith("Transit")
    assert list(field["x-meanings"]) == field["enum"]


def test_what_an_event_sets_is_told_with_the_rule_that_decides():
    sets = SCHEMAS["shipment.cancelled.v1"]["x-sets"]

    assert sets["milestone"] == {
        "merge": "max",
        "fields": {"status": {"const": 45, "name": "CANCELLED"}},
    }
    assert sets["cancellation"]["fields"]["cancelled_at"] == "@event_time"
