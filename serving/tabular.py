"""Tabular: some rows of a snapshot as one Arrow stream, every value with its provenance.

What a thousand twins cost is what their columns cost: no object is made per twin. A field, or a
group, of which none of them knows anything is left out; texts travel as codes with their words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.kinds import ABSENT, KINDS, Dtype, Group, Milestone
from twin.lexicon import Lexicon
from twin.query import VIRTUAL, View, known
from twin.slots import number_rows, room

Column = NDArray[Any]
PARTS = ("as_of", "source", "confidence", "offset")
_MILESTONES = pa.array([milestone.name for milestone in Milestone])
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


def stream(
    view: View, rows: NDArray[np.int64], fields: Sequence[str], first: Mapping[str, pa.Array]
) -> bytes:
    """Return fields (all if none are named) of `rows` with provenance, after columns of one's own.

    Columns: `first`; FIELD; GROUP_as_of, GROUP_source, GROUP_confidence, GROUP_offset.
    """
    columns = dict(first)
    wanted = set(fields)
    for group in KINDS[view.kind].groups:
        if not wanted or wanted & {field.name for field in group.fields}:
            columns |= _group(view, group, rows, wanted)
    for name in VIRTUAL.get(view.kind, {}):
        if name in wanted:
            values = view.values(name)
            column, is_known = values.column[rows], values.known[rows]
            columns[name] = _array(column, is_known, values.dtype, view.snapshot.lexicon)
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def _group(view: View, group: Group, rows: Column, wanted: set[str]) -> dict[str, pa.Array]:
    fields = [field for field in group.fields if not wanted or field.name in wanted]
    as_of_at, source_at, confidence_at, offset_at = (f"{group.name}.{part}" for part in PARTS)
    table = view.snapshot.tables[view.kind]
    if table.blank(as_of_at):
        return {}
    read = table.reader(as_of_at, rows)
    as_of = read(as_of_at)
    is_told = as_of != ABSENT
    if not is_told.any():
        return {}
    told = _bitmap(is_told)
    lexicon = view.snapshot.lexicon
    columns = {}
    for field in fields:
        column = as_of if field.is_as_of else read(field.name)
        is_known = is_told if field.is_as_of else known(column, field.dtype)
        if is_known.any():
            columns[field.name] = _array(column, is_known, field.dtype, lexicon)
    columns[f"{group.name}_as_of"] = _plain(as_of, told)
    columns[f"{group.name}_source"] = _coded(read(source_at), told, lexicon)
    columns[f"{group.name}_confidence"] = _plain(read(confidence_at), told)
    columns[f"{group.name}_offset"] = _plain(read(offset_at), told)
    return columns


def _array(column: Column, is_known: Column, dtype: Dtype, lexicon: Lexicon) -> pa.Array:
    bitmap = _bitmap(is_known)
    if dtype is Dtype.TEXT:
        return _coded(column, bitmap, lexicon)
    if dtype is Dtype.MILESTONE:
        codes = np.searchsorted(_STEPS, column).astype(np.int8)
        return pa.DictionaryArray.from_arrays(_plain(codes, bitmap), _MILESTONES)
    if dtype is Dtype.FLAG:
        return pa.array(column > 0, mask=~is_known)
    return _plain(column, bitmap)


def _bitmap(is_known: Column) -> pa.Buffer | None:
    """Return where something is known as Arrow has it; None for everywhere."""
    if is_known.all():
        return None
    return pa.py_buffer(np.packbits(is_known, bitorder="little"))


def _plain(column: Column, bitmap: pa.Buffer | None) -> pa.Array:
    """Return numbers as they lie there: copied once, onto the wire."""
    type_ = _TYPES[column.dtype.str]
    return pa.Array.from_buffers(type_, column.size, [bitmap, pa.py_buffer(column)])


def _coded(codes: Column, bitmap: pa.Buffer | None, lexicon: Lexicon) -> pa.Array:
    """Return codes of a lexicon as codes of the words that are among them."""
    if not codes.size or (codes == codes[0]).all():
        number, distinct = np.zeros(codes.size, np.int8), codes[:1]
    else:
        number = np.empty(codes.size, np.int32)
        count = number_rows(room(codes.size), codes.astype(np.int64) + 1, number)
        distinct = np.empty(count, np.int32)
        distinct[number] = codes
    words = pa.array([lexicon.word(code) for code in distinct.tolist()], pa.string())
    return pa.DictionaryArray.from_arrays(_plain(number, bitmap), words)
