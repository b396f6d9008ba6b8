"""A twin in memory that keeps what it is offered: inference's port in tests, also over gRPC."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import numpy as np

from serving import arrow, faults
from serving.client import ColumnSet, Event, Receipt, TwinState, Value
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from training.artifact import LAYERS, Manifest, Split, probe, promote, publish
from twin.errors import TwinError, UnknownKey
from twin.features import FEATURES, features, schema_hash
from twin.kinds import ABSENT, SHIPMENT, Dtype, Milestone
from twin.lanes import DAY_US, measure, to_plain

NOW = 1_378_000_000_000_000  # 2013-09-01T01:46:40Z
SHARD = "shipment/east/0"
FIELDS = [field for group in SHIPMENT.groups for field in group.fields]


def shipment(promised_days: float = 20.0, **values: object) -> dict[str, object]:
    """An open order of one lane, promised so many days after NOW."""
    day = NOW // DAY_US
    return {
        "status": Milestone.ORDERED,
        "supplier": "scms-from-rdc",
        "origin": "Aurobindo Unit III, India",
        "country": "CI",
        "mode": "air",
        "product_group": "ARV",
        "product": "ARV/Adult",
        "quantity": 1000,
        "value_cents": 120_000,
        "ordered_at": (day - 60) * DAY_US,
        "promised_at": (day + int(promised_days)) * DAY_US,
    } | values


def delivered(late_days: int, **values: object) -> dict[str, object]:
    """An order of the same lane that came so many days after its promise, long ago."""
    promised = (NOW // DAY_US - 100) * DAY_US
    came = promised + late_days * DAY_US
    there = {"promised_at": promised, "delivered_at": came, "recorded_at": came}
    return shipment(status=Milestone.DELIVERED) | there | values


class MemoryTwin:
    """Twins of one region as a dict of rows. `offered`: every event, in order."""

    def __init__(self, rows: dict[str, dict[str, object]], region: str = "east") -> None:
        self.rows = rows
        self.region = region
        self.offered: list[Event] = []
        self.fault: TwinError | None = None
        self.offering = threading.Condition()

    def get(self, kind: str, id: str, region: str = "") -> TwinState:
        self._fail()
        row = self.rows.get(id)
        if kind != "shipment" or row is None:
            raise UnknownKey(f"no {kind} is called {id}")
        values = {
            name: Value(value, NOW - DAY_US, 86_400.0, 0.9, "scms/orders", 7, "live", "")
            for name, value in row.items()
        }
        return TwinState(f"demo/shipment/{self.region}/{id}", id, self.region, values, SHARD, 9, 1)

    def columns(
        self, kind: str, fields: Sequence[str] = (), where: str = "", region: str = ""
    ) -> ColumnSet:
        self._fail()
        kept = {
            id: row
            for id, row in self.rows.items()
            if not where or ("delivered_at" not in row and "promised_at" in row)
        }
        return ColumnSet(plain(kept), {SHARD: 9}, NOW)

    def ingest(self, events: Sequence[Event]) -> list[Receipt]:
        self._fail()
        known = {(event.source, event.id): event for event in self.offered}
        receipts = []
        for event in events:
            before = known.get((event.source, event.id))
            outcome = "APPLIED" if before is None else "DUPLICATE"
            outcome = "REJECTED" if before not in (None, event) else outcome
            receipts.append(Receipt(event.id, event.source, outcome, "", SHARD, 10, 1))
        with self.offering:
            self.offered.extend(events)
            self.offering.notify_all()
        return receipts

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


def plain(rows: dict[str, dict[str, object]]) -> dict[str, Any]:
    """Rows as plain columns of a shipment shard."""
    columns: dict[str, Any] = {"id": np.array(list(rows), dtype=object)}
    for field in FIELDS:
        blank = {Dtype.TEXT: "", Dtype.NUMBER: np.nan, Dtype.MILESTONE: -1}.get(field.dtype, ABSENT)
        kinds = {Dtype.TEXT: object, Dtype.NUMBER: np.float64, Dtype.MILESTONE: np.int8}
        values = [row.get(field.name, blank) for row in rows.values()]
        columns[field.name] = np.array(values, dtype=kinds.get(field.dtype, np.int64))
    return columns


def publish_model(registry: Path, shift_days: float, *, promoted: bool = True) -> str:
    """A model that adds `shift_days` to what its lane table says; return its version."""
    rows = {f"d{n}": delivered(n) for n in range(10)}
    columns = plain(rows)
    lanes = measure(columns, NOW)
    sizes = [len(FEATURES), 4, 4, 4]
    tensors: dict[str, Any] = {
        "inputs.mean": np.zeros(sizes[0], np.float32),
        "inputs.scale": np.ones(sizes[0], np.float32),
    }
    for layer in range(LAYERS):
        tensors[f"layers.{layer}.weight"] = np.zeros((sizes[layer + 1], sizes[layer]), np.float32)
        tensors[f"layers.{layer}.bias"] = np.zeros(sizes[layer + 1], np.float32)
    tensors[f"layers.{LAYERS - 1}.bias"][:3] = shift_days / 10
    manifest = Manifest(
        name="eta",
        created_us=NOW,
        seed=1,
        features=list(FEATURES),
        feature_hash=schema_hash(),
        split=Split(first_us=0, valid_us=0, cut_us=NOW, last_us=NOW, train=10, valid=0, test=0),
        offsets={SHARD: 9},
        metrics={},
        gate=True,
        verdict="made by a test",
        packages={},
        trained_by="test",
        lanes=to_plain(lanes),
        probe=probe(tensors, features(columns, lanes, NOW)[:2]),
    )
    version = publish(registry, "eta", tensors, manifest)
    if promoted:
        promote(registry, "eta", version)
    return version


class Servicer(rpc.TwinServicer):
    """The same memory behind the wire, as a region's gateway would answer."""

    def __init__(self, twin: MemoryTwin) -> None:
        self._twin = twin

    def Get(self, request: Any, context: Any) -> Any:
        try:
            state = self._twin.get(request.kind, request.id, request.region)
        except TwinError as e:
            context.set_trailing_metadata(faults.trailer(e))
            context.abort(faults.status(e), str(e))
        twin = pb.TwinState(
            key=state.key, id=state.id, region=state.region, shard=state.shard, epoch=1
        )
        for name, value in state.values.items():
            told = pb.Value(as_of=value.as_of, age_ms=86_400_000, confidence=0.9, offset=7)
            if isinstance(value.value, str):
                told.text = value.value
            else:
                told.integer = int(value.value)
            twin.values[name].CopyFrom(told)
        return pb.GetReply(twin=twin, now=NOW)

    def Columns(self, request: Any, context: Any) -> Any:
        found = self._twin.columns(request.kind, request.fields, request.where, request.region)
        raw = arrow.encode(found.columns)
        yield pb.ColumnsReply(shard=SHARD, offset=9, epoch=1, now=NOW, arrow=raw, last=True)

    def Ingest(self, requests: Any, context: Any) -> Any:
        for request in requests:
            rows = msgspec.msgpack.decode(request.msgpack)
            events = [Event(r[2], r[1], r[4], r[6], r[7], r[0], r[5], r[3], **r[8]) for r in rows]
            self._twin.ingest(events)
            n = len(events)
            yield pb.IngestReply(
                batch=request.batch,
                outcomes=bytes(n),
                reasons=bytes(n),
                offsets=np.zeros(n, np.int64).tobytes(),
                shards=bytes(n),
                shard_names=[SHARD],
                epochs=[1],
            )


@contextmanager
def over_grpc(twin: MemoryTwin) -> Iterator[str]:
    """Serve `twin` on a free port of loopback, and give its address."""
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    rpc.add_TwinServicer_to_server(Servicer(twin), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(1).wait()
