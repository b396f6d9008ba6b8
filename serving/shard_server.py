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
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from actors.shard import Shard
from serving import batch, encode, find, grpc_server, history, measures, quarantine, shard_status
from serving.access import Identity, Verifier
from serving.alerts import ShardAlerts
from serving.arrow import encode as arrow_stream
from serving.cells import point
from serving.commits import commit, waiting_of
from serving.deadline import until
from serving.deliver import Delivery
from serving.intake import Answer, Intake, Waiting
from serving.load import Load, Memory
from serving.past import Then, asked
from serving.past_shard import PastOfShard
from serving.pipeline import pipelined
from serving.quarantine import Quarantine
from serving.replies import Replies
from serving.sets import opened
from serving.sources import Sources
from serving.subscribe import Subscriptions
from serving.tables import Tables
from serving.wire import twin_pb2 as pb
from twin import redrive
from twin.errors import BadRequest, Fatal, Fenced, TooLarge, TwinError
from twin.fields import check_field
from twin.kinds import KINDS, Kind
from twin.query import View

log = logging.getLogger(__name__)
WINDOW = 256  # batches of one stream under way at once
WITNESS_S = 0.05  # how long a shard may be idle before it notes what was acknowledged
CURSOR_S = 1.0  # how long a busy shard goes on before it notes what left it
LEAVE_S = 0.5  # for a writer that was replaced to answer FENCED, before its process ends
PIECE = 1 << 20  # bytes of a column stream in one message


class ShardSurface:
    """Answers for one shard. All methods run in one event loop."""

    def __init__(
        self,
        shard: Shard,
        clock: Callable[[], int],
        address: str,
        end: Callable[[int], Any] = os._exit,
    ) -> None:
        self.shard = shard
        self._end_process = end
        self._leaving = False
        self.address = address
        self.load = Load()
        self._memory = Memory()
        self.recovery_s = 0.0
        self.restored = ""  # how the journal was brought home, if it was
        self._clock = clock
        self._intake = Intake()
        self._sources = Sources()
        self._io = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self._kinds = shard.rule.kinds
        self.delivery: Delivery | None = None
        self._quarantine = Quarantine(shard)
        self.then = Then(shard, clock)
        self.past = PastOfShard(self.then, self._kind)
        self.alerts = ShardAlerts(shard, self._io, clock, self._end)
        self.tables = Tables(shard, clock, self.then.state)
        self.changes = Subscriptions(shard, clock, self._kind)

    async def write(self) -> None:
        """Commit what waits, for ever. A failed disk ends the process: recovery reads it again."""
        loop = asyncio.get_running_loop()
        witnessed, told = self.shard.next, time.monotonic()
        while True:
            if not await self._intake.wait(WITNESS_S):
                self.load.roll()
                if witnessed != self.shard.next or self.shard.cursor_moved:
                    witnessed, told = self.shard.next, time.monotonic()
                    await self._guard(loop.run_in_executor(self._io, self.shard.bear_witness))
                else:
                    await self._guard(loop.run_in_executor(self._io, self.shard.require_marker))
                continue
            if self.shard.cursor_moved and time.monotonic() > told + CURSOR_S:
                told = time.monotonic()
                await self._guard(loop.run_in_executor(self._io, self.shard.bear_witness))
            waiting = self._intake.take()
            if not waiting:
                continue
            start = time.perf_counter()
            work = functools.partial(commit, self.shard, waiting)
            answers: list[Answer] | None = await self._guard(
                loop.run_in_executor(self._io, work), waiting
            )
            size = sum(len(answer.outcomes) for answer in answers or ())
            self.load.add(size, time.perf_counter() - start)
            self.load.roll()
            for one, answer in zip(waiting, answers or (), strict=False):
                if not one.answer.done():
                    one.answer.set_result(answer)

    async def ingest(
        self, requests: AsyncIterator[pb.IngestRequest], who: Identity
    ) -> AsyncIterator[pb.IngestReply]:
        replies = Replies(self.shard, self._clock)
        begin = functools.partial(self._begin, who=who, replies=replies)
        async for answers in pipelined(requests, begin, WINDOW):
            for reply in replies.of(answers):
                yield reply

    async def get(self, request: pb.GetRequest, who: Identity) -> pb.GetReply:
        kind = self._kind(request.kind)
        if asked(request.when):
            return await self.then.get(kind, request, who.tenant)
        return point(self.shard, kind, request, who.tenant, self._clock)

    async def batch_get(self, request: pb.BatchGetRequest, who: Identity) -> pb.SearchReply:
        kind = self._kind(request.kind).name
        work = functools.partial(batch.chosen, self.shard, kind, who.tenant, self._clock(), request)
        return work() if batch.brief(request) else await self._read(work)

    async def search(self, request: pb.SearchRequest, who: Identity) -> pb.SearchReply:
        find.check(self._kind(request.kind).name, request)
        view = await self._view(request.kind, who, request.when)
        view = view.told(opened(request.sets))
        return await self._read(functools.partial(find.find, self.shard, view, request))

    async def aggregate(self, request: pb.AggregateRequest, who: Identity) -> pb.AggregateReply:
        view = await self._view(request.kind, who, request.when)
        view = view.told(opened(request.sets))
        return await self._read(functools.partial(measures.answer, self.shard, view, request))

    async def impact(self, request: pb.ImpactRequest, who: Identity) -> pb.ImpactReply:
        raise BadRequest("a shard sees no other's twins; ask a gateway")

    async def receipts(self, request: pb.ReceiptsRequest, who: Identity) -> pb.ReceiptsReply:
        return await self._read(functools.partial(history.receipts, self.shard, request, who))

    async def quarantine(self, request: pb.QuarantineRequest, who: Identity) -> pb.QuarantineReply:
        return await self._read(functools.partial(self._quarantine.view, request, who))

    async def redrive(self, request: pb.RedriveRequest, who: Identity) -> pb.RedriveReply:
        chosen = await self._read(functools.partial(self._quarantine.choose, request, who))
        if not chosen.events:
            return pb.RedriveReply(left=chosen.left, next=chosen.next)
        message = redrive.message(chosen.events, who.tenant, who.name)
        work = functools.partial(self.shard.redrive, message, dry_run=request.dry_run)
        try:
            receipt = await asyncio.get_running_loop().run_in_executor(self._io, work)
        except Fatal as e:
            self._end(e)
        return await self._read(
            functools.partial(quarantine.answer, self.shard, chosen, receipt, request)
        )

    async def locate(self, request: pb.LocateRequest, who: Identity) -> pb.LocateReply:
        raise BadRequest("a shard locates nothing; ask a gateway")

    async def routes(self, request: pb.RoutesRequest, who: Identity) -> pb.RoutesReply:
        raise BadRequest("a shard knows no other; ask a gateway")

    async def status(self, request: pb.StatusRequest, who: Identity) -> pb.StatusReply:
        status = shard_status.of(
            self.shard,
            self.load,
            self._memory,
            self._intake,
            address=self.address,
            recovery_s=self.recovery_s,
        )
        now = self._clock()
        if self.delivery is not None:
            status.outbox.CopyFrom(shard_status.outbox(self.shard, self.delivery.courier, now))
        if self.shard.bases is not None:
            status.bases.CopyFrom(shard_status.bases(self.shard.bases))
        if self.shard.archived is not None:
            kept = self.shard.archived()
            status.archive.CopyFrom(pb.ArchiveStatus(**kept._asdict(), restored=self.restored))
        status.subscriptions.CopyFrom(self.changes.status())
        if (watch := self.alerts.watch) is not None:
            told = await self._read(functools.partial(shard_status.alert_watch, watch.watchman))
            status.alert_watch.CopyFrom(told)
        if request.digests or request.verify:
            await self._read(functools.partial(shard_status.prove, self.shard, request, status))
        self.shard.require_marker()
        return pb.StatusReply(now=now, shards=[status])

    async def columns(
        self, request: pb.ColumnsRequest, who: Identity
    ) -> AsyncIterator[pb.ColumnsReply]:
        if request.tables:
            async for piece in self.tables.columns(request, who):
                yield piece
            return
        view = await self._view(request.kind, who, request.when)
        for name in request.fields:
            check_field(view.kind, name)

        def work() -> bytes:
            chosen = view.told(opened(request.sets)).rows(request.where)
            return arrow_stream(encode.plain(view, chosen, list(request.fields)))

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

    async def _begin(
        self, request: pb.IngestRequest, who: Identity, replies: Replies
    ) -> asyncio.Future[Answer | TwinError]:
        """Let a batch wait for its commit. A fault of one batch is its answer, not the stream's."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        replies.expect(request)
        try:
            if len(request.msgpack) + len(request.arrow) > grpc_server.INGEST_BYTES:
                raise TooLarge("a batch has at most 16 MiB; split it")
            waiting = waiting_of(request, who, answer, until())
            self._sources.require_room(waiting)
            self._intake.put(waiting, request.urgency)
        except TwinError as e:
            answer.set_result(e)
        return answer

    async def _guard(self, work: Any, batch: list[Waiting] | None = None) -> Any:
        """Await the writer's work; tell every waiting caller when it fails."""
        try:
            return await work
        except Fatal as e:
            self._end(e)
        except Exception as e:
            if isinstance(e, Fenced):
                self._leave()
            elif not isinstance(e, TwinError):
                log.critical("%s: a batch failed", self.shard.name, exc_info=True)
            for one in batch or []:
                if not one.answer.done() and isinstance(e, TwinError):
                    one.answer.set_result(e)
                elif not one.answer.done():
                    one.answer.set_exception(e)
        return None

    def _end(self, e: Fatal) -> NoReturn:
        """End this process: nothing restarts by itself, the supervisor starts a successor."""
        log.critical("%s: the journal failed, this process ends", self.shard.name, exc_info=e)
        self._end_process(1)
        raise e

    def _leave(self) -> None:
        """End this process, which was replaced, once those who ask have been told so."""
        if not self._leaving:
            self._leaving = True
            said = "%s: epoch %d is over, this process ends"
            log.critical(said, self.shard.name, self.shard.epoch)
            asyncio.get_running_loop().call_later(LEAVE_S, self._end_process, 1)

    async def _read(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _view(self, kind: str, who: Identity, when: pb.When) -> View:
        return await self.then.view(self._kind(kind).name, who.tenant, when)

    def _kind(self, name: str) -> Kind:
        name = name or "shipment"
        if name not in self._kinds:
            raise BadRequest(f"{self.shard.name} holds no {name}; ask a gateway")
        return KINDS[name]


class Served(NamedTuple):
    """A running server. `stop` ends it and waits."""

    address: str
    lifeline: str  # host:port of a connection that closes when this process ends
    surface: ShardSurface
    stop: Callable[[], None]


def serve(
    shard: Shard, key: Path, clock: Callable[[], int], end: Callable[[int], Any] = os._exit
) -> Served:
    """Serve a recovered shard on a free loopback port, in a thread of its own.

    `end` ends the process when its disk failed, or a successor has replaced it.
    """
    loop = asyncio.new_event_loop()
    started: threading.Event = threading.Event()
    held: dict[str, Any] = {}

    async def run() -> None:
        surface = ShardSurface(shard, clock, "", end)
        verifier = Verifier(key, shard.rule.region)
        server, port = await grpc_server.start(surface, verifier, "127.0.0.1:0")
        surface.address = f"127.0.0.1:{port}"
        lines: set[asyncio.Task[None]] = set()
        lifeline = await asyncio.start_server(functools.partial(_hold, lines), "127.0.0.1", 0)
        life = lifeline.sockets[0].getsockname()[1]
        held.update(surface=surface, life=life)
        writer = asyncio.ensure_future(surface.write())
        if "shipment" in shard.rule.kinds:  # what other twins' facts are derived from
            surface.delivery = Delivery(shard, key.parent)
        surface.alerts.begin(key.parent)
        surface.past.begin(key.parent)
        held["stopping"] = stopping = asyncio.Event()
        started.set()
        await stopping.wait()
        await server.stop(0.5)
        await surface.changes.topics.close()
        writer.cancel()
        lifeline.close()
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    def live() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            loop.close()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    started.wait(30)
    surface: ShardSurface = held["surface"]

    def stop() -> None:
        if surface.delivery is not None:
            surface.delivery.stop()
        surface.alerts.stop()
        loop.call_soon_threadsafe(held["stopping"].set)
        thread.join(5)

    return Served(surface.address, f"127.0.0.1:{held['life']}", surface, stop)


async def _hold(
    lines: set[asyncio.Task[None]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Keep a supervisor's connection open: it closes when this process, or its server, ends."""
    mine = asyncio.current_task()
    assert mine is not None
    lines.add(mine)
    try:
        await reader.read()
    finally:
        lines.discard(mine)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
