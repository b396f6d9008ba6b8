"""Commits: the batches that wait together, as few messages as can be, and each its own receipt.

Rows of one writer are joined before anything is done with them: what a step costs, it costs once
for sixty-four events that came one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from actors.shard import Shard
from serving.access import Identity
from serving.wire import twin_pb2 as pb
from twin.columns import Message
from twin.errors import Denied
from twin.events import Offered, Row, columns_of, decode_arrow, parse_rows
from twin.receipts import Receipt


class Waiting(NamedTuple):
    """A batch that waits for its commit: rows as they came, or columns already."""

    rows: Sequence[Row]
    columns: Offered | None
    tenant: str
    writer: str
    answer: asyncio.Future[Receipt]

    @property
    def size(self) -> int:
        return len(self.rows) if self.columns is None else self.columns.size


def waiting_of(
    request: pb.IngestRequest, who: Identity, answer: asyncio.Future[Receipt]
) -> Waiting:
    """Return a request as a batch that waits. Raises Malformed, TooLarge, TENANT_MISMATCH."""
    if request.HasField("arrow"):
        columns = decode_arrow(request.arrow)
        tenants = set(columns.tenant.words)
        waiting = Waiting((), columns, who.tenant, who.name, answer)
    else:
        rows = parse_rows(request.msgpack)
        tenants = {_tenant(row) for row in rows} - {""}
        waiting = Waiting(rows, None, who.tenant, who.name, answer)
    if foreign := tenants - {who.tenant}:
        raise Denied(
            f"{len(foreign)} tenants of the events are not the token's; send them apart",
            "TENANT_MISMATCH",
        )
    return waiting


def commit(shard: Shard, batch: Sequence[Waiting]) -> list[Receipt]:
    """Offer some batches to a shard, together; return the receipt of each."""
    runs: list[list[Waiting]] = []
    for one in batch:
        last = runs[-1][-1] if runs else None
        if last is not None and _joins(last, one):
            runs[-1].append(one)
        else:
            runs.append([one])
    messages = [Message(_columns(run), run[0].tenant, run[0].writer) for run in runs]
    answers: list[Receipt] = []
    for run, receipt in zip(runs, shard.offer(messages), strict=True):
        start = 0
        for one in run:
            end = start + one.size
            part = slice(start, end)
            answers.append(
                Receipt(receipt.outcome[part], receipt.reason[part], receipt.offset[part])
            )
            start = end
    return answers


def _joins(last: Waiting, one: Waiting) -> bool:
    same = (last.tenant, last.writer) == (one.tenant, one.writer)
    return same and last.columns is None and one.columns is None


def _columns(run: Sequence[Waiting]) -> Offered:
    if run[0].columns is not None:
        return run[0].columns
    return columns_of([row for one in run for row in one.rows])


def _tenant(row: Row) -> str:
    more = row[8] if len(row) > 8 and isinstance(row[8], dict) else {}
    named = more.get("tenant")
    return named if isinstance(named, str) else ""
