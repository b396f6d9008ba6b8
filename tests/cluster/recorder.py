"""A twin in memory: answers as a gateway would, and breaks where a test's literal says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from serving.client import Event, Receipt
from twin.errors import Unavailable


class Recorder:
    """`breaks`: numbers of the batches before which the connection breaks, once each."""

    def __init__(self, breaks: Sequence[int] = ()) -> None:
        self.events: list[Event] = []
        self.offered = 0
        self.known: dict[tuple[str, str], tuple[object, ...]] = {}
        self._breaks = set(breaks)
        self._batch = 0

    def stream(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]:
        for batch in batches:
            if self._batch in self._breaks:
                self._breaks.discard(self._batch)
                raise Unavailable("the shard is away; wait", 0.5)
            self._batch += 1
            yield [self._answer(event) for event in batch]

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
