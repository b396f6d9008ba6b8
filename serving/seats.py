"""Seats: how many may subscribe at once, of one tenant and of all.

A reader who takes nothing for long has its seat for others. Its call goes on, as gRPC knows no way
to end it, so such calls have a bound of their own: a server never has only those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twin.errors import Overloaded

MOST_TENANT, MOST = 128, 256  # subscriptions at once: of one tenant, of all
MOST_STUCK = 64  # calls beside them whose reader takes nothing; what is more keeps its seat
AGAIN_S = 2.0


class Hold:
    """What one subscription holds; given up where its reader takes nothing for long."""

    def __init__(self) -> None:
        self.given_up = False
        self._held: list[Callable[[], object]] = []

    def keep(self, release: Callable[[], object]) -> None:
        """Have `release` called in that case."""
        self._held.append(release)

    def give_up(self) -> None:
        self.given_up = True
        for release in self._held:
            release()


class Seats:
    """Those of one server. `who`: what has them, as a refusal says it."""

    def __init__(self, who: str) -> None:
        self.stuck = 0  # readers who lost their seat, and have not read on
        self._who = who
        self._open: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._open.total()

    @contextmanager
    def take(self, tenant: str, hold: Hold) -> Iterator[None]:
        """Have a seat, until `hold` is given up, or this ends. Raises Overloaded."""
        if self._open[tenant] >= MOST_TENANT or self._open.total() >= MOST:
            raise Overloaded(
                f"{self._who} has {MOST_TENANT} subscriptions of a tenant at most; end one", AGAIN_S
            )
        self._open[tenant] += 1
        seated = True

        def leave() -> None:
            nonlocal seated
            if seated and self.stuck < MOST_STUCK:
                seated = False
                self._open[tenant] -= 1
                self.stuck += 1

        hold.keep(leave)
        try:
            yield
        finally:
            if seated:
                self._open[tenant] -= 1
            else:
                self.stuck -= 1
