"""What the journal alone must be able to tell: the state, and the history of each twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import NOW, Ledger, arrived, cut, event, message, ruled
from tests.twin.test_order import sizes
from twin import checkpoint
from twin.contracts import CONTRACTS
from twin.errors import JournalCorrupt
from twin.frames import column_texts
from twin.kinds import ABSENT
from twin.merge import HEAD
from twin.outcomes import Outcome


@given(ruled, sizes, st.integers(1, 9))
def test_replay_arrives_at_the_same_state_whatever_the_runs(ruled, sizes, run):
    rule, events = ruled
    live = arrived(*cut(events, sizes), rule=rule)

    again = live.replayed(run)
    assert again.digests() == live.digests()
    assert again.state.outcomes.tolist() == live.state.outcomes.tolist()
    assert (again.state.now, again.state.newest) == (live.state.now, live.state.newest)


@given(ruled, sizes, st.integers(1, 9), st.data())
def test_a_checkpoint_and_the_tail_are_the_whole_journal(ruled, sizes, run, data):
    rule, events = ruled
    batches = cut(events, sizes)
    at = data.draw(st.integers(0, len(batches)))
    live = arrived(*batches[:at], rule=rule)
    raw = checkpoint.write(*checkpoint.capture(live.state), 1)
    for batch in batches[at:]:
        live.offer(message(*batch))

    again = live.replayed(run, checkpoint.restore(raw, rule))
    assert again.digests() == live.digests()
    assert again.state.outcomes.tolist() == live.state.outcomes.tolist()
    assert again.offer(message(*events)) == live.offer(message(*events)) if events else True


@given(ruled, sizes)
def test_a_restored_shard_answers_a_retry_as_it_did_before(ruled, sizes):
    rule, events = ruled
    live = arrived(*cut(events, sizes), rule=rule)
    raw = checkpoint.write(*checkpoint.capture(live.state), 1)
    again = Ledger(rule, checkpoint.restore(raw, rule))

    if events:
        assert again.offer(message(*events)) == live.offer(message(*events))


@given(ruled, sizes)
def test_the_chain_leads_through_every_event_of_a_twin(ruled, sizes):
    rule, events = ruled
    live = arrived(*cut(events, sizes), rule=rule)

    before, of = {}, {}
    for frame in live.frames():
        kinds = {name: held.keys.names().list() for name, held in live.state.kinds.items()}
        for i in range(frame.size):
            before[frame.first + i] = int(frame.columns["prev"][i])
            if frame.columns["reason"][i] == 0:
                name = CONTRACTS[frame.columns["contract"][i]].kind
                of.setdefault((name, kinds[name][frame.columns["row"][i]]), []).append(
                    frame.first + i
                )
    for kind, held in live.state.kinds.items():
        for row, name in enumerate(held.keys.names().list()):
            walked, at = [], held.table.cell(HEAD, row)
            while at >= 0:
                walked.append(at)
                at = before[at]
            assert walked == of[kind, name][::-1]


def test_a_clock_that_is_set_back_does_not_turn_the_journal_round():
    ledger = Ledger()
    for now, name in ((NOW + 5, "a"), (NOW, "b"), (NOW + 9, "c")):
        ledger.offer(message(event(id=name)), now=now)

    assert [frame.ingest_time for frame in ledger.frames()] == [NOW + 5, NOW + 5, NOW + 9]


def test_a_frame_keeps_who_wrote_it_and_the_ids_as_they_came():
    ledger = arrived([event(id="a.1"), event(id="b:2", subject="S2")])
    frame = ledger.frames()[0]

    assert column_texts(frame.columns, "id").list() == ["a.1", "b:2"]
    assert ledger.state.lexicon.words(frame.columns["writer"]) == ["tester", "tester"]


def test_what_parked_is_kept_as_it_came():
    ledger = arrived([event(id="a", data={"lat": 99.0, "lon": 5.0})])
    frame = ledger.frames()[0]

    assert b"\xcb" + np.array(99.0, ">f8").tobytes() in frame.columns["raw.content"].tobytes()
    assert frame.columns["row"].tolist() == [-1]


def test_an_empty_shard_restarts_from_its_checkpoint_and_takes_events():
    raw = checkpoint.write(*checkpoint.capture(Ledger().state), 1)
    ledger = Ledger(state=checkpoint.restore(raw, Ledger().rule))

    assert ledger.offer(message(event()))[0][0] == "APPLIED"


def test_any_wrong_byte_of_a_checkpoint_is_noticed(rng):
    live = arrived([event(id="a"), event(id="b", subject="S2")])
    raw = checkpoint.write(*checkpoint.capture(live.state), 1)

    for _ in range(300):
        bad = bytearray(raw)
        bad[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        with pytest.raises(JournalCorrupt):
            checkpoint.restore(bytes(bad), live.rule)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 4096, 65536])
def test_a_frame_of_any_size_is_read_back(size):
    events = [event(id=f"e{i}", subject=f"S{i % 300}") for i in range(size)]
    live = arrived(events)

    assert live.frames()[0].size == size
    assert live.replayed().digests() == live.digests()


def test_outcomes_count_every_event_once():
    live = arrived([event(id="a"), event(id="a"), event(id="b", data={}), event(id="../c")])

    counts = dict(zip(Outcome, live.state.outcomes.tolist(), strict=True))
    assert counts[Outcome.APPLIED] == 1
    assert counts[Outcome.PARKED] == 1
    assert ABSENT not in live.state.outcomes
