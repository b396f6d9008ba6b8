"""The alert tail: what a shard has journaled of its alerts, from an offset on, event by event.

The newest are kept in memory as they are committed; what is older is read in the journal. So who
keeps the offset that an answer gives, and asks from there, gets each event once, in order, from
whichever writer answers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from serving import encode
from serving.access import Identity
from serving.wire import twin_pb2 as pb
from twin.alerts import ALERT
from twin.columns import event_ids
from twin.contracts import CONTRACTS
from twin.filters import compile_filter
from twin.frames import Frame
from twin.kinds import KINDS
from twin.query import View
from twin.transition import Snapshot

KEPT = 20_000  # events in memory
LIMIT, MOST = 200, 1000  # events in an answer
LONGEST_S = 0.5  # of reading the journal for one answer: what is left is for the next
FIELDS = tuple(field.name for field in KINDS[ALERT].fields)
_IS_ALERT = np.array([contract.kind == ALERT for contract in CONTRACTS] + [False])


def _offset(live: Snapshot) -> int:
    return live.offset


class AlertTail:
    """The events of a shard's alerts. `watch` is called by the writer, `answer` by readers."""

    def __init__(self, shard: Shard, clock: Callable[[], int]) -> None:
        self._shard, self._clock = shard, clock
        self._frames: deque[Frame] = deque()
        self._size = 0
        self._since = shard.next  # from here on every frame that concerns alerts is in memory

    def watch(self, frame: Frame, _outcome: NDArray[np.int8]) -> None:
        if not _IS_ALERT[frame.columns["contract"]].any():
            return
        self._frames.append(frame)
        self._size += frame.size
        while self._size > KEPT and len(self._frames) > 1:
            gone = self._frames[0]
            self._since = gone.first + gone.size  # before it goes: a reader looks here first
            self._frames.popleft()
            self._size -= gone.size

    def answer(self, request: pb.AlertsRequest, who: Identity) -> pb.AlertsReply:
        """Return events from where the request says, a bounded number; and where to go on."""
        end = self._shard.lend(_offset)  # between two commits: none is applied and not watched
        name = self._shard.name
        start = max(0, min(getattr(request, "from").get(name, end), end))
        limit = min(request.limit or LIMIT, MOST)
        compile_filter(ALERT, request.where)
        frames = self._read(start, end)
        if isinstance(frames, list) and not frames:  # as mostly: no snapshot is taken for it
            self._shard.require_marker()
            return pb.AlertsReply(now=self._clock(), next={name: end})
        snapshot = self._shard.snapshot()
        view = View(snapshot, ALERT, who.tenant, self._shard.rule.region, self._clock())
        wanted = np.zeros(snapshot.tables[ALERT].size, np.bool_)
        wanted[view.rows(request.where)] = True
        found: list[tuple[Frame, int]] = []
        following, until = start, time.monotonic() + LONGEST_S
        for frame in frames:
            at = self._of(frame, start, wanted)
            found.extend((frame, i) for i in at.tolist())
            following = max(following, frame.first + frame.size)
            if len(found) >= limit or time.monotonic() > until:
                break
        else:
            following = end
        if len(found) > limit:
            frame, i = found[limit]
            following, found = frame.first + i, found[:limit]
        events = self._events(view, found)
        self._shard.require_marker()
        return pb.AlertsReply(
            events=events, shown=len(events), now=view.now_us, next={name: following}
        )

    def _read(self, start: int, end: int) -> Iterable[Frame]:
        kept = list(self._frames)
        if start < self._since:  # looked at after the copy: what went meanwhile is in the journal
            return (f for f in self._shard.frames(start) if f.size and f.first < end)
        return [frame for frame in kept if frame.first + frame.size > start and frame.first < end]

    def _of(self, frame: Frame, start: int, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return which events of a frame are to be told."""
        columns = frame.columns
        at = np.flatnonzero(_IS_ALERT[columns["contract"]] & (columns["reason"] == 0))
        at = at[frame.first + at >= start]
        row = columns["row"][at]
        known = row < wanted.size
        return at[known][wanted[row[known]]]

    def _events(self, view: View, found: list[tuple[Frame, int]]) -> list[pb.AlertEvent]:
        rows = np.array([int(f.columns["row"][i]) for f, i in found], np.int64)
        twins = encode.twins(view, rows, FIELDS, shard=self._shard.name, epoch=self._shard.epoch)
        word, told = self._shard.word, []
        for (frame, i), twin in zip(found, twins, strict=True):
            columns = frame.columns
            told.append(
                pb.AlertEvent(
                    id=event_ids(frame).get(i),
                    type=CONTRACTS[int(columns["contract"][i])].type,
                    source=word(int(columns["source"][i])),
                    alert=twin.id,
                    region=twin.region,
                    event_time=int(columns["time"][i]),
                    ingest_time=frame.ingest_time,
                    writer=word(int(columns["writer"][i])),
                    receipt=f"{self._shard.name}/{frame.first + i}",
                    twin=twin,
                )
            )
        return told
