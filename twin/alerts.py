"""Alerts: one rule about one twin. KIND:SUBJECT:RULE names it, and says who writes it.

An alert lives in the shard of the twin that it is about, so that what raises it and what is
known of it are in one journal, and its owner follows from its name alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.kinds import KINDS
from twin.texts import Texts, texts

ALERT = "alert"
TYPE = "alert."  # how the types of its events begin
NOBODY = ("", "", "")


class Named(NamedTuple):
    """What an alert's name says; all empty if it names none."""

    kind: str
    subject: str
    rule: str


def alert_id(kind: str, subject: str, rule: str) -> str:
    return f"{kind}:{subject}:{rule}"


def named(alert: str) -> Named:
    """Return what an alert's id says. Subjects may have colons, kinds and rules have none."""
    kind, _, rest = alert.partition(":")
    subject, _, rule = rest.rpartition(":")
    known = kind in KINDS and kind != ALERT and subject and rule
    return Named(kind, subject, rule) if known else Named(*NOBODY)


def keeper(kind: str, id: str) -> tuple[str, str]:
    """Return the kind and id that decide which shard writes a twin: an alert's are its subject's.

    Both are empty for what names no alert.
    """
    if kind != ALERT:
        return kind, id
    found = named(id)
    return found.kind, found.subject


def subjects(ids: Texts, alerts: NDArray[np.bool_]) -> tuple[Texts, Sequence[str]]:
    """Return ids, those of alerts replaced by their subjects', and each one's kind, "" if none."""
    names, kinds = ids.list(), [""] * ids.size
    for i in np.flatnonzero(alerts).tolist():
        kinds[i], names[i], _ = named(names[i])
    return texts(names), kinds
