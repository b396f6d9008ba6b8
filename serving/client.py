"""The client: offer events and ask the twin, from any process. Imports nothing heavy.

Every answer is typed and carries where it is from; every refusal is an error of twin.errors with
its stable code. `connect()` finds a data directory on this machine and mints its own tokens.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import msgspec

from serving import faults
from serving.analyst import Analyst
from serving.answers import require
from serving.client_alerts import Alerting
from serving.client_past import Past
from serving.client_receipts import Receipts
from serving.client_search import Searching, extra
from serving.client_watch import Watching
from serving.direct import Direct, Epochs
from serving.feed import Feed
from serving.minting import minter
from serving.patience import patiently
from serving.records import (
    OUTCOMES,
    Batch,
    ColumnSet,
    Event,
    Found,
    Groups,
    Receipt,
    TwinState,
    Value,
    found,
    got,
    receipts,
    when,
)
from serving.records import fallback as _fallback
from serving.silence import Silence
from serving.sql_client import Statements
from serving.unbroken import unbroken
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import BadRequest, Refused, Retryable

LARGEST = 16 << 20
OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", LARGEST),
    ("grpc.http2.max_frame_size", 1 << 20),  # of what is received: else pieces of 16 KiB
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # else soon more than anybody's patience
)
_pack = msgspec.msgpack.Encoder().encode
__all__ = [
    "OPTIONS",
    "OUTCOMES",
    "Batch",
    "Client",
    "ColumnSet",
    "Event",
    "Found",
    "Groups",
    "Receipt",
    "TwinState",
    "Value",
    "connect",
    "minter",
    "patiently",
    "receipts",
]


class Client:
    """One connection to a gateway (or a shard). Thread-safe, as gRPC channels are.

    `direct`: ask shards themselves for single twins, and hand events to them, from the second
    call on; the gateway says where they are. Then a shard that moves is waited for, `timeout_s` at
    most. No answer of a writer is taken that was replaced: it is FENCED, a Retryable.

    What is many rows is a pyarrow.Table (`serving.analyst`): shipments, sites, suppliers, stock,
    alerts, sql, history, explain, watch. The same as messages: `past`, `alerting`, `subscribe`.
    """

    def __init__(
        self,
        address: str,
        token: str | Callable[[], str],
        *,
        timeout_s: float = 10.0,
        direct: bool = False,
    ) -> None:
        self.address = address
        self._token = token
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._stub = rpc.TwinStub(self._channel)
        self._epochs = Epochs()
        self._direct: Direct | None = None
        if direct:
            self._direct = Direct(address, self._stub, self._metadata, OPTIONS, self._epochs)
        self._met = False
        many, told, analyst = Searching(self), Receipts(self), Analyst(self)
        self.past, self.alerting = Past(self), Alerting(self)
        self.sql = Statements(self).sql
        self.search, self.search_all = many.search, many.search_all
        self.aggregate, self.columns = many.aggregate, many.columns
        self.diff, self.first_true = self.past.diff, self.past.first_true
        self.preview, self.impact = self.past.preview, self.past.impact
        self.act, self.rehearse = self.alerting.act, self.alerting.rehearse
        self.shipments, self.sites, self.stock = analyst.shipments, analyst.sites, analyst.stock
        self.suppliers, self.alerts = analyst.suppliers, analyst.alerts
        self.history, self.explain = analyst.history, analyst.explain
        self.as_of, self.watch = analyst.as_of, analyst.watch
        self.subscribe = Watching(self).subscribe
        self.receipts, self.receipt = told.receipts, told.receipt
        self.quarantine, self.redrive = told.quarantine, told.redrive

    def close(self) -> None:
        if self._direct is not None:
            self._direct.close()
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def ingest(self, events: Sequence[Event], *, urgent: bool = False) -> list[Receipt]:
        """Offer events; return a receipt for each, once all are durable.

        `urgent`: a person must know at once, as of an alert; they do not wait behind other events.
        """
        if self._shards(later=True) is not None:
            return self._feed(urgent).one(events)
        return next(iter(self._streamed([events], urgent, self._timeout_s)), [])

    def stream(
        self, batches: Iterable[Sequence[Event]], *, urgent: bool = False
    ) -> Iterator[list[Receipt]]:
        """Offer batches as they come; yield the receipts of each, in order."""
        if self._shards() is not None:
            return self._feed(urgent).all(batches)
        return self._streamed(batches, urgent)

    def _feed(self, urgent: bool) -> Feed:
        assert self._direct is not None
        urgency = pb.REALTIME if urgent else pb.REST
        return Feed(self._direct, self._stub, self._timeout_s, urgency)

    def _streamed(
        self, batches: Iterable[Sequence[Event]], urgent: bool, timeout_s: float | None = None
    ) -> Iterator[list[Receipt]]:
        sent: dict[int, Sequence[Event]] = {}
        urgency = pb.REALTIME if urgent else pb.REST

        def requests() -> Iterator[pb.IngestRequest]:
            for number, events in enumerate(batches):
                sent[number] = events
                packed = _pack([event.row() for event in events])
                yield pb.IngestRequest(batch=number, msgpack=packed, urgency=urgency)

        try:
            metadata = self._metadata()
            ingest = partial(self._stub.Ingest, requests(), metadata=metadata, timeout=timeout_s)
            for reply in unbroken(ingest):
                require(reply)
                for shard, epoch in zip(reply.shard_names, reply.epochs, strict=True):
                    self._epochs.see(shard, epoch)
                yield receipts(reply, sent.pop(reply.batch))
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e

    def bulk(self, messages: Iterable[bytes]) -> Iterator[pb.IngestReply]:
        """Offer Arrow IPC streams over one stream; yield the reply to each, in order.

        A reply has a byte for each event: its outcome in OUTCOMES, its reason in faults.REASONS.
        """
        requests = (pb.IngestRequest(batch=n, arrow=raw) for n, raw in enumerate(messages))
        try:
            ingest = partial(self._stub.Ingest, requests, metadata=self._metadata())
            for reply in unbroken(ingest):
                yield require(reply)
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e

    def get(
        self,
        kind: str,
        id: str,
        region: str = "",
        *,
        fields: Sequence[str] = (),
        max_age_s: float = 0.0,
        min_confidence: float = 0.0,
        fallback: str = "refuse",
        as_of: int = 0,
        known_at: int = 0,
    ) -> TwinState:
        """Return one twin, now or as of a moment (us). Raises UnknownKey, AmbiguousKey, Stale.

        `fallback`: refuse, withhold or label values older than `max_age_s` or less sure than
        `min_confidence`.
        """
        request = pb.GetRequest(
            kind=kind,
            id=id,
            region=region,
            fields=fields,
            max_age_s=max_age_s,
            min_confidence=min_confidence,
            fallback=_fallback(fallback),
            when=when(as_of, known_at),
        )
        reply = None
        if (shards := self._shards(later=True)) is not None:
            reply = shards.get(request, time.monotonic() + self._timeout_s)
        if reply is None:
            reply = self._call(self._stub.Get, request)
            self._epochs.see(reply.twin.shard, reply.twin.epoch)
        return got(reply)

    def batch_get(self, kind: str, ids: Sequence[str], fields: Sequence[str] = ()) -> Found:
        """Return the twins of these ids that there are, in no order over several shards."""
        request = pb.BatchGetRequest(kind=kind, ids=ids, fields=fields)
        return found(self._call(self._stub.BatchGet, request))

    def batch_columns(self, kind: str, ids: Sequence[str], fields: Sequence[str] = ()) -> Batch:
        """Return the same as columns, for thousands at a time. Needs the extra `arrow`."""
        arrow = extra()
        lines = "\n".join([*ids, ""]).encode()
        if lines.count(b"\n") != len(ids):
            raise BadRequest("an id has no line break; see `twin error BAD_ID`", "BAD_ID")
        request = pb.BatchGetRequest(kind=kind, lines=lines, fields=fields, format=pb.ARROW)
        return arrow.batch(self._call(self._stub.BatchGet, request), ids)

    def locate(self, kind: str, id: str, region: str = "") -> pb.LocateReply:
        return self._call(self._stub.Locate, pb.LocateRequest(kind=kind, id=id, region=region))

    def status(self, digests: bool = False, verify: bool = False) -> pb.StatusReply:
        """Return mode, clock, shards. `verify`: compare memory with the journal; takes longer."""
        request = pb.StatusRequest(digests=digests, verify=verify)
        return self._call(self._stub.Status, request, 120.0 if verify or digests else 0.0)

    def _shards(self, *, later: bool = False) -> Direct | None:
        """Return what asks shards directly, or None. `later`: not for the first call, which is
        all that many a process makes."""
        if later and not self._met:
            self._met = True
            return None
        if self._direct is not None:
            try:
                self._direct.table()
            except Refused:
                self._direct = None  # a shard is asked here, or a gateway that knows no routes
            except Retryable:
                return None
        return self._direct

    def ask(self, rpc: str, request: Any, timeout_s: float = 0.0) -> Any:
        """Return the reply to an rpc of the service, by its name. Raises TwinError."""
        return self._call(getattr(self._stub, rpc), request, timeout_s)

    def pieces(
        self, rpc: str, request: Any, timeout_s: float | None = None, silence_s: float = 0.0
    ) -> Iterator[Any]:
        """Yield the replies to an rpc that streams, by its name; close it to end the call early.

        Raises TwinError. `timeout_s`: for all of them; None: as long as they come. `silence_s`:
        for each of them; 0: as long as it takes.
        """
        method, metadata = getattr(self._stub, rpc), self._metadata()
        call = unbroken(partial(method, request, metadata=metadata, timeout=timeout_s))
        try:
            if not silence_s:
                yield from call
                return
            with Silence(call.cancel, silence_s) as silence:
                try:
                    yield from silence.each(call)
                except grpc.RpcError:
                    if silence.error is not None:
                        raise silence.error from None
                    raise
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e
        finally:
            call.cancel()

    def _call(self, method: Any, request: Any, timeout_s: float = 0.0) -> Any:
        try:
            wait = timeout_s or self._timeout_s
            return method(request, metadata=self._metadata(), timeout=wait)
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e

    def _metadata(self) -> list[tuple[str, str]]:
        token = self._token if isinstance(self._token, str) else self._token()
        return [("authorization", f"Bearer {token}")]


def connect(folder: Path | None = None, region: str = "", name: str = "client") -> Client:
    """Return a client of the twin whose data directory is `folder` (./.twin by default)."""
    folder = folder or Path(".twin")
    try:
        routes = json.loads((folder / "gateways.json").read_text())
    except (OSError, ValueError) as e:
        raise BadRequest(
            f"no twin runs in {folder}; start one with `twin up`", "NOT_RUNNING"
        ) from e
    if region and region not in routes:
        raise BadRequest(f"there is no region {region}; there are {', '.join(routes)}")
    address = routes[region or next(iter(routes))]
    return Client(address, minter(folder, name), direct=True)
