"""The stream of ticks: computed once for all, bounded, honest about what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import warnings
from typing import Any

import pytest

from serving.http_live import Live, Viewer
from serving.wire import twin_pb2 as pb
from tests.serving.http_world import World, recovering
from twin.errors import Overloaded, Unavailable


class Counting(World):
    """A world that counts how often it is asked, and can lose a part."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.lose = ""
        self.hang = False

    async def status(self, request: pb.StatusRequest) -> pb.StatusReply:
        self.asked += 1
        return await super().status(request)

    async def search(self, request: pb.SearchRequest) -> pb.SearchReply:
        if self.lose and self.lose in request.where:
            raise Unavailable("nobody answers there", 1.0)
        if self.hang:
            await asyncio.Event().wait()
        return await super().search(request)


def parse(frame: bytes) -> tuple[str, dict[str, Any]]:
    event, data = frame.decode().strip().split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def hear(live: Live, viewer: Viewer, ticks: int) -> list[tuple[str, dict[str, Any]]]:
    frames = [frame async for frame in live.frames(viewer, ticks)]
    return [parse(frame) for frame in frames if not frame.startswith(b"retry")]


def records(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(part["columns"], row, strict=True)) for row in part["rows"]]


def test_a_tick_holds_all_that_the_page_shows() -> None:
    tick = asyncio.run(Live(World()).compute())

    assert (tick["mode"], tick["why"], tick["clock"]) == ("normal", [], "replay")
    assert tick["counts"]["by"] == {"ORDERED": 311, "DEPARTED": 243, "DELIVERED": 700}
    assert len(tick["shards"]) == 8
    assert tick["moving"]["total"] == tick["moving"]["shown"] == 243
    assert tick["predicted"]["shown"] == 50
    assert tick["predicted"]["total"] == 554
    for part in ("moving", "late", "warm", "predicted"):
        for row in records(tick[part]):
            assert row["as_of"]
            assert row["source"]
            assert 0 <= row["confidence"] <= 1
            assert row["state"] in {"live", "stale"}


def test_a_promise_is_kept_until_its_day_is_over() -> None:
    tick = asyncio.run(Live(World()).compute())

    promised = [row["promised_at"] for row in records(tick["late"])]
    assert promised == sorted(promised)
    assert max(promised) < "2013-09-01"


def test_synthetic_positions_are_told_by_their_source() -> None:
    tick = asyncio.run(Live(World()).compute())

    assert {row["source"] for row in records(tick["moving"])} == {"demo/telemetry"}


def test_positions_change_from_tick_to_tick() -> None:
    async def two() -> list[tuple[str, dict[str, Any]]]:
        live = Live(World(), period_s=0.001)
        return await hear(live, live.enter(), 2)

    (_, first), (_, second) = asyncio.run(two())

    assert second["tick"] == first["tick"] + 1
    before = {row["id"]: row["lat"] for row in records(first["moving"])}
    after = {row["id"]: row["lat"] for row in records(second["moving"])}
    moved = [id for id in before if before[id] != after[id]]
    assert len(moved) > 150


def test_a_tick_is_computed_once_for_all_viewers() -> None:
    async def many() -> tuple[int, list[int]]:
        world = Counting()
        live = Live(world, period_s=0.001)
        viewers = [live.enter() for _ in range(8)]
        heard = await asyncio.gather(*(hear(live, viewer, 3) for viewer in viewers))
        return world.asked, [len(ticks) for ticks in heard]

    asked, heard = asyncio.run(many())

    assert heard == [3] * 8
    assert asked <= 4


def test_nothing_is_computed_while_nobody_watches() -> None:
    async def leave() -> tuple[int, int, int]:
        world = Counting()
        live = Live(world, period_s=0.001)
        await hear(live, live.enter(), 1)
        before = world.asked
        await asyncio.sleep(0.02)
        return before, world.asked, live.watching

    before, after, watching = asyncio.run(leave())

    assert after <= before + 1
    assert watching == 0


def test_a_viewer_that_does_not_keep_up_is_told_and_dropped() -> None:
    async def slow() -> tuple[list[Any], int]:
        live = Live(World(), period_s=0.001, backlog=2)
        sleeper, reader = live.enter(), live.enter()
        await hear(live, reader, 6)
        return await hear(live, sleeper, 0), live.watching

    heard, watching = asyncio.run(slow())

    assert [(event, data["code"]) for event, data in heard] == [("end", "SLOW_CONSUMER")]
    assert watching == 0


def test_viewers_are_bounded() -> None:
    async def crowd() -> None:
        live = Live(World(), viewers=2)
        live.enter()
        live.enter()
        try:
            live.enter()
        finally:
            await live.close()

    with pytest.raises(Overloaded):
        asyncio.run(crowd())


def test_a_lost_part_is_null_and_the_tick_says_why() -> None:
    world = Counting()
    world.lose = "temp_c"

    tick = asyncio.run(Live(world).compute())

    assert tick["warm"] is None
    assert tick["moving"]["total"] == 243
    assert tick["mode"] == "degraded"
    assert tick["why"] == ["warm: SHARD_UNAVAILABLE: nobody answers there"]


def test_a_part_that_hangs_does_not_hold_up_the_tick() -> None:
    world = Counting()
    world.hang = True

    tick = asyncio.run(Live(world, patience_s=0.01).compute())

    assert tick["moving"] is None
    assert tick["counts"]["by"]["DELIVERED"] == 700
    assert "moving: no answer within 0.01 s" in tick["why"]


def test_a_shard_that_is_away_is_named_once() -> None:
    world = World()
    world.away = {"shipment/east/1"}

    tick = asyncio.run(Live(world).compute())

    assert tick["mode"] == "degraded"
    assert tick["why"] == ["shipment/east/1 is recovering"]


def test_a_gateway_that_knows_nothing_says_so_and_shows_no_zeros() -> None:
    world = World()
    world.fault = recovering()

    tick = asyncio.run(Live(world).compute())

    assert tick["mode"] == "degraded"
    assert (tick["counts"], tick["shards"], tick["moving"]) == (None, None, None)


def test_an_unexpected_fault_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> list[Any]:
        world = World()
        world.fault = RuntimeError("secret")
        live = Live(world, period_s=0.001)
        return await hear(live, live.enter(), 3)

    with caplog.at_level(logging.ERROR):
        heard = asyncio.run(broken())

    assert {event for event, _ in heard} == {"fault"}
    assert "secret" not in str(heard)
    assert len(caplog.records) == 1


def test_a_tick_that_is_called_off_at_any_step_leaves_no_question_unasked() -> None:
    async def call_off(steps: int) -> None:
        computing = asyncio.ensure_future(Live(World()).compute())
        for _ in range(steps):
            await asyncio.sleep(0)
        computing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await computing

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for steps in range(20):
            asyncio.run(call_off(steps))
        gc.collect()

    assert [str(one.message) for one in told] == []


def test_closing_ends_every_stream() -> None:
    async def stop() -> list[Any]:
        live = Live(World(), period_s=0.001)
        viewer = live.enter()
        listening = asyncio.create_task(hear(live, viewer, 0))
        await hear(live, live.enter(), 1)
        await live.close()
        return await listening

    heard = asyncio.run(stop())

    assert heard[-1][1]["code"] == "CLOSING"
