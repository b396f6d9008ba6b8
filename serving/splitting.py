"""Splitting: a batch over the shards that write its events, read no further than that takes.

Only types, regions and subjects are looked at; a shard reads the rest, and says what is wrong
where something is. A batch that is wholly one shard's goes on as the bytes that came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving.routes import Routes
from serving.wire import twin_pb2 as pb
from twin.arrow_columns import coded_column, text_column
from twin.arrow_stream import read_stream
from twin.events import Row, parse_rows, word_column
from twin.texts import Texts, texts

INLINE_BYTES = 16 << 10  # a batch of that many takes less time to read than to hand to a thread
NEEDED = ("type", "subject")


class Part(NamedTuple):
    """Which events of a batch one shard gets, and the request that holds them; None: all."""

    shard: str
    at: NDArray[np.int64] | None
    request: pb.IngestRequest


class Splitter:
    """Splits the batches of one asker."""

    def __init__(self, routes: Routes, here: str, tenant: str) -> None:
        self._routes = routes
        self._here = here
        self._tenant = tenant

    def split(self, request: pb.IngestRequest) -> list[Part]:
        """Return a batch's parts. Raises Malformed, TooLarge, Unavailable."""
        if request.HasField("arrow"):
            return self._arrow(request)
        rows = parse_rows(request.msgpack)
        regions = word_column([_text(row[5]) for row in rows])
        types = word_column([_text(row[2]) for row in rows])
        subjects = texts([_text(row[4]) for row in rows])
        whole = self._whole(types, regions, subjects)
        if len(whole) < 2:
            return self._one(whole, request)
        return [self._rows(name, at, rows, request) for name, at in whole.items()]

    def _arrow(self, request: pb.IngestRequest) -> list[Part]:
        batches, schema = read_stream(request.arrow)
        try:
            batch = batches[0] if batches else _no_rows(schema)
            if len(batches) > 1 or not set(NEEDED) <= set(schema.names):
                table = pa.Table.from_batches(batches, schema).combine_chunks()
                (batch,) = table.to_batches() or (_no_rows(schema),)
            regions = pa.nulls(batch.num_rows, pa.string())
            if "region" in batch.schema.names:
                regions = batch["region"]
            columns = (coded_column(batch["type"]), coded_column(regions))
            whole = self._whole(*columns, text_column(batch["subject"]))
        except (pa.ArrowException, OSError, EOFError, ValueError, NotImplementedError, KeyError):
            return self._one({}, request)  # no batch of events: a shard says what it lacks
        if len(whole) < 2:
            return self._one(whole, request)
        return [
            Part(name, at, pb.IngestRequest(arrow=_taken(batch, at), urgency=request.urgency))
            for name, at in whole.items()
        ]

    def _whole(
        self,
        types: tuple[NDArray[np.int32], Sequence[str]],
        regions: tuple[NDArray[np.int32], Sequence[str]],
        subjects: Texts,
    ) -> dict[str, NDArray[np.int64]]:
        return self._routes.split(types, regions, subjects, self._here, self._tenant)

    def _one(self, whole: dict[str, Any], request: pb.IngestRequest) -> list[Part]:
        """Return the batch as it came, for its only shard; for any if it has no events."""
        anyone = self._routes.owner("shipment", self._here, "", texts([""]))[0]
        name = next(iter(whole), anyone.name)
        return [Part(name, None, request)]

    def _rows(
        self, name: str, at: NDArray[np.int64], rows: Sequence[Row], request: pb.IngestRequest
    ) -> Part:
        packed = msgspec.msgpack.encode([rows[i] for i in at.tolist()])
        return Part(name, at, pb.IngestRequest(msgpack=packed, urgency=request.urgency))


def merged(parts: Sequence[Part], answers: Sequence[pb.IngestReply]) -> pb.IngestReply:
    """Return the answers to the parts of one batch as the answer to the batch."""
    places = [part.at for part in parts if part.at is not None]
    n = sum(at.size for at in places)
    outcome, reason = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    offset, shard = np.full(n, -1, "<i8"), np.full(n, 255, np.uint8)
    reply = pb.IngestReply()
    for number, (at, answer) in enumerate(zip(places, answers, strict=True)):
        outcome[at] = np.frombuffer(answer.outcomes, np.uint8)
        reason[at] = np.frombuffer(answer.reasons, np.uint8)
        offset[at] = np.frombuffer(answer.offsets, "<i8")
        shard[at] = np.where(offset[at] >= 0, number, 255)
        reply.shard_names.append(answer.shard_names[0])
        reply.epochs.append(answer.epochs[0])
    reply.outcomes, reply.reasons = outcome.tobytes(), reason.tobytes()
    reply.offsets, reply.shards = offset.tobytes(), shard.tobytes()
    reply.ingest_time = max(answer.ingest_time for answer in answers)
    return reply


def _taken(batch: pa.RecordBatch, at: NDArray[Any]) -> bytes:
    part = batch.take(pa.array(at))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_batch(part)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
