"""The client's side of following alerts: each event that is journaled of them, as it happens.

A subscription says that something happened; what it was is read from where the reader was. So each
event comes once, in its shard's order, over any break of the stream and any move of a shard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from serving.client_watch import PATIENCE_S, SILENCE_S, Again, Watching
from serving.patience import patiently
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Retryable, TwinError, Unavailable

ALERT, TELLING = "alert", ("state", "owner", "note")  # every event of an alert decides one
AGAIN_S = 0.3
_PLACE = re.compile(r"([a-z0-9/-]{1,100})=([0-9]{1,18})")


class Asking(Protocol):
    """What asks an rpc, also one that streams. `serving.client.Client` is one."""

    def ask(self, rpc: str, request: Any, timeout_s: float = 0.0) -> Any: ...
    def pieces(
        self, rpc: str, request: Any, timeout_s: float | None = None, silence_s: float = 0.0
    ) -> Iterator[Any]: ...


class Happened(NamedTuple):
    """What was journaled since the last of these: each event with the cursor behind it."""

    events: list[tuple[pb.AlertEvent, str]]
    cursor: str  # behind them all
    degraded: bool  # a shard does not answer: what happens there is told later


class Following:
    """Alerts as one connection follows them."""

    def __init__(self, asking: Asking) -> None:
        self._ask, self._changes = asking.ask, Watching(asking).subscribe

    def follow(
        self,
        where: str = "",
        *,
        region: str = "",
        cursor: str = "",
        patience_s: float = PATIENCE_S,
        silence_s: float = SILENCE_S,
    ) -> Iterator[Happened]:
        """Yield what happens to alerts that match `where`, from now on; close it to end.

        `where` is asked of an alert as it stands when its event is told. `cursor`: go on behind
        it. A stream that breaks is taken up again, for `patience_s`. Raises what the twin refuses
        with, as a TwinError: BadRequest CURSOR_INVALID, or what broke the stream for good.
        """
        reading = _Reading(self._ask, where, region, opened(cursor))
        yield patiently(reading.begin, patience_s)
        again = Again(patience_s)
        while True:
            try:
                for told in self._heard(reading, region, silence_s):
                    again.goes_on()
                    yield told
            except TwinError as e:
                again.wait(e)

    def _heard(self, reading: _Reading, region: str, silence_s: float) -> Iterator[Happened]:
        """Yield what one stream says has happened, from when it begins to hear."""
        changes = self._changes(
            ALERT, "", TELLING, region, only_changes=True, patience_s=0.0, silence_s=silence_s
        )
        hears = degraded = False
        for reply in changes:
            if reply.changes or reading.behind or (reply.synced and not hears):
                yield from reading.on()
            hears |= reply.synced
            if degraded != (reply.mode == pb.DEGRADED):
                degraded = not degraded
            yield Happened([], reading.cursor, degraded)


class _Reading:
    """How far the events of each shard were read."""

    def __init__(self, ask: Any, where: str, region: str, offsets: dict[str, int]) -> None:
        self._ask, self._where, self._region = ask, where, region
        self._offsets = offsets
        self.behind = False  # whether there may be more, though nothing says so

    @property
    def cursor(self) -> str:
        return sealed(self._offsets)

    def begin(self) -> Happened:
        """Read as far as one answer goes; raise Unavailable where a shard does not say from when.

        Raises BadRequest where the cursor names what is no shard.
        """
        reply = self._answer()
        if lost := reply.missing and set(reply.missing) - self._offsets.keys():
            raise Unavailable(f"{', '.join(sorted(lost))} does not answer; ask again", AGAIN_S)
        if strange := self._offsets.keys() - reply.next.keys() - set(reply.missing):
            raise BadRequest(
                f"{min(strange)} has no alerts here; follow without the cursor", "CURSOR_INVALID"
            )
        self.behind = bool(reply.events or reply.missing)
        return self._happened(reply)

    def on(self) -> Iterator[Happened]:
        """Yield what there is by now."""
        while True:
            try:
                reply = self._answer()
            except Retryable:
                self.behind = True
                return
            self.behind = bool(reply.missing)
            if not reply.events:
                self._offsets.update(reply.next)
                return
            yield self._happened(reply)

    def _answer(self) -> pb.AlertsReply:
        request = pb.AlertsRequest(where=self._where, region=self._region, events=True)
        getattr(request, "from").update(self._offsets)
        reply: pb.AlertsReply = self._ask("Alerts", request)
        return reply

    def _happened(self, reply: pb.AlertsReply) -> Happened:
        events = []
        for event in reply.events:
            shard, _, offset = event.receipt.rpartition("/")
            self._offsets[shard] = int(offset) + 1
            events.append((event, self.cursor))
        self._offsets.update(reply.next)
        return Happened(events, self.cursor, bool(reply.missing))


def sealed(offsets: dict[str, int]) -> str:
    """Return a cursor: of each shard, the offset to go on from."""
    return ",".join(f"{shard}={offset}" for shard, offset in sorted(offsets.items()))


def opened(cursor: str) -> dict[str, int]:
    """Return what a cursor says. Raises BadRequest CURSOR_INVALID."""
    places = [_PLACE.fullmatch(part) for part in cursor.split(",")] if cursor else []
    if not all(places):
        raise BadRequest(
            "the cursor is none of `twin alerts --follow`; follow without it", "CURSOR_INVALID"
        )
    return {place[1]: int(place[2]) for place in places if place is not None}
