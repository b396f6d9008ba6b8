"""Events: facts reported by source systems, many at a time, as columns.

The twin changes by applying events and in no other way. An event carries two clocks:
`event_time`, when the fact became true in the world, and `ingest_time`, when this system first
saw it; both int64 microseconds UTC. Two wire forms, one meaning: msgpack rows for a few events,
an Arrow stream for many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.contracts import CONTRACTS
from twin.errors import Malformed
from twin.kinds import ABSENT, Dtype
from twin.texts import Texts, hashes, texts

Column = NDArray[Any]
MOST_EVENTS = 1_000_000  # in one message; a row of msgpack is at least 16 bytes of its 16 MiB
ENVELOPE = ("id", "source", "type", "version", "subject", "region", "time")
EXTENSIONS = ("tenant", "confidence", "corrects", "retracts")
NOTHING, CORRECTS, RETRACTS = 0, 1, 2  # what an event does to an earlier one
PAYLOAD: dict[str, Dtype] = {p.name: p.dtype for c in CONTRACTS for p in c.payload}
_pack = msgspec.msgpack.Encoder().encode


class Words(NamedTuple):
    """A text column as codes (n,) into a dictionary of this batch; -1 where absent."""

    codes: NDArray[np.int32]
    words: Sequence[str]

    def hashes(self) -> NDArray[np.uint64]:
        known = np.append(hashes(texts(self.words))[:, 0], np.uint64(0))
        return known[self.codes]

    def take(self, at: Column) -> Words:
        return Words(self.codes[at], self.words)


class Numbers(NamedTuple):
    """A column of numbers: where present, and where of the type its field has."""

    values: Column  # int64, float64 or int8, by the field's dtype; blank where absent
    present: NDArray[np.bool_]
    sound: NDArray[np.bool_]


class Offered(NamedTuple):
    """n events of one message, in the order offered. Nothing is checked yet but their shape."""

    id: Texts  # "" where missing
    subject: Texts
    source: Words
    type: Words
    region: Words
    tenant: Words
    version: NDArray[np.int64]
    time: NDArray[np.int64]
    confidence: NDArray[np.float64]
    does: NDArray[np.int8]
    target: Texts  # the id of the event it corrects or retracts
    numbers: Mapping[str, Numbers]
    words: Mapping[str, Words]
    strange: NDArray[np.bool_]  # carries a payload field that no contract knows
    rows: Sequence[Any]  # as it came: a list of rows, or an Arrow batch

    @property
    def size(self) -> int:
        return self.time.size

    def raw(self, i: int) -> bytes:
        """Return event `i` as one msgpack row."""
        if isinstance(self.rows, pa.RecordBatch):
            event = self.rows.slice(i, 1).to_pylist()[0]
            head = [event.pop(name, None) for name in ENVELOPE]
            more = {k: event.pop(k) for k in EXTENSIONS if event.get(k) is not None}
            payload = {k: v for k, v in event.items() if v is not None}
            return _pack([*head, payload, more])
        return _pack(self.rows[i])


def decode_rows(message: bytes) -> Offered:
    """Read msgpack rows. Raises Malformed when they are no list of events."""
    try:
        rows = msgspec.msgpack.decode(message)
    except (msgspec.DecodeError, RecursionError, ValueError) as e:
        raise Malformed(f"the message is no msgpack ({e}); send a list of rows") from e
    if not isinstance(rows, list) or len(rows) > MOST_EVENTS:
        raise Malformed(f"the message is no list of at most {MOST_EVENTS} rows; split it")
    for row in rows:
        if not isinstance(row, list) or len(row) not in {8, 9} or not isinstance(row[7], dict):
            raise Malformed(f"a row is [{', '.join(ENVELOPE)}, payload, extensions]; fix the rows")
    more = [row[8] if len(row) > 8 and isinstance(row[8], dict) else {} for row in rows]
    payloads: list[dict[str, Any]] = [row[7] for row in rows]
    names = dict.fromkeys(name for payload in payloads for name in payload)
    numbers, words = {}, {}
    for name in names:
        column = [payload.get(name) for payload in payloads]
        if PAYLOAD.get(name) is Dtype.TEXT:
            sound = [v if isinstance(v, str) else None for v in column]
            words[name] = word_column(sound)
            wrong = np.array([v is not None and not isinstance(v, str) for v in column], np.bool_)
            if wrong.any():
                numbers[name] = Numbers(np.zeros(len(rows), np.int8), wrong, ~wrong)
        elif name in PAYLOAD:
            numbers[name] = _numbers(column, PAYLOAD[name])
    does = [CORRECTS if "corrects" in m else RETRACTS if "retracts" in m else 0 for m in more]
    return Offered(
        id=texts([_text(row[0]) for row in rows]),
        subject=texts([_text(row[4]) for row in rows]),
        source=word_column([_text(row[1]) for row in rows]),
        type=word_column([_text(row[2]) for row in rows]),
        region=word_column([_text(row[5]) for row in rows]),
        tenant=word_column([_text(m.get("tenant")) for m in more]),
        version=_numbers([row[3] for row in rows], Dtype.INTEGER).values,
        time=_numbers([row[6] for row in rows], Dtype.TIME).values,
        confidence=_numbers([m.get("confidence", 1.0) for m in more], Dtype.NUMBER).values,
        does=np.array(does, np.int8),
        target=texts([_text(m.get("corrects") or m.get("retracts")) for m in more]),
        numbers=numbers,
        words=words,
        strange=np.array([any(n not in PAYLOAD for n in p) for p in payloads], np.bool_),
        rows=rows,
    )


def decode_arrow(message: bytes) -> Offered:
    """Read one Arrow IPC stream. Raises Malformed when it is none, or lacks a column."""
    try:
        table = pa.ipc.open_stream(message).read_all().combine_chunks()
        batch = table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([])
        batch.validate(full=True)  # a crafted batch reads beyond its buffers otherwise
    except (pa.ArrowException, OSError, EOFError, ValueError, NotImplementedError) as e:
        raise Malformed(f"the message is no Arrow stream ({e}); send one IPC stream") from e
    if missing := [
        n for n in ("id", "source", "type", "subject", "time") if n not in table.schema.names
    ]:
        raise Malformed(f"the batch lacks the column {missing[0]}; add it")
    n = batch.num_rows
    try:
        return _from_arrow(batch, n)
    except (pa.ArrowException, ValueError) as e:
        raise Malformed(f"a column has another type than its field ({e}); fix the schema") from e


def word_column(values: Sequence[str | None]) -> Words:
    """Return texts as codes of their own dictionary; None and "" are absent."""
    known: dict[str, int] = {}
    codes = [known.setdefault(v, len(known)) if v else -1 for v in values]
    return Words(np.array(codes, np.int32), list(known))


def _from_arrow(batch: pa.RecordBatch, n: int) -> Offered:
    names = set(batch.schema.names)

    def words(name: str) -> Words:
        return _arrow_words(batch[name]) if name in names else Words(np.full(n, -1, np.int32), [])

    def whole(name: str, blank: float, dtype: Any) -> Column:
        if name not in names:
            return np.full(n, blank, dtype)
        return np.asarray(batch[name].fill_null(blank)).astype(dtype, copy=False)

    corrects, retracts = words("corrects"), words("retracts")
    target = [*map(_word(corrects), range(n))] if {"corrects", "retracts"} & names else [""] * n
    if "retracts" in names:
        target = [t or r for t, r in zip(target, map(_word(retracts), range(n)), strict=True)]
    does = np.where(corrects.codes >= 0, CORRECTS, np.where(retracts.codes >= 0, RETRACTS, 0))
    payload = names - {*ENVELOPE, *EXTENSIONS}
    return Offered(
        id=_arrow_texts(batch["id"]),
        subject=_arrow_texts(batch["subject"]),
        source=words("source"),
        type=words("type"),
        region=words("region"),
        tenant=words("tenant"),
        version=whole("version", 1, np.int64),
        time=whole("time", ABSENT, np.int64),
        confidence=whole("confidence", 1.0, np.float64),
        does=does.astype(np.int8),
        target=texts(target),
        numbers={
            name: _arrow_numbers(batch[name], PAYLOAD[name])
            for name in payload
            if name in PAYLOAD and PAYLOAD[name] is not Dtype.TEXT
        },
        words={name: words(name) for name in payload if PAYLOAD.get(name) is Dtype.TEXT},
        strange=np.full(n, bool(payload - set(PAYLOAD)), np.bool_),
        rows=batch,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _word(column: Words) -> Any:
    return lambda i: column.words[int(column.codes[i])] if column.codes[i] >= 0 else ""


def _numbers(column: Sequence[Any], dtype: Dtype) -> Numbers:
    present = np.array([value is not None for value in column], np.bool_)
    if dtype is Dtype.NUMBER:
        sound = [
            v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in column
        ]
        values = [
            float(v) if ok and v is not None else np.nan
            for v, ok in zip(column, sound, strict=True)
        ]
        return Numbers(np.array(values, np.float64), present, np.array(sound, np.bool_))
    if dtype is Dtype.FLAG:
        sound = [v is None or isinstance(v, bool) for v in column]
        flags = [
            int(v) if ok and v is not None else -1 for v, ok in zip(column, sound, strict=True)
        ]
        return Numbers(np.array(flags, np.int8), present, np.array(sound, np.bool_))
    sound = [
        v is None or (isinstance(v, int) and not isinstance(v, bool) and -(2**62) < v < 2**62)
        for v in column
    ]
    whole = [v if ok and v is not None else ABSENT for v, ok in zip(column, sound, strict=True)]
    return Numbers(np.array(whole, np.int64), present, np.array(sound, np.bool_))


def _arrow_texts(column: pa.Array) -> Texts:
    column = column.cast(pa.large_string()).fill_null("")
    offsets, content = column.buffers()[1:]
    start = column.offset
    ends = np.frombuffer(offsets, np.int64)[start : start + len(column) + 1]
    raw = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
    return Texts(ends - ends[0], raw[ends[0] : ends[-1]])


def _arrow_words(column: pa.Array) -> Words:
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    words = column.dictionary.cast(pa.string()).fill_null("").to_pylist()
    codes = np.asarray(column.indices.fill_null(-1)).astype(np.int32)
    if "" in words:
        codes = np.where(np.array([*words, "?"])[codes] == "", -1, codes).astype(np.int32)
    return Words(codes, words)


def _arrow_numbers(column: pa.Array, dtype: Dtype) -> Numbers:
    present = np.asarray(column.is_valid())
    sound = np.ones(present.size, np.bool_)
    if dtype is Dtype.NUMBER:
        values = np.asarray(column.cast(pa.float64()).fill_null(np.nan))
    elif dtype is Dtype.FLAG:
        values = np.asarray(column.cast(pa.bool_()).cast(pa.int8()).fill_null(-1))
    else:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"))
        values = np.asarray(column.cast(pa.int64()).fill_null(ABSENT))
    return Numbers(values, present, sound)
