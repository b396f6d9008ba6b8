"""Records: what a client hands in and gets back. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from serving import faults
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest

OUTCOMES = ("APPLIED", "SUPERSEDED", "DUPLICATE", "PARKED", "REJECTED")


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
    mode: str = "normal"  # of an answer about this twin alone
    withheld: Sequence[str] = ()  # fields left out of it, as too old or too unsure


class Found(NamedTuple):
    """Twins, in the order asked for. `cursor`: ask with it for what follows; empty at the end."""

    twins: list[TwinState]
    shown: int
    total: int
    mode: str
    now: int
    missing: list[str]
    cursor: str = ""
    withheld: Sequence[str] = ()  # fields left out somewhere, as too old or too unsure
    offsets: Mapping[str, int] = {}  # shard -> state as of all events before this offset


class Groups(NamedTuple):
    rows: list[dict[str, Any]]
    shown: int
    total: int
    mode: str
    now: int
    oldest_as_of: int


class Batch(NamedTuple):
    """Twins by id as columns: FIELD, and GROUP_as_of, _age_s, _source, _confidence, _offset.

    What is not known is absent: ABSENT, NaN, "" or -1, and a group of which nothing is known
    has no columns.
    """

    columns: dict[str, Any]  # name -> numpy array (n,); `id` is one of them
    missing: list[str]  # ids of which there is no twin
    offsets: dict[str, int]  # shard -> its state as of all events before this offset
    epochs: dict[str, int]
    now: int
    mode: str


class ColumnSet(NamedTuple):
    columns: dict[str, Any]  # name -> numpy array (n,)
    offsets: dict[str, int]  # shard -> offset of its snapshot
    now: int


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


def state(twin: pb.TwinState) -> TwinState:
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


def got(reply: pb.GetReply) -> TwinState:
    """Return the twin of an answer about one, and how that came about."""
    mode = pb.Mode.Name(reply.mode).lower()
    return state(reply.twin)._replace(mode=mode, withheld=tuple(reply.withheld))


def found(reply: pb.SearchReply) -> Found:
    """Return what a search or a BatchGet found."""
    twins = [state(twin) for twin in reply.twins]
    mode = pb.Mode.Name(reply.mode).lower()
    return Found(
        twins,
        reply.shown,
        reply.total,
        mode,
        reply.now,
        list(reply.missing),
        reply.cursor,
        tuple(reply.withheld),
        dict(reply.offsets),
    )


def when(as_of: int, known_at: int) -> pb.When | None:
    """Return the moment that two times (us) name; None for now."""
    return pb.When(at=as_of, known_at=known_at) if as_of or known_at else None


def including(names: Iterable[str]) -> dict[str, int]:
    """Return the offsets that an answer must include to show these receipts (shard/offset)."""
    offsets: dict[str, int] = {}
    for name in names:
        shard, _, offset = name.rpartition("/")
        if not shard or not offset.isdecimal():
            raise BadRequest(f"{name!r} is no receipt; one reads shipment/east/0/57")
        offsets[shard] = max(offsets.get(shard, 0), int(offset))
    return offsets


def fallback(word: str) -> pb.Fallback:
    """Return what to do about values that are too old or too unsure. Raises BadRequest."""
    if word.upper() not in pb.Fallback.keys():  # noqa: SIM118 - no dict
        raise BadRequest(f"there is no fallback {word!r}; there are refuse, withhold and label")
    return pb.Fallback.Value(word.upper())
