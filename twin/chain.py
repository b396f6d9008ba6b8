"""The chain: from the newest event of a twin to the one before it, back to the first.

Frames are read newest first, each once, however many chains run through it; what was found is
given oldest first, as it became known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.columns import carries, event_ids, payload_column
from twin.contracts import CONTRACTS
from twin.errors import TooMany
from twin.events import NOTHING
from twin.frames import Frame, text_columns
from twin.retraction import Withdrawal, Withdrawn, withdrawal
from twin.texts import join

Column = NDArray[Any]
Read = Callable[[int], Frame]  # offset -> the frame that holds it, from the journal
Picked = tuple[Frame, NDArray[np.int64]]  # a frame, and the positions of some of its events
END = 2**62  # behind every offset, and after every moment
LONGEST = 200_000  # events of the chains that one question may read
FEW = 8  # events that are counted one by one
_ENVELOPE = (
    *("hash", "content", "contract", "time", "source", "writer", "tenant", "confidence"),
    *("reason", "row", "prev"),
)


class Chain(NamedTuple):
    """Whole chains of some twins, oldest event first, as one frame whose offsets count from 0."""

    frame: Frame
    offset: NDArray[np.int64]  # of each event, in its journal
    ingest_time: NDArray[np.int64]
    epoch: NDArray[np.int64]

    @property
    def size(self) -> int:
        return self.offset.size

    def column(self, name: str) -> Column:
        return self.frame.columns[name]


def walk(head: int, read: Read) -> Iterator[int]:
    """Yield the offsets of a twin's events, newest first, starting at its head."""
    offset = head
    while offset >= 0:
        yield offset
        frame = read(offset)
        offset = int(frame.columns["prev"][offset - frame.first])


def gather(
    heads: Iterable[int], read: Read, before: int = END, most: int = LONGEST
) -> list[Picked]:
    """Return the events of the chains that begin at `heads`, of offsets below `before`.

    Raises TooMany where there are more than `most`.
    """
    waiting = [-head for head in heads if head >= 0]
    heapify(waiting)
    found: list[Picked] = []
    count = 0
    while waiting:
        frame = read(-waiting[0])
        first, prev = frame.first, frame.columns["prev"]
        at = []
        while waiting and -waiting[0] >= first:
            offset = -heappop(waiting)
            if offset < before:
                at.append(offset - first)
            if (earlier := prev.item(offset - first)) >= 0:
                heappush(waiting, -earlier)
        count += len(at)
        if count > most:
            raise TooMany(f"this reads more than {most:,} events; ask about fewer twins, or less")
        if at:
            found.append((frame, np.array(at[::-1], np.int64)))
    return found[::-1]


def select(picked: Sequence[Picked]) -> Chain:
    """Return some events of some frames as one: whole chains, oldest event first; at least one."""
    size = sum(at.size for _, at in picked)
    columns: dict[str, Column] = {
        name: np.concatenate([frame.columns[name][at] for frame, at in picked])
        for name in _ENVELOPE
    }
    columns["does"] = np.zeros(size, np.int8)
    columns["target"] = np.zeros((size, 2), np.uint64)
    columns["redrives"] = np.full(size, -1)
    columns |= text_columns("id", join([event_ids(f).take(at) for f, at in picked]))
    start = 0
    for frame, at in picked:
        for name in ("does", "target", "redrives"):
            if name in frame.columns:
                columns[name][start : start + at.size] = frame.columns[name][at]
        start += at.size
    for name in _told(columns["contract"]):
        held = [_carried(frame, at, name) for frame, at in picked]
        columns[f"data.{name}"] = np.concatenate(held)
    names = max((frame.contracts for frame, _ in picked), key=len)
    head = picked[-1][0]
    joined = head._replace(first=0, size=size, words=[], names={}, contracts=names, columns=columns)
    return Chain(
        joined,
        np.concatenate([frame.first + at for frame, at in picked]),
        np.repeat(np.array([f.ingest_time for f, _ in picked], np.int64), _sizes(picked)),
        np.repeat(np.array([f.epoch for f, _ in picked], np.int64), _sizes(picked)),
    )


def withdrawn(chain: Chain, ranks: Column, extra: Iterable[Withdrawal] = ()) -> Withdrawn:
    """Return every retraction of whole chains: one names an event of its own twin. And `extra`."""
    found = Withdrawn()
    does, source = chain.column("does"), chain.column("source")
    for i in np.flatnonzero(does != NOTHING).tolist():
        found.add(withdrawal(chain.frame, i, int(ranks[source[i]])))
    for one in extra:
        found.add(one)
    return found


def _told(contract: Column) -> list[str]:
    """Return the payload fields that events of some contracts carry."""
    numbers = np.unique(contract).tolist()
    return list(dict.fromkeys(p.name for number in numbers for p in CONTRACTS[number].payload))


def _carried(frame: Frame, at: Column, name: str) -> Column:
    """Return what those of some events say that carry a payload field."""
    held = frame.columns.get(f"data.{name}")
    may = carries(frame.columns["contract"], frame.columns["reason"], name)
    if held is None:
        return payload_column(frame, name)[at[may[at]]]
    mine = at[may[at]]
    if mine.size <= FEW:
        places = np.array([np.count_nonzero(may[:i]) for i in mine.tolist()], np.int64)
    else:
        places = np.cumsum(may)[mine] - 1
    told: Column = held[places]
    return told


def _sizes(picked: Sequence[Picked]) -> list[int]:
    return [at.size for _, at in picked]
