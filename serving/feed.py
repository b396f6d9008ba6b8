"""Feed: one client's batches on their way to the shards that write their events, in order.

A batch is taken apart by owner, and each part goes into the stream of its shard. What a dead or
replaced writer did not answer is sent again to its successor under the same ids, oldest first:
dedup makes each event count once, and a writer's events keep their order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import grpc
import msgspec

from serving import faults
from serving.answers import apart, require
from serving.direct import PAUSE_S, Direct, Table, foreign
from serving.records import Event, Receipt, receipts
from serving.unbroken import unbroken
from serving.wire import twin_pb2 as pb
from twin.errors import TwinError, Unavailable

WINDOW = 64  # batches under way at once
GATEWAY = ""  # the stream of what no shard is known for
_pack = msgspec.msgpack.Encoder().encode


class Stream:
    """An Ingest stream to one shard, wherever it is. One thread sends, one receives."""

    def __init__(
        self,
        direct: Direct,
        gateway: Any,
        shard: str,
        patience_s: float,
        timeout_s: float | None = None,
    ) -> None:
        """`patience_s`: for a writer that moves. `timeout_s`: for the stream, however long."""
        self._direct = direct
        self._timeout_s = timeout_s
        self._gateway = gateway
        self._shard = shard
        self._patience_s = patience_s
        self._waiting: deque[pb.IngestRequest] = deque()  # sent or to be sent, not answered
        self._answered: deque[pb.IngestReply] = deque()
        self._out: SimpleQueue[pb.IngestRequest | None] = SimpleQueue()
        self._replies: Any = None
        self._around = shard == GATEWAY  # by way of the gateway
        self._lock = threading.Lock()

    def send(self, request: pb.IngestRequest) -> None:
        with self._lock:
            self._waiting.append(request)
            self._out.put(request)

    def start(self) -> None:
        """Open the stream, so that what was sent goes out before anybody waits for the answer."""
        if self._replies is None:
            with suppress(TwinError):  # `receive` tries again, and says what is wrong
                self._open()

    def receive(self) -> pb.IngestReply:
        """Return the reply to the oldest batch that has none. Raises what a fault says."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                reply = require(self._next())
                for shard, epoch in zip(reply.shard_names, reply.epochs, strict=True):
                    self._direct.epochs.see(shard, epoch)
            except TwinError as e:
                self.close()
                if foreign(e) and not self._around:
                    self._around = True
                    continue
                if not faults.moves(e) or time.monotonic() + PAUSE_S > until:
                    raise
                self._again(until)
            else:
                with self._lock:
                    self._waiting.popleft()
                return reply

    def close(self) -> None:
        self._out.put(None)  # ends the thread that sends
        self._answered.clear()
        if self._replies is not None:
            self._replies.cancel()
            self._replies = None

    def _next(self) -> pb.IngestReply:
        if not self._answered:
            try:
                if self._replies is None:
                    self._open()
                self._answered.extend(apart(next(self._replies)))
            except grpc.RpcError as e:
                raise faults.from_grpc(e) from e
            except StopIteration as e:
                raise Unavailable(f"{self._shard} closed the stream; ask again", 0.2) from e
        return self._answered.popleft()

    def _open(self) -> None:
        stub = self._gateway
        if not self._around:
            route = self._direct.table().named(self._shard)
            if route is None:
                raise Unavailable(f"{self._shard} is not known any more; ask again", 0.2)
            stub = self._direct.stub(route)
        with self._lock:
            out: SimpleQueue[pb.IngestRequest | None] = SimpleQueue()
            self._out = out
            for number, request in enumerate(self._waiting):
                request.together = number == 0
                out.put(request)
        metadata = self._direct.metadata()
        requests = iter(out.get, None)
        self._replies = unbroken(
            partial(stub.Ingest, requests, metadata=metadata, timeout=self._timeout_s)
        )

    def _again(self, until: float) -> None:
        """Learn who writes the shard now; where that is still the same, go by the gateway."""
        before = None if self._around else self._direct.table().named(self._shard)
        try:
            moved = before is not None and self._direct.moved([before], until)
        except TwinError:
            moved = True  # the gateway is away too: the shard may come back first
        self._around = not moved or self._shard == GATEWAY
        threading.Event().wait(PAUSE_S)


class _Part(NamedTuple):
    stream: Stream
    at: list[int]  # which events of the batch


class Feed:
    """Offers batches, and gives the receipts of each in the order they were offered."""

    def __init__(
        self, direct: Direct, gateway: Any, patience_s: float, urgency: pb.Urgency
    ) -> None:
        self._direct = direct
        self._gateway = gateway
        self._patience_s = patience_s
        self._urgency = urgency
        self._timeout_s: float | None = None
        self._streams: dict[str, Stream] = {}

    def one(self, events: Sequence[Event]) -> list[Receipt]:
        """Offer one batch."""
        self._timeout_s = self._patience_s
        try:
            return self._receipts(events, self._send(events))
        finally:
            self._close()

    def all(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]:
        """Offer batches as they come, and yield receipts as they come."""
        sent: SimpleQueue[Any] = SimpleQueue()
        room, ended = threading.Semaphore(WINDOW), threading.Event()

        def pump() -> None:
            try:
                for events in batches:
                    room.acquire()
                    if ended.is_set():
                        return
                    sent.put((events, self._send(events)))
                sent.put(None)
            except BaseException as e:  # noqa: BLE001 - raised where the receipts are read
                sent.put(e)

        threading.Thread(target=pump, daemon=True, name="twin-feed").start()
        try:
            while (item := sent.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                events, parts = item
                yield self._receipts(events, parts)
                room.release()
        finally:
            ended.set()
            room.release()
            self._close()

    def _send(self, events: Sequence[Event]) -> list[_Part]:
        table = self._direct.table()
        places: dict[str, list[int]] = {}
        for i, event in enumerate(events):
            places.setdefault(_owner(table, event), []).append(i)
        parts = []
        for shard, at in (places or {GATEWAY: []}).items():
            is_new = shard not in self._streams
            if is_new:
                self._streams[shard] = self._stream(shard)
            stream = self._streams[shard]
            stream.send(self._request(events, at))
            if is_new:
                stream.start()
            parts.append(_Part(stream, at))
        return parts

    def _request(self, events: Sequence[Event], at: Sequence[int]) -> pb.IngestRequest:
        packed = _pack([events[i].row() for i in at])
        return pb.IngestRequest(msgpack=packed, urgency=self._urgency)

    def _receipts(self, events: Sequence[Event], parts: Sequence[_Part]) -> list[Receipt]:
        found: dict[int, Receipt] = {}
        for stream, at in parts:
            reply = stream.receive()
            found |= zip(at, receipts(reply, [events[i] for i in at]), strict=True)
        strayed = [i for i, receipt in found.items() if receipt.reason == "NOT_OWNER"]
        if strayed:  # the table is not the shards': a gateway knows better
            around = self._stream(GATEWAY)
            around.send(self._request(events, strayed))
            reply = around.receive()
            around.close()
            found |= zip(strayed, receipts(reply, [events[i] for i in strayed]), strict=True)
        return [found[i] for i in range(len(events))]

    def _stream(self, shard: str) -> Stream:
        return Stream(self._direct, self._gateway, shard, self._patience_s, self._timeout_s)

    def _close(self) -> None:
        for stream in list(self._streams.values()):
            stream.close()


def _owner(table: Table, event: Event) -> str:
    """Return the shard that writes an event; GATEWAY if only that can tell, or say why not."""
    route = table.owner(event.type, event.region or table.region, event.subject)
    return route.shard if route is not None else GATEWAY
