"""The ring: what the newest frames of a shard changed, for those who tell others of it.

It is filled in the writer's thread and bounded in bytes: a reader who is too slow finds that it
no longer reaches back, and the writer never waits for one. While nobody needs anything it keeps
nothing, and costs a comparison a commit.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from twin.changes import Needs, Taken, taken
from twin.frames import Frame
from twin.lexicon import Lexicon
from twin.texts import Texts
from twin.transition import State

log = logging.getLogger(__name__)
BYTES = 64 << 20
Wake = Callable[[], None]  # called in the writer's thread after each commit: it returns at once


class Moment(NamedTuple):
    """What one frame changed, by kind; and how the rows that there are then are called."""

    end: int  # the offset behind the frame
    kinds: Mapping[str, Taken]
    names: Mapping[str, Texts]
    bytes: int


class Ring:
    """One shard's. `watch` is called by the writer; the rest from any thread."""

    def __init__(self, shard: Shard, wake: Wake, most: int = BYTES) -> None:
        self._shard, self._wake, self._most = shard, wake, most
        self._needs: Mapping[str, Needs] = {}
        self._held: deque[Moment] = deque()
        self._bytes = 0
        self._start = self._end = 0
        self._lock = threading.Lock()
        self._state = shard.study(lambda state: state)  # read in the writer's thread alone

    @property
    def lexicon(self) -> Lexicon:
        """Return what the codes of all moments mean."""
        return self._state.lexicon

    @property
    def bytes(self) -> int:
        return self._bytes

    def watch(self, frame: Frame, outcome: NDArray[np.int8]) -> None:
        """Keep what a frame changed. In the writer's thread, right after its commit."""
        if not self._needs:
            return
        end = frame.first + frame.size
        try:
            moment = moment_of(self._state, self._needs, frame, outcome)
        except Exception:  # the commit stands whatever becomes of those who listen
            log.exception("%s: what a commit changed could not be taken", self._shard.name)
            with self._lock:
                self._held.clear()
                self._bytes, self._start, self._end = 0, end, end
            self._wake()
            return
        with self._lock:
            self._end = end
            if moment is not None:
                self._held.append(moment)
                self._bytes += moment.bytes
                while self._bytes > self._most and len(self._held) > 1:
                    gone = self._held.popleft()
                    self._bytes -= gone.bytes
                    self._start = gone.end
        self._wake()

    def require(self, needs: Mapping[str, Needs]) -> None:
        """Keep what is needed of every frame from now on: each that a later snapshot lacks."""
        self._shard.study(lambda state: self._lay(needs, state.next))

    def since(self, offset: int) -> tuple[list[Moment], int] | None:
        """Return what changed from `offset` on, and the offset up to which that is all.

        None where the ring does not reach back so far.
        """
        with self._lock:
            if offset < self._start:
                return None
            found = []
            for moment in reversed(self._held):
                if moment.end <= offset:
                    break
                found.append(moment)
            return found[::-1], max(offset, self._end)

    def _lay(self, needs: Mapping[str, Needs], at: int) -> None:
        with self._lock:
            if not self._needs or not needs:
                self._held.clear()
                self._bytes = 0
                self._start = self._end = at
            self._needs = dict(needs)


def moment_of(
    state: State, needs: Mapping[str, Needs], frame: Frame, outcome: NDArray[np.int8]
) -> Moment | None:
    """Return what a frame that was just committed changed, None if nothing that is needed."""
    found: dict[str, Taken] = {}
    for kind, need in needs.items():
        if (one := taken(state.kinds[kind], need, frame, outcome)) is not None:
            found[kind] = one
    if not found:
        return None
    names = {kind: state.kinds[kind].keys.names() for kind in needs}
    size = sum(one.bytes for one in found.values())
    return Moment(frame.first + frame.size, found, names, size)
