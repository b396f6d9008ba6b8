"""Events: facts reported by source systems, many at a time, as columns.

The twin changes by applying events and in no other way. An event carries two clocks:
`event_time`, when the fact became true in the world, and `ingest_time`, when this system first
saw it; both int64 microseconds UTC. Two wire forms, one meaning: msgpack rows for a few events,
an Arrow stream for many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.arrow_columns import (
    FAR,
    NO_NUMBER,
    cell_list,
    coded_column,
    number_column,
    text_column,
    valid,
    wordy,
)
from twin.arrow_stream import read_stream
from twin.contracts import CONTRACTS
from twin.errors import BadRequest, Malformed, TooMany
from twin.kinds import ABSENT, BLANKS, Dtype
from twin.rowkernels import ID, REGION, SOURCE, SUBJECT, TARGET, TENANT, TYPE
from twin.rowscan import Scanned, number, scan_rows, text_row
from twin.skim import MOST_EVENTS, skim
from twin.texts import Texts, hashes, texts

Column = NDArray[Any]
ENVELOPE = ("id", "source", "type", "version", "subject", "region", "time")
EXTENSIONS = ("tenant", "confidence", "corrects", "retracts")
FEW_WORDS = 16  # of a column: their hashes are kept
NOTHING, CORRECTS, RETRACTS = 0, 1, 2  # what an event does to an earlier one
PAYLOAD: dict[str, Dtype] = {p.name: p.dtype for c in CONTRACTS for p in c.payload}
_pack = msgspec.msgpack.Encoder().encode
_Cell = None | bool | int | float | str
_plain = msgspec.msgpack.Decoder(list[list[_Cell | dict[str, _Cell]]]).decode


Row = list[Any]  # one event as it came: the envelope, payload, extensions


class Words(NamedTuple):
    """A text column as codes (n,) into a dictionary of this batch; -1 where absent."""

    codes: NDArray[np.int32]
    words: Sequence[str]

    def hashes(self) -> NDArray[np.uint64]:
        words = tuple(self.words)
        known = _hashed(words) if len(words) > FEW_WORDS else _known_hashes(words)
        return known[self.codes]

    def take(self, at: Column) -> Words:
        return Words(self.codes[at], self.words)


def _hashed(words: tuple[str, ...]) -> NDArray[np.uint64]:
    """Return the hash of each word, and 0 for what is absent."""
    return np.append(hashes(texts(words))[:, 0], np.uint64(0))


_known_hashes = lru_cache(1024)(_hashed)  # the types and sources of small batches: ever the same


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
    rows: Any  # as it came: a list of rows, an Arrow batch, or what has `raws` of its own

    @property
    def size(self) -> int:
        return self.time.size

    def raws(self, at: Column) -> list[bytes]:
        """Return the events at these positions, each as one msgpack row."""
        if not at.size:
            return []
        if isinstance(self.rows, list):
            return [_pack(self.rows[i]) for i in at.tolist()]
        if not isinstance(self.rows, pa.RecordBatch):
            raws: list[bytes] = self.rows.raws(at)
            return raws
        some = self.rows.take(pa.array(at))
        cells = {name: cell_list(some[name]) for name in some.schema.names}
        heads = zip(*(cells.pop(name, [None] * at.size) for name in ENVELOPE), strict=True)
        more: list[dict[str, Any]] = [{} for _ in range(at.size)]
        payloads: list[dict[str, Any]] = [{} for _ in range(at.size)]
        for name, column in cells.items():
            whole = PAYLOAD.get(name) in {Dtype.INTEGER, Dtype.TIME}
            for into, value in zip(more if name in EXTENSIONS else payloads, column, strict=True):
                if value is not None:
                    into[name] = _whole(value) if whole else value
        told = zip(heads, payloads, more, strict=True)
        return [_pack([*head, payload, extra]) for head, payload, extra in told]


def decode_rows(message: bytes) -> Offered:
    """Read msgpack rows. Raises Malformed, TooMany, or BadRequest: TOO_DEEP, DUPLICATE_FIELD."""
    scanned = scan_rows(message, MOST_EVENTS)
    offered = _from_scanned(scanned) if scanned is not None else None
    return columns_of(parse_rows(message)) if offered is None else offered


def parse_rows(message: bytes) -> list[Row]:
    """Take msgpack rows apart, and no more. Raises as `decode_rows` does."""
    pairs = skim(message)
    rows: list[Row] = _rows(message)
    for row in rows:
        if not isinstance(row, list) or len(row) not in {8, 9} or not isinstance(row[7], dict):
            raise Malformed(f"a row is [{', '.join(ENVELOPE)}, payload, extensions]; fix the rows")
        pairs -= len(row[7])
        if len(row) > 8 and isinstance(row[8], dict):
            pairs -= len(row[8])
    if pairs and pairs > _pairs(rows):
        raise BadRequest("a row names a field twice; send it once", "DUPLICATE_FIELD")
    return rows


def _from_scanned(rows: Scanned) -> Offered | None:
    """Return scanned rows as events; None if a text of theirs is unusual, or no text at all."""
    id_, subject, target = rows.text(ID), rows.text(SUBJECT), rows.text(TARGET)
    if any((some.content >= 0x80).any() for some in (id_, subject, target)):
        return None
    numbers, words = {}, {}
    try:
        heads = [Words(*rows.words(row)) for row in (SOURCE, TYPE, REGION, TENANT)]
        for name, bits, present in zip(rows.fields, rows.values, rows.present, strict=True):
            if (row := text_row(name)) >= 0:
                words[name] = Words(*rows.words(row))
            else:
                numbers[name] = Numbers(number(name, bits), present, np.ones_like(present))
    except UnicodeDecodeError:
        return None
    source, type_, region, tenant = heads
    return Offered(
        id=id_,
        subject=subject,
        source=source,
        type=type_,
        region=region,
        tenant=tenant,
        version=rows.version,
        time=rows.time,
        confidence=rows.confidence,
        does=rows.does,
        target=target,
        numbers=numbers,
        words=words,
        strange=np.zeros(rows.version.size, np.bool_),
        rows=rows,
    )


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
    """Read one Arrow IPC stream. Raises as `read_stream`, or Malformed if it lacks a column."""
    batches, schema = read_stream(message)
    names = schema.names
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadRequest(f"the batch has the column {twice[0]} twice; drop one", "DUPLICATE_FIELD")
    batch = batches[0] if len(batches) == 1 else _joined(batches, schema)
    if batch.num_rows > MOST_EVENTS:
        raise TooMany(f"a message has at most {MOST_EVENTS} events; split it")
    if missing := [n for n in ("id", "source", "type", "subject", "time") if n not in names]:
        raise Malformed(f"the batch lacks the column {missing[0]}; add it")
    try:
        return _from_arrow(batch, batch.num_rows)
    except (pa.ArrowException, ValueError) as e:
        raise Malformed(f"a column has another type than its field ({e}); fix the schema") from e


def word_column(values: Sequence[str | None]) -> Words:
    """Return texts as codes of their own dictionary; None and "" are absent."""
    known: dict[str, int] = {}
    codes = [known.setdefault(v, len(known)) if v else -1 for v in values]
    return Words(np.array(codes, np.int32), list(known))


def _rows(message: bytes) -> list[Any]:
    try:
        rows = _plain(message)
    except (msgspec.DecodeError, ValueError):  # or something nested: an event may say it
        try:
            rows = msgspec.msgpack.decode(message)
        except (msgspec.DecodeError, ValueError) as e:
            raise Malformed(f"the message is no msgpack ({e}); send a list of rows") from e
    if not isinstance(rows, list):
        raise Malformed("the message is no list of rows; send one")
    return rows


def _pairs(rows: Sequence[Row]) -> int:
    """Return how many pairs the maps have that are not where each row has its maps."""
    level = [v for row in rows for v in row[:7]]
    for part in (part for row in rows for part in row[7:]):
        level += part.values() if isinstance(part, dict) else [part]
    pairs = 0
    while level:
        maps = [value for value in level if isinstance(value, dict)]
        pairs += sum(map(len, maps))
        level = [v for value in level if isinstance(value, list) for v in value]
        level += [v for found in maps for v in found.values()]
    return pairs


def _whole(value: Any) -> Any:
    """Return a value as a row has to say it: 5.0 of a column of floats is the integer 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _joined(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    columns = [c.chunk(0) if c.num_chunks else pa.array([], c.type) for c in table.columns]
    return pa.RecordBatch.from_arrays(columns, table.schema.names)


def _from_arrow(batch: pa.RecordBatch, n: int) -> Offered:
    names = set(batch.schema.names)

    def words(name: str) -> Words:
        if name not in names:
            return Words(np.full(n, -1, np.int32), [])
        return Words(*coded_column(batch[name]))

    def whole(name: str, blank: float, dtype: Dtype) -> Column:
        if name not in names:
            return np.full(n, blank, BLANKS[dtype].dtype)
        values, present, _ = number_column(batch[name], dtype)
        return np.where(present, values, blank).astype(values.dtype)

    corrects, retracts = words("corrects"), words("retracts")
    target = Texts(np.zeros(n + 1, np.int64), np.empty(0, np.uint8))
    if {"corrects", "retracts"} & names:
        pairs = zip(map(_word(corrects), range(n)), map(_word(retracts), range(n)), strict=True)
        target = texts([corrected or retracted for corrected, retracted in pairs])
    does = np.where(corrects.codes >= 0, CORRECTS, np.where(retracts.codes >= 0, RETRACTS, 0))
    payload = names - {*ENVELOPE, *EXTENSIONS}
    texty = {name for name in payload if PAYLOAD.get(name) is Dtype.TEXT}
    mistyped = {name for name in texty if not wordy(batch[name].type)}
    numbers = {
        name: Numbers(*number_column(batch[name], PAYLOAD[name]))
        for name in payload & set(PAYLOAD) - texty
    }
    numbers |= {name: _mistyped(batch[name]) for name in mistyped}
    strange = np.zeros(n, np.bool_)
    for name in payload - set(PAYLOAD):
        strange |= valid(batch[name])
    return Offered(
        id=text_column(batch["id"]),
        subject=text_column(batch["subject"]),
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
        words={name: words(name) for name in texty - mistyped},
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


def _mistyped(column: pa.Array) -> Numbers:
    present = valid(column)
    return Numbers(np.zeros(present.size, np.int8), present, ~present)
