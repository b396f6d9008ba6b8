"""What a shard's queues promise: a bound for each urgency, urgent ones first, order within one."""

import asyncio
import time

import pytest

from serving.deadline import NEVER
from serving.intake import COMMIT_BYTES, LINGER_S, SMALL, TOGETHER, Bound, Intake, Waiting
from serving.wire import twin_pb2 as pb
from twin.errors import Overloaded, Unavailable

LITTLE = {pb.REST: Bound(3, 100, 1000), pb.REALTIME: Bound(2, 50, 500)}


def batch(events=1, *, bytes=10, until=NEVER, writer="w"):
    answer = asyncio.get_running_loop().create_future()
    return Waiting([[]] * events, None, "demo", writer, answer, bytes, until)


def run(steps):
    """Run `steps(intake)` in a loop of its own."""

    async def main():
        return await steps(Intake(LITTLE))

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("urgency", "one"),
    [
        (pb.REST, {"events": 1}),
        (pb.REST, {"events": 40}),
        (pb.REST, {"bytes": 400}),
        (pb.REALTIME, {"events": 1}),
        (pb.REALTIME, {"events": 30}),
        (pb.REALTIME, {"bytes": 300}),
    ],
    ids=str,
)
def test_a_full_queue_says_when_to_come_back_and_counts_what_it_turned_away(urgency, one):
    async def steps(intake):
        while True:
            try:
                intake.put(batch(**one), urgency)
            except Overloaded as e:
                error = e
                break
        return error, {status.urgency: status for status in intake.status()}

    error, status = run(steps)

    assert error.code == "OVERLOADED"
    assert error.retry_after > 0
    assert {urgency: one.shed for urgency, one in status.items()} == {
        pb.REST: int(urgency == pb.REST),
        pb.REALTIME: int(urgency == pb.REALTIME),
    }
    assert status[urgency].batches <= status[urgency].batches_bound
    assert status[urgency].events <= status[urgency].events_bound
    assert status[urgency].bytes <= status[urgency].bytes_bound


def test_urgent_events_find_room_when_the_rest_is_full_and_are_taken_first_and_alone():
    async def steps(intake):
        rest = [batch() for _ in range(3)]
        for one in rest:
            intake.put(one, pb.REST)
        with pytest.raises(Overloaded):
            intake.put(batch(), pb.REST)
        urgent = batch()
        intake.put(urgent, pb.REALTIME)
        return [intake.take(), intake.take()], [[urgent], rest]

    taken, expected = run(steps)

    assert taken == expected


def test_batches_of_one_urgency_keep_the_order_in_which_they_came():
    async def steps(intake):
        put = [batch(writer=name) for name in "abc"]
        for one in put:
            intake.put(one, pb.REST)
        return [one.writer for one in intake.take()]

    assert run(steps) == ["a", "b", "c"]


def test_a_batch_larger_than_its_bound_may_wait_alone():
    async def steps(intake):
        intake.put(batch(1000, bytes=10_000), pb.REST)
        with pytest.raises(Overloaded):
            intake.put(batch(), pb.REST)
        return [one.size for one in intake.take()]

    assert run(steps) == [1000]


def test_what_was_taken_makes_room():
    async def steps(intake):
        for _ in range(10):
            for _ in range(3):
                intake.put(batch(30, bytes=300), pb.REST)
            while intake.take():
                pass
        return intake.status()

    assert [(s.batches, s.events, s.bytes, s.shed) for s in run(steps)] == [(0, 0, 0, 0)] * 2


def test_batches_whose_caller_is_gone_are_dropped_before_the_append_and_counted():
    async def steps(intake):
        late, gone, fine = batch(until=time.monotonic() - 1), batch(), batch()
        for one in (late, gone, fine):
            intake.put(one, pb.REST)
        gone.answer.cancel()
        taken = intake.take()
        return taken == [fine], late.answer.result(), intake.status()[1].expired

    only_fine, error, expired = run(steps)

    assert only_fine
    assert isinstance(error, Unavailable)
    assert "before the append" in str(error)
    assert expired == 2


def test_a_commit_is_closed_by_its_bytes_and_by_its_number_of_batches():
    async def steps(_):
        intake = Intake()
        for _ in range(5):
            intake.put(batch(bytes=COMMIT_BYTES // 2), pb.REST)
        by_bytes = [len(intake.take()) for _ in range(3)]
        for _ in range(TOGETHER + 1):
            intake.put(batch(), pb.REST)
        return by_bytes, len(intake.take())

    assert run(steps) == ([2, 2, 1], TOGETHER)


def turns(steps):
    """Run `steps(intake)`; return how often the loop was asked to wait for longer than nothing."""
    waits = []

    async def main():
        intake = Intake()
        loop = asyncio.get_running_loop()
        at = loop.call_at
        loop.call_at = lambda when, *more, **named: (
            waits.append(round(when - loop.time(), 6)),
            at(when, *more, **named),
        )[1]
        await steps(intake)

    asyncio.run(main())
    return [wait for wait in waits if 0 < wait <= LINGER_S]


def test_who_is_alone_waits_for_nobody():
    async def steps(intake):
        for _ in range(3):
            intake.put(batch(), pb.REST)
            assert await intake.wait(1.0)
            assert len(intake.take()) == 1

    assert turns(steps) == []


def test_small_batches_wait_for_as_many_as_came_last_time_and_no_longer_than_that():
    async def steps(intake):
        for _ in range(3):
            intake.put(batch(), pb.REST)
        assert await intake.wait(1.0)
        assert len(intake.take()) == 3
        intake.put(batch(), pb.REST)
        loop = asyncio.get_running_loop()
        for _ in range(2):
            loop.call_soon(intake.put, batch(), pb.REST)
        assert await intake.wait(1.0)
        assert len(intake.take()) == 3
        intake.put(batch(), pb.REST)  # the others stay away
        assert await intake.wait(1.0)
        assert len(intake.take()) == 1

    assert len(turns(steps)) == 2


@pytest.mark.parametrize("urgency", [pb.REST, pb.REALTIME])
def test_a_full_batch_and_an_urgent_one_wait_for_no_company(urgency):
    async def steps(intake):
        for _ in range(3):
            intake.put(batch(), pb.REST)
        intake.take()
        intake.put(batch(SMALL if urgency == pb.REST else 1), urgency)
        assert await intake.wait(1.0)
        assert len(intake.take()) == 1

    assert turns(steps) == []


def test_an_idle_writer_is_woken_by_the_next_batch_or_after_its_time():
    async def steps(intake):
        nothing = await intake.wait(0.001)
        asyncio.get_running_loop().call_soon(intake.put, batch(), pb.REST)
        return nothing, await intake.wait(5.0)

    assert run(steps) == (False, True)
