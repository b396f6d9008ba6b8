"""Events as a table: the frames of a shard's journal as columns, oldest first, bound to a tenant.

The scan reads files that the writer does not wait for, a run of frames at a time: neither the
length of the journal nor a slow reader takes more memory than one run does.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.shard import Shard
from serving.sql_columns import coded, drained, instants
from serving.wire import twin_pb2 as pb
from twin import redrive
from twin.columns import event_ids, payload_column
from twin.contracts import CONTRACTS
from twin.dedup import UNSEEN
from twin.errors import TooMany, UnknownField
from twin.events import PAYLOAD
from twin.fields import known, surety
from twin.frames import Frame
from twin.kinds import NO_CODE, Dtype
from twin.lexicon import Lexicon
from twin.outcomes import Outcome, Reason
from twin.texts import Texts

Column = NDArray[Any]
RUN = 20_000  # events of one piece: some MiB
FLAWS = ("field", "expected", "got")  # of parked events: what breaks their contract
_INSTANT, _CODED = pa.timestamp("us", tz="UTC"), pa.dictionary(pa.int32(), pa.string())
COLUMNS: dict[str, pa.DataType] = {
    "shard": _CODED,
    "offset": pa.int64(),
    "epoch": pa.int64(),
    "id": pa.string(),
    "source": _CODED,
    "type": _CODED,
    "version": pa.int64(),
    "kind": _CODED,
    "subject": pa.string(),
    "key": pa.string(),
    "region": _CODED,
    "event_time": _INSTANT,
    "ingest_time": _INSTANT,
    "confidence": pa.float64(),
    "outcome": _CODED,
    "reason": _CODED,
    "writer": _CODED,
    "does": _CODED,
    "target": pa.int64(),  # an offset
    "payload": pa.string(),
    "receipt": pa.string(),
}
PARKED: dict[str, pa.DataType] = COLUMNS | dict.fromkeys(FLAWS, pa.string())
_BY_CONTRACT = ("type", "version", "kind")
_REASONS = [None, *(reason.name for reason in Reason if reason)]
_OUTCOMES = [outcome.name for outcome in Outcome]
_DOES = [None, "corrects", "retracts"]  # by NOTHING, CORRECTS, RETRACTS
_json = msgspec.json.encode


def pieces(shard: Shard, request: pb.EventsRequest, tenant: str, now_us: int) -> Iterator[Any]:
    """Yield ColumnsReply messages, one Arrow stream in all.

    Raises UnknownField, or TooMany (TOO_LARGE) where more match than `limit` says.
    """
    columns = PARKED if request.parked else COLUMNS
    if unknown := [name for name in request.fields if name not in columns]:
        raise UnknownField(f"events have no column {unknown[0]}; they have {', '.join(columns)}")
    schema = pa.schema({name: columns[name] for name in request.fields or columns})
    before = min(request.before or shard.next, shard.next)
    lexicon, names = shard.lend(lambda live: (live.lexicon, live.names))  # which only ever grow
    told: dict[str, Any] = {
        "shard": shard.name,
        "offset": before,
        "epoch": shard.epoch,
        "now": now_us,
    }
    found, sink = 0, io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for run in _runs(_parts(shard, request, lexicon.code(tenant), before)):
            found += sum(part.at.size for part in run)
            if request.limit and found > request.limit:
                raise TooMany(
                    f"{shard.name} has more than {request.limit} such events; narrow them by "
                    "ingest_time, event_time or shard"
                )
            rows = Rows(shard, run, lexicon, names)
            arrays = [rows.column(field.name, field.type) for field in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            yield pb.ColumnsReply(arrow=drained(sink), **told)
    shard.require_marker()
    yield pb.ColumnsReply(arrow=drained(sink), last=True, **told)


class Part(NamedTuple):
    """Some events of one frame, by their places in it; `raws`: parked ones as they came."""

    frame: Frame
    at: NDArray[np.int64]
    raws: dict[int, redrive.Parked]


def _runs(parts: Iterator[Part]) -> Iterator[list[Part]]:
    """Yield parts of frames together, some RUN events at a time."""
    run: list[Part] = []
    size = 0
    for part in parts:
        run.append(part)
        size += part.at.size
        if size >= RUN:
            yield run
            run, size = [], 0
    if run:
        yield run


def _parts(shard: Shard, asked: pb.EventsRequest, tenant: int, before: int) -> Iterator[Part]:
    """Yield what is asked for, frame by frame, RUN events of one at most."""
    if tenant == NO_CODE:  # nobody of this tenant ever told this shard anything
        return
    parked = np.array(shard.parked()[::-1], np.int64) if asked.parked else None
    start = asked.first
    if parked is not None:
        start = max(start, int(parked[0]) if parked.size else before)
    if start < before and asked.since:
        start = _first_since(shard, asked.since, start, before)
    for frame in shard.frames(start) if start < before else ():
        if frame.first >= before or (asked.until and frame.ingest_time >= asked.until):
            return
        if not frame.size or frame.ingest_time < asked.since:
            continue
        columns, offset = frame.columns, frame.first + np.arange(frame.size)
        mine = (columns["tenant"] == tenant) & (offset >= start) & (offset < before)
        if asked.event_since:
            mine &= columns["time"] >= asked.event_since
        if asked.event_until:
            mine &= columns["time"] < asked.event_until
        if parked is not None:
            mine &= np.isin(offset, parked)
        at = np.flatnonzero(mine)
        for i in range(0, at.size, RUN):
            piece = at[i : i + RUN]
            held = piece[columns["reason"][piece] != Reason.NONE].tolist()
            said = dict(redrive.parked_in(frame)) if held else {}
            yield Part(frame, piece, {n: redrive.parked(frame, n, said[n]) for n in held})


def _first_since(shard: Shard, since: int, low: int, high: int) -> int:
    """Return an offset in low..high before which everything was journaled before `since`."""
    while low < high:  # ingest times never run backwards within a journal
        middle = (low + high) // 2
        frame = shard.frame(middle)
        if frame is None or frame.ingest_time >= since:
            high = middle
        else:
            low = frame.first + frame.size
    return low


class Rows:
    """A run of events as columns of the table."""

    def __init__(
        self, shard: Shard, run: Sequence[Part], lexicon: Lexicon, names: Mapping[str, Texts]
    ) -> None:
        self._shard, self._run, self._lexicon, self._names = shard, run, lexicon, names
        self._sizes = [part.at.size for part in run]
        self._offset = np.concatenate([part.frame.first + part.at for part in run])
        self._contract = self._of("contract")
        self._reason = self._of("reason")

    def column(self, name: str, type_: pa.DataType) -> pa.Array:
        """Return one of COLUMNS or PARKED as an array of `type_`."""
        if name in {"source", "writer"}:
            return coded(self._of(name), self._lexicon)
        if name in {"shard", "region"}:
            word = self._shard.name if name == "shard" else self._shard.rule.region
            return _named(np.zeros(self._offset.size, np.int32), [word])
        if name in _BY_CONTRACT:
            return self._by_contract(name, type_)
        if name in FLAWS:
            return pa.array(self._flaws(FLAWS.index(name)), type_)
        columns: dict[str, Callable[[], pa.Array]] = {
            "offset": lambda: pa.array(self._offset),
            "epoch": lambda: pa.array(self._repeated([p.frame.epoch for p in self._run])),
            "ingest_time": lambda: instants(
                self._repeated([p.frame.ingest_time for p in self._run])
            ),
            "event_time": lambda: instants(self._of("time")),
            "confidence": lambda: pa.array(surety(self._of(name)), from_pandas=True),
            "id": lambda: pa.array([t for p in self._run for t in _ids(p)], type_),
            "subject": lambda: pa.array([key[2] for key in self._keys()], type_),
            "key": lambda: pa.array(self._full_keys(), type_),
            "outcome": self._outcome,
            "reason": lambda: _named(self._of("reason"), _REASONS),
            "does": lambda: _named(self._does(), _DOES),
            "target": self._target,
            "payload": lambda: pa.array(self._payload(), type_),
            "receipt": lambda: pa.array([f"{self._shard.name}/{n}" for n in self._offset], type_),
        }
        return columns[name]()

    def _of(self, name: str) -> Column:
        return np.concatenate([part.frame.columns[name][part.at] for part in self._run])

    def _repeated(self, values: Sequence[int]) -> Column:
        return np.repeat(np.array(values, np.int64), self._sizes)

    def _raws(self) -> Iterator[tuple[int, redrive.Parked]]:
        """Yield parked events by their places in the run."""
        parked = (one for part in self._run for one in part.raws.values())
        yield from zip(np.flatnonzero(self._reason).tolist(), parked, strict=True)

    def _by_contract(self, name: str, type_: pa.DataType) -> pa.Array:
        """Return type, version or kind: of a parked event as it says itself."""
        known = np.array([*(getattr(c, name) for c in CONTRACTS), None], object)
        values = known[np.where(self._reason == 0, self._contract, -1)]
        for i, one in self._raws():
            said = str(one.row[2]) if name != "version" else one.row[3]
            if name == "version":
                values[i] = 1 if said is None else said if isinstance(said, int) else None
            else:
                values[i] = said.partition(".")[0] if name == "kind" else said
        return pa.array(values, type_)

    def _keys(self) -> list[tuple[str, str, str]]:
        """Return (tenant, kind, id of the twin) of each event."""
        row, out = self._of("row").astype(np.int64), np.empty(self._offset.size, object)
        kinds = np.array([*(c.kind for c in CONTRACTS), ""], object)[self._contract]
        for kind in set(kinds[row >= 0].tolist()):
            at = np.flatnonzero((row >= 0) & (kinds == kind))
            for i, name in zip(at.tolist(), self._names[kind].take(row[at]).list(), strict=True):
                tenant, _, id = name.partition("/")
                out[i] = (tenant, kind, id)
        tenants = self._of("tenant")
        for i, one in self._raws():
            kind = str(one.row[2]).partition(".")[0]
            out[i] = (self._lexicon.word(int(tenants[i])), kind, str(one.row[4]))
        keys: list[tuple[str, str, str]] = out.tolist()
        return keys

    def _full_keys(self) -> list[str]:
        region = self._shard.rule.region
        return [f"{tenant}/{kind}/{region}/{id}" for tenant, kind, id in self._keys()]

    def _outcome(self) -> pa.Array:
        codes = self._shard.study(lambda state: state.seen.outcomes(self._offset))
        return _named(np.where(self._reason != 0, Outcome.PARKED, codes), _OUTCOMES)

    def _does(self) -> Column:
        held = [p.frame.columns.get("does", np.zeros(p.frame.size, np.int8)) for p in self._run]
        return np.concatenate([does[p.at] for does, p in zip(held, self._run, strict=True)])

    def _target(self) -> pa.Array:
        """Return where the event that one corrects or retracts was journaled, if it was."""
        at = np.flatnonzero(self._does())
        held = [p.frame.columns["target"][p.at] for p in self._run if "target" in p.frame.columns]
        target = np.full(self._offset.size, -1)
        if at.size:
            does = [p.frame.columns["does"][p.at] for p in self._run if "does" in p.frame.columns]
            wanted = np.concatenate(held)[np.concatenate(does) != 0]
            known = self._shard.study(lambda state: state.seen.find(wanted))
            target[at] = np.where(known.entry == UNSEEN, -1, known.offset)
        return pa.array(target, mask=target < 0)

    def _payload(self) -> list[str]:
        """Return what each event says, as JSON; of a parked one as it came."""
        said: list[dict[str, Any]] = [{} for _ in self._offset]
        start = 0
        for part in self._run:
            for contract in set(part.frame.columns["contract"][part.at].tolist()) - {-1}:
                for promise in CONTRACTS[contract].payload:
                    self._say(said, start, part, contract, promise.name)
            start += part.at.size
        for i, one in self._raws():
            said[i] = one.row[7]
        return [_json(facts).decode() for facts in said]

    def _say(
        self, said: list[dict[str, Any]], start: int, part: Part, contract: int, name: str
    ) -> None:
        """Put one field of the events of one contract, where they have it."""
        dtype = PAYLOAD[name]
        column = payload_column(part.frame, name)[part.at]
        there = known(column, dtype) & (part.frame.columns["contract"][part.at] == contract)
        at = np.flatnonzero(there & (part.frame.columns["reason"][part.at] == 0))
        values: list[Any] = column[at].tolist()
        if dtype is Dtype.TEXT:
            values = [self._lexicon.word(code) for code in values]
        elif dtype is Dtype.FLAG:
            values = [bool(value) for value in values]
        elif dtype is Dtype.TIME:
            values = [time_text(value) for value in values]
        for i, value in zip(at.tolist(), values, strict=True):
            said[start + i][name] = value

    def _flaws(self, which: int) -> list[str | None]:
        """Return the field of each event that breaks its contract, what was expected, or came."""
        out: list[str | None] = [None] * self._offset.size
        for i, one in self._raws():
            out[i] = redrive.flaw(one.row, one.reason)[which] or None
        return out


def time_text(us: int) -> str:
    """Return RFC 3339 to the microsecond, where there are any."""
    return (
        datetime.fromtimestamp(us // 1_000_000, UTC)
        .replace(microsecond=us % 1_000_000)
        .isoformat()
        .replace("+00:00", "Z")
    )


def _ids(part: Part) -> list[str]:
    return event_ids(part.frame).take(part.at).list()


def _named(codes: Column, words: Sequence[str | None]) -> pa.Array:
    """Return codes as a dictionary of `words`; null where a code has none."""
    there = np.array([word is not None for word in words])
    held = pa.array([word or "" for word in words], pa.string())
    place = pa.array(codes.astype(np.int32), mask=~there[codes])
    return pa.DictionaryArray.from_arrays(place, held)
