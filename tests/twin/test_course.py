"""The course of a twin: its turns against the columns, and against folding every prefix anew."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import DAY, T0, Ledger, cut, message
from tests.twin.post import Receivers, emptied, expected, lives, shelves
from tests.twin.test_order import sizes
from tests.twin.test_retraction import withdrawn
from twin.chain import gather, select
from twin.course import Course
from twin.kinds import ABSENT
from twin.merge import HEAD, TENANT
from twin.past import refold


def chains(ledger):
    """Yield (kind, row, chain) of every twin of a ledger."""
    for kind, held in ledger.state.kinds.items():
        for row in range(held.keys.size):
            picked = gather([int(held.table.cell(HEAD, row))], ledger.read)
            yield kind, row, select(picked)


def row_of(held, row):
    """Return what a row of a table says, but where its chain is."""
    names = [name for name in held.table.blanks if name not in {HEAD, TENANT}]
    said = {name: held.table.cell(name, row) for name in names if not name.endswith(".tie")}
    return {name: None if value != value else value for name, value in said.items()}  # noqa: PLR0124


@given(withdrawn(), st.randoms(use_true_random=False), sizes)
def test_each_step_is_what_the_events_up_to_it_come_to(given_, shuffle, sizes):
    rule, events = given_
    ledger = Ledger(rule)
    for batch in cut(shuffle.sample(events, len(events)), sizes):
        ledger.offer(message(*batch))
    ranks = ledger.state.ranks()
    for kind, row, chain in chains(ledger):
        course = Course(kind, chain, ranks)
        rows = course.rows(course.by_arrival())
        for i, offset in enumerate(chain.offset.tolist()):
            known = select(gather([offset], ledger.read))
            expected = refold(kind, known, np.array([row]), ranks)
            assert row_of(rows, i) == row_of(expected, 0)
        assert row_of(rows, chain.size - 1) == row_of(ledger.state.kinds[kind], row)


@given(withdrawn(), st.randoms(use_true_random=False), sizes)
def test_each_step_by_event_time_is_what_was_true_then(given_, shuffle, sizes):
    rule, events = given_
    ledger = Ledger(rule)
    for batch in cut(shuffle.sample(events, len(events)), sizes):
        ledger.offer(message(*batch))
    ranks = ledger.state.ranks()
    for kind, row, chain in chains(ledger):
        course = Course(kind, chain, ranks)
        turns = course.by_time()
        rows = course.rows(turns)
        times = chain.column("time")[turns.event].tolist()
        for at in set(times):
            last = len(times) - 1 - times[::-1].index(at)
            expected = row_of(refold(kind, chain, np.array([row]), ranks, at), 0)
            assert row_of(rows, last) == expected
            assert row_of(course.rows(course.at(at)), 0) == expected


def told_as_it_goes(given_):
    """Return receivers whose derived events came one after each change, revisions and all."""
    shipments, stocks = given_
    sender, receivers = Ledger(), Receivers()
    for one in stocks:
        receivers.of["stock"].offer(message(one))
    for one in shipments:
        sender.offer(message(one))
        emptied(sender.state, receivers)
    return receivers


@given(st.tuples(lives(), shelves()))
def test_derived_events_count_in_each_step_as_by_their_revisions_known_then(given_):
    receivers = told_as_it_goes(given_)
    for ledger in receivers.of.values():
        ranks = ledger.state.ranks()
        for kind, row, chain in chains(ledger):
            course = Course(kind, chain, ranks)
            rows = course.rows(course.by_arrival())
            for i, offset in enumerate(chain.offset.tolist()):
                known = select(gather([offset], ledger.read))
                expected = refold(kind, known, np.array([row]), ranks)
                assert row_of(rows, i) == row_of(expected, 0)
            assert row_of(rows, chain.size - 1) == row_of(ledger.state.kinds[kind], row)


@given(st.tuples(lives(), shelves()), st.integers(-4, 3))
def test_derived_facts_after_a_moment_were_not_true_then(given_, half_days):
    at = T0 + half_days * DAY // 2
    receivers = told_as_it_goes(given_)
    stock, suppliers = expected(*given_, at)
    for ledger in receivers.of.values():
        ranks = ledger.state.ranks()
        for kind, row, chain in chains(ledger):
            name = ledger.state.kinds[kind].keys.name(row)
            state = refold(kind, chain, np.array([row]), ranks, at)
            held = state.table
            course = Course(kind, chain, ranks)
            assert row_of(course.rows(course.at(at)), 0) == row_of(state, 0)
            if kind == "stock":
                assert held.cell("on_hand", 0) == stock.get(name, ABSENT)
            if kind == "supplier":
                told = held.cell("delivered_shipments", 0), held.cell("late_shipments", 0)
                assert told == suppliers.get(name, (ABSENT, ABSENT))
