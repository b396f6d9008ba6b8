"""Arenas: memory for columns that grow by doubling, of which only what is written is taken.

Each has pages of its own, small ones: of the heap, room to grow may lie where something else was
before, and is taken already; of huge pages, the last of every column is mostly empty.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LEAST = 64 << 10  # bytes: below, pages of its own are no gain
HUGE = 128 << 20  # bytes: from here on, one huge page that is half empty is no loss
_OWN = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_SMALL_PAGES = getattr(mmap, "MADV_NOHUGEPAGE", None)  # Linux alone has them
_HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


def untouched(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeroes: pages that are never written take no memory."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    if size < LEAST:
        return np.zeros(shape, kind)
    pages = mmap.mmap(-1, size, flags=_OWN)
    advice = _SMALL_PAGES if size < HUGE else _HUGE_PAGES
    if advice is not None:
        with suppress(OSError):  # a kernel built without huge pages knows no advice about them
            pages.madvise(advice)
    return np.frombuffer(pages, kind).reshape(shape)
