"""Reading ahead: frames read and checked in a thread of their own, while earlier ones are applied.

Reading, checksums and most of applying hold no lock of the interpreter, so on two cores a replay
takes about as long as the slower half of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from twin.frames import Frame

MOST = 64  # frames in memory that wait to be applied
LOOK_S = 0.1  # how often the reader looks whether anybody still wants to know


def ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Yield `frames`, read by another thread. Raises what reading them raises."""
    ready: queue.Queue[Frame | BaseException | None] = queue.Queue(MOST)
    left = threading.Event()

    def put(item: Frame | BaseException | None) -> None:
        while not left.is_set():
            try:
                ready.put(item, timeout=LOOK_S)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for frame in frames:
                put(frame)
                if left.is_set():
                    return
        except BaseException as e:  # noqa: BLE001 - raised again where the frames are applied
            put(e)
        else:
            put(None)

    reader = threading.Thread(target=read, name="read-ahead", daemon=True)
    reader.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        reader.join()
