"""Bell: rung when anything happens to a tenant's alerts, so that nobody has to ask and ask.

It is a hint and no more: who is rung asks by offsets, and now and then unasked. What a bell misses
costs time, never a message.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from twin.errors import TwinError

log = logging.getLogger(__name__)
AGAIN_S = 1.0  # between two attempts to listen
Listen = Callable[[], Iterator[Any]]  # a subscription's replies; it ends, or raises a TwinError


class Bell:
    """Listens to one subscription in a thread of its own, and rings in every place it was given."""

    def __init__(self, listen: Listen) -> None:
        self.hears = False  # whether what happens now will be heard
        self._listen = listen
        self._over = threading.Event()
        self._places: list[threading.Event] = []
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def place(self) -> threading.Event:
        """Return what is set at each ring; whoever waits there clears it, and then looks."""
        self._places.append(threading.Event())
        return self._places[-1]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, at the next word of the stream; nobody waits for it."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                for reply in self._listen():
                    if self._over.is_set():
                        break
                    begins = reply.synced and not self.hears
                    self.hears |= begins
                    if reply.changes or begins:  # what happened before it heard is looked for too
                        self._ring()
            except TwinError as e:
                log.info("no stream of alerts: %s", e)
            except Exception:  # a thread's boundary: logged, and tried again
                log.critical("the bell failed", exc_info=True)
            self.hears = False
            self._ring()
            self._over.wait(AGAIN_S)

    def _ring(self) -> None:
        for place in self._places:
            place.set()
