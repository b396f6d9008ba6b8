"""Rows: an archived piece of a journal as Parquet, one row per event, for other tools to read.

The frames beside it rebuild the journal; this tells what they say. Every page has a checksum
(the footer has none), and the file names the SHA-256 of the frames it was made of.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twin.columns import concat, event_ids, payload_column
from twin.errors import JournalCorrupt
from twin.events import CORRECTS, NOTHING, PAYLOAD, RETRACTS
from twin.frames import Frame, column_texts
from twin.kinds import ABSENT, NO_CODE, Dtype
from twin.outcomes import Reason
from twin.texts import Texts
from twin.transition import Snapshot

Column = NDArray[Any]
RUN = 100_000  # events joined into one batch
SHA = b"frames_sha256"
_INSTANT = pa.timestamp("us", tz="UTC")
_DOES = {NOTHING: None, CORRECTS: "corrects", RETRACTS: "retracts"}


def parquet(found: Sequence[Frame], raw: bytes, known: Snapshot, region: str) -> bytes:
    """Return the events of `found`, which lie in `raw`. `known`: taken after all of them."""
    runs = [_batch(run, known, region) for run in _runs(found)]
    sha = hashlib.sha256(raw).hexdigest().encode()
    table = pa.Table.from_batches(runs).replace_schema_metadata({SHA: sha})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def verify(content: bytes, raw: bytes, offsets: Sequence[int]) -> None:
    """Raise JournalCorrupt unless `content` is whole, and of `raw`, which holds `offsets`."""
    try:
        file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        table = file.read()
    except (OSError, ValueError, MemoryError, OverflowError) as e:  # whatever its footer says
        raise JournalCorrupt(f"an archived Parquet file is damaged: {e}") from e
    said = (table.schema.metadata or {}).get(SHA, b"").decode()
    if said != hashlib.sha256(raw).hexdigest():
        raise JournalCorrupt("an archived Parquet file was made of other frames")
    if table.column("offset").to_pylist() != list(offsets):
        raise JournalCorrupt("an archived Parquet file does not have a row for each event")


def _runs(found: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Yield frames to be joined; those with corrections or retractions are alone."""
    run: list[Frame] = []
    size = 0
    for frame in found:
        if not frame.size:
            continue
        alone = "does" in frame.columns
        if run and (alone or size + frame.size > RUN):
            yield run
            run, size = [], 0
        run.append(frame)
        size += frame.size
        if alone:
            yield run
            run, size = [], 0
    if run:
        yield run


def _batch(run: list[Frame], known: Snapshot, region: str) -> pa.RecordBatch:
    """Return frames as rows: a column of the envelope, or of a payload, is null where absent."""
    joined = concat(run)
    columns, n = joined.columns, joined.size
    sizes = [frame.size for frame in run]
    contract, reason = columns["contract"], columns["reason"]
    types = [*max((frame.contracts for frame in run), key=len), None]
    rows: dict[str, Any] = {
        "offset": pa.array(np.arange(joined.first, joined.first + n)),
        "epoch": pa.array(np.repeat([frame.epoch for frame in run], sizes)),
        "ingest_time": _instants(np.repeat([frame.ingest_time for frame in run], sizes)),
        "event_time": _instants(columns["time"]),
        "type": _named(contract, types.__getitem__),
        "key": _keys(columns["row"], contract, types, known, region),
        "source": _named(columns["source"], known.lexicon.word),
        "id": _texts(event_ids(joined)),
        "writer": _named(columns["writer"], known.lexicon.word),
        "tenant": _named(columns["tenant"], known.lexicon.word),
        "confidence": pa.array(columns["confidence"], from_pandas=True),
        "parked": _named(reason, lambda code: Reason(code).name if code else None),
        "does": _named(columns.get("does", np.zeros(n, np.int8)), _DOES.__getitem__),
        "redrives": _offsets(columns.get("redrives", np.full(n, -1))),
        "prev_offset": _offsets(columns["prev"]),
        "hash": _bytes(columns["hash"]),
        "content_hash": pa.array(columns["content"]),
        "as_it_came": _raw(run, reason),
    }
    for name, dtype in PAYLOAD.items():
        rows[name if name not in rows else f"{name}_"] = _payload(joined, name, dtype, known)
    return pa.RecordBatch.from_pydict(rows)


def _payload(frame: Frame, name: str, dtype: Dtype, known: Snapshot) -> pa.Array:
    values = payload_column(frame, name)
    if dtype is Dtype.TEXT:
        return _named(values, known.lexicon.word)
    if dtype is Dtype.NUMBER:
        return pa.array(values, from_pandas=True)
    if dtype is Dtype.TIME:
        return _instants(values)
    return pa.array(values, mask=values == (ABSENT if dtype is Dtype.INTEGER else NO_CODE))


def _keys(
    row: Column, contract: Column, types: Sequence[str | None], known: Snapshot, region: str
) -> pa.Array:
    """Return tenant/kind/region/id of what each event is about, null of a parked one."""
    keys = np.full(row.size, None, object)
    kinds = np.array([(name or "").partition(".")[0] for name in types])
    about = kinds[contract]
    for kind in np.unique(about[row >= 0]).tolist():
        at = np.flatnonzero((about == kind) & (row >= 0))
        used, place = np.unique(row[at].astype(np.int64), return_inverse=True)
        names = known.names[kind].take(used).list()
        told = [name.replace("/", f"/{kind}/{region}/", 1) for name in names]
        keys[at] = np.array(told, object)[place]
    return pa.array(keys, pa.string())


def _named(codes: Column, word: Callable[[int], str | None]) -> pa.Array:
    """Return the text of each code, null for a code of nothing."""
    used, place = np.unique(codes, return_inverse=True)
    words = [word(code) or None for code in used.tolist()]
    return pa.array(words, pa.string()).take(pa.array(place))


def _bytes(pairs: Column) -> pa.Array:
    """Return (n, 2) uint64 as 16 bytes each."""
    held = pa.py_buffer(np.ascontiguousarray(pairs).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(pairs), [None, held])


def _offsets(values: Column) -> pa.Array:
    return pa.array(values, mask=values < 0)


def _instants(values: Column) -> pa.Array:
    return pa.array(values, mask=values == ABSENT).cast(_INSTANT)


def _texts(values: Texts) -> pa.Array:
    offsets = pa.py_buffer(np.ascontiguousarray(values.offsets))
    content = pa.py_buffer(np.ascontiguousarray(values.content))
    held = pa.LargeStringArray.from_buffers(values.size, offsets, content)
    return held.cast(pa.string())


def _raw(run: Sequence[Frame], reason: Column) -> pa.Array:
    """Return what parked events said, as it came; null of the others."""
    parked = np.flatnonzero(reason != Reason.NONE)
    out = np.full(reason.size, None, object)
    if parked.size:
        held = [column_texts(f.columns, "raw") for f in run if "raw.offsets" in f.columns]
        said = [
            one.content[a:b].tobytes()
            for one in held
            for a, b in zip(one.offsets[:-1].tolist(), one.offsets[1:].tolist(), strict=True)
        ]
        out[parked] = said
    return pa.array(out, pa.binary())
