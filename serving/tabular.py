"""Tabular: some rows of a snapshot as one Arrow stream, every value with its provenance.

What a thousand twins cost is what their columns cost: no object is made per twin. A field, or a
group, of which none of them knows anything is left out; texts travel as codes with their words.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving.layout import Layout, layout_of
from twin.fields import Mask, known
from twin.gather import SHORT, number_codes
from twin.kinds import ABSENT, KINDS, Dtype, Group, Milestone
from twin.lexicon import Lexicon
from twin.query import View
from twin.slots import number_rows, room
from twin.texts import Texts

Column = NDArray[Any]
PARTS = ("as_of", "source", "confidence", "offset")
MOST_LAYOUTS = 256  # of a few KiB each
PLACED = ("id", "region")  # said of each part, or its first column
NOTHING: Mapping[str, Any] = MappingProxyType({})
MOST_WORDS = 16  # of a column whose words may come again
_MILESTONES = tuple(milestone.name for milestone in Milestone)
_TYPES = {
    np.dtype(kind).str: type_
    for kind, type_ in (
        (np.int8, pa.int8()),
        (np.int32, pa.int32()),
        (np.int64, pa.int64()),
        (np.float32, pa.float32()),
        (np.float64, pa.float64()),
    )
}
_STEPS = np.array([int(milestone) for milestone in Milestone])
_LEAST = {Dtype.NUMBER: -np.inf, Dtype.TIME: ABSENT + 1, Dtype.INTEGER: ABSENT + 1}
_layouts: dict[Any, Layout] = {}  # of streams written before, by what their heads say


class Cells(NamedTuple):
    """A column as it travels: numbers, or codes of `words`; `known` is None for everywhere."""

    values: Column
    known: Column | None = None
    words: tuple[str, ...] | None = None


def stream(
    view: View,
    rows: NDArray[np.int64],
    fields: Sequence[str],
    first: Mapping[str, pa.Array | Cells],
    hidden: Mapping[str, Mask] = NOTHING,
) -> bytes:
    """Return fields (all if none are named) of `rows` with provenance, after columns of one's own.

    Values of the rows that are `hidden`, by group, are left out.

    Columns: `first`; FIELD; GROUP_as_of, GROUP_source, GROUP_confidence, GROUP_offset.
    """
    columns: dict[str, pa.Array | Cells] = dict(first)
    wanted = set(fields)
    for group in KINDS[view.kind].groups:
        if not wanted or wanted & {field.name for field in group.fields}:
            columns |= _group(view, group, rows, wanted, hidden.get(group.name))
    for name in fields:  # what is computed: a virtual field, age(GROUP), stale, ...
        if KINDS[view.kind].field(name) is None and name not in PLACED:
            column, is_known, dtype, of = view.of(name, rows)
            if of is not None and (left_out := hidden.get(of.name)) is not None:
                is_known = is_known & ~left_out
            everywhere = None if is_known.all() else is_known
            columns[name] = _cells(column, everywhere, dtype, view.snapshot.lexicon)
    return _written(columns)


def words_of(values: Texts) -> pa.Array:
    """Return texts as Arrow has them; their bytes are not copied."""
    offsets = values.offsets.astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values.content)]
    return pa.Array.from_buffers(pa.string(), values.size, buffers)


def _written(columns: Mapping[str, pa.Array | Cells]) -> bytes:
    key = _key(columns)
    if key is not None and (layout := _layouts.get(key)) is not None:
        return layout.write([cells.values for cells in columns.values()])
    arrays = [c if isinstance(c, pa.Array) else _array(c) for c in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    sink = io.BytesIO()  # it gives away what was written, without a copy
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    raw = sink.getvalue()
    if key is not None:
        with pa.ipc.open_stream(raw) as reader:
            found = layout_of(raw, reader.read_next_batch())
        if found is not None:
            if len(_layouts) >= MOST_LAYOUTS:
                _layouts.clear()
            _layouts[key] = found
    return raw


def _key(columns: Mapping[str, pa.Array | Cells]) -> Any:
    """Return what the head of a stream says; None if it hardly comes again."""
    told: list[Any] = []
    for name, cells in columns.items():
        if isinstance(cells, pa.Array) or cells.known is not None:
            return None
        if cells.words is not None and len(cells.words) > MOST_WORDS:
            return None
        told.append((name, cells.values.size, cells.values.dtype.char, cells.words))
    return tuple(told)


@cache
def _parts(group: str) -> list[str]:
    return [f"{group}.{part}" for part in PARTS]


def _group(
    view: View, group: Group, rows: Column, wanted: set[str], hidden: Mask | None
) -> dict[str, pa.Array | Cells]:
    fields = [field for field in group.fields if not wanted or field.name in wanted]
    as_of_at, source_at, confidence_at, offset_at = _parts(group.name)
    table = view.snapshot.tables[view.kind]
    if table.blank(as_of_at):
        return {}
    found, as_of, count = table.gather(as_of_at, rows, ABSENT + 1)
    if not count:
        return {}
    told = None if count == rows.size else as_of != ABSENT
    if hidden is not None:
        told = ~hidden if told is None else told & ~hidden
    lexicon = view.snapshot.lexicon
    columns: dict[str, pa.Array | Cells] = {}
    for field in fields:
        if field.is_as_of:
            columns[field.name] = _cells(as_of, told, field.dtype, lexicon)
            continue
        column, count = found.known(field.name, _LEAST.get(field.dtype, 0))
        if count:
            is_known = None if count == rows.size else known(column, field.dtype)
            if told is not None and hidden is not None:
                is_known = told if is_known is None else is_known & told
            columns[field.name] = _cells(column, is_known, field.dtype, lexicon)
    columns[f"{group.name}_as_of"] = Cells(as_of, told)
    columns[f"{group.name}_source"] = _coded(found.read(source_at), told, lexicon)
    columns[f"{group.name}_confidence"] = Cells(found.read(confidence_at), told)
    columns[f"{group.name}_offset"] = Cells(found.read(offset_at), told)
    return columns


def _cells(column: Column, is_known: Column | None, dtype: Dtype, lexicon: Lexicon) -> Cells:
    if dtype is Dtype.TEXT:
        return _coded(column, is_known, lexicon)
    if dtype is Dtype.MILESTONE:
        return Cells(np.searchsorted(_STEPS, column).astype(np.int8), is_known, _MILESTONES)
    if dtype is Dtype.FLAG:
        return Cells(column > 0, is_known)
    return Cells(column, is_known)


def _coded(codes: Column, is_known: Column | None, lexicon: Lexicon) -> Cells:
    """Return codes of a lexicon as codes of the words that are among them: a byte, if few."""
    number: Column = np.empty(codes.size, np.int8)
    distinct: Column = np.empty(SHORT, np.int32)
    count = number_codes(codes, number, distinct)
    if count < 0:
        number = np.empty(codes.size, np.int32)
        count = number_rows(room(codes.size), codes.astype(np.int64) + 1, number)
        distinct = np.empty(count, np.int32)
        distinct[number] = codes
    elif 1 < count <= MOST_WORDS:  # in one order, whatever row comes first
        order = np.argsort(distinct[:count])
        rank = np.empty(count, np.int8)
        rank[order] = np.arange(count)
        number, distinct = rank.take(number), distinct[order]
    words = tuple(lexicon.word(code) for code in distinct[:count].tolist())
    return Cells(number, is_known, words)


def _array(cells: Cells) -> pa.Array:
    """Return cells as Arrow has them; numbers are not copied."""
    values, is_known, words = cells
    if values.dtype == np.bool_:
        return pa.array(values, mask=None if is_known is None else ~is_known)
    bitmap = None
    if is_known is not None:
        bitmap = pa.py_buffer(np.packbits(is_known, bitorder="little"))
    buffers = [bitmap, pa.py_buffer(values)]
    plain = pa.Array.from_buffers(_TYPES[values.dtype.str], values.size, buffers)
    if words is None:
        return plain
    return pa.DictionaryArray.from_arrays(plain, pa.array(words, pa.string()))
