"""Deadlines: until when the caller of the present call waits, for whoever works on it.

A deadline travels with the call, and every task that a call starts knows it.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

NEVER = float("inf")
_until: ContextVar[float] = ContextVar("until", default=NEVER)


def begin(seconds: float | None) -> None:
    """Note that the caller waits for so many seconds more; None: for ever."""
    _until.set(NEVER if seconds is None else time.monotonic() + seconds)


def until() -> float:
    """Return when the caller gives up, on the monotonic clock; NEVER if it does not."""
    return _until.get()
