"""The client's side of a subscription: twins that match now, then every change of them, for ever.

What is yielded is whole: no message of a commit whose end has not come. So whoever keeps the
cursor of the last message can go on behind it, after any break, and misses and repeats nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from serving import faults
from serving.wire import twin_pb2 as pb
from twin.errors import Compacted, Denied, Retryable, TwinError

PATIENCE_S = 30.0  # for a gateway that is away, before the caller is told
PAUSE_S = 0.1  # between two attempts
SILENCE_S = 10.0  # of a stream, which else says every second how far all is: it hangs, or is cut


class Streaming(Protocol):
    """What asks an rpc that streams. `serving.client.Client` is one."""

    def pieces(
        self, rpc: str, request: Any, timeout_s: float | None = None, silence_s: float = 0.0
    ) -> Iterator[Any]: ...


class Watching:
    """Subscriptions of one connection."""

    def __init__(self, asking: Streaming) -> None:
        self._pieces = asking.pieces

    def subscribe(
        self,
        kind: str = "shipment",
        where: str = "",
        fields: Sequence[str] = (),
        region: str = "",
        *,
        cursor: str = "",
        only_changes: bool = False,
        patience_s: float = PATIENCE_S,
        silence_s: float = SILENCE_S,
    ) -> Iterator[pb.SubscribeReply]:
        """Yield what matches now, then its changes as they come; close it to end.

        A message without changes is a bookmark: nothing happened up to its cursor. `cursor`: go on
        behind that message, of this question. `only_changes`: no first answer. Once a cursor came,
        a stream that breaks, or says nothing for `silence_s`, is begun again behind it, for
        `patience_s`; 0: never. Raises what the twin refuses with, as a TwinError, and what broke
        the stream where it cannot be taken up.
        """
        request = pb.SubscribeRequest(
            kind=kind,
            where=where,
            fields=fields,
            region=region,
            cursor=cursor,
            only_changes=only_changes,
        )
        again = Again(patience_s)
        while True:
            try:
                for reply in whole(self._pieces("Subscribe", request, None, silence_s)):
                    again.goes_on()
                    request.cursor = reply.cursor or request.cursor
                    yield reply
            except TwinError as e:
                if not request.cursor:
                    raise
                again.wait(e)
            else:
                return


def whole(replies: Iterator[pb.SubscribeReply]) -> Iterator[pb.SubscribeReply]:
    """Yield messages as soon as the commit that they are of is complete."""
    held: list[pb.SubscribeReply] = []
    for reply in replies:
        held.append(reply)
        if not reply.more:
            yield from held
            held.clear()


class Again:
    """When a stream that broke is begun again, and for how long that is tried."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._until = 0.0  # since it broke last; 0: it goes on

    def goes_on(self) -> None:
        """Note that something came."""
        self._until = 0.0

    def wait(self, e: TwinError) -> None:
        """Return when to begin again behind `e`. Raises what is told where that is no use."""
        if not _passes(e):
            raise e
        self._until = self._until or time.monotonic() + self._patience_s
        pause = max(PAUSE_S, getattr(e, "retry_after", 0.0))
        if time.monotonic() + pause > self._until:
            raise _given_up(e, self._patience_s) from e
        time.sleep(pause)


def _given_up(e: TwinError, patience_s: float) -> TwinError:
    """Return what is told once a stream could not be taken up for so long."""
    if patience_s <= 0:
        return e
    text = f"the stream could not be taken up for {patience_s:g} s; go on with the last cursor: {e}"
    return faults.error(e.code, text, getattr(e, "retry_after", 0.0))


def _passes(e: TwinError) -> bool:
    """Say whether the same stream can go on later: its server moved, or its token is over."""
    if isinstance(e, Denied):
        return e.code == "TOKEN_EXPIRED"  # a new call brings a new one
    return isinstance(e, Retryable) and not isinstance(e, Compacted)
