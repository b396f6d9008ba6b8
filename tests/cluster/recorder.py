"""A twin in memory: answers as a gateway would, and breaks where a test's literal says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from serving.client import OUTCOMES, Event, Receipt
from serving.wire import twin_pb2 as pb
from twin.errors import Unavailable
from twin.events import decode_arrow


class Recorder:
    """`breaks`: numbers of the batches before which the connection breaks, once each.

    `losses`: of those that are taken, and whose answer is lost with the connection.
    """

    def __init__(self, breaks: Sequence[int] = (), losses: Sequence[int] = ()) -> None:
        self.events: list[Event] = []
        self.offered = 0
        self.known: dict[tuple[str, str], tuple[object, ...]] = {}
        self._breaks, self._losses = set(breaks), set(losses)
        self._batch = 0

    def stream(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]:
        for batch in batches:
            if self._batch in self._breaks:
                self._breaks.discard(self._batch)
                raise Unavailable("the shard is away; wait", 0.5)
            self._batch += 1
            yield [self._answer(event) for event in batch]

    def bulk(self, messages: Iterable[bytes]) -> Iterator[pb.IngestReply]:
        for raw in messages:
            if self._batch in self._breaks:
                self._breaks.discard(self._batch)
                raise Unavailable("the shard is away; wait", 0.5)
            receipts = [self._answer(event) for event in unpacked(raw)]
            if self._batch in self._losses:
                self._losses.discard(self._batch)
                raise Unavailable("the connection broke; ask again", 0.5)
            self._batch += 1
            outcomes = bytes(OUTCOMES.index(receipt.outcome) for receipt in receipts)
            yield pb.IngestReply(outcomes=outcomes, reasons=bytes(len(receipts)))

    def _answer(self, event: Event) -> Receipt:
        self.offered += 1
        name, content = (event.source, event.id), tuple(event.row())
        if name in self.known:
            outcome = "DUPLICATE" if self.known[name] == content else "REJECTED"
        else:
            outcome = "APPLIED"
            self.known[name] = content
            self.events.append(event)
        return Receipt(event.id, event.source, outcome, "", "", len(self.events), 1)


def unpacked(raw: bytes) -> list[Event]:
    """Return the events of one Arrow message."""
    offered = decode_arrow(raw)
    rows = [msgspec.msgpack.decode(one) for one in offered.raws(np.arange(offered.size))]
    return [Event(r[2], r[1], r[4], r[6], r[7], r[0], r[5], r[3], **r[8]) for r in rows]
