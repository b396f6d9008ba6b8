"""What a stream of requests may rely on: order, a bound, and nothing left behind."""

import asyncio

import pytest

from serving.pipeline import pipelined
from twin.errors import Malformed


async def numbers(n):
    for i in range(n):
        yield i


async def collect(stream):
    return [answer async for answers in stream for answer in answers]


def promised():
    return asyncio.get_running_loop().create_future()


def settled(answer):
    future = promised()
    future.set_result(answer)
    return future


def test_answers_come_in_the_order_of_their_requests_though_later_ones_end_first():
    async def run():
        futures = []

        async def begin(i):
            futures.append(promised())
            if len(futures) == 3:
                for number in (2, 1, 0):
                    futures[number].set_result(number)
            return futures[i]

        return await collect(pipelined(numbers(3), begin, 8))

    assert asyncio.run(run()) == [0, 1, 2]


def test_a_request_is_begun_only_when_the_one_before_it_was():
    begun = []

    async def run():
        async def begin(i):
            begun.append(("first", i))
            await asyncio.sleep(0)
            begun.append(("last", i))
            return settled(i)

        await collect(pipelined(numbers(3), begin, 8))

    asyncio.run(run())

    assert begun == [(step, i) for i in range(3) for step in ("first", "last")]


def test_answers_that_are_there_together_are_given_together():
    async def run():
        futures = []

        async def begin(i):
            futures.append(promised())
            if len(futures) == 5:
                for number, future in enumerate(futures):
                    future.set_result(number)
            return futures[i]

        return [answers async for answers in pipelined(numbers(5), begin, 8)]

    assert asyncio.run(run()) == [[0, 1, 2, 3, 4]]


def test_no_more_requests_are_under_way_than_the_window_allows():
    under_way, most = 0, 0

    async def run():
        async def begin(i):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            future = promised()
            asyncio.get_running_loop().call_soon(future.set_result, i)
            return future

        nonlocal under_way
        async for answers in pipelined(numbers(50), begin, 4):
            under_way -= len(answers)

    asyncio.run(run())

    assert 1 < most <= 4
    assert under_way == 0


def test_a_failure_of_one_request_is_raised_and_the_others_are_called_off():
    async def run():
        futures = []

        async def begin(i):
            futures.append(promised())
            if len(futures) == 3:
                futures[0].set_exception(Malformed("no batch"))
            return futures[i]

        with pytest.raises(Malformed):
            await collect(pipelined(numbers(3), begin, 8))
        return [future.cancelled() for future in futures]

    assert asyncio.run(run()) == [False, True, True]


def test_a_stream_that_breaks_is_told_after_what_came_before():
    async def broken():
        yield 1
        raise ConnectionError("gone")

    answers = []

    async def run():
        async def begin(i):
            return settled(i)

        async for some in pipelined(broken(), begin, 8):
            answers.extend(some)

    with pytest.raises(ConnectionError):
        asyncio.run(run())

    assert answers == [1]


def test_a_caller_who_leaves_early_leaves_nothing_running():
    async def run():
        futures = []

        async def begin(i):
            futures.append(promised() if i else settled(i))
            return futures[i]

        stream = pipelined(numbers(1000), begin, 2)
        await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0)
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        return [t for t in tasks if not t.done()], [f for f in futures if not f.done()]

    assert asyncio.run(run()) == ([], [])
