"""What a stream of requests may rely on: order, a bound, and nothing left behind."""

import asyncio

import pytest

from serving.pipeline import pipelined
from twin.errors import Malformed


async def numbers(n):
    for i in range(n):
        yield i


async def collect(stream):
    return [answer async for answer in stream]


def test_answers_come_in_the_order_of_their_requests_though_later_ones_end_first():
    gates = [asyncio.Event() for _ in range(3)]

    async def work(i):
        if i + 1 < len(gates):
            await gates[i + 1].wait()
        gates[i].set()
        return i

    assert asyncio.run(collect(pipelined(numbers(3), work, 8))) == [0, 1, 2]


def test_no_more_requests_are_under_way_than_the_window_allows():
    under_way, most = 0, 0

    async def work(i):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return i

    asyncio.run(collect(pipelined(numbers(50), work, 4)))

    assert 1 < most <= 4 + 2  # one more waits for its place, one for its answer to be taken


def test_a_failure_of_one_request_is_raised_and_the_others_are_called_off():
    called_off = []

    async def work(i):
        if i == 0:
            raise Malformed("no batch")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            called_off.append(i)
            raise

    async def run():
        with pytest.raises(Malformed):
            await collect(pipelined(numbers(3), work, 8))
        await asyncio.sleep(0)

    asyncio.run(run())

    assert set(called_off) <= {1, 2}


def test_a_stream_that_breaks_is_told_after_what_came_before():
    async def broken():
        yield 1
        raise ConnectionError("gone")

    async def work(i):
        return i

    answers = []

    async def run():
        async for answer in pipelined(broken(), work, 8):
            answers.append(answer)

    with pytest.raises(ConnectionError):
        asyncio.run(run())

    assert answers == [1]


def test_a_caller_who_leaves_early_leaves_nothing_running():
    async def work(i):
        await asyncio.sleep(0)
        return i

    async def run():
        stream = pipelined(numbers(1000), work, 2)
        await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0)
        return [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and not t.done()]

    left = asyncio.run(run())

    assert left == []
