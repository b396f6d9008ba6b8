"""Re-drive: what is parked is judged again, and what now stands is applied, once, for ever."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import (
    DAY,
    GOOD,
    NOW,
    T0,
    Ledger,
    arrived,
    arrow_message,
    decoded,
    event,
    message,
    order,
    position,
    shipments,
    streamed,
    tell,
    words,
)
from twin import frames, redrive
from twin.admission import Rule, admit
from twin.columns import Message
from twin.dedup import Seen
from twin.events import decode_arrow
from twin.outcomes import Outcome, Reason
from twin.receipts import receipts

LATER = NOW + 30 * DAY
AHEAD = {"time": NOW + 2 * DAY}  # breaks its contract today, and keeps it in two days


def quarantined(ledger):
    """Return the events that are parked now, oldest first."""
    known = ledger.state.seen.dump()
    offsets = sorted(known["offset"][known["outcome"] == Outcome.PARKED].tolist())
    found = []
    for offset in offsets:
        frame = ledger.read(offset)
        raws = dict(redrive.parked_in(frame))
        found.append(redrive.parked(frame, offset - frame.first, raws[offset - frame.first]))
    return found


def redriven(ledger, events=None, now=LATER):
    found = quarantined(ledger) if events is None else events
    return ledger.offer(redrive.message(found, "demo", "mender"), now=now) if found else []


def test_what_now_keeps_its_contract_is_applied_and_what_is_still_broken_stays_parked():
    ledger = arrived([event(id="soon", **AHEAD), position(lat=95.0) | {"id": "broken"}])

    told = redriven(ledger)

    assert words(told) == ["APPLIED", "DUPLICATE OUT_OF_RANGE"]
    assert [at for *_, at in told] == [2, 1]
    assert decoded(ledger.state)["shipment"]["demo/S1"]["lat"] == 1.0
    assert [one.row[0] for one in quarantined(ledger)] == ["broken"]


def test_a_redriven_event_keeps_its_source_id_and_time_and_names_the_parked_one():
    ledger = arrived([event(id="e0"), event(id="soon", source="tms", confidence=0.5, **AHEAD)])

    redriven(ledger)

    frame = ledger.frames()[-1]
    columns = frame.columns
    assert columns["redrives"].tolist() == [1]
    assert columns["time"].tolist() == [AHEAD["time"]]
    assert ledger.state.lexicon.word(int(columns["source"][0])) == "tms"
    assert ledger.state.lexicon.word(int(columns["writer"][0])) == "mender"
    assert columns["confidence"].tolist() == [0.5]
    assert redrive.event_ids(frame).list() == ["soon"]


def test_a_redrive_again_does_nothing_and_the_source_itself_is_told_duplicate():
    ledger = arrived([event(**AHEAD)])
    found = quarantined(ledger)
    redriven(ledger, found)

    again = redriven(ledger, found)
    source = ledger.offer(message(event(**AHEAD)), now=LATER)

    assert words(again) == words(source) == ["DUPLICATE"]
    assert [again[0][2], source[0][2]] == [1, 1]
    assert len(ledger.raws) == 2


def test_what_was_replaced_meanwhile_is_not_redriven():
    ledger = arrived([event(**AHEAD)])
    found = quarantined(ledger)
    ledger.offer(message(event()))

    told = redriven(ledger, found)

    assert words(told) == ["DUPLICATE"]
    assert decoded(ledger.state)["shipment"]["demo/S1"]["position.as_of"] == T0


def test_an_event_without_an_id_is_redriven_under_the_one_it_was_given():
    ledger = arrived([event(id="", **AHEAD)])

    assert words(redriven(ledger)) == ["APPLIED"]
    assert words(ledger.offer(message(event(id="", **AHEAD)), now=LATER)) == ["DUPLICATE"]


def test_a_redriven_event_wins_by_its_time_as_if_it_had_never_been_parked():
    newer = event(id="newer", time=NOW + 3 * DAY, data={"lat": 7.0, "lon": 7.0})
    ledger = arrived([event(**AHEAD)])
    ledger.offer(message(newer), now=LATER)

    told = redriven(ledger)

    plain = Ledger()
    plain.offer(message(newer, event(**AHEAD)), now=LATER)
    assert words(told) == ["SUPERSEDED"]
    assert ledger.digests().truth == plain.digests().truth


def test_a_parked_retraction_withdraws_once_it_is_redriven():
    ledger = arrived([event()], [event(id="no", retracts="e1", data={}, **AHEAD)])
    before = decoded(ledger.state)["shipment"]["demo/S1"]

    redriven(ledger)

    assert before["lat"] == 1.0
    assert "lat" not in decoded(ledger.state)["shipment"]["demo/S1"]
    assert ledger.replayed(9).digests() == ledger.digests()


@pytest.mark.parametrize("run", [1, 2, 9])
@given(batches=st.lists(shipments, max_size=4), turns=st.lists(st.booleans(), min_size=4))
def test_replay_of_redriven_events_gives_the_same_state(run, batches, turns):
    ledger = Ledger()
    for number, (events, turn) in enumerate(zip(batches, turns, strict=False)):
        ahead = [
            one | {"id": f"{number}-{one['id']}", "time": one["time"] + 2 * DAY} for one in events
        ]
        if ahead:
            ledger.offer(message(*ahead, event(id=f"ahead-{number}", **AHEAD)))
        if turn:
            redriven(ledger)

    assert ledger.replayed(run).digests() == ledger.digests()


def test_events_that_came_as_arrow_are_kept_whole_and_redriven_like_rows():
    sent = [order(quantity=7.0, ordered_at=T0, **{}) | AHEAD, event(id="e2", **AHEAD)]
    ledger = Ledger()
    ledger.offer(arrow_message(*sent))

    told = redriven(ledger)

    assert words(told) == ["APPLIED", "APPLIED"]
    held = decoded(ledger.state)["shipment"]["demo/S1"]
    assert (held["quantity"], held["ordered_at"]) == (7, T0)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_arrow_timestamps_are_kept_as_microseconds(unit):
    ahead = np.array([AHEAD["time"]], "datetime64[us]").astype(f"datetime64[{unit}]")
    lat, lon = GOOD["data"].values()
    columns = {"time": pa.array(ahead), "lat": [lat], "lon": [lon]}
    columns |= {n: [GOOD[n]] for n in ("id", "source", "type", "subject", "region")}
    ledger = Ledger()
    ledger.offer(Message(decode_arrow(streamed(pa.table(columns))), "demo", "tester"))

    (one,) = quarantined(ledger)

    assert one.row[6] == AHEAD["time"]
    assert words(redriven(ledger)) == ["APPLIED"]


def test_a_dry_run_says_what_would_be_and_changes_nothing():
    ledger = arrived([event(**AHEAD)])
    before = ledger.digests()

    plan = ledger.state.plan([redrive.message(quarantined(ledger), "demo", "me")], 1, LATER)
    told = tell(receipts(plan, np.zeros(plan.frame.size, np.int8))[0])

    assert words(told) == ["APPLIED"]
    assert ledger.digests() == before


@pytest.mark.parametrize(
    ("bad", "field", "expected", "got"),
    [
        (position(lat=95.5), "lat", "<= 90", "95.5"),
        (position(lon=-181), "lon", ">= -180", "-181"),
        (event(data={"lat": 1.0}), "lon", "number", ""),
        (position(altitude=3.0), "altitude", "lat, lon", "3.0"),
        (position(lat=float("nan")), "lat", "number", "nan"),
        (order(quantity="5"), "quantity", "integer", "5"),
        (order(supplier=""), "supplier", "text", ""),
        (event(confidence=1.5), "confidence", "0 to 1", "1.5"),
        (event(time=-1), "time", "1970 to a day ahead of now", "-1"),
        (event(version=7), "type", "shipment.position.v1", "shipment.position.v7"),
        (
            event(type="shipment.smelled"),
            "type",
            "a type that has a contract",
            "shipment.smelled.v1",
        ),
        (
            event(type="site.status", data={"status": "gone"}),
            "status",
            "one of open, limited, closed",
            "gone",
        ),
    ],
)
def test_the_field_that_breaks_the_contract_is_named(bad, field, expected, got):
    offered = message(bad).offered
    rule = Rule("east", ("shipment", "site"), 0, 1)
    reason = Reason(int(admit(offered, "demo", Seen(), rule, NOW).reason[0]))

    (raw,) = offered.raws(np.array([0]))
    assert redrive.flaw(msgspec.msgpack.decode(raw), reason) == (field, expected, got)


def test_a_frame_without_redriven_events_has_no_column_for_them():
    ledger = arrived([event(), position(lat=95.0) | {"id": "p"}])

    assert all("redrives" not in frame.columns for frame in ledger.frames())
    assert frames.read(memoryview(ledger.raws[0]), 0) is not None
