"""The client's side of alerts: what needs a person, acting on it, and trying rules out.

Answers are the messages of `wire/twin.proto`; every time is int64 microseconds UTC, 0 for none.
"""

from __future__ import annotations

from serving.client_follow import Asking, Following
from serving.wire import twin_pb2 as pb

SLOW_S = 120.0  # of what reads a whole history


class Alerting:
    """Questions of one connection. Each raises what the twin refuses with, as a TwinError."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking.ask
        self.follow = Following(asking).follow

    def alerts(
        self,
        where: str = "",
        *,
        region: str = "",
        incidents: bool = False,
        order: str = "",
        limit: int = 20,
    ) -> pb.AlertsReply:
        """Return alerts that match, the open ones without `where`; the worst first.

        `incidents`: those of one cause as one.
        """
        request = pb.AlertsRequest(
            where=where, region=region, incidents=incidents, order=order, limit=limit
        )
        reply: pb.AlertsReply = self._ask("Alerts", request)
        return reply

    def act(
        self,
        alert: str,
        action: str,
        *,
        region: str = "",
        owner: str = "",
        until: int = 0,
        note: str = "",
    ) -> pb.ActReply:
        """Acknowledge, assign (to `owner`), snooze (`until`), unsnooze or comment an alert."""
        request = pb.ActRequest(
            alert=alert, action=action, region=region, owner=owner, until=until, note=note
        )
        reply: pb.ActReply = self._ask("Act", request)
        return reply

    def rehearse(
        self, rules: str, *, since: int = 0, until: int = 0, region: str = ""
    ) -> pb.RehearseReply:
        """Return how often each rule of a TOML text would have fired; changes nothing."""
        request = pb.RehearseRequest(rules=rules, since=since, until=until, region=region)
        reply: pb.RehearseReply = self._ask("Rehearse", request, SLOW_S)
        return reply
