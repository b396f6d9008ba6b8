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
from typing import Any, NamedTuple, TypeVar

import grpc
import msgspec

from serving import faults
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from twin.errors import BadRequest, Retryable

OUTCOMES = ("APPLIED", "SUPERSEDED", "DUPLICATE", "PARKED", "REJECTED")
LARGEST = 16 << 20
OPTIONS = (("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST))
T = TypeVar("T")
_pack = msgspec.msgpack.Encoder().encode


class Event(NamedTuple):
    """A fact. `time` is when it became true (us); an empty `id` becomes a hash of the content."""

    type: str
    source: str
    subject: str
    time: int
    data: dict[str, Any]
    id: str = ""
    region: str = ""
    version: int = 1
    tenant: str = ""
    confidence: float = 1.0
    corrects: str = ""
    retracts: str = ""

    def row(self) -> list[Any]:
        extensions: dict[str, Any] = {}
        if self.confidence != 1.0:
            extensions["confidence"] = self.confidence
        for name in ("tenant", "corrects", "retracts"):
            if value := getattr(self, name):
                extensions[name] = value
        return [
            self.id,
            self.source,
            self.type,
            self.version,
            self.subject,
            self.region,
            self.time,
            self.data,
            extensions,
        ]


class Receipt(NamedTuple):
    """What became of one event, and the proof: shard and offset (-1 if not journaled)."""

    id: str
    source: str
    outcome: str
    reason: str
    shard: str
    offset: int
    epoch: int

    @property
    def name(self) -> str:
        return f"{self.shard}/{self.offset}" if self.offset >= 0 else ""


class Value(NamedTuple):
    value: Any
    as_of: int
    age_s: float
    confidence: float
    source: str
    offset: int
    state: str
    unit: str


class TwinState(NamedTuple):
    key: str
    id: str
    region: str
    values: dict[str, Value]
    shard: str
    offset: int
    epoch: int


class Found(NamedTuple):
    twins: list[TwinState]
    shown: int
    total: int
    mode: str
    now: int
    missing: list[str]


class Groups(NamedTuple):
    rows: list[dict[str, Any]]
    shown: int
    total: int
    mode: str
    now: int
    oldest_as_of: int


class ColumnSet(NamedTuple):
    columns: dict[str, Any]  # name -> numpy array (n,)
    offsets: dict[str, int]  # shard -> offset of its snapshot
    now: int


class Client:
    """One connection to a gateway (or a shard). Thread-safe, as gRPC channels are."""

    def __init__(
        self, address: str, token: str | Callable[[], str], *, timeout_s: float = 10.0
    ) -> None:
        self.address = address
        self._token = token
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._stub = rpc.TwinStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def ingest(self, events: Sequence[Event]) -> list[Receipt]:
        """Offer events; return a receipt for each, once all are durable."""
        return next(iter(self.stream([events])), [])

    def stream(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]:
        """Offer batches over one stream; yield the receipts of each, in order."""
        sent: dict[int, Sequence[Event]] = {}

        def requests() -> Iterator[pb.IngestRequest]:
            for number, events in enumerate(batches):
                sent[number] = events
                packed = _pack([event.row() for event in events])
                yield pb.IngestRequest(batch=number, msgpack=packed)

        try:
            for reply in self._stub.Ingest(requests(), metadata=self._metadata()):
                if reply.HasField("fault"):
                    raise faults.error(
                        reply.fault.code, reply.fault.message, reply.fault.retry_after_s
                    )
                yield receipts(reply, sent.pop(reply.batch))
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
        return _state(self._call(self._stub.Get, request).twin)

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
        twins = [_state(twin) for twin in reply.twins]
        mode = pb.Mode.Name(reply.mode).lower()
        return Found(twins, reply.shown, reply.total, mode, reply.now, list(reply.missing))

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
        try:
            from serving import arrow  # noqa: PLC0415 - the base install has no pyarrow
        except ImportError as e:
            raise BadRequest(
                "columns need pyarrow; pip install 'supply-twin[arrow]'", "EXTRA_MISSING"
            ) from e
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

    def quarantine(self, limit: int = 20) -> pb.QuarantineReply:
        return self._call(self._stub.Quarantine, pb.QuarantineRequest(limit=limit))

    def locate(self, kind: str, id: str, region: str = "") -> pb.LocateReply:
        return self._call(self._stub.Locate, pb.LocateRequest(kind=kind, id=id, region=region))

    def status(self, digests: bool = False, verify: bool = False) -> pb.StatusReply:
        """Return mode, clock, shards. `verify`: compare memory with the journal; takes longer."""
        request = pb.StatusRequest(digests=digests, verify=verify)
        return self._call(self._stub.Status, request, 120.0 if verify or digests else 0.0)

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
    return Client(address, minter(folder, name))


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


def receipts(reply: pb.IngestReply, events: Sequence[Event]) -> list[Receipt]:
    """Return the receipts of one reply, in the order offered."""
    reasons = faults.REASONS
    offsets = memoryview(reply.offsets).cast("q")
    out = []
    for i, event in enumerate(events):
        at = reply.shards[i]
        shard, epoch = ("", 0) if at == 255 else (reply.shard_names[at], reply.epochs[at])
        outcome, reason = OUTCOMES[reply.outcomes[i]], reasons[reply.reasons[i]]
        out.append(Receipt(event.id, event.source, outcome, reason, shard, offsets[i], epoch))
    return out


def _state(twin: pb.TwinState) -> TwinState:
    values = {}
    for name, value in twin.values.items():
        held = value.WhichOneof("value")
        values[name] = Value(
            getattr(value, held) if held else None,
            value.as_of,
            value.age_ms / 1000,
            value.confidence,
            value.source,
            value.offset,
            value.state,
            value.unit,
        )
    return TwinState(twin.key, twin.id, twin.region, values, twin.shard, twin.offset, twin.epoch)
