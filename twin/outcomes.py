"""Outcomes: the five things that can become of an event, and the reasons for two of them.

Numbers are on disk and on the wire: append, never renumber.
"""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    APPLIED = 0  # journaled, changed the state
    SUPERSEDED = 1  # journaled, a newer truth was known already
    DUPLICATE = 2  # same (source, id), same content: its first receipt is repeated
    PARKED = 3  # journaled, breaks its contract; kept until corrected
    REJECTED = 4  # not journaled


class Reason(IntEnum):
    """Why an event is parked or rejected. The word is the code; the number is on disk."""

    NONE = 0
    BAD_ID = 1
    REGION_MISSING = 2
    WRONG_REGION = 3
    IDEMPOTENCY_CONFLICT = 4
    SCHEMA_UNSUPPORTED = 5
    FIELD_MISSING = 6
    OUT_OF_RANGE = 7
    TIME_OUT_OF_RANGE = 8
    NOT_FINITE = 9
    FIELD_UNKNOWN = 10
    TYPE_MISMATCH = 11
    NOT_OWNER = 12
    TYPE_RESERVED = 13


# As plain numbers: a column is compared with a member of an enum in five times the time.
APPLIED, SUPERSEDED, PARKED = int(Outcome.APPLIED), int(Outcome.SUPERSEDED), int(Outcome.PARKED)
DUPLICATE, REJECTED, STANDS = int(Outcome.DUPLICATE), int(Outcome.REJECTED), int(Reason.NONE)
