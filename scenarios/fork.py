"""Fork: the snapshot a study starts from, with its offset vector and the clock it was taken at.

A fork is immutable and sorted by key; its name is a hash of its content, so two forks of one
name are the same state, whatever order the pieces came in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.errors import BadRequest
from twin.kinds import ABSENT, NO_CODE, SHIPMENT, STOCK, Dtype, Kind, Milestone
from twin.lanes import recorded_at

Column = npt.NDArray[Any]
Columns = Mapping[str, Column]
Bools = npt.NDArray[np.bool_]

# What a study reads of a shipment. Those of NEEDED must be there; the others may be absent.
NEEDED = ("status", "supplier", "country", "mode", "promised_at", "delivered_at")
OPTIONAL = ("ordered_at", "recorded_at", "departed_at", "site", "product", "product_group")
FIELDS = (*NEEDED, *OPTIONAL, "value_cents")
STOCK_FIELDS = ("site", "product", "on_hand")
# Provenance of the groups above, kept where the columns carry it.
SOURCES = ("order_source", "departure_source", "delivery_source")
AS_OF = "milestone_as_of"
SYNTHETIC = "demo/"  # sources that begin so make their events up, and every surface says it
_BLANKS: dict[Dtype, Any] = {
    Dtype.TIME: np.int64(ABSENT),
    Dtype.INTEGER: np.int64(ABSENT),
    Dtype.NUMBER: np.float64(np.nan),
    Dtype.TEXT: "",
    Dtype.FLAG: np.int8(NO_CODE),
    Dtype.MILESTONE: np.int8(NO_CODE),
}


class Fork(NamedTuple):
    """`columns`: shipments, (n,) each, sorted by (region, id); `stock`: (m,) each, may be empty.

    `offsets`: shard -> offset of its snapshot; `aggregators`: suppliers that ship others' goods,
    None if the twin says nothing about suppliers; `clock`: "replay" or "wall".
    """

    columns: Columns
    offsets: Mapping[str, int]
    now_us: int
    clock: str
    aggregators: frozenset[str] | None
    stock: Columns

    @property
    def name(self) -> str:
        """The hash of the content, 16 hexadecimal digits."""
        return digest(self)

    @property
    def size(self) -> int:
        return int(self.columns["id"].size)

    @property
    def open(self) -> Bools:
        """Which shipments are under way or still to leave: (n,)."""
        status = self.columns["status"]
        ended = (status == Milestone.DELIVERED) | (status == Milestone.CANCELLED)
        return np.asarray(~ended & (self.columns["delivered_at"] == ABSENT))

    @property
    def known(self) -> Bools:
        """Which deliveries history may be counted from: recorded by `now_us`, and real ones, (n,).

        Synthetic deliveries count only in a fork that has no other.
        """
        recorded = recorded_at(self.columns)
        cancelled = self.columns["status"] == Milestone.CANCELLED
        known = (recorded != ABSENT) & (recorded <= self.now_us) & ~cancelled
        real = known & ~self.synthetic("delivery_source")
        return np.asarray(real if real.any() else known)

    def synthetic(self, source: str) -> Bools:
        """Which shipments have values of `source` (one of SOURCES) that a generator made up."""
        texts = self.columns[source].astype(str)
        return np.asarray(np.char.startswith(texts, SYNTHETIC))

    @property
    def departed(self) -> Bools:
        """Which shipments are known to have left their supplier, (n,)."""
        beyond = self.columns["status"] >= Milestone.DEPARTED
        left = self.columns["departed_at"]
        return np.asarray(beyond | ((left != ABSENT) & (left <= self.now_us)))


def fork(
    columns: Columns,
    offsets: Mapping[str, int],
    now_us: int,
    *,
    clock: str = "wall",
    suppliers: Columns | None = None,
    stock: Columns | None = None,
) -> Fork:
    """Return a fork of plain columns (texts as str with "" absent, times int64 with ABSENT).

    `suppliers`: columns `id` and `aggregator`. Raises BadRequest SNAPSHOT_INVALID if a needed
    column is missing or the columns differ in length.
    """
    size = _size(columns)
    missing = [name for name in ("id", "region", *NEEDED) if name not in columns]
    if missing and (size or columns):
        raise BadRequest(
            f"the snapshot has no column {missing[0]}; ask the twin for it", "SNAPSHOT_INVALID"
        )
    held = {name: _texts(columns.get(name), size) for name in ("region", "id", *SOURCES)}
    for name in FIELDS:
        held[name] = _typed(SHIPMENT, name, columns.get(name), size)
    held[AS_OF] = np.array(columns.get(AS_OF, np.full(size, ABSENT)), np.int64)
    order = _order(held["region"], held["id"])
    flags = None
    if suppliers:
        names = zip(suppliers["id"].tolist(), suppliers["aggregator"].tolist(), strict=True)
        flags = frozenset(str(name) for name, flag in names if flag == 1)
    return Fork(
        {name: column[order] for name, column in held.items()},
        dict(sorted(offsets.items())),
        now_us,
        clock,
        flags,
        _stock(stock),
    )


def digest(state: Fork) -> str:
    """Return blake2b of everything a fork holds, as 16 hexadecimal digits."""
    head = [dict(state.offsets), state.now_us, state.clock]
    flags = sorted(state.aggregators) if state.aggregators is not None else None
    hashed = hashlib.blake2b(json.dumps([head, flags]).encode(), digest_size=8)
    for columns in (state.columns, state.stock):
        for name in sorted(columns):
            column = columns[name]
            hashed.update(f"\n{name}:{column.size}\n".encode())
            if column.dtype == object:
                hashed.update(json.dumps(column.tolist()).encode())
            else:
                hashed.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return hashed.hexdigest()


def keys(state: Fork, rows: npt.NDArray[np.int64]) -> Iterable[str]:
    """Yield the key of each row, region/id: what its random numbers are addressed by."""
    region, name = state.columns["region"], state.columns["id"]
    return (f"{region[row]}/{name[row]}" for row in rows.tolist())


def _stock(stock: Columns | None) -> Columns:
    size = _size(stock or {})
    held = {name: _typed(STOCK, name, (stock or {}).get(name), size) for name in STOCK_FIELDS}
    order = _order(held["site"], held["product"])
    return {name: column[order] for name, column in held.items()}


def _order(first: Column, second: Column) -> npt.NDArray[np.int64]:
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    return np.array(sorted(range(len(pairs)), key=pairs.__getitem__), np.int64)


def _size(columns: Columns) -> int:
    sizes = {int(column.size) for column in columns.values()}
    if len(sizes) > 1:
        raise BadRequest(
            f"the columns of the snapshot differ in length ({sorted(sizes)}); fork again",
            "SNAPSHOT_INVALID",
        )
    return sizes.pop() if sizes else 0


def _typed(kind: Kind, name: str, column: Column | None, size: int) -> Column:
    found = kind.field(name)
    dtype = found[1].dtype if found else Dtype.TEXT
    if dtype is Dtype.TEXT:
        return _texts(column, size)
    blank = _BLANKS[dtype]
    if column is None:
        return np.full(size, blank)
    try:
        return np.asarray(column).astype(blank.dtype)
    except (TypeError, ValueError) as e:
        raise BadRequest(
            f"column {name} of the snapshot holds no {dtype}s; fork again", "SNAPSHOT_INVALID"
        ) from e


def _texts(column: Column | None, size: int) -> Column:
    held = np.full(size, "", object)
    if column is not None:
        held[:] = [str(text) for text in column.tolist()]
    return held
