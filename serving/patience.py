"""Patience: an attempt repeated while it may yet succeed, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from twin.errors import Retryable

T = TypeVar("T")


def patiently(attempt: Callable[[], T], patience_s: float = 30.0) -> T:
    """Return `attempt()`, repeated while it fails with a Retryable, for at most `patience_s`."""
    until = time.monotonic() + patience_s
    while True:
        try:
            return attempt()
        except Retryable as e:
            if time.monotonic() + e.retry_after > until:
                raise
            time.sleep(e.retry_after)
