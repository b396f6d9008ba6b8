"""The story of a twin: its steps against the columns, and against folding every prefix anew."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import Ledger, cut, message
from tests.twin.test_order import sizes
from tests.twin.test_retraction import withdrawn
from twin.chain import gather, select
from twin.merge import HEAD, TENANT
from twin.past import refold
from twin.story import Story


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
        story = Story(kind, chain, ranks)
        rows = story.rows(story.by_arrival())
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
        story = Story(kind, chain, ranks)
        steps = story.by_time()
        rows = story.rows(steps)
        times = chain.column("time")[steps.event].tolist()
        for at in set(times):
            last = len(times) - 1 - times[::-1].index(at)
            expected = row_of(refold(kind, chain, np.array([row]), ranks, at), 0)
            assert row_of(rows, last) == expected
            assert row_of(story.rows(story.at(at)), 0) == expected
