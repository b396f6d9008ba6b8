"""The past folded: a retraction that is only thought of does what it would do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import T0, Ledger, cut, message
from tests.twin.plain import event_hash
from tests.twin.test_course import chains, row_of
from tests.twin.test_order import sizes
from tests.twin.test_retraction import withdrawn
from twin.chain import gather, select
from twin.merge import HEAD
from twin.past import refold
from twin.retraction import Withdrawal, event_of


@given(withdrawn(), sizes, st.data())
def test_what_a_preview_says_is_what_the_retraction_does(given_, sizes, data):
    rule, events = given_
    ledger = Ledger(rule)
    for batch in cut(events, sizes):
        ledger.offer(message(*batch))
    found = list(chains(ledger))
    if not found:
        return
    kind, row, chain = data.draw(st.sampled_from(found))
    i = data.draw(st.integers(0, chain.size - 1))
    ranks = ledger.state.ranks()
    target = event_of(chain.frame, "hash", i)
    rank = int(ranks[chain.column("source")[i]])
    thought = Withdrawal(target, (0, 0, *target[2:]), (T0 + 100, rank, 0))
    previewed = refold(kind, chain, np.array([row]), ranks, extra=[thought])

    original = events_by_hash(ledger, events)[target[:2]]
    retraction = {
        **{k: v for k, v in original.items() if k not in {"retracts", "corrects"}},
        "id": "last",
        "time": T0 + 100,
        "data": {},
        "retracts": original["id"],
    }
    ledger.offer(message(retraction))

    held = ledger.state.kinds[kind]
    assert row_of(held, row) == row_of(previewed, 0)
    again = select(gather([int(held.table.cell(HEAD, row))], ledger.read))
    assert row_of(refold(kind, again, np.array([row]), ledger.state.ranks()), 0) == row_of(
        previewed, 0
    )


def events_by_hash(ledger, events):
    """Return the journaled event of each hash."""
    told = {}
    for one in events:
        known = ledger.state.seen.find(hash_of(one))
        if known.entry[0] >= 0 and not known.reason[0]:
            told.setdefault(tuple(hash_of(one)[0].tolist()), one)
    return told


def hash_of(one):
    return np.array([event_hash("demo", one["source"], one["id"])], np.uint64)
