"""Changes of random histories, held against an oracle that knows no columns: plain Python.

What a subscriber is told, put together, is at each commit what is true of the twins that match.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ring import moment_of
from serving.encode import fields_of
from serving.telling import Teller
from serving.topics import Judged, Question, Topic, batches
from tests.twin.histories import (
    NOW,
    SHIPMENTS,
    SITES,
    SUPPLIERS,
    T0,
    Ledger,
    cut,
    event,
    message,
    order,
    shipments,
    stocks,
    suppliers,
)
from tests.twin.oracle import Oracle
from tests.twin.test_order import sizes
from tests.twin.test_retraction import withdrawn
from twin import changes
from twin.changes import Needs
from twin.filters import compile_filter
from twin.kinds import KINDS, Milestone
from twin.membership import Members
from twin.query import View
from twin.transition import State


def is_(field, test):
    return lambda twin: field in twin and test(twin[field])


# kind, filter, the same in Python, fields
ASKED = [
    ("shipment", "", lambda _: True, []),
    ("shipment", "", lambda _: True, ["lat", "on_time"]),
    ("shipment", "lat > 0.5", is_("lat", lambda v: v > 0.5), ["lat", "lon"]),
    ("shipment", "lat > 0.5", is_("lat", lambda v: v > 0.5), ["temp_c", "supplier"]),
    ("shipment", "NOT quantity > 0", is_("quantity", lambda v: not v > 0), ["status", "quantity"]),
    (
        "shipment",
        "supplier = 'SUP1' OR temp_c < -1",
        lambda t: t.get("supplier") == "SUP1" or t.get("temp_c", 0) < -1,
        [],
    ),
    ("shipment", "status >= 'ARRIVED'", is_("status", lambda v: v >= 30), ["customs_status"]),
    ("shipment", "id = 'S2'", None, ["lat"]),
    ("shipment", "delivered_at IS KNOWN", is_("delivered_at", lambda _: True), ["delivered_at"]),
    ("stock", "on_hand > 3", is_("on_hand", lambda v: v > 3), []),
    ("stock", "reserved < 0", is_("reserved", lambda v: v < 0), ["on_hand"]),
    ("stock", "", lambda _: True, ["on_hand", "reserved", "product"]),
    ("site", "status = 'open'", is_("status", lambda v: v == "open"), ["capacity"]),
    ("supplier", "lead_time_days >= 1", is_("lead_time_days", lambda v: v >= 1), []),
]


def judged(kind, where, fields, tenant="demo"):
    names = tuple(fields_of(kind, fields))
    question = Question(kind, tenant, where, names, b"")
    teller = Teller("shipment/east/0", 1, names)
    found = compile_filter(kind, where)
    return Judged(question, found, teller, changes.needs_of(kind, found, names))


def beginning(asked, state):
    """Return a topic of the twins that match in a state."""
    view = View(state.live(), asked.question.kind, asked.question.tenant, "east", NOW)
    return Topic(asked, Members(np.flatnonzero(asked.filter.mask(view))), state.next)


def moments(ledger, state, needs):
    """Commit what a ledger journaled, from a state on; yield (the offset behind it, moment)."""
    for frame in ledger.frames():
        if frame.first >= state.next:
            outcome = state.commit(frame, ledger.read)
            yield state.next, moment_of(state, needs, frame, outcome)


def told(topic, some, lexicon):
    """Return the changes that some moments come to, judged at once."""
    entries = [
        entry
        for kind, batch, held in batches([m for m in some if m is not None], lexicon, "east")
        if kind == topic.asked.question.kind
        for entry in topic.judge(batch, held, NOW, topic.at)
    ]
    for before, after in pairwise(entries):
        assert before.end <= after.end
    assert all(entry.reply.offset == entry.end for entry in entries)
    return [change for entry in entries for change in entry.reply.changes]


def plain(field, value):
    held = value.WhichOneof("value")
    found = getattr(value, held)
    if held == "flag":
        found = int(found)
    elif field == "status" and found in Milestone.__members__:
        found = int(Milestone[found])
    return found, value.as_of, value.source, pytest.approx(value.confidence)


class Mirror:
    """What a subscriber knows who believes all that it is told."""

    def __init__(self):
        self.twins = {}

    def take(self, changes):
        for one in changes:
            id, values = one.twin.id, {n: plain(n, v) for n, v in one.twin.values.items()}
            assert one.twin.key.endswith(f"/{id}")
            if one.change == "entered":
                assert id not in self.twins
                self.twins[id] = values
            elif one.change == "left":
                del self.twins[id]
                assert not values
            else:
                assert values or one.absent
                self.twins[id] |= values
                for name in one.absent:
                    self.twins[id].pop(name, None)


def expected(truth, kind, holds, fields):
    """Return id -> field -> (value, as_of, source, confidence) of the twins that match."""
    found = {}
    for name, twin in truth.get(kind, {}).items():
        if holds is None or holds(twin):
            found[name.partition("/")[2]] = {
                field.name: (
                    twin[field.name],
                    twin[f"{group.name}.as_of"],
                    twin[f"{group.name}.source"],
                    twin[f"{group.name}.confidence"],
                )
                for group in KINDS[kind].groups
                for field in group.fields
                if field.name in fields and field.name in twin
            }
    return found


def known(twins):
    return {id: values for id, values in twins.items() if values}


some_history = st.one_of(
    withdrawn(),
    st.tuples(st.just(SHIPMENTS), shipments),
    st.tuples(st.just(SITES), stocks),
    st.tuples(st.just(SUPPLIERS), suppliers),
)


@st.composite
def cases(draw):
    rule, events = draw(some_history)
    some = [one for one in ASKED if one[0] in rule.kinds]
    return rule, cut(events, draw(sizes)), draw(st.sampled_from(some)), draw(st.sampled_from(some))


def needs_of(*asked):
    """Return what listeners of several questions need together."""
    needs = {}
    for one in asked:
        kind = one.question.kind
        needs[kind] = needs.get(kind, Needs()) | one.needs
    return needs


@given(cases())
def test_what_is_told_is_at_each_commit_what_is_true_of_the_twins_that_match(case):
    rule, cuts, (kind, where, holds, fields), other = case
    if where == "id = 'S2'":
        holds = None
    asked = judged(kind, where, fields)
    needs = needs_of(asked, judged(other[0], other[1], other[3]))
    ledger, oracle, mirror = Ledger(rule), Oracle(), Mirror()
    state, topic = State(rule), None
    for events in cuts:
        size = len(ledger.raws)
        ledger.offer(message(*events))
        for one in events:
            oracle.take(one)
        topic = topic or beginning(asked, state)
        before = set(mirror.twins)
        first = state.next
        for end, moment in moments(ledger, state, needs):
            changes = told(topic, [moment], state.lexicon)
            topic.at = end
            mirror.take(changes)
            assert all(first <= one.offset < end == one.twin.offset for one in changes)
            assert len({one.twin.id for one in changes}) == len(changes)
            assert [one.offset for one in changes] == sorted(one.offset for one in changes)
        truth = expected(oracle.truth(), kind, holds, asked.question.fields)
        if where == "id = 'S2'":
            truth = {id: values for id, values in truth.items() if id == "S2"}
        assert known(mirror.twins) == known(truth)
        if size == len(ledger.raws):
            assert set(mirror.twins) == before  # nothing was journaled


@given(cases(), st.data())
def test_however_many_commits_are_judged_at_once_the_same_is_told(case, data):
    rule, cuts, (kind, where, _, fields), other = case
    asked = judged(kind, where, fields)
    needs = needs_of(asked, judged(other[0], other[1], other[3]))
    ledger = Ledger(rule)
    for events in cuts:
        ledger.offer(message(*events))
    state = State(rule)
    topic, apart = beginning(asked, state), beginning(asked, state)
    every = [moment for _, moment in moments(ledger, state, needs)]

    one_by_one = [change for m in every for change in told(apart, [m], state.lexicon)]
    together, at = [], 0
    while at < len(every):
        size = data.draw(st.integers(1, len(every) - at))
        together += told(topic, every[at : at + size], state.lexicon)
        at += size

    assert together == one_by_one
    assert topic.members.rows().tolist() == apart.members.rows().tolist()
    assert beginning(asked, state).members.rows().tolist() == apart.members.rows().tolist()


@given(cases())
def test_what_others_listen_to_changes_nothing_of_what_one_is_told(case):
    rule, cuts, (kind, where, _, fields), other = case
    asked = judged(kind, where, fields)
    ledger = Ledger(rule)
    for events in cuts:
        ledger.offer(message(*events))
    found = []
    for needs in (needs_of(asked), needs_of(asked, judged(other[0], other[1], other[3]))):
        state = State(rule)
        topic = beginning(asked, state)
        some = [moment for _, moment in moments(ledger, state, needs)]
        found.append([change for one in some for change in told(topic, [one], state.lexicon)])
    assert found[0] == found[1]


@given(cases(), st.data(), st.integers(1, 5))
def test_going_on_anywhere_tells_what_was_told_without_a_break(case, data, run):
    rule, cuts, (kind, where, _, fields), _ = case
    asked = judged(kind, where, fields)
    ledger = Ledger(rule)
    for events in cuts:
        ledger.offer(message(*events))
    state = State(rule)
    topic = beginning(asked, state)
    needs = needs_of(asked)
    ends, whole = [0], [[]]
    for end, moment in moments(ledger, state, needs):
        ends.append(end)
        whole.append(told(topic, [moment], state.lexicon))
    at = data.draw(st.integers(0, len(ends) - 1))

    early = Ledger(rule)
    early.raws = ledger.raws[:at]
    again = early.replayed(run).state  # as recovery would, frames joined
    later = beginning(asked, again)
    rest = [
        change
        for _, moment in moments(ledger, again, needs)
        for change in told(later, [moment], again.lexicon)
    ]
    assert rest == [change for changes in whole[at + 1 :] for change in changes]


def stream(asked, *batches_):
    """Return (change, id, fields, absent) of what is told of each batch."""
    ledger = Ledger(SHIPMENTS)
    state, needs = State(SHIPMENTS), needs_of(asked)
    topic, found = beginning(asked, state), []
    for events in batches_:
        ledger.offer(message(*events))
        for _, moment in moments(ledger, state, needs):
            changes = told(topic, [moment], state.lexicon)
            found.append(
                [(c.change, c.twin.id, sorted(c.twin.values), list(c.absent)) for c in changes]
            )
    return found


def at(later_us, id, lat):
    return event(id=id, time=T0 + later_us, data={"lat": lat, "lon": 2.0})


def test_a_twin_that_a_retraction_blanks_is_told_as_absent():
    asked = judged("shipment", "", ["lat", "status"])
    assert stream(
        asked,
        [at(0, "p", 1.0)],
        [event(id="r", data={}, retracts="p")],
    ) == [
        [("entered", "S1", ["lat"], [])],
        [("changed", "S1", [], ["lat", "status"])],
    ]


def test_a_fact_that_loses_changes_nothing_and_is_not_told():
    asked = judged("shipment", "", ["lat"])
    late = at(-1, "late", 9.0)
    assert stream(asked, [at(0, "p", 1.0)], [late]) == [[("entered", "S1", ["lat"], [])], []]


def test_only_what_was_asked_for_is_told_also_where_the_filter_reads_more():
    asked = judged("shipment", "lat > 0.5", ["supplier"])
    assert stream(
        asked,
        [at(0, "a", 1.0)],
        [at(1, "b", 2.0)],
        [order() | {"id": "o"}],
        [at(2, "c", 0.0)],
    ) == [
        [("entered", "S1", [], [])],
        [],
        [("changed", "S1", ["supplier"], [])],
        [("left", "S1", [], [])],
    ]


def test_a_twin_of_another_tenant_is_never_told():
    asked = judged("shipment", "", ["lat"], tenant="other")
    assert stream(asked, [at(0, "a", 1.0)], [at(1, "b", 2.0)]) == [[], []]


def test_a_commit_that_is_too_large_for_a_message_comes_in_parts():
    from serving import telling

    asked = judged("shipment", "", [])
    ledger = Ledger(SHIPMENTS)
    orders = [
        order(product="x" * 100, supplier="y" * 100) | {"id": f"e{n}", "subject": f"S{n:05d}"}
        for n in range(2500)
    ]
    ledger.offer(message(*orders))
    ledger.offer(message(at(0, "p", 1.0) | {"subject": "S00000"}))
    state = State(SHIPMENTS)
    topic = beginning(asked, state)
    every = [moment for _, moment in moments(ledger, state, needs_of(asked))]
    ((_, batch, held),) = batches(every, state.lexicon, "east")
    entries = topic.judge(batch, held, NOW, 0)

    assert [entry.reply.more for entry in entries] == [True] * (len(entries) - 2) + [False, False]
    assert {entry.reply.offset for entry in entries[:-2]} == {0}
    assert [entry.reply.offset for entry in entries[-2:]] == [2500, 2501]
    assert sum(len(entry.reply.changes) for entry in entries[:-1]) == 2500
    assert all(entry.reply.ByteSize() < 2 * telling.LARGEST for entry in entries)
    assert [c.change for c in entries[-1].behind(2500).changes] == ["changed"]
