"""Ports: what the HTTP surface needs of the gateway and of the tokens, and nothing more.

Messages are those of `wire/twin.proto`: what HTTP can ask, gRPC can ask, with the same names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from serving.access import Identity
from serving.wire import twin_pb2 as pb

# (request, who asks) -> reply. Raises a TwinError when there is none.
Answer = Callable[[Any, Identity], Awaitable[Any]]
# Name of an rpc -> what answers it. What is not here has no address.
Answers = Mapping[str, Answer]
# (batches of events, who offers) -> replies, in the order of the batches.
Ingest = Callable[
    [AsyncIterator[pb.IngestRequest], Identity], AsyncIterator[pb.IngestReply]
]  # fmt: skip
# body -> (HTTP status, answer, mode). The answer of a refusal has `code` and `detail`.
Predict = Callable[[dict[str, Any]], Awaitable[tuple[int, dict[str, Any], str]]]


class GatewayPort(Protocol):
    """What a stream of ticks asks. Every method raises a TwinError when it has no answer."""

    async def status(self, request: pb.StatusRequest) -> pb.StatusReply: ...

    async def search(self, request: pb.SearchRequest) -> pb.SearchReply: ...

    async def aggregate(self, request: pb.AggregateRequest) -> pb.AggregateReply: ...


class Reader:
    """The answers as one asker sees them: GatewayPort of one tenant."""

    def __init__(self, answers: Answers, who: Identity) -> None:
        self._answers = answers
        self._who = who

    async def status(self, request: pb.StatusRequest) -> pb.StatusReply:
        return await self._answers["Status"](request, self._who)

    async def search(self, request: pb.SearchRequest) -> pb.SearchReply:
        return await self._answers["Search"](request, self._who)

    async def aggregate(self, request: pb.AggregateRequest) -> pb.AggregateReply:
        return await self._answers["Aggregate"](request, self._who)


class TokenPort(Protocol):
    """Who asks. `serving.access.Doors` is one."""

    def verify(self, token: str) -> Identity:
        """Return the bearer. Raises Denied."""
        ...

    def redeem(self, code: str) -> str:
        """Return a token for a one-use code. Raises Denied."""
        ...

    def renew(self, identity: Identity) -> str:
        """Return a fresh token for the same bearer."""
        ...
