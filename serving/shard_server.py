"""A shard's server: the gRPC surface of one shard, inside its actor.

One writer task takes batches from a bounded queue, commits all that wait together, and answers
each; reads use snapshots, or the writer's own rows between two commits.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from actors.shard import Shard
from serving import encode, grpc_server, history, measures
from serving.access import Identity, Verifier
from serving.arrow import encode as arrow_stream
from serving.cells import fill
from serving.commits import Waiting, commit, waiting_of
from serving.load import Load, Memory
from serving.pipeline import pipelined
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Fatal, Malformed, Overloaded, TwinError
from twin.kinds import KINDS, Kind
from twin.query import View, check_field, ordered
from twin.receipts import Receipt

log = logging.getLogger(__name__)
QUEUE = 256  # batches that may wait: at 4 MiB each no more than a shard's own size
TOGETHER = 64  # batches in one commit
WITNESS_S = 0.05  # how long a shard may be idle before it notes what was acknowledged
PIECE = 1 << 20  # bytes of a column stream in one message
LIMIT, MOST = 20, 10_000
RETRY_AFTER_S = 0.2


class ShardSurface:
    """Answers for one shard. All methods run in one event loop."""

    def __init__(self, shard: Shard, clock: Callable[[], int], address: str) -> None:
        self.shard = shard
        self.address = address
        self.load = Load()
        self._memory = Memory()
        self.recovery_s = 0.0
        self._clock = clock
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(QUEUE)
        self._io = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self._kinds = shard.rule.kinds

    async def write(self) -> None:
        """Commit what waits, for ever. A failed disk ends the process: recovery reads it again."""
        loop = asyncio.get_running_loop()
        witnessed = self.shard.next
        while True:
            try:
                first = await asyncio.wait_for(self._queue.get(), WITNESS_S)
            except TimeoutError:
                self.load.roll()
                if witnessed != self.shard.next:
                    witnessed = self.shard.next
                    await self._guard(loop.run_in_executor(self._io, self.shard.bear_witness))
                continue
            batch = [first]
            while len(batch) < TOGETHER and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            start = time.perf_counter()
            work = functools.partial(commit, self.shard, batch)
            answers = await self._guard(loop.run_in_executor(self._io, work), batch)
            size = sum(answer.outcome.size for answer in answers or ())
            self.load.add(size, time.perf_counter() - start)
            self.load.roll()
            for one, answer in zip(batch, answers or (), strict=False):
                if not one.answer.done():
                    one.answer.set_result(answer)

    async def ingest(
        self, requests: AsyncIterator[pb.IngestRequest], who: Identity
    ) -> AsyncIterator[pb.IngestReply]:
        work = functools.partial(self._answer, who=who)
        async for reply in pipelined(requests, work, TOGETHER):
            yield reply

    async def get(self, request: pb.GetRequest, who: Identity) -> pb.GetReply:
        kind = self._kind(request.kind)
        row = self.shard.row(kind.name, who.tenant, request.id)
        now = self._clock()
        reply = pb.GetReply(now=now)
        twin = reply.twin
        twin.key = f"{who.tenant}/{kind.name}/{self.shard.rule.region}/{request.id}"
        twin.id, twin.region = request.id, self.shard.rule.region
        twin.shard, twin.offset, twin.epoch = self.shard.name, row.offset, self.shard.epoch
        fill(reply, kind, row, request, self.shard.word)
        return reply

    async def batch_get(self, request: pb.BatchGetRequest, who: Identity) -> pb.SearchReply:
        view = self._view(request.kind, who)
        rows = view.rows()
        names = {name: i for i, name in enumerate(view.ids(rows))}
        found = [names[id] for id in request.ids if id in names]
        fields = encode.fields_of(view.kind, request.fields)
        chosen = rows[np.array(found, np.int64)]
        twins = encode.twins(view, chosen, fields, shard=self.shard.name, epoch=self.shard.epoch)
        self.shard.require_marker()
        return pb.SearchReply(
            twins=twins, shown=len(twins), total=len(request.ids), now=view.now_us
        )

    async def search(self, request: pb.SearchRequest, who: Identity) -> pb.SearchReply:
        view = self._view(request.kind, who)
        for name in [*request.fields, request.order.removeprefix("-")]:
            if name:
                check_field(view.kind, name)
        return await self._read(functools.partial(self._search, view, request))

    async def aggregate(self, request: pb.AggregateRequest, who: Identity) -> pb.AggregateReply:
        view = self._view(request.kind, who)

        def work() -> pb.AggregateReply:
            groups = measures.merge(request, [measures.compute(view, request)])
            self.shard.require_marker()
            return pb.AggregateReply(
                groups=groups, now=view.now_us, oldest_as_of=measures.oldest(view, request)
            )

        return await self._read(work)

    async def receipts(self, request: pb.ReceiptsRequest, who: Identity) -> pb.ReceiptsReply:
        return await self._read(functools.partial(history.receipts, self.shard, request, who))

    async def quarantine(self, request: pb.QuarantineRequest, who: Identity) -> pb.QuarantineReply:
        return await self._read(functools.partial(history.quarantine, self.shard, request, who))

    async def locate(self, request: pb.LocateRequest, who: Identity) -> pb.LocateReply:
        raise BadRequest("a shard locates nothing; ask a gateway")

    async def status(self, request: pb.StatusRequest, who: Identity) -> pb.StatusReply:
        shard, load = self.shard, self.load
        status = pb.ShardStatus(
            name=shard.name,
            region=shard.rule.region,
            kind=shard.name.partition("/")[0],
            epoch=shard.epoch,
            state="serving",
            pid=os.getpid(),
            address=self.address,
            offset=shard.next,
            durable_offset=shard.next,
            checkpoint_offset=shard.checkpoint_offset,
            twins=shard.sizes(),
            outcomes=shard.outcomes(),
            events_per_s=load.events_per_s,
            memory_bytes=self._memory.bytes(),
            queue=self._queue.qsize(),
            queue_bound=QUEUE,
            headroom=load.headroom,
            newest_as_of=shard.newest_as_of,
            recovery_s=self.recovery_s,
            replayed=shard.replayed,
            journal_bytes=shard.journal_bytes,
            fsync_p99_ms=shard.fsync_p99_ms,
        )
        if request.digests or request.verify:
            if request.verify:
                live, rebuilt = await self._read(shard.verify)
                status.journal_truth_digest = rebuilt.truth
                status.journal_replay_digest = rebuilt.replay
            else:
                live = await self._read(shard.digests)
            status.truth_digest, status.replay_digest = live.truth, live.replay
            status.offset = live.offset
        shard.require_marker()
        return pb.StatusReply(now=self._clock(), shards=[status])

    async def columns(
        self, request: pb.ColumnsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        view = self._view(request.kind, who)
        for name in request.fields:
            check_field(view.kind, name)

        def work() -> bytes:
            return arrow_stream(encode.plain(view, view.rows(request.where), list(request.fields)))

        raw = await self._read(work)
        self.shard.require_marker()
        for at in range(0, max(1, len(raw)), PIECE):
            yield pb.ColumnsReply(
                shard=self.shard.name,
                offset=view.snapshot.offset,
                epoch=self.shard.epoch,
                now=view.now_us,
                arrow=raw[at : at + PIECE],
                last=at + PIECE >= len(raw),
            )

    async def _offer(self, request: pb.IngestRequest, who: Identity) -> Receipt:
        if len(request.msgpack) + len(request.arrow) > grpc_server.INGEST_BYTES:
            raise Malformed("a batch has at most 16 MiB; split it")
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        waiting = waiting_of(request, who, answer)
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull as e:
            raise Overloaded(f"{self.shard.name} has {QUEUE} batches waiting", RETRY_AFTER_S) from e
        return await answer

    async def _answer(self, request: pb.IngestRequest, who: Identity) -> pb.IngestReply:
        shard = self.shard
        reply = pb.IngestReply(batch=request.batch, shard_names=[shard.name], epochs=[shard.epoch])
        try:
            receipt = await self._offer(request, who)
        except TwinError as e:
            return faulty(reply, e)
        reply.outcomes = receipt.outcome.astype(np.uint8).tobytes()
        reply.reasons = receipt.reason.astype(np.uint8).tobytes()
        reply.offsets = receipt.offset.astype("<i8").tobytes()
        reply.shards = np.where(receipt.offset >= 0, 0, 255).astype(np.uint8).tobytes()
        reply.ingest_time = self._clock()
        return reply

    async def _guard(self, work: Any, batch: list[Waiting] | None = None) -> Any:
        """Await the writer's work; tell every waiting caller when it fails."""
        try:
            return await work
        except Fatal:
            log.critical(
                "%s: the journal failed, this process ends", self.shard.name, exc_info=True
            )
            os._exit(1)  # nothing restarts by itself: the supervisor starts a successor
        except Exception as e:
            if not isinstance(e, TwinError):
                log.critical("%s: a batch failed", self.shard.name, exc_info=True)
            for one in batch or []:
                if not one.answer.done():
                    one.answer.set_exception(e)
        return None

    async def _read(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _search(self, view: View, request: pb.SearchRequest) -> pb.SearchReply:
        rows = view.rows(request.where)
        limit = min(request.limit or LIMIT, MOST)
        chosen = ordered(view, rows, request.order, limit)
        fields = encode.fields_of(view.kind, request.fields)
        if (name := request.order.removeprefix("-")) and name not in fields:
            fields.append(name)
        twins = encode.twins(view, chosen, fields, shard=self.shard.name, epoch=self.shard.epoch)
        self.shard.require_marker()
        return pb.SearchReply(twins=twins, shown=len(twins), total=rows.size, now=view.now_us)

    def _view(self, kind: str, who: Identity) -> View:
        name = self._kind(kind).name
        region = self.shard.rule.region
        return View(self.shard.snapshot(), name, who.tenant, region, self._clock())

    def _kind(self, name: str) -> Kind:
        name = name or "shipment"
        if name not in self._kinds:
            raise BadRequest(f"{self.shard.name} holds no {name}; ask a gateway")
        return KINDS[name]


def faulty(reply: pb.IngestReply, e: TwinError) -> pb.IngestReply:
    """Return the reply that says a whole batch was refused."""
    wait = getattr(e, "retry_after", 0.0)
    reply.fault.CopyFrom(pb.Fault(code=e.code, message=str(e), retry_after_s=wait))
    return reply


class Served(NamedTuple):
    """A running server. `stop` ends it and waits."""

    address: str
    lifeline: str  # host:port of a connection that closes when this process ends
    surface: ShardSurface
    stop: Callable[[], None]


def serve(shard: Shard, key: Path, clock: Callable[[], int]) -> Served:
    """Serve a recovered shard on a free loopback port, in a thread of its own."""
    loop = asyncio.new_event_loop()
    started: threading.Event = threading.Event()
    held: dict[str, Any] = {}

    async def run() -> None:
        surface = ShardSurface(shard, clock, "")
        verifier = Verifier(key, shard.rule.region)
        server, port = await grpc_server.start(surface, verifier, "127.0.0.1:0")
        surface.address = f"127.0.0.1:{port}"
        lifeline = await asyncio.start_server(_hold, "127.0.0.1", 0)
        life = lifeline.sockets[0].getsockname()[1]
        held.update(surface=surface, life=life)
        writer = asyncio.ensure_future(surface.write())
        held["stopping"] = stopping = asyncio.Event()
        started.set()
        await stopping.wait()
        await server.stop(0.5)
        writer.cancel()
        lifeline.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    started.wait(30)
    surface: ShardSurface = held["surface"]

    def stop() -> None:
        loop.call_soon_threadsafe(held["stopping"].set)
        thread.join(5)

    return Served(surface.address, f"127.0.0.1:{held['life']}", surface, stop)


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep a supervisor's connection open: it closes when this process ends."""
    await reader.read()
    writer.close()
