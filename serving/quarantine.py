"""The quarantine: a view of a shard's parked events, and their re-drive.

Nothing is kept but where each one is and what it is about; what it said is in the journal.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

from actors.shard import Shard
from serving.access import Identity
from serving.history import describe
from serving.routes import Route
from serving.wire import twin_pb2 as pb
from twin import redrive
from twin.errors import BadRequest, Retryable
from twin.outcomes import Outcome, Reason
from twin.receipts import Receipt

LIMIT, MOST = 20, 10_000
PIECE = 2000  # events judged between two commits: some 20 ms in which no other is made
NONE = -1  # a limit: count them, and judge none
TOLD = 100  # receipts in the answer to a re-drive


class Entry(NamedTuple):
    """What a parked event is about."""

    tenant: str
    type: str
    source: str
    id: str
    reason: str


class Chosen(NamedTuple):
    """Parked events to judge again; `left`: how many more were asked for."""

    events: list[redrive.Parked]
    left: int
    next: int


class Quarantine:
    """One shard's. Reader threads share it."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._entries: dict[int, Entry] = {}
        self._lock = threading.Lock()

    def view(self, request: pb.QuarantineRequest, who: Identity) -> pb.QuarantineReply:
        """Return the newest parked events that are asked for."""
        offsets = self._offsets(request, who.tenant)
        shown = offsets[::-1][: min(request.limit or LIMIT, MOST)]
        parked = []
        for offset in shown:
            frame = self._shard.frame(offset)
            assert frame is not None
            parked.append(describe(self._shard, frame, offset - frame.first))
        self._shard.require_marker()
        return pb.QuarantineReply(parked=parked, shown=len(parked), total=len(offsets))

    def choose(self, request: pb.RedriveRequest, who: Identity) -> Chosen:
        """Return the oldest events that a request is about, from its `since` on, as they came."""
        ids = set(request.ids)
        offsets = [
            offset
            for offset in self._offsets(request, who.tenant)
            if offset >= request.since and (not ids or self._entries[offset].id in ids)
        ]
        now = offsets[: max(0, min(request.limit or PIECE, PIECE))]
        events = list(self._read(now))
        return Chosen(events, len(offsets) - len(now), now[-1] + 1 if now else request.since)

    def _offsets(self, wanted: Any, tenant: str) -> list[int]:
        """Return where what `wanted` names is parked, oldest first. Raises BadRequest."""
        if wanted.reason and wanted.reason not in Reason.__members__:
            known = ", ".join(reason.name for reason in Reason if reason)
            raise BadRequest(f"no reason is called {wanted.reason}; there are {known}")
        with self._lock:
            self._refresh()
            return sorted(
                offset
                for offset, entry in self._entries.items()
                if entry.tenant == tenant
                and wanted.type in {"", entry.type}
                and wanted.source in {"", entry.source}
                and wanted.reason in {"", entry.reason}
            )

    def _refresh(self) -> None:
        offsets = self._shard.parked()
        fresh = sorted(set(offsets) - self._entries.keys())
        for offset in self._entries.keys() - set(offsets):
            del self._entries[offset]
        for event, tenant in zip(self._read(fresh), self._tenants(fresh), strict=True):
            row = event.row
            self._entries[event.offset] = Entry(
                tenant, str(row[2]), str(row[1]), row[0], event.reason.name
            )

    def _read(self, offsets: Sequence[int]) -> Iterator[redrive.Parked]:
        """Yield parked events, each frame read once. `offsets`: ascending."""
        frame, raws = None, {}
        for offset in offsets:
            if frame is None or offset >= frame.first + frame.size:
                frame = self._shard.frame(offset)
                assert frame is not None
                raws = dict(redrive.parked_in(frame))
            yield redrive.parked(frame, offset - frame.first, raws[offset - frame.first])

    def _tenants(self, offsets: Sequence[int]) -> Iterator[str]:
        frame = None
        for offset in offsets:
            if frame is None or offset >= frame.first + frame.size:
                frame = self._shard.frame(offset)
                assert frame is not None
            yield self._shard.word(int(frame.columns["tenant"][offset - frame.first]))


def answer(
    shard: Shard, chosen: Chosen, receipt: Receipt, request: pb.RedriveRequest
) -> pb.RedriveReply:
    """Say what became of chosen events."""
    reply = pb.RedriveReply(judged=len(chosen.events), left=chosen.left, next=chosen.next)
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    moved, stayed = [], []
    for i, event in enumerate(chosen.events):
        outcome, reason = Outcome(int(receipt.outcome[i])), Reason(int(receipt.reason[i]))
        if outcome is not Outcome.DUPLICATE:
            outcomes[outcome.name] += 1
            moved.append((event.offset if request.dry_run else int(receipt.offset[i]), outcome))
        elif reason is Reason.NONE:
            reply.settled += 1
        else:
            outcomes[Outcome.PARKED.name] += 1
            reasons[reason.name] += 1
            stayed.append((event, reason))
    for name, n in outcomes.items():
        reply.outcomes[name] = n
    for name, n in reasons.items():
        reply.reasons[name] = n
    for offset, outcome in moved[:TOLD]:
        told = _told(shard, offset)
        told.outcome, told.reason = outcome.name, ""
        told.field = told.expected = told.got = ""
        reply.events.append(told)
    for event, reason in stayed[: TOLD - len(reply.events)]:
        told = _told(shard, event.offset)
        told.reason = reason.name
        told.field, told.expected, told.got = redrive.flaw(event.row, reason)
        reply.events.append(told)
    return reply


async def everywhere(
    ask: Callable[..., Awaitable[pb.RedriveReply]],
    routes: Sequence[Route],
    request: pb.RedriveRequest,
) -> pb.RedriveReply:
    """Let one shard after the other judge what is asked for, a piece at a time."""
    room, whole = min(request.limit or MOST, MOST), pb.RedriveReply()
    asked = pb.RedriveRequest()
    asked.CopyFrom(request)
    for route in routes:
        asked.since, going = 0, True
        try:
            while going:
                asked.limit = room or NONE
                reply = await ask(route, request=asked)
                room, asked.since = room - reply.judged, reply.next
                _add(whole, reply)
                going = reply.left > 0 and room > 0
            whole.left += reply.left
        except Retryable:
            whole.missing.append(route.name)
    events = sorted(whole.events, key=lambda event: event.outcome == Outcome.PARKED.name)
    del whole.events[:]
    whole.events.extend(events[:TOLD])
    return whole


def _add(whole: pb.RedriveReply, reply: pb.RedriveReply) -> None:
    whole.judged += reply.judged
    whole.settled += reply.settled
    for name, n in reply.outcomes.items():
        whole.outcomes[name] += n
    for name, n in reply.reasons.items():
        whole.reasons[name] += n
    whole.events.extend(reply.events)


def _told(shard: Shard, offset: int) -> pb.Receipt:
    frame = shard.frame(offset)
    assert frame is not None
    return describe(shard, frame, offset - frame.first)
