"""The client: offer events and ask the twin, from any process. Imports nothing heavy.

Every answer is typed and carries where it is from; every refusal is an error of twin.errors with
its stable code. `connect()` finds a data directory on this machine and mints its own tokens.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
import msgspec

from serving import faults
from serving.answers import require
from serving.direct import Direct, Epochs
from serving.feed import Feed
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
    receipts,
    state,
)
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import BadRequest, Refused, Retryable

LARGEST = 16 << 20
OPTIONS = (("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST))
T = TypeVar("T")
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
            call = self._stub.Ingest(requests(), metadata=self._metadata(), timeout=timeout_s)
            for reply in call:
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
            for reply in self._stub.Ingest(requests, metadata=self._metadata()):
                yield require(reply)
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e

    def get(
        self,
        kind: str,
        id: str,
        region: str = "",
        *,
        max_age_s: float = 0.0,
        min_confidence: float = 0.0,
    ) -> TwinState:
        """Return one twin. Raises UnknownKey, AmbiguousKey, Stale."""
        request = pb.GetRequest(
            kind=kind, id=id, region=region, max_age_s=max_age_s, min_confidence=min_confidence
        )
        reply = None
        if (shards := self._shards(later=True)) is not None:
            reply = shards.get(request, time.monotonic() + self._timeout_s)
        if reply is None:
            reply = self._call(self._stub.Get, request)
            self._epochs.see(reply.twin.shard, reply.twin.epoch)
        return state(reply.twin)

    def batch_get(self, kind: str, ids: Sequence[str], fields: Sequence[str] = ()) -> Found:
        """Return the twins of these ids that there are, in no order over several shards."""
        request = pb.BatchGetRequest(kind=kind, ids=ids, fields=fields)
        return found(self._call(self._stub.BatchGet, request))

    def batch_columns(self, kind: str, ids: Sequence[str], fields: Sequence[str] = ()) -> Batch:
        """Return the same as columns, for thousands at a time. Needs the extra `arrow`."""
        arrow = _arrow()
        lines = "\n".join([*ids, ""]).encode()
        if lines.count(b"\n") != len(ids):
            raise BadRequest("an id has no line break; see `twin error BAD_ID`", "BAD_ID")
        request = pb.BatchGetRequest(kind=kind, lines=lines, fields=fields, format=pb.ARROW)
        return arrow.batch(self._call(self._stub.BatchGet, request), ids)

    def search(
        self,
        kind: str,
        where: str = "",
        fields: Sequence[str] = (),
        order: str = "",
        limit: int = 20,
        region: str = "",
    ) -> Found:
        """Return the twins that match `where`, at most `limit`, and how many there are."""
        reply = self._call(
            self._stub.Search,
            pb.SearchRequest(
                kind=kind, where=where, fields=fields, order=order, limit=limit, region=region
            ),
        )
        return found(reply)

    def aggregate(
        self,
        kind: str,
        where: str = "",
        by: Sequence[str] = (),
        measures: Sequence[str] = ("count",),
        order: str = "",
        limit: int = 20,
        region: str = "",
    ) -> Groups:
        """Return a row per group: the fields of `by`, and every measure."""
        reply = self._call(
            self._stub.Aggregate,
            pb.AggregateRequest(
                kind=kind,
                where=where,
                by=by,
                measures=measures,
                order=order,
                limit=limit,
                region=region,
            ),
        )
        rows = [
            dict(zip(by, group.by, strict=True)) | dict(zip(measures, group.measures, strict=True))
            for group in reply.groups
        ]
        mode = pb.Mode.Name(reply.mode).lower()
        return Groups(rows, reply.shown, reply.total, mode, reply.now, reply.oldest_as_of)

    def columns(
        self, kind: str, fields: Sequence[str] = (), where: str = "", region: str = ""
    ) -> ColumnSet:
        """Return whole columns of one snapshot per shard. Needs the extra `arrow`."""
        arrow = _arrow()
        request = pb.ColumnsRequest(kind=kind, fields=fields, where=where, region=region)
        try:
            replies = list(self._stub.Columns(request, metadata=self._metadata(), timeout=60.0))
        except grpc.RpcError as e:
            raise faults.from_grpc(e) from e
        columns, offsets, now = arrow.gather(replies)
        return ColumnSet(columns, offsets, now)

    def receipts(self, source: str, ids: Sequence[str]) -> list[pb.Receipt]:
        """Return what became of events offered earlier; UNSEEN if they never came."""
        request = pb.ReceiptsRequest(source=source, ids=ids)
        return list(self._call(self._stub.Receipts, request).receipts)

    def receipt(self, name: str) -> pb.Receipt:
        """Return the receipt called `name`: kind/region/shard/offset."""
        return self._call(self._stub.Receipts, pb.ReceiptsRequest(offset=name)).receipts[0]

    def quarantine(
        self, limit: int = 20, *, type: str = "", reason: str = "", source: str = ""
    ) -> pb.QuarantineReply:
        """Return the newest parked events, all or those of a type, reason and source."""
        request = pb.QuarantineRequest(limit=limit, type=type, reason=reason, source=source)
        return self._call(self._stub.Quarantine, request)

    def redrive(
        self,
        *,
        type: str = "",
        reason: str = "",
        source: str = "",
        ids: Sequence[str] = (),
        limit: int = 0,
        dry_run: bool = False,
    ) -> pb.RedriveReply:
        """Have parked events judged again; what now keeps its contract is applied."""
        request = pb.RedriveRequest(
            type=type, reason=reason, source=source, ids=ids, limit=limit, dry_run=dry_run
        )
        return self._call(self._stub.Redrive, request, 60.0)

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


def _arrow() -> Any:
    try:
        from serving import arrow  # noqa: PLC0415 - the base install has no pyarrow
    except ImportError as e:
        raise BadRequest(
            "columns need pyarrow; pip install 'supply-twin[arrow]'", "EXTRA_MISSING"
        ) from e
    return arrow


def minter(folder: Path, name: str, scopes: Sequence[str] = ("read", "write")) -> Callable[[], str]:
    """Return a function that gives a valid token, minted anew before it expires."""
    from serving import access  # noqa: PLC0415 - a client elsewhere brings its token, and no PyJWT

    held: list[Any] = ["", 0.0]

    def token() -> str:
        if time.time() > held[1]:
            held[:] = [access.mint(folder / "key", name=name, scopes=scopes), time.time() + 600]
        return str(held[0])

    return token


def patiently(attempt: Callable[[], T], patience_s: float = 30.0) -> T:
    """Return `attempt()`, repeated while it fails with a Retryable, for at most `patience_s`."""
    until = time.monotonic() + patience_s
    while True:
        try:
            return attempt()
        except Retryable as e:
            if time.monotonic() + e.retry_after > until:
                raise
            time.sleep(e.retry_after)
