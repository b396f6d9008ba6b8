"""Contracts as tables: what any of them must hold to, and that they are those last exported."""

import json
from pathlib import Path

import pytest

from twin.compat import breaches
from twin.contracts import CONTRACTS, COUNTED, MOVED, STEPS
from twin.delays import REASONS
from twin.kinds import KINDS, Dtype, Merge
from twin.promises import EVENT_TIME, MOST_CHANGE, Carry
from twin.schema import schemas
from twin.upcast import unsound

FOLDER = Path(__file__).parents[2] / "contracts"


def of(kind, name):
    return next(group for group in KINDS[kind].groups if group.name == name)


def test_the_exported_contracts_are_those_of_this_program():
    exported = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}

    assert breaches(exported, schemas()) == []
    assert exported == json.loads(json.dumps(schemas())), "run `twin contracts export`"


def test_every_step_turns_a_good_event_into_a_good_event():
    assert unsound(CONTRACTS, STEPS) == []


@pytest.mark.parametrize("contract", CONTRACTS, ids=[c.name for c in CONTRACTS])
def test_a_value_keeps_its_unit_from_the_payload_to_the_twin(contract):
    promised = {promise.name: promise for promise in contract.payload}
    for name, says in contract.sets.items():
        group = of(contract.kind, name)
        units = {field.name: field.unit for field in group.fields}
        units |= dict.fromkeys((COUNTED, MOVED), group.fields[0].unit)
        for field, source in says.items():
            if isinstance(source, str) and source != EVENT_TIME:
                assert promised[source].unit == units[field]


def test_every_field_of_every_kind_is_set_by_some_contract():
    for kind in KINDS.values():
        for group in kind.groups:
            says = [
                c.sets[group.name]
                for c in CONTRACTS
                if c.kind == kind.name and group.name in c.sets
            ]
            told = {field for one in says for field in one}
            wanted = (
                {COUNTED, MOVED} if group.merge is Merge.LEVEL else {f.name for f in group.fields}
            )
            assert told == wanted, f"{kind.name}.{group.name}"


def test_what_a_sum_adds_is_an_integer_that_cannot_overflow_it():
    for contract in CONTRACTS:
        promised = {promise.name: promise for promise in contract.payload}
        for name, says in contract.sets.items():
            if of(contract.kind, name).merge is not Merge.SUM:
                continue
            for source in says.values():
                promise = promised[source]
                assert promise.dtype is Dtype.INTEGER
                assert -MOST_CHANGE <= promise.least <= promise.most <= MOST_CHANGE


def test_what_is_furthest_is_known_of_every_event_that_competes():
    for contract in CONTRACTS:
        required = {promise.name for promise in contract.payload if promise.required}
        for name, says in contract.sets.items():
            group = of(contract.kind, name)
            if group.merge in {Merge.MAX, Merge.MIN}:
                assert len(group.fields) == 1
                (source,) = says.values()
                assert not isinstance(source, str) or source in required
                assert group.fields[0].dtype is not Dtype.NUMBER  # keys are integers


def test_only_older_versions_convert():
    for contract in CONTRACTS:
        later = [c for c in CONTRACTS if c.type == contract.type and c.version > contract.version]
        converted = [
            s for says in contract.sets.values() for s in says.values() if isinstance(s, Carry)
        ]
        assert later or not converted


def test_every_contract_says_what_its_events_mean():
    assert all(contract.meaning.endswith(".") for contract in CONTRACTS)
    assert all(len(contract.meaning) < 100 for contract in CONTRACTS)


def test_reasons_of_delays_are_those_of_the_published_list():
    assert len(REASONS) == 32
    assert [code for code in REASONS if code[:2] not in {"AD", "UD"}] == []
    assert list(REASONS) == sorted(REASONS)
