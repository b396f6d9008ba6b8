"""Load: what a shard's writer did lately, and the memory its process takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

WINDOW_S = 2.0  # over which rates are measured


class Load:
    """What the writer did in the last seconds: events, and the share of time it was busy."""

    def __init__(self) -> None:
        self.events_per_s = 0.0
        self.busy = 0.0
        self._since = time.monotonic()
        self._events = 0
        self._busy_s = 0.0

    def add(self, events: int, busy_s: float) -> None:
        self._events += events
        self._busy_s += busy_s

    def roll(self) -> None:
        """Close a window when it is over."""
        passed = time.monotonic() - self._since
        if passed < WINDOW_S:
            return
        self.events_per_s, self.busy = self._events / passed, self._busy_s / passed
        self._events, self._busy_s, self._since = 0, 0.0, time.monotonic()

    @property
    def headroom(self) -> float:
        """Return how many times the present load could be taken; 1,000 stands for idle."""
        return min(1000.0, 1.0 / self.busy) if self.busy > 0.001 else 1000.0


def resident_bytes() -> int:
    """Return this process's resident memory, shared pages included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
