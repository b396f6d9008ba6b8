"""Pace: how long who works beside others rests, so that over time it takes a share of a core.

What it did not use is kept, up to some milliseconds: who has little to do never rests, and who
has much does more of it at once.
"""

from __future__ import annotations


class Pace:
    """A budget of processor time that fills by the clock. Times are seconds."""

    def __init__(self, share: float, most_s: float, longest_s: float) -> None:
        """`share`: of a core. `most_s`: what is kept unused. `longest_s`: of a rest."""
        self._share, self._most_s, self._least_s = share, most_s, -longest_s * share
        self._left_s, self._seen_s = most_s, 0.0

    def rest(self, now_s: float, used_s: float) -> float:
        """Return for how long to rest at `now_s`, `used_s` having been computed since the last."""
        left_s = min(self._most_s, self._left_s + (now_s - self._seen_s) * self._share) - used_s
        self._left_s, self._seen_s = max(left_s, self._least_s), now_s
        return max(0.0, -self._left_s / self._share)
