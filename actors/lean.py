"""Lean: what a process of the twin does without, so that it starts sooner and takes less memory.

Nothing is forbidden by it: who asks for pandas by name still gets it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pyarrow as pa


class _Hidden:
    """A finder to which there is no pandas."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)


def without_pandas() -> None:
    """Have pyarrow take it that there is no pandas.

    The first array made of anything looks for pandas, once in a process, to tell its types from
    others: 0.2 s of a core and 30 MiB for what is never handed to it here.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _Hidden)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_Hidden)


def settled() -> None:
    """Say that all a process needs is loaded: it stays, and no collection looks through it again.

    A full collection of a loaded process takes 0.1 s, in which nobody is answered.
    """
    without_pandas()
    gc.freeze()


@contextmanager
def loading() -> Iterator[None]:
    """Load what stays, without looking through it for garbage meanwhile."""
    without_pandas()
    gc.disable()
    try:
        yield
    finally:
        settled()
        gc.enable()
