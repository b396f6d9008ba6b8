"""Load: what a shard's writer did lately, and the memory its process takes."""

from __future__ import annotations

import time
from pathlib import Path

WINDOW_S = 2.0  # over which rates are measured
KEPT_S = 5.0


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


class Memory:
    """What this process takes of the machine: its own pages, and its share of shared ones.

    Twenty processes of one program share most of theirs; counting them whole would show twice
    what is used. The kernel adds them up, which takes milliseconds, so not more than once in 5 s.
    """

    def __init__(self) -> None:
        self._read_at = 0.0
        self._bytes = 0

    def bytes(self) -> int:
        """Return the proportional set size (PSS)."""
        now = time.monotonic()
        if now - self._read_at > KEPT_S or not self._bytes:
            text = Path("/proc/self/smaps_rollup").read_text()
            line = next(line for line in text.splitlines() if line.startswith("Pss:"))
            self._bytes, self._read_at = int(line.split()[1]) * 1024, now
        return self._bytes
