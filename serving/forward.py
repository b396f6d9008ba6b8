"""Forward: one caller's stream through a gateway: split, handed on in order, answered whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from serving.access import Identity
from serving.answers import faulty
from serving.deadline import until
from serving.relay import Relay
from serving.shards import Shards
from serving.splitting import INLINE_BYTES, Part, Splitter, merged
from serving.wire import twin_pb2 as pb
from twin.errors import TwinError

MOST_BYTES = 64 << 20  # of one stream's batches under way at once


class Forward:
    """Used in one event loop; `close` ends what it began."""

    def __init__(self, shards: Shards, splitter: Splitter, who: Identity) -> None:
        self._shards = shards
        self._splitter = splitter
        self._who = who
        self._relays: dict[str, Relay] = {}
        self._together: set[asyncio.Future[pb.IngestReply]] = set()
        self._held = 0  # bytes of batches under way
        self._room = asyncio.Event()

    async def begin(self, request: pb.IngestRequest) -> asyncio.Future[pb.IngestReply]:
        """Hand a batch to its shards; return the future of its reply."""
        size = len(request.msgpack) + len(request.arrow)
        while self._held and self._held + size > MOST_BYTES:
            self._room.clear()
            await self._room.wait()
        reply = await self._handed(request, size)
        self._held += size
        reply.add_done_callback(lambda _: self._free(size))
        return reply

    def _free(self, size: int) -> None:
        self._held -= size
        self._room.set()

    async def _handed(self, request: pb.IngestRequest, size: int) -> asyncio.Future[pb.IngestReply]:
        try:
            if size > INLINE_BYTES:
                parts = await asyncio.to_thread(self._splitter.split, request)
            else:
                parts = self._splitter.split(request)
        except TwinError as e:
            refused: asyncio.Future[pb.IngestReply] = asyncio.get_running_loop().create_future()
            refused.set_result(faulty(pb.IngestReply(batch=request.batch), e))
            return refused
        futures = [self._relay(part.shard).hand(part.request, until()) for part in parts]
        if len(parts) == 1:
            return futures[0]
        whole = asyncio.ensure_future(_whole(request.batch, parts, futures))
        self._together.add(whole)
        whole.add_done_callback(self._together.discard)
        return whole

    def close(self) -> None:
        for relay in self._relays.values():
            relay.close()
        for whole in list(self._together):
            whole.cancel()

    def _relay(self, shard: str) -> Relay:
        if shard not in self._relays:
            self._relays[shard] = self._shards.relay(shard, self._who)
        return self._relays[shard]


async def _whole(
    batch: int, parts: Sequence[Part], futures: Sequence[asyncio.Future[pb.IngestReply]]
) -> pb.IngestReply:
    """Return the answers to the parts as one; a fault of one is the fault of the batch."""
    answers = await asyncio.gather(*futures)
    for answer in answers:
        if answer.HasField("fault"):
            return pb.IngestReply(batch=batch, fault=answer.fault)
    reply = merged(parts, answers)
    reply.batch = batch
    return reply
