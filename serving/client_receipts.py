"""The client's questions of what became of events, and its way to have parked ones judged again.

Answers are the messages of `wire/twin.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence

from serving.client_past import Asking
from serving.wire import twin_pb2 as pb

SLOW_S = 60.0  # of judging thousands of events again


class Receipts:
    """Questions of one connection. Each raises what the twin refuses with, as a TwinError."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking.ask

    def receipts(self, source: str, ids: Sequence[str]) -> list[pb.Receipt]:
        """Return what became of events offered earlier; UNSEEN if they never came."""
        request = pb.ReceiptsRequest(source=source, ids=ids)
        return list(self._ask("Receipts", request).receipts)

    def receipt(self, name: str) -> pb.Receipt:
        """Return the receipt called `name`: kind/region/shard/offset."""
        reply: pb.ReceiptsReply = self._ask("Receipts", pb.ReceiptsRequest(offset=name))
        return reply.receipts[0]

    def quarantine(
        self, limit: int = 20, *, type: str = "", reason: str = "", source: str = ""
    ) -> pb.QuarantineReply:
        """Return the newest parked events, all or those of a type, reason and source."""
        request = pb.QuarantineRequest(limit=limit, type=type, reason=reason, source=source)
        reply: pb.QuarantineReply = self._ask("Quarantine", request)
        return reply

    def redrive(
        self,
        *,
        type: str = "",
        reason: str = "",
        source: str = "",
        ids: Sequence[str] = (),
        limit: int = 0,
        dry_run: bool = False,
    ) -> pb.RedriveReply:
        """Have parked events judged again; what now keeps its contract is applied."""
        request = pb.RedriveRequest(
            type=type, reason=reason, source=source, ids=ids, limit=limit, dry_run=dry_run
        )
        reply: pb.RedriveReply = self._ask("Redrive", request, SLOW_S)
        return reply
