"""Newer: telling what a later version of this program wrote from damage, before it is applied.

Contracts, columns and numbers are only ever appended, so whatever is unknown here is of a later
version. Applying the rest without it would be a wrong state with a good checksum.
"""

from __future__ import annotations

from twin.contracts import CONTRACTS
from twin.errors import JournalNewer
from twin.events import PAYLOAD
from twin.frames import Frame
from twin.kinds import KINDS
from twin.outbox import CURSOR
from twin.outcomes import Reason

OWN = [contract.name for contract in CONTRACTS]
TEXTS = ("id", "raw")
COLUMNS = {
    *("hash", "content", "contract", "time", "source", "writer", "tenant", "confidence"),
    *("reason", "does", "target", "redrives", "row", "prev", CURSOR),
    *(f"{name}.{part}" for name in TEXTS for part in ("offsets", "content")),
    *(f"data.{name}" for name in PAYLOAD),
}


def require_known(frame: Frame) -> None:
    """Raise JournalNewer if a frame holds anything that this version cannot apply."""
    require_contracts(frame)
    if unknown := [*(frame.columns.keys() - COLUMNS), *(frame.names.keys() - KINDS.keys())]:
        raise _newer(frame, f"the column {min(unknown)!r}")
    if frame.size and int(frame.columns["reason"].max()) >= len(Reason):
        raise _newer(frame, "a reason to park events")


def require_contracts(frame: Frame) -> None:
    """Raise JournalNewer if a frame, or a checkpoint, counts contracts that are unknown here."""
    names = frame.contracts
    if names != OWN[: len(names)]:
        unknown = [name for i, name in enumerate(names) if OWN[i : i + 1] != [name]]
        raise _newer(frame, f"the contract {unknown[0]!r}")


def _newer(frame: Frame, what: str) -> JournalNewer:
    return JournalNewer(
        f"the frame of offset {frame.first} has {what}, which this version does not know; "
        "install the version that wrote the journal, or a later one"
    )
