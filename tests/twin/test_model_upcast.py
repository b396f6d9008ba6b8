"""Upcasts: events of older versions, replayed for ever and lifted to the newest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    T0,
    Ledger,
    arrived,
    cut,
    decoded,
    event,
    message,
    ruled,
)
from twin import checkpoint, digest, frames
from twin.contracts import CONTRACTS
from twin.kinds import ABSENT, KINDS, Dtype, Milestone
from twin.promises import EVENT_TIME, Carry, Contract, Promise
from twin.upcast import Step, converted, lift, unsound

SINCE = 11  # contracts from this number on came later than the first journals
EARLY = {(contract.kind, group) for contract in CONTRACTS[:SINCE] for group in contract.sets}
LATER = {("shipment", "humidity_pct")} | {  # what came with them: kind, and group or field
    (kind.name, name)
    for kind in KINDS.values()
    for group in kind.groups
    if (kind.name, group.name) not in EARLY
    for name in (group.name, *(field.name for field in group.fields))
}


def condition(version, at, **data):
    return event(id=f"c{at}", type="shipment.condition", version=version, time=T0 + at, data=data)


def field(name, **says):
    return Promise(name, **{"dtype": Dtype.INTEGER, "least": 0.0, "most": 100.0, **says})


def version(number, *payload, **sets):
    return Contract("site.heat", number, "site", "o", payload, sets, "m.")


HEAT = (
    version(1, field("f", dtype=Dtype.NUMBER, unit="degF", least=-40.0, most=212.0)),
    version(2, field("c", dtype=Dtype.NUMBER, unit="degC", least=-40.0, most=100.0)),
    version(
        3,
        field("c", dtype=Dtype.NUMBER, unit="degC", least=-50.0, most=100.0),
        field("wet", required=False),
        heat={"c": "c", "seen": EVENT_TIME, "step": Milestone.ORDERED, "wet": "wet"},
        damp={"wet": "wet"},
    ),
)
HEAT_STEPS = (
    Step("site.heat", 1, {"c": Carry("f", 5 / 9, -160 / 9)}),
    Step("site.heat", 2, {"wet": None}),
)


def test_an_older_version_says_what_the_newest_says_of_what_it_carries():
    first, second, third = lift(HEAT, HEAT_STEPS)

    rest = {"seen": EVENT_TIME, "step": Milestone.ORDERED}
    assert second.sets == {"heat": {"c": "c", **rest}}
    assert first.sets == {"heat": {"c": Carry("f", 5 / 9, -160 / 9), **rest}}
    assert third.sets == HEAT[2].sets
    assert unsound(HEAT, HEAT_STEPS) == []


def test_two_conversions_are_one():
    steps = (
        Step("site.heat", 1, {"c": Carry("f", 2.0, 3.0)}),
        Step("site.heat", 2, {"c": Carry("c", 10.0, 1.0), "wet": None}),
    )

    assert lift(HEAT, steps)[0].sets["heat"]["c"] == Carry("f", 20.0, 31.0)


def test_a_version_without_a_step_is_a_mistake():
    with pytest.raises(ValueError, match="no step leads from site"):
        lift(HEAT, HEAT_STEPS[:1])


@pytest.mark.parametrize(
    ("new", "steps", "what"),
    [
        (field("wet", dtype=Dtype.TEXT), {"wet": Carry("f")}, "is a text, and was a integer"),
        (field("wet"), {}, "is required, and older events do not say it"),
        (field("wet"), {"wet": Carry("maybe")}, "is required, and older events need not say it"),
        (field("wet"), {"wet": Carry("g")}, "is carried from g, which there is not"),
        (field("f", most=99.0), {}, "ranges from 0 to 99, older events to 0..100"),
        (field("wet"), {"wet": Carry("f", -1.0)}, "ranges from 0 to 100, older events to -100..0"),
        (field("f", unit="kg"), {}, "is in kg, and was in no unit"),
        (
            field("word", dtype=Dtype.TEXT, among={"a": "A"}),
            {},
            "may no longer be what older events say",
        ),
    ],
)
def test_a_step_that_would_make_a_bad_event_is_told(new, steps, what):
    old = version(
        1,
        field("f"),
        field("maybe", required=False),
        field("word", dtype=Dtype.TEXT, among={"a": "A", "b": "B"}),
    )

    (told,) = unsound([old, version(2, new)], [Step("site.heat", 1, steps)])
    assert told.endswith(f"{new.name} {what}")


def test_a_step_of_no_version_is_told():
    assert unsound(HEAT, [Step("site.heat", 3)]) == ["site.heat: no versions 3 and 4"]


def test_what_is_absent_stays_absent_when_it_is_converted():
    whole = converted(np.array([ABSENT, 3, -3]), Carry("x", 0.5, 0.1))
    parts = converted(np.array([np.nan, 1.0]), Carry("x", 2.0, 1.0))

    assert whole.tolist() == [ABSENT, 2, -1]
    assert parts.tolist()[1] == 3.0
    assert np.isnan(parts[0])


@given(st.permutations([condition(1, 0, temp_c=1.0), condition(2, 1, temp_c=2.0, humidity_pct=40)]))
def test_versions_of_a_type_compete_for_the_same_values(events):
    told = decoded(arrived(*[[one] for one in events]).state)["shipment"]["demo/S1"]

    assert (told["temp_c"], told["humidity_pct"]) == (2.0, 40.0)


def test_the_newest_event_decides_all_fields_also_where_its_version_lacks_one():
    both = [condition(2, 0, temp_c=2.0, humidity_pct=40), condition(1, 1, temp_c=1.0)]
    told = decoded(arrived(both).state)["shipment"]["demo/S1"]

    assert told["temp_c"] == 1.0
    assert "humidity_pct" not in told


def test_the_journal_keeps_the_version_that_came():
    ledger = arrived([condition(1, 0, temp_c=1.0), condition(2, 1, temp_c=2.0, humidity_pct=40)])
    (frame,) = ledger.frames()

    names = [frame.contracts[number] for number in frame.columns["contract"].tolist()]
    assert names == ["shipment.condition.v1", "shipment.condition.v2"]
    assert frame.columns["data.humidity_pct"].tolist() == [40.0]


def test_a_version_that_nobody_knows_is_parked():
    told = Ledger().offer(message(condition(3, 0, temp_c=1.0)))

    assert [reason for _, reason, _ in told] == ["SCHEMA_UNSUPPORTED"]


def early(events):
    """Those events that a program without the later contracts would have known."""
    names = {(c.type, c.version) for c in CONTRACTS[:SINCE]}
    return [one for one in events if (one["type"], one["version"]) in names]


@given(ruled, st.integers(1, 5))
def test_a_journal_of_older_contracts_is_replayed(ruled, run):
    rule, events = ruled
    live = arrived(*cut(early(events), [3]), rule=rule)
    old = Ledger(rule)
    for frame in live.frames():
        assert frame.columns["contract"].max() < SINCE
        old.raws.append(frames.encode(frame._replace(contracts=frame.contracts[:SINCE])))

    assert old.replayed(run).digests() == live.digests()


@given(ruled)
def test_a_checkpoint_of_older_kinds_is_restored(ruled):
    rule, events = ruled
    live = arrived(*cut(early(events), [4]), rule=rule)
    shot, extra = checkpoint.capture(live.state)
    frame = frames.read(memoryview(checkpoint.write(shot, extra, 1)), 0).frame
    columns = {name: column for name, column in frame.columns.items() if name[-5:] != ".rows"}
    for kind, table in shot.tables.items():  # whole columns, and of groups of that time
        for name in table.blanks:
            columns[f"{kind}/{name}"] = table.column(name)
            if {(kind, name), (kind, name.partition(".")[0])} & LATER:
                del columns[f"{kind}/{name}"]
    old = frames.encode(frame._replace(columns=columns))

    assert Ledger(rule, checkpoint.restore(old, rule)).digests() == live.digests()


def test_a_digest_does_not_change_when_a_kind_gets_groups_and_fields(monkeypatch):
    live = arrived([condition(1, 0, temp_c=1.0), condition(2, 1, temp_c=2.0)])
    shipment = KINDS["shipment"]
    before = digest.digests(live.state.snapshot(), live.state.seen)
    less = [
        group._replace(fields=tuple(f for f in group.fields if f.name != "humidity_pct"))
        for group in shipment.groups
        if group.name not in {"customs", "cancellation"}
    ]

    monkeypatch.setitem(KINDS, "shipment", shipment._replace(groups=tuple(less)))
    assert digest.digests(live.state.snapshot(), live.state.seen) == before
