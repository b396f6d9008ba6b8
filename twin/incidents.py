"""Incidents: open alerts of one cause as one thing to deal with, ranked by what is at stake.

A cause is a twin that alerts share: a supplier or a site that has an alert of its own, or is said
to fail; else a lane, a site or a supplier that enough alerts of one rule have in common. What
shares nothing stays alone. Each alert is in one incident, whatever order they are given in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

SEVERITIES = ("critical", "warning", "info")  # the worst first
ENOUGH = 3  # alerts of one rule that have a place in common are no chance
FAILING = {  # status words that make a twin a cause by itself
    "supplier": ("suspended", "ended"),
    "site": ("limited", "closed"),
}
_NEVER = 2**62


class Alert(NamedTuple):
    """An open alert, as far as it matters here. Texts are "" and numbers 0 where not known."""

    id: str
    rule: str
    kind: str  # of its subject
    subject: str
    severity: str
    deadline: int
    value_cents: int
    supplier: str
    site: str
    lane: str
    next_step: str
    region: str


class Incident(NamedTuple):
    """Alerts of one cause. `cause`: KIND:ID of what they share; of one alone its subject."""

    id: str
    cause: str
    severity: str
    value_cents: int
    deadline: int
    alerts: tuple[str, ...]  # the most urgent first
    next_step: str


def rank(alert: Alert) -> tuple[int, int, int, str, str]:
    """Return what alerts are sorted by: severity, deadline, value at risk; then their names."""
    deadline = alert.deadline or _NEVER
    return _weight(alert.severity), deadline, -alert.value_cents, alert.id, alert.region


def incidents(alerts: Iterable[Alert], failing: Collection[tuple[str, str]] = ()) -> list[Incident]:
    """Return alerts as incidents, the most urgent first. `failing`: (kind, id) of such twins."""
    every = sorted(set(alerts), key=rank)
    own = {(one.kind, one.subject) for one in every if one.kind in FAILING}
    causes = own | set(failing)
    common = _common(every)
    groups: dict[str, list[Alert]] = {}
    for one in every:
        groups.setdefault(_cause(one, causes, common), []).append(one)
    found = [_incident(cause, group) for cause, group in groups.items()]
    return sorted(found, key=lambda i: (_weight(i.severity), i.deadline, -i.value_cents, i.id))


def _weight(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _common(alerts: Sequence[Alert]) -> dict[tuple[str, str, str], int]:
    """Return how many alerts of each rule share each lane, site and supplier."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for one in alerts:
        counts.update((one.rule, kind, id) for kind, id in _places(one))
    return counts


def _places(one: Alert) -> list[tuple[str, str]]:
    """Return what an alert may share with others, the narrowest first."""
    told = [("lane", one.lane), ("site", one.site), ("supplier", one.supplier)]
    return [(kind, id) for kind, id in told if id]


def _cause(
    one: Alert,
    causes: Collection[tuple[str, str]],
    common: dict[tuple[str, str, str], int],
) -> str:
    for kind, id in (("supplier", one.supplier), ("site", one.site)):
        if (kind, id) in causes:
            return f"{kind}:{id}"
    for kind, id in _places(one):
        if common[one.rule, kind, id] >= ENOUGH:
            return f"{kind}:{id}/{one.rule}"
    return f"{one.kind}:{one.subject}"


def _incident(cause: str, group: Sequence[Alert]) -> Incident:
    first = group[0]
    deadlines = [one.deadline for one in group if one.deadline]
    return Incident(
        cause if len(group) > 1 else first.id,
        cause.partition("/")[0],
        first.severity,
        _value(group),
        min(deadlines, default=0),
        tuple(one.id for one in group),
        next((one.next_step for one in group if one.next_step), ""),
    )


def _value(group: Sequence[Alert]) -> int:
    """Return what is at risk: two alerts about one twin put the same goods at risk, once."""
    worth: dict[tuple[str, str, str], int] = {}
    for one in group:
        subject = one.region, one.kind, one.subject
        worth[subject] = max(worth.get(subject, 0), one.value_cents)
    return sum(worth.values())
