"""Offering: messages over one Ingest stream, so many in flight, every receipt read.

The time counts from the first message sent to the last receipt read; building the messages is
not in it, as it is not in a peer's run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

from serving.client import OPTIONS
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc

WINDOW = 32  # batches in flight
ALONE = 64  # messages of one event in flight


class Answered(NamedTuple):
    """What came back: events with each outcome (5,), how long it took, the highest offset."""

    outcomes: NDArray[np.int64]
    seconds: float
    highest: int

    @property
    def rate(self) -> float:
        """Return events a second."""
        return float(self.outcomes.sum()) / self.seconds


class Refusal(Exception):
    """The shard refused a batch."""


def offer(
    address: str,
    token: str,
    messages: Sequence[bytes],
    *,
    packed: bool = False,
    window: int = WINDOW,
    at_half: Callable[[], object] | None = None,
) -> Answered:
    """Offer `messages` (msgpack rows if `packed`, else Arrow), and read every receipt."""
    return asyncio.run(_offer(address, token, messages, packed, window, at_half))


async def _offer(
    address: str,
    token: str,
    messages: Sequence[bytes],
    packed: bool,
    window: int,
    at_half: Callable[[], object] | None,
) -> Answered:
    gate = asyncio.Semaphore(window)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        call = rpc.TwinStub(channel).Ingest(metadata=(("authorization", f"Bearer {token}"),))

        async def write() -> None:
            for number, message in enumerate(messages):
                await gate.acquire()
                first = number == 0  # as the client asks: fewer replies, each for several batches
                if packed:
                    request = pb.IngestRequest(batch=number, msgpack=message, together=first)
                else:
                    request = pb.IngestRequest(batch=number, arrow=message, together=first)
                await call.write(request)
            await call.done_writing()

        start = time.perf_counter()
        writer = asyncio.ensure_future(write())
        outcomes, highest = np.zeros(5, np.int64), -1
        half = len(messages) // 2
        try:
            answered = 0
            while answered < len(messages):
                reply = await call.read()
                if reply is grpc.aio.EOF or reply.HasField("fault"):
                    said = "the stream ended" if reply is grpc.aio.EOF else reply.fault.message
                    raise Refusal(f"batch {answered} of {len(messages)}: {said}")
                together = list(reply.batches) or [reply.batch]
                if together != list(range(answered, answered + len(together))):
                    raise Refusal(f"batch {answered} was not answered next, but {together}")
                for _ in together:
                    gate.release()
                outcomes += np.bincount(np.frombuffer(reply.outcomes, np.uint8), minlength=5)
                highest = int(np.frombuffer(reply.offsets, "<i8").max(initial=highest))
                if answered <= half < answered + len(together) and at_half is not None:
                    at_half()
                answered += len(together)
        finally:
            writer.cancel()
        return Answered(outcomes, time.perf_counter() - start, highest)
