"""Silence: a stream that says nothing for too long is ended, as its server may hang.

What counts is how long the next message is waited for, not how long a reader takes over the last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from twin.errors import Unavailable

LOOKS = 4  # in the time that a silence may last
AGAIN_S = 0.1
T = TypeVar("T")


class Silence:
    """Listens to one call, from a thread of its own, until it is closed. `end` cancels the call."""

    def __init__(self, end: Callable[[], object], most_s: float) -> None:
        self.error: Unavailable | None = None  # once it was silent for too long
        self._end, self._most_s = end, most_s
        self._since: float | None = None  # the next message is waited for since then
        self._over = threading.Event()
        threading.Thread(target=self._listen, name="silence", daemon=True).start()

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def each(self, messages: Iterable[T]) -> Iterator[T]:
        """Yield the messages as they come."""
        self._since = time.monotonic()
        for message in messages:
            self._since = None
            yield message
            self._since = time.monotonic()

    def _listen(self) -> None:
        while not self._over.wait(self._most_s / LOOKS):
            since = self._since
            if since is not None and time.monotonic() > since + self._most_s:
                said = f"nothing was heard for {self._most_s:g} s; is the gateway in order?"
                self.error = Unavailable(said, AGAIN_S)
                self._end()
                return
