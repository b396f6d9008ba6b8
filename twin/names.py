"""Names: ids of rows compared as bytes where they lie, without a string for each.

UTF-8 orders as code points do, so an order of bytes is that of the texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twin.fields import Mask, Scope
from twin.gather import id_signs, id_words
from twin.kernels import id_like
from twin.keys import Keys, qualified
from twin.texts import Texts, texts


def words_at(scope: Scope, rows: NDArray[np.int64], first: int) -> NDArray[np.uint64]:
    """Return eight bytes of the ids of some rows as numbers in their order; 0 beyond the end."""
    names = scope.snapshot.names[scope.kind]
    out = np.empty(rows.size, np.uint64)
    id_words(names.offsets, names.content, rows, len(scope.tenant.encode()) + 1 + first, out)
    return out


def compare_names(scope: Scope, text: bytes, *, prefix: bool) -> NDArray[np.int8]:
    """Return the sign of each id against a text; with `prefix` 0 where it begins with it.

    Rows of other tenants have any sign.
    """
    names = scope.snapshot.names[scope.kind]
    rows = _rows(scope)
    wanted = np.frombuffer(text, np.uint8)
    out = np.empty(rows.size, np.uint8)
    id_signs(
        names.offsets, names.content, rows, len(scope.tenant.encode()) + 1, wanted, prefix, out
    )
    return out.astype(np.int8) - np.int8(1)


def like_names(
    scope: Scope, pattern: NDArray[np.uint8], kinds: NDArray[np.uint8], *, fold: bool
) -> Mask:
    """Say which ids match a pattern of LIKE (see twin.words.Pattern)."""
    names = scope.snapshot.names[scope.kind]
    out = np.empty(scope.size, np.bool_)
    skip = len(scope.tenant.encode()) + 1
    rows = np.empty(0, np.int64) if scope.only is None else scope.only
    id_like(names.offsets, names.content, rows, skip, pattern, kinds, fold, out)
    return out


def held_names(scope: Scope, ids: Sequence[str]) -> Mask:
    """Say which rows have one of these ids."""
    rows = _rows(scope)
    if len(ids) == 1:
        same: Mask = compare_names(scope, ids[0].encode(), prefix=False) == 0
        return same
    keys = Keys()
    wanted = qualified(scope.tenant, texts(sorted(set(ids))))
    keys.add(wanted)
    names: Texts = scope.snapshot.names[scope.kind]
    names = names if scope.only is None else names.take(rows)
    found: Mask = keys.find(names) >= 0
    return found[: rows.size]


def _rows(scope: Scope) -> NDArray[np.int64]:
    return np.arange(scope.size) if scope.only is None else scope.only
