"""Digests: what a shard knows, as one number that two shards can compare.

Truth: twins by key, fields and provenance as values and texts, no offsets or ingest times; equal
for any order of arrival. Replay: truth, and offsets, chains and dedup; equal after recovery.
What no twin of a kind knows is left out: a group or field that came later changes no older digest.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.dedup import Seen
from twin.kinds import ABSENT, KINDS, Dtype, Field, Group
from twin.merge import HEAD, provenance
from twin.transition import Snapshot

SIZE = 16  # bytes
Column = NDArray[Any]


class Digests(NamedTuple):
    offset: int  # of the state that was digested
    truth: str
    replay: str


def digests(snapshot: Snapshot, seen: Seen) -> Digests:
    """Return both digests of a snapshot; `seen` must be of the same moment."""
    truth = blake2b(digest_size=SIZE)
    extra = blake2b(digest_size=SIZE)
    for name in sorted(snapshot.tables):
        order = _by_key(snapshot, name)
        for column in _truth(snapshot, seen, name, order):
            truth.update(column)
        for column in _replay(snapshot, name, order):
            extra.update(column)
    known = seen.dump()
    order = np.argsort(known["offset"], kind="stable")
    for entry in known.values():
        extra.update(entry[order].tobytes())
    extra.update(truth.digest())
    return Digests(snapshot.offset, truth.hexdigest(), extra.hexdigest())


def _by_key(snapshot: Snapshot, kind: str) -> Column:
    names = np.array(snapshot.names[kind].list(), object)[: snapshot.tables[kind].size]
    return np.argsort(names, kind="stable")


def _truth(snapshot: Snapshot, seen: Seen, kind: str, order: Column) -> list[bytes]:
    table, lexicon = snapshot.tables[kind], snapshot.lexicon
    names = snapshot.names[kind].list()
    pieces = ["\n".join(names[row] for row in order.tolist()).encode()]
    for group in _known(snapshot, kind):
        for field in group.fields:
            column = table.column(field.name)[order]
            if not _says(column, field):
                continue
            if field.dtype is Dtype.TEXT:
                column = lexicon.hashes(column)
            pieces += [f"\n{field.name}\n".encode(), _canonical(column)]
        tie = table.column(f"{group.name}.tie") if "tie" in provenance(group) else None
        if tie is None:
            tie = seen.ties(table.column(f"{group.name}.offset"))
        told = {name: table.column(f"{group.name}.{name}") for name in ("as_of", "confidence")}
        pieces += [_canonical(one[order]) for one in (told["as_of"], tie, told["confidence"])]
        source = table.column(f"{group.name}.source")[order]
        pieces += [_canonical(lexicon.hashes(source)), f"\n{group.name}\n".encode()]
    return pieces


def _replay(snapshot: Snapshot, kind: str, order: Column) -> list[bytes]:
    table = snapshot.tables[kind]
    columns = [HEAD, *(f"{group.name}.offset" for group in _known(snapshot, kind))]
    rows = order.astype(np.int64).tobytes()
    return [rows, *(_canonical(table.column(name)[order]) for name in columns)]


def _known(snapshot: Snapshot, kind: str) -> list[Group]:
    """Return the groups that any twin of a kind knows."""
    table = snapshot.tables[kind]
    groups = KINDS[kind].groups
    return [g for g in groups if (table.column(f"{g.name}.as_of") != ABSENT).any()]


def _says(column: Column, field: Field) -> bool:
    """Say whether any twin has a value of a field."""
    if field.dtype is Dtype.NUMBER:
        return not bool(np.isnan(column).all())
    return bool((column != field.blank).any())


def _canonical(column: Column) -> bytes:
    """Return bytes that are equal for equal values: one NaN, and no -0."""
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), np.nan, column + 0.0).astype(column.dtype)
    return np.ascontiguousarray(column).tobytes()
