"""A short read goes before the next commit; a long one delays one commit, and nothing urgent."""

import asyncio

from serving.turns import Turns

LONG_S = 3600.0  # a test that waits for that has failed


def run(steps, most_s=LONG_S):
    """Run `steps(turns)` in a loop of its own."""

    async def main():
        async with asyncio.timeout(30):
            return await steps(Turns(most_s))

    return asyncio.run(main())


async def begun(turns):
    """Return a commit that is on its way as far as it comes."""
    commit = asyncio.ensure_future(turns.commit())
    for _ in range(5):
        await asyncio.sleep(0)
    return commit


def test_a_commit_waits_for_every_read_under_way():
    async def steps(turns):
        with turns.reading():
            with turns.reading():
                commit = await begun(turns)
            one_left = commit.done()
        await commit
        return one_left

    assert run(steps) is False


def test_a_commit_waits_for_nobody_where_nobody_reads():
    async def steps(turns):
        with turns.reading():
            pass
        return (await begun(turns)).done()

    assert run(steps)


def test_a_read_that_goes_on_delays_a_commit_for_no_longer_than_was_said():
    async def steps(turns):
        with turns.reading():
            await turns.commit()  # by its time alone
            return (await begun(turns)).done()  # and the next one not at all

    assert run(steps, most_s=0.001)


def test_what_is_urgent_waits_for_no_read():
    async def steps(turns):
        with turns.reading():
            commit = await begun(turns)
            waited = not commit.done()
            turns.hurry()
            await commit
            return waited

    assert run(steps)


def test_a_read_that_fails_or_is_called_off_holds_up_nothing():
    async def steps(turns):
        async def read():
            with turns.reading():
                await asyncio.Event().wait()

        reader = asyncio.ensure_future(read())
        commit = await begun(turns)
        waited = not commit.done()
        reader.cancel()
        await commit
        return waited

    assert run(steps)
