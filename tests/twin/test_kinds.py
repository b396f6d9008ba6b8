"""Kinds and contracts are tables: what must be true of any of them."""

from collections import Counter

import pytest

from twin.contracts import CONTRACTS, COUNTED, EVENT_TIME, MOVED
from twin.kinds import BLANKS, KINDS, SHARD_KINDS, Dtype, Merge, Milestone
from twin.outcomes import Outcome, Reason


def test_a_payload_name_has_one_type_in_all_contracts():
    types = {}
    for contract in CONTRACTS:
        for promise in contract.payload:
            types.setdefault(promise.name, set()).add(promise.dtype)

    assert {name: found for name, found in types.items() if len(found) > 1} == {}


@pytest.mark.parametrize("contract", CONTRACTS, ids=[c.name for c in CONTRACTS])
def test_a_contract_sets_fields_of_its_kind_from_what_it_promises(contract):
    promised = {promise.name: promise for promise in contract.payload}
    groups = {group.name: group for group in KINDS[contract.kind].groups}

    assert contract.sets.keys() <= groups.keys()
    for name, sets in contract.sets.items():
        fields = {field.name: field.dtype for field in groups[name].fields}
        if groups[name].merge is Merge.LEVEL:
            assert len(sets.keys() & {COUNTED, MOVED}) == 1
            fields |= dict.fromkeys((COUNTED, MOVED), Dtype.INTEGER)
        assert sets.keys() <= fields.keys()
        for field, source in sets.items():
            if isinstance(source, Milestone):
                assert fields[field] is Dtype.MILESTONE
            elif source == EVENT_TIME:
                assert fields[field] is Dtype.TIME
            elif isinstance(source, str):
                assert promised[source].dtype is fields[field]


def test_names_are_given_once():
    assert max(Counter((c.type, c.version) for c in CONTRACTS).values()) == 1
    for kind in KINDS.values():
        names = [field.name for field in kind.fields] + [group.name for group in kind.groups]
        assert max(Counter(field.name for field in kind.fields).values()) == 1
        assert max(Counter(group.name for group in kind.groups).values()) == 1
        assert not {"id", "region", "head", "tenant"} & set(names)


def test_every_kind_has_one_kind_of_shard():
    held = [kind for kinds in SHARD_KINDS.values() for kind in kinds if kind != "alert"]

    assert sorted(held) == sorted(kind for kind in KINDS if kind != "alert")


def test_an_alert_lives_in_the_shard_of_its_subject_whatever_that_is():
    assert all("alert" in kinds for kinds in SHARD_KINDS.values())


def test_a_type_is_about_the_kind_it_is_named_for():
    assert all(contract.type.partition(".")[0] == contract.kind for contract in CONTRACTS)


@pytest.mark.parametrize("numbers", [Milestone, Outcome, Reason])
def test_numbers_on_disk_are_given_once(numbers):
    assert len(numbers.__members__) == len({int(one) for one in numbers})


def test_numbers_on_disk_never_change():
    assert [int(outcome) for outcome in Outcome] == [0, 1, 2, 3, 4]
    assert {reason.name: int(reason) for reason in Reason if reason <= 12} == {
        "NONE": 0,
        "BAD_ID": 1,
        "REGION_MISSING": 2,
        "WRONG_REGION": 3,
        "IDEMPOTENCY_CONFLICT": 4,
        "SCHEMA_UNSUPPORTED": 5,
        "FIELD_MISSING": 6,
        "OUT_OF_RANGE": 7,
        "TIME_OUT_OF_RANGE": 8,
        "NOT_FINITE": 9,
        "FIELD_UNKNOWN": 10,
        "TYPE_MISMATCH": 11,
        "NOT_OWNER": 12,
    }
    assert [Milestone[name] for name in ("ORDERED", "DEPARTED", "ARRIVED", "DELIVERED")] == [
        10,
        20,
        30,
        50,
    ]


def test_every_type_of_value_has_one_that_says_it_is_absent():
    assert BLANKS.keys() == set(Dtype)
