"""Events: facts reported by source systems, many at a time, as columns.

The twin changes by applying events and in no other way. An event carries two clocks:
`event_time`, when the fact became true in the world, and `ingest_time`, when this system first
saw it; both int64 microseconds UTC. Two wire forms, one meaning: msgpack rows for a few events,
an Arrow stream for many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.contracts import CONTRACTS
from twin.errors import BadRequest, Malformed, TooLarge
from twin.kinds import ABSENT, BLANKS, Dtype
from twin.texts import Texts, hashes, texts

Column = NDArray[Any]
MOST_EVENTS = 1_000_000  # in one message; a row of msgpack is at least 16 bytes of its 16 MiB
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
DEEPEST = 16  # levels of lists and maps in a message
FAR = 2**62  # integers and times lie between -FAR and FAR
NO_NUMBER = 2**63 - 1  # in a column of integers: NaN or infinity was given
ENVELOPE = ("id", "source", "type", "version", "subject", "region", "time")
EXTENSIONS = ("tenant", "confidence", "corrects", "retracts")
NOTHING, CORRECTS, RETRACTS = 0, 1, 2  # what an event does to an earlier one
PAYLOAD: dict[str, Dtype] = {p.name: p.dtype for c in CONTRACTS for p in c.payload}
_pack = msgspec.msgpack.Encoder().encode
_Cell = None | bool | int | float | str
_plain = msgspec.msgpack.Decoder(list[list[_Cell | dict[str, _Cell]]]).decode
_SORTS = (type(None), bool, int, float, str, bytes, list, dict)


Row = list[Any]  # one event as it came: the envelope, payload, extensions


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
    """Read msgpack rows. Raises Malformed, TooLarge or BadRequest: TOO_DEEP."""
    return columns_of(parse_rows(message))


def parse_rows(message: bytes) -> list[Row]:
    """Take msgpack rows apart, and no more. Raises Malformed, TooLarge or BadRequest: TOO_DEEP."""
    rows: list[Row] = _rows(message)
    for row in rows:
        if not isinstance(row, list) or len(row) not in {8, 9} or not isinstance(row[7], dict):
            raise Malformed(f"a row is [{', '.join(ENVELOPE)}, payload, extensions]; fix the rows")
    return rows


def columns_of(rows: Sequence[Row]) -> Offered:
    """Return the events of some rows, of one message or of several."""
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
    does = [CORRECTS if m.get("corrects") else RETRACTS if m.get("retracts") else 0 for m in more]
    version = [1 if row[3] is None else row[3] for row in rows]
    sure = [1.0 if m.get("confidence") is None else m["confidence"] for m in more]
    strange = [any(n not in PAYLOAD and v is not None for n, v in p.items()) for p in payloads]
    return Offered(
        id=texts([_name(row[0]) for row in rows]),
        subject=texts([_text(row[4]) for row in rows]),
        source=word_column([_text(row[1]) for row in rows]),
        type=word_column([_text(row[2]) for row in rows]),
        region=word_column([_text(row[5]) for row in rows]),
        tenant=word_column([_text(m.get("tenant")) for m in more]),
        version=_numbers(version, Dtype.INTEGER).values,
        time=_numbers([row[6] for row in rows], Dtype.TIME).values,
        confidence=_numbers(sure, Dtype.NUMBER).values,
        does=np.array(does, np.int8),
        target=texts([_text(m.get("corrects") or m.get("retracts")) for m in more]),
        numbers=numbers,
        words=words,
        strange=np.array(strange, np.bool_),
        rows=rows,
    )


def decode_arrow(message: bytes) -> Offered:
    """Read one Arrow IPC stream. Raises Malformed when it is none, TooLarge, or lacks a column."""
    try:
        if message[-8:] != END_OF_STREAM:
            raise ValueError("it has no end, so part of it may be missing")
        reader = pa.ipc.open_stream(message)
        batches = list(reader)
        for batch in batches:
            batch.validate(full=True)  # a crafted batch reads beyond its buffers otherwise
        table = pa.Table.from_batches(batches, reader.schema).combine_chunks()
    except (pa.ArrowException, OSError, EOFError, ValueError, NotImplementedError) as e:
        raise Malformed(f"the message is no Arrow stream ({e}); send one IPC stream") from e
    if table.num_rows > MOST_EVENTS:
        raise TooLarge(f"a message has at most {MOST_EVENTS} events; split it")
    names = table.schema.names
    if twice := [name for name in names if names.count(name) > 1]:
        raise Malformed(f"the batch has the column {twice[0]} twice; drop one")
    if missing := [n for n in ("id", "source", "type", "subject", "time") if n not in names]:
        raise Malformed(f"the batch lacks the column {missing[0]}; add it")
    columns = [column.chunk(0) if column.num_chunks else _none(column) for column in table.columns]
    try:
        return _from_arrow(pa.RecordBatch.from_arrays(columns, names), table.num_rows)
    except (pa.ArrowException, ValueError) as e:
        raise Malformed(f"a column has another type than its field ({e}); fix the schema") from e


def word_column(values: Sequence[str | None]) -> Words:
    """Return texts as codes of their own dictionary; None and "" are absent."""
    known: dict[str, int] = {}
    codes = [known.setdefault(v, len(known)) if v else -1 for v in values]
    return Words(np.array(codes, np.int32), list(known))


def _rows(message: bytes) -> list[Any]:
    claimed = int.from_bytes(message[1:5], "big") if message[:1] == b"\xdd" else 0
    if MOST_EVENTS < claimed <= len(message):  # before it takes memory
        raise TooLarge(f"a message has at most {MOST_EVENTS} events; split it")
    try:
        rows = _plain(message)
    except (msgspec.DecodeError, RecursionError, ValueError):  # or something nested: look closer
        rows = _nested(message)
    if not isinstance(rows, list):
        raise Malformed("the message is no list of rows; send one")
    return rows


def _nested(message: bytes) -> Any:
    try:
        rows = msgspec.msgpack.decode(message)
    except RecursionError as e:
        raise BadRequest(f"the message nests deeper than {DEEPEST}; flatten it", "TOO_DEEP") from e
    except (msgspec.DecodeError, ValueError) as e:
        raise Malformed(f"the message is no msgpack ({e}); send a list of rows") from e
    level, depth = [rows], 0
    while level:
        if depth > DEEPEST:
            raise BadRequest(f"the message nests deeper than {DEEPEST}; flatten it", "TOO_DEEP")
        if odd := [v for v in level if not isinstance(v, _SORTS)]:
            raise Malformed(f"{type(odd[0]).__name__} is no value of an event; send plain msgpack")
        deeper = [v for value in level if isinstance(value, list) for v in value]
        for value in (value for value in level if isinstance(value, dict)):
            if not all(isinstance(name, str) for name in value):
                raise Malformed("the name of a field is no text; name fields by texts")
            deeper += value.values()
        level, depth = deeper, depth + 1
    return rows


def _none(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([], column.type)


def _from_arrow(batch: pa.RecordBatch, n: int) -> Offered:
    names = set(batch.schema.names)

    def words(name: str) -> Words:
        return _arrow_words(batch[name]) if name in names else Words(np.full(n, -1, np.int32), [])

    def whole(name: str, blank: float, dtype: Dtype) -> Column:
        if name not in names:
            return np.full(n, blank, BLANKS[dtype].dtype)
        column = _arrow_numbers(batch[name], dtype)
        return np.where(column.present, column.values, blank).astype(column.values.dtype)

    corrects, retracts = words("corrects"), words("retracts")
    target = Texts(np.zeros(n + 1, np.int64), np.empty(0, np.uint8))
    if {"corrects", "retracts"} & names:
        pairs = zip(map(_word(corrects), range(n)), map(_word(retracts), range(n)), strict=True)
        target = texts([corrected or retracted for corrected, retracted in pairs])
    does = np.where(corrects.codes >= 0, CORRECTS, np.where(retracts.codes >= 0, RETRACTS, 0))
    payload = names - {*ENVELOPE, *EXTENSIONS}
    wordy = {name for name in payload if PAYLOAD.get(name) is Dtype.TEXT}
    mistyped = {name for name in wordy if not _wordy(batch[name].type)}
    numbers = {
        name: _arrow_numbers(batch[name], PAYLOAD[name]) for name in payload & set(PAYLOAD) - wordy
    }
    numbers |= {name: _mistyped(batch[name]) for name in mistyped}
    strange = np.zeros(n, np.bool_)
    for name in payload - set(PAYLOAD):
        strange |= np.asarray(batch[name].is_valid())
    return Offered(
        id=_arrow_texts(batch["id"]),
        subject=_arrow_texts(batch["subject"]),
        source=words("source"),
        type=words("type"),
        region=words("region"),
        tenant=words("tenant"),
        version=whole("version", 1, Dtype.INTEGER),
        time=whole("time", ABSENT, Dtype.TIME),
        confidence=whole("confidence", 1.0, Dtype.NUMBER),
        does=does.astype(np.int8),
        target=target,
        numbers=numbers,
        words={name: words(name) for name in wordy - mistyped},
        strange=strange,
        rows=batch,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else "?"  # a bad id


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
        v is None or (isinstance(v, int) and not isinstance(v, bool) and -FAR < v < FAR)
        for v in column
    ]
    whole = [
        v if ok and v is not None else NO_NUMBER if _infinite(v) else ABSENT
        for v, ok in zip(column, sound, strict=True)
    ]
    return Numbers(np.array(whole, np.int64), present, np.array(sound, np.bool_))


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


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


def _wordy(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return any(
        test(type_) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    )


def _mistyped(column: pa.Array) -> Numbers:
    present = np.asarray(column.is_valid())
    return Numbers(np.zeros(present.size, np.int8), present, ~present)


def _arrow_numbers(column: pa.Array, dtype: Dtype) -> Numbers:
    present, kind = np.asarray(column.is_valid()), column.type
    blank = np.full(present.size, BLANKS[dtype])
    fractional = pa.types.is_floating(kind)
    if pa.types.is_null(kind):
        return Numbers(blank, present, ~present)
    if dtype is Dtype.FLAG and pa.types.is_boolean(kind):
        values = np.asarray(column.cast(pa.int8()).fill_null(-1))
        return Numbers(values, present, np.ones(present.size, np.bool_))
    if dtype is Dtype.NUMBER and (fractional or pa.types.is_integer(kind)):
        values = np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan))
        return Numbers(values, present, np.ones(present.size, np.bool_))
    if dtype in {Dtype.INTEGER, Dtype.TIME} and fractional:
        given = np.asarray(column.cast(pa.float64()).fill_null(0.0))
        sound = (np.abs(given) < FAR) & (given == np.floor(given))
        values = np.where(sound, given, 0.0).astype(np.int64)
        values = np.where(sound, values, np.where(np.isfinite(given), ABSENT, NO_NUMBER))
        return Numbers(np.where(present, values, ABSENT), present, sound | ~present)
    if dtype is Dtype.TIME and pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif dtype not in {Dtype.INTEGER, Dtype.TIME} or not pa.types.is_integer(kind):
        return Numbers(blank, present, ~present)
    values = np.asarray(column.cast(pa.int64(), safe=False).fill_null(0))
    sound = (values > -FAR) & (values < FAR)
    if pa.types.is_uint64(kind):
        sound &= values >= 0  # what is beyond an int64 has wrapped
    return Numbers(np.where(present & sound, values, ABSENT), present, sound | ~present)
