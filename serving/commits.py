"""Commits: the batches that wait together, as few messages as can be, and each its own receipt.

Batches of one writer are joined before anything is done with them: what a step costs, it costs
once for sixty-four events that came one by one, or for eight batches of a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from actors.shard import Shard
from serving.access import Identity
from serving.deadline import NEVER
from serving.intake import Answer, Waiting
from serving.wire import twin_pb2 as pb
from twin.columns import Message
from twin.errors import Denied, TwinError
from twin.events import Offered, Row, columns_of, decode_arrow, decode_rows, parse_rows
from twin.joining import joined
from twin.receipts import Receipt

FEW = 4096  # bytes of msgpack: some thirty events
OWN, NONE = 0, 255  # in an answer's `shards`: this one, or none


def waiting_of(
    request: pb.IngestRequest,
    who: Identity,
    answer: asyncio.Future[Answer | TwinError],
    until: float = NEVER,
) -> Waiting:
    """Return a request as a batch that waits. Raises Malformed, TooLarge, TENANT_MISMATCH."""
    if request.HasField("arrow"):
        raw = request.arrow
        columns = decode_arrow(raw)
        tenants = set(columns.tenant.words)
        waiting = Waiting((), columns, who.tenant, who.name, answer, len(raw), until)
    else:
        raw = request.msgpack
        if len(raw) < FEW:  # one object per event costs less than a column per field
            rows = parse_rows(raw)
            tenants = {_tenant(row) for row in rows} - {""}
            waiting = Waiting(rows, None, who.tenant, who.name, answer, len(raw), until)
        else:
            columns = decode_rows(raw)
            tenants = set(columns.tenant.words)
            waiting = Waiting((), columns, who.tenant, who.name, answer, len(raw), until)
    if foreign := tenants - {who.tenant}:
        raise Denied(
            f"{len(foreign)} tenants of the events are not the token's; send them apart",
            "TENANT_MISMATCH",
        )
    return waiting


def commit(shard: Shard, batch: Sequence[Waiting]) -> list[Answer]:
    """Offer some batches to a shard, together; return the answer to each."""
    runs: list[list[Waiting]] = []
    for one in batch:
        last = runs[-1][-1] if runs else None
        if last is not None and _joins(last, one):
            runs[-1].append(one)
        else:
            runs.append([one])
    messages = [Message(_columns(run), run[0].tenant, run[0].writer) for run in runs]
    answers: list[Answer] = []
    for run, receipt in zip(runs, shard.offer(messages), strict=True):
        whole = _answer(receipt)
        start = 0
        for one in run:
            end = start + one.size
            offsets = whole.offsets[8 * start : 8 * end]
            part = slice(start, end)
            answers.append(
                Answer(whole.outcomes[part], whole.reasons[part], offsets, whole.shards[part])
            )
            start = end
    return answers


def _answer(receipt: Receipt) -> Answer:
    """Return a receipt as bytes: cut for each batch in a moment, while arrays are not."""
    return Answer(
        receipt.outcome.astype(np.uint8).tobytes(),
        receipt.reason.astype(np.uint8).tobytes(),
        receipt.offset.astype("<i8").tobytes(),
        np.where(receipt.offset >= 0, OWN, NONE).astype(np.uint8).tobytes(),
    )


def _joins(last: Waiting, one: Waiting) -> bool:
    same = (last.tenant, last.writer) == (one.tenant, one.writer)
    return same and (last.columns is None) == (one.columns is None)


def _columns(run: Sequence[Waiting]) -> Offered:
    columns = [one.columns for one in run if one.columns is not None]
    if columns:
        return joined(columns)
    return columns_of([row for one in run for row in one.rows])


def _tenant(row: Row) -> str:
    more = row[8] if len(row) > 8 and isinstance(row[8], dict) else {}
    named = more.get("tenant")
    return named if isinstance(named, str) else ""
