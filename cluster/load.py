"""Loading: a file's rows, through a mapping, to the twin; every row and event is accounted for.

Ids come from the rows, so loading twice, or going on after a break, gives duplicates and nothing
else. Rows are read, mapped and sent batch by batch, several of them under way at once: memory does
not grow with the file.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.maker import Events, Firsts, Maker
from cluster.mapping import Mapping
from cluster.rows import File, Parked, Rows, source
from cluster.tally import Message, Tally
from serving.client import Event, Receipt
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Retryable

BATCH = 512  # events: a few of them in flight keep both ends busy, and a retry repeats little
MESSAGE = 16_384  # events in one Arrow message: its columns are worth their overhead
WINDOW = 8  # Arrow messages in flight
PATIENCE_S = 60.0  # a shard that was killed is back well before
ALL = 2**62  # a time after all
Progress = Callable[[int, int], None]  # events answered, events in all


class Sink(Protocol):
    """Where events go: the client, or a recorder in a test."""

    def stream(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]: ...
    def bulk(self, messages: Iterable[bytes]) -> Iterator[pb.IngestReply]: ...


class Mapped(NamedTuple):
    """An event, when it became known (us) and the line of the file it is from."""

    known_us: int
    line: int
    event: Event


class Result(NamedTuple):
    """Events in the order they became known (ties in the order of the file)."""

    rows: int
    events: list[Mapped]
    parked: list[Parked]


class Sent(NamedTuple):
    """What became of events. `reasons`: of those parked or rejected by the twin."""

    events: int
    outcomes: dict[str, int]
    reasons: dict[str, int]


def read(path: Path, mapping: Mapping) -> Result:
    """Return the file's rows as events, in the order they became known, and the parked ones.

    For files that fit the memory. Raises BadRequest FILE_UNREADABLE, COLUMN_UNKNOWN,
    MAPPING_INVALID.
    """
    file = opened(path, mapping)
    return gather(mapping, file.header, file.batches())


def gather(mapping: Mapping, header: Sequence[str], batches: Iterable[Rows]) -> Result:
    maker, firsts = Maker(mapping, header), Firsts(mapping)
    found = [maker.events(rows) for rows in batches]
    for some in found:
        firsts.look(some)
    events = [mapped for some in found for mapped in _plain(firsts.only(some))]
    events.sort(key=lambda mapped: (mapped.known_us, mapped.line))
    parked = sorted(row for some in found for row in some.parked)
    return Result(sum(some.rows for some in found), events, parked)


def opened(path: Path, mapping: Mapping, format_: str = "") -> File:
    """Return the file, ready to be read as the mapping and its name say."""
    reader = mapping.reader
    of = source(path, format_ or reader.format, reader.delimiter, reader.encoding)
    return File(of, lambda names: _fits(mapping, names))


def _fits(mapping: Mapping, names: list[str]) -> bool:
    try:
        Maker(mapping, names)
    except BadRequest as e:
        return e.code != "COLUMN_UNKNOWN"
    return True


def mapped(
    file: File, mapping: Mapping, skip: int = 0, *, until_us: int = ALL, room: int | None = None
) -> Iterator[Message]:
    """Yield the events of a file behind its first `skip` rows, in its order, as Arrow messages.

    What became known after `until_us`, and what is beyond the first `room`, is left out and
    counted. The last message has no events: only rows that are parked or left out. Raises
    BadRequest COLUMN_UNKNOWN, MAPPING_INVALID at once, FILE_UNREADABLE where the file ends.
    """
    return _mapped(file, Maker(mapping, file.header), skip, until_us, room)


def _mapped(
    file: File, maker: Maker, skip: int, until_us: int, room: int | None
) -> Iterator[Message]:
    mapping, rows = maker.mapping, skip
    firsts = Firsts(mapping)
    if firsts:
        with suppress(BadRequest):  # FILE_UNREADABLE: told again below, behind what is whole
            for some in file.batches():
                firsts.look(maker.events(some))
    types = [made.type for made in mapping.events]
    parked: list[Parked] = []
    left = 0
    for some in file.batches(skip):
        found = firsts.only(maker.events(some))
        keep = found.known <= until_us
        if room is not None:
            keep &= np.cumsum(keep) <= room
            room -= int(keep.sum())
        events = found.only(keep)
        left, parked = left + found.size - events.size, parked + found.parked
        table = events.table.unify_dictionaries().combine_chunks()
        for start in range(0, events.size, MESSAGE):
            last = start + MESSAGE >= events.size
            part = slice(start, start + MESSAGE)
            yield Message(
                _stream(table.slice(start, MESSAGE)),
                events.lines[part],
                rows + events.rows if last else rows,
                some.position,
                parked if last else [],
                left if last else 0,
                _counted(types, events.made[part]),
            )
        rows += events.rows
        if events.size:
            left, parked = 0, []
    yield Message(b"", np.zeros(0, np.int64), rows, file.size, parked, left, {})


def _counted(types: Sequence[str], made: NDArray[np.int64]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for number, n in enumerate(np.bincount(made, minlength=len(types)).tolist()):
        counts[types[number]] += n
    return {name: n for name, n in counts.items() if n}


def offer(
    sink: Sink,
    waiting: Iterator[Message],
    tally: Tally,
    progress: Callable[[Tally], None],
    *,
    window: int = WINDOW,
    patience_s: float = PATIENCE_S,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Offer all messages, at most `window` at once; count and tell each answer as it comes.

    A message without events is its own answer, and the last. What was not answered is offered
    again after a Retryable: dedup makes that safe. Raises the
    Retryable once waiting would exceed `patience_s` without any answer in between.
    """
    pending: deque[Message] = deque()
    waited = 0.0
    while True:
        try:
            with _Feed(waiting, pending, window) as feed:
                for reply in sink.bulk(feed):
                    message = pending[0]
                    tally.answer(message, reply.outcomes, reply.reasons)
                    feed.answered()
                    waited = 0.0
                    progress(tally)
            for message in pending:  # without events
                tally.answer(message, b"", b"")
            progress(tally)
        except Retryable as e:
            pause = max(e.retry_after, 0.05)
            waited += pause
            if waited > patience_s:
                raise
            wait(pause)
        else:
            return


class _Feed:
    """Messages for one stream: first those that an earlier stream left without an answer.

    gRPC asks for them in a thread of its own, which must not be left waiting when a call is over.
    """

    def __init__(self, fresh: Iterator[Message], pending: deque[Message], window: int) -> None:
        self._fresh, self._pending = fresh, pending
        self._again = deque(pending)
        self._room = threading.Semaphore(max(window - len(pending), 0))
        self._lock = threading.Lock()
        self._over = False
        self._failed: BaseException | None = None

    def __enter__(self) -> _Feed:
        return self

    def __exit__(self, kind: Any, e: BaseException | None, trace: Any) -> None:
        self._over = True
        self._room.release()
        with self._lock:  # no message is taken from the file any more
            failed = self._failed
        if failed is not None and (e is None or isinstance(e, Retryable)):
            raise failed  # the file's own fault, not the connection's

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._again:
            message = self._again.popleft()
            if not message.lines.size:
                raise StopIteration
            return message.arrow
        self._room.acquire()
        with self._lock:
            if self._over or self._failed:
                raise StopIteration
            try:
                message = next(self._fresh)
            except StopIteration:
                raise
            except BaseException as e:
                self._failed = e
                raise StopIteration from e
            self._pending.append(message)
            if not message.lines.size:
                raise StopIteration
            return message.arrow

    def answered(self) -> None:
        self._pending.popleft()
        self._room.release()


def until(events: Sequence[Mapped], at_us: int) -> list[Event]:
    """Return the events known at `at_us`, in the order they became known."""
    return [one.event for one in events if one.known_us <= at_us]


def send(
    sink: Sink,
    events: Sequence[Event],
    progress: Progress | None = None,
    *,
    batch: int = BATCH,
    patience_s: float = PATIENCE_S,
    wait: Callable[[float], None] = time.sleep,
) -> Sent:
    """Offer all events, in order; what was not answered is offered again after a Retryable.

    Raises the Retryable once waiting would exceed `patience_s` without any answer in between.
    """
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    done, waited = 0, 0.0
    while done < len(events):
        left = (events[at : at + batch] for at in range(done, len(events), batch))
        try:
            for receipts in sink.stream(left):
                outcomes.update(receipt.outcome for receipt in receipts)
                reasons.update(receipt.reason for receipt in receipts if receipt.reason)
                done, waited = done + len(receipts), 0.0
                if progress:
                    progress(done, len(events))
        except Retryable as e:
            pause = max(e.retry_after, 0.05)
            waited += pause
            if waited > patience_s:
                raise
            wait(pause)
        else:
            break
    return Sent(done, dict(outcomes), dict(reasons))


def _plain(events: Events) -> Iterator[Mapped]:
    """Yield events one by one, as a client of few events has them."""
    head = ("type", "source", "subject", "time", "id", "region", "version", "tenant")
    known, lines = events.known.tolist(), events.lines.tolist()
    for row, at, line in zip(events.table.to_pylist(), known, lines, strict=True):
        said = {name: row.pop(name) for name in head if name in row}
        data = {name: value for name, value in row.items() if value is not None}
        yield Mapped(at, line, Event(**said, data=data))


def _stream(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw
