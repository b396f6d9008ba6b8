"""The compiled passes of admission and merging against their plain forms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.twin import plain
from twin.judge import repeat
from twin.kernels import chain, compete
from twin.kinds import ABSENT
from twin.outcomes import Outcome, Reason
from twin.slots import room

outcomes = st.sampled_from(["APPLIED", "APPLIED", "PARKED", "REJECTED"])
ids, few = st.integers(0, 5), st.integers(0, 2)


@st.composite
def offers(draw):
    events = draw(st.lists(st.tuples(ids, few, outcomes), max_size=12))
    known = draw(st.dictionaries(ids, st.tuples(few, st.sampled_from(["APPLIED", "PARKED"]))))
    return (
        [(id_, content, outcome, why(outcome)) for id_, content, outcome in events],
        {id_: (content, outcome, why(outcome)) for id_, (content, outcome) in known.items()},
    )


def why(outcome):
    return {"PARKED": "OUT_OF_RANGE", "REJECTED": "BAD_ID"}.get(outcome, "NONE")


@given(offers())
def test_what_repeats_what_is_what_a_dict_says(given_):
    events, known = given_
    before = [known.get(id_, (0, "APPLIED", "NONE")) for id_, *_ in events]
    hash_ = np.array([(7 * id_, id_) for id_, *_ in events], np.uint64).reshape(-1, 2)
    outcome = np.array([Outcome[e[2]] for e in events], np.int8)
    reason = np.array([Reason[e[3]] for e in events], np.int8)
    twin = np.full(len(events), -1, np.int64)
    repeat(
        room(len(events)),
        hash_,
        np.array([e[1] for e in events], np.uint64),
        outcome,
        reason,
        np.array([0 if e[0] in known else -1 for e in events], np.int32),
        np.array([b[0] for b in before], np.uint64),
        np.array([Outcome[b[1]] for b in before], np.int8),
        np.array([Reason[b[2]] for b in before], np.int8),
        twin,
    )
    told = [
        (Outcome(o).name, Reason(r).name, t)
        for o, r, t in zip(outcome.tolist(), reason.tolist(), twin.tolist(), strict=True)
    ]

    assert told == plain.repeats(events, known)


@given(st.lists(st.lists(st.tuples(few, few, few, few), max_size=8), max_size=3))
def test_the_latest_fact_wins_as_a_plain_comparison_says(batches):
    rank, model = [1, 0, 1], {}
    places = 3
    time, seen = np.full(places, ABSENT), np.zeros(0, np.uint64)
    offset, source = np.full(places, -1), np.full(places, -1, np.int32)
    sure, first = np.full(places, np.nan, np.float32), 0
    for batch in batches:
        n = len(batch)
        columns = np.array(batch, np.int64).reshape(n, 4)
        won = np.empty(n, np.bool_)
        compete(
            np.arange(n),
            columns[:, 0].copy(),
            first,
            columns[:, 1].copy(),
            columns[:, 2].astype(np.int32),
            np.stack([columns[:, 3], columns[:, 3]], 1).astype(np.uint64),
            np.ones(n, np.float32),
            np.array(rank, np.int64),
            np.arange(seen.size),
            seen,
            time,
            offset,
            source,
            sure,
            won,
        )
        assert won.tolist() == plain.compete(model, batch, rank)
        first += n
        seen = np.concatenate([seen, columns[:, 3].astype(np.uint64)])
    held = {p: [time[p], source[p], seen[offset[p]]] for p in range(places) if source[p] >= 0}
    assert held == model


@given(st.lists(few, max_size=9), st.dictionaries(few, st.integers(0, 9)))
def test_the_event_before_each_is_the_newest_of_its_row(rows, newest):
    prev = np.array([newest.get(row, -1) for row in rows], np.int64)
    chain(room(len(rows)), np.array(rows, np.int64), np.arange(10, 10 + len(rows)), prev)

    assert prev.tolist() == plain.chained(dict(newest), rows, 10)
