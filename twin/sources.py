"""Sources: how far each is trusted when two events of one time disagree.

A greater rank wins. Synthetic telemetry yields to everything, a model to whoever observes.
"""

from __future__ import annotations

RANKS: tuple[tuple[str, int], ...] = (("demo/", 0), ("rule/", 1), ("model/", 2))
OBSERVED = 10
OWN = "twin/"  # sources and named identities that are the twin's own: nobody else has them


def rank(source: str) -> int:
    for prefix, number in RANKS:
        if source.startswith(prefix):
            return number
    return OBSERVED
