"""Names: ids of rows compared as bytes where they lie, without a string for each.

UTF-8 orders as code points do, so an order of bytes is that of the texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twin.fields import Mask, Scope
from twin.kernels import I64, U8, U64, jit
from twin.keys import Keys, qualified
from twin.texts import Texts, texts


@jit
def _signs(
    offsets: I64, content: U8, rows: I64, skip: int, wanted: U8, begin: bool, out: U8
) -> None:
    """Put into `out` how each text without its first `skip` bytes is to another: 0 less, 1, 2.

    `begin`: 1 where it begins with the other.
    """
    for i in range(rows.size):
        first = offsets[rows[i]] + skip
        length = offsets[rows[i] + 1] - first
        shorter = min(length, wanted.size)
        sign = 1
        for j in range(shorter):
            if content[first + j] != wanted[j]:
                sign = 2 if content[first + j] > wanted[j] else 0
                break
        if sign == 1 and length != wanted.size and not (begin and length > wanted.size):
            sign = 2 if length > wanted.size else 0
        out[i] = sign


@jit
def _words(offsets: I64, content: U8, rows: I64, skip: int, out: U64) -> None:
    for i in range(rows.size):
        first, last = offsets[rows[i]] + skip, offsets[rows[i] + 1]
        word = np.uint64(0)
        for j in range(8):
            byte = content[first + j] if first + j < last else 0
            word = word << np.uint64(8) | np.uint64(byte)
        out[i] = word


def words_at(scope: Scope, rows: NDArray[np.int64], first: int) -> NDArray[np.uint64]:
    """Return eight bytes of the ids of some rows as numbers in their order; 0 beyond the end."""
    names = scope.snapshot.names[scope.kind]
    out = np.empty(rows.size, np.uint64)
    _words(names.offsets, names.content, rows, len(scope.tenant.encode()) + 1 + first, out)
    return out


def compare_names(scope: Scope, text: bytes, *, prefix: bool) -> NDArray[np.int8]:
    """Return the sign of each id against a text; with `prefix` 0 where it begins with it.

    Rows of other tenants have any sign.
    """
    names = scope.snapshot.names[scope.kind]
    rows = _rows(scope)
    wanted = np.frombuffer(text, np.uint8)
    out = np.empty(rows.size, np.uint8)
    _signs(names.offsets, names.content, rows, len(scope.tenant.encode()) + 1, wanted, prefix, out)
    return out.astype(np.int8) - np.int8(1)


def held_names(scope: Scope, ids: Sequence[str]) -> Mask:
    """Say which rows have one of these ids."""
    rows = _rows(scope)
    if len(ids) == 1:
        return compare_names(scope, ids[0].encode(), prefix=False) == 0
    keys = Keys()
    wanted = qualified(scope.tenant, texts(sorted(set(ids))))
    keys.add(wanted)
    names: Texts = scope.snapshot.names[scope.kind]
    names = names if scope.only is None else names.take(rows)
    found: Mask = keys.find(names) >= 0
    return found[: rows.size]


def _rows(scope: Scope) -> NDArray[np.int64]:
    return np.arange(scope.size) if scope.only is None else scope.only


def warm() -> None:
    """Compile every kernel here, or load it."""
    name = texts(["t/a"])
    for content in (name.content, name.content.copy()):
        rows = np.zeros(1, np.int64)
        _signs(name.offsets, content, rows, 2, name.content, False, np.empty(1, np.uint8))
        _words(name.offsets, content, rows, 2, np.empty(1, np.uint64))
