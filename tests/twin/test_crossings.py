"""What crosses, against an oracle that knows nothing of rows, masks or memories.

A history is what a thermometer said of one shipment, oldest first. The oracle walks through it
and says what a rule with its hysteresis and its clock has to say.
"""

from hypothesis import given
from hypothesis import strategies as st

from tests.twin.judging import NOW, Judge

HOUR_US = 3_600_000_000
RULE = """
[[rule]]
name = "warm"
kind = "shipment"
when = "temp_c > 8"
severity = "critical"
"""
READINGS = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from([3.0, 7.5, 9.0])), min_size=1, max_size=14
)


def oracle(readings, held_h=0, total=False, hysteresis=False):
    """Return (what, at) of each crossing. `readings`: (hours since the one before, degC)."""
    said, raised, since, spent, now = [], False, None, 0, 0
    for hours, temp in readings:
        now += hours
        hot = temp > 8
        over = temp < 7 if hysteresis else not hot
        if raised:
            if over:
                said.append(("cleared", now))
                spent += (now - since) if total else 0
                raised, since = False, None
            continue
        if not hot:
            if since is not None:
                said.append(("lapsed", now))
                spent += (now - since) if total else 0
                since = None
            continue
        begins = since is None
        since = now if begins else since
        if now - since + spent >= held_h:
            said.append(("raised", now))
            raised = True
        elif begins:
            said.append(("noticed", now))
    return said


def judged(rule, readings, cuts=()):
    judge, now, said, batch = Judge(rule), 0, [], []
    for number, (hours, temp) in enumerate(readings):
        now += hours
        batch.append((now * HOUR_US, temp))
        if number in cuts or number == len(readings) - 1:
            said += judge.readings("s", batch)
            batch = []
    return [(one.what.value, one.at_us // HOUR_US) for one in said]


@given(READINGS)
def test_raised_on_crossing_and_cleared_on_return_and_not_repeated(readings):
    assert judged(RULE, readings) == oracle(readings)


@given(READINGS)
def test_with_hysteresis_it_is_cleared_only_beyond_the_second_threshold(readings):
    rule = RULE + 'clear = "temp_c < 7"'

    assert judged(rule, readings) == oracle(readings, hysteresis=True)


@given(READINGS, st.integers(1, 8))
def test_it_must_hold_for_as_long_as_the_rule_asks(readings, held_h):
    assert judged(f'{RULE}for = "{held_h}h"', readings) == oracle(readings, held_h)


@given(READINGS, st.integers(1, 8), st.booleans())
def test_the_excursion_clock_adds_up_all_the_times_it_held(readings, held_h, hysteresis):
    rule = f'{RULE}for = "{held_h}h"\ntotal = true\n' + ('clear = "temp_c < 7"' * hysteresis)

    assert judged(rule, readings) == oracle(readings, held_h, total=True, hysteresis=hysteresis)


@given(READINGS, st.integers(0, 8), st.sets(st.integers(0, 13)))
def test_readings_that_come_together_are_judged_one_by_one(readings, held_h, cuts):
    rule = f'{RULE}for = "{held_h}h"'

    assert judged(rule, readings, cuts) == oracle(readings, held_h)


@given(READINGS, st.integers(0, 13))
def test_what_was_judged_before_is_not_judged_again(readings, back):
    judge, now, every = Judge(RULE), 0, []
    for hours, temp in readings:
        now += hours
        every.append((now * HOUR_US, temp))
    judge.readings("s", every)

    assert judge.again(back) == []


def test_a_rule_that_holds_of_more_twins_than_anybody_looks_after_says_no_more():
    judge = Judge(RULE, most=3)

    first = [judge.readings(f"s{i}", [(i, 9.0)]) for i in range(5)]
    judge.readings("s0", [(9, 3.0)])
    room = judge.crossings.room(NOW)
    judge.readings("s1", [(10, 3.0)])
    room_again = judge.crossings.room(NOW)

    assert [len(said) for said in first] == [1, 1, 1, 0, 0]
    assert room == [("shipment", "warm")]
    assert room_again == []


def test_a_rule_that_begins_too_often_says_no_more_until_the_clock_allows_it():
    judge = Judge(RULE, burst=4)

    said = [judge.readings("s", [(i, 9.0 if i % 2 else 3.0)]) for i in range(1, 40)]
    told = [one.what.value for every in said for one in every]
    too_soon = judge.crossings.room(NOW + 2**50)
    full = judge.crossings.full
    in_a_second = judge.crossings.room(NOW + 2**50 + 1_000_000)

    assert told == ["raised", "cleared"] * 4
    assert (too_soon, full, in_a_second) == ([], [("shipment", "warm")], [("shipment", "warm")])
    judge.now_us += 1_000_000
    again = [judge.readings("s", [(100 + i, 9.0 if i % 2 else 3.0)]) for i in range(1, 40)]
    assert [one.what.value for every in again for one in every] == ["raised", "cleared"] * 4


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 4), st.sampled_from([3.0, 9.0])), min_size=1),
        max_size=12,
    ),
    st.integers(1, 6),
)
def test_whatever_is_offered_a_rule_says_a_bounded_number_of_things(batches, burst):
    judge, told, number = Judge(RULE + 'for = "1h"\ntotal = true', burst=burst), [], 0
    for batch in batches:
        rows = []
        for subject, temp in batch:
            number += 1
            rows.append((f"s{subject}", number * HOUR_US // 2, temp))
        told += judge.many(rows)

    begun = [one for one in told if one.what.value in {"noticed", "raised"}]
    ended = [one for one in told if one.what.value in {"lapsed", "cleared"}]
    assert len(begun) <= burst
    assert len(ended) <= len(begun)


def test_a_clock_that_runs_is_not_asked_of_each_reading_but_rings_all_the_same():
    rule = RULE + 'for = "5h"'
    judge = Judge(rule)
    begun = judge.readings("s", [(0, 9.0)])
    quiet = [judge.readings("s", [(hour * HOUR_US, 9.0)]) for hour in range(1, 5)]
    rung = judge.readings("s", [(5 * HOUR_US, 9.0)])

    assert [one.what.value for one in begun] == ["noticed"]
    assert quiet == [[]] * 4
    assert [one.what.value for one in rung] == ["raised"]


def test_what_is_over_gives_its_room_to_what_begins():
    judge = Judge(RULE + 'for = "2h"\ntotal = true', most=10)
    for i in range(10):
        judge.readings(f"s{i}", [(0, 9.0), (HOUR_US, 3.0)])

    begun = judge.readings("later", [(2 * HOUR_US, 9.0)])
    again = judge.readings("s3", [(5 * HOUR_US, 9.0), (6 * HOUR_US, 9.0)])

    assert [one.what.value for one in begun] == ["noticed"]
    assert [one.what.value for one in again] == ["noticed", "raised"]  # an hour, and an hour


def test_who_reads_the_journal_again_is_not_given_more_to_say_and_another_rule_is():
    judge = Judge(RULE, burst=2)
    flapping = [(i * HOUR_US, 9.0 if i % 2 else 3.0) for i in range(1, 12)]
    first = judge.readings("s", flapping)

    judge.crossings.empty()
    again = judge.readings("t", [(at + HOUR_US, temp) for at, temp in flapping])
    judge.crossings.held("shipment", "warm").begin_anew()
    other = judge.readings("u", flapping)

    assert [len(said) for said in (first, again, other)] == [4, 0, 4]
