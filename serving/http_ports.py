"""Ports: what the HTTP surface needs of the gateway and of the tokens, and nothing more.

Messages are those of `wire/twin.proto`: what HTTP can ask, gRPC can ask, with the same names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from serving.access import Identity
from serving.wire import twin_pb2 as pb

# body -> (HTTP status, answer, mode). The answer of a refusal has `code` and `detail`.
Predict = Callable[[dict[str, Any]], Awaitable[tuple[int, dict[str, Any], str]]]


class GatewayPort(Protocol):
    """Answers of one region's gateway. Every method raises a TwinError when it has none."""

    async def status(self, request: pb.StatusRequest) -> pb.StatusReply: ...

    async def get(self, request: pb.GetRequest) -> pb.GetReply: ...

    async def search(self, request: pb.SearchRequest) -> pb.SearchReply: ...

    async def aggregate(self, request: pb.AggregateRequest) -> pb.AggregateReply: ...

    async def receipts(self, request: pb.ReceiptsRequest) -> pb.ReceiptsReply: ...

    async def quarantine(self, request: pb.QuarantineRequest) -> pb.QuarantineReply: ...


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
