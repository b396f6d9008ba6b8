"""Picked rows: a few rows of a table as a table of their own, so that a filter reads them alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.pages import BITS, CHUNK, Pages, TableSnapshot

Column = NDArray[Any]
_BLOCK = "picked"


def picked(columns: Mapping[str, Column], size: int, aliases: Mapping[str, str]) -> TableSnapshot:
    """Return a table of `size` rows that holds these columns (size,), copied, and no other."""
    chunks = max(1, -(-size >> BITS))
    arenas: dict[str, Column] = {}
    for name, values in columns.items():
        arena = np.empty((chunks + 1, CHUNK), values.dtype)  # place 0 says: never written
        arena[1:].reshape(-1)[:size] = values
        arenas[aliases.get(name, name)] = arena
    pages = Pages(arenas, np.arange(1, chunks + 1), None, None)
    return TableSnapshot(size, {_BLOCK: pages}, dict.fromkeys(arenas, _BLOCK), {}, aliases)


def taken(table: TableSnapshot, names: Mapping[str, object], rows: Column) -> dict[str, Column]:
    """Return the values of `rows` in some columns of a table."""
    return {name: table.take(name, rows) for name in names}
