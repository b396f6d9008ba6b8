"""Re-drive: parked events judged again, by the contracts and the clock of today.

What now stands is journaled as an event like any other, with its own source, id and time, and the
offset of the parked one in the column `redrives`; replay applies it as it does any event. What is
still broken is not journaled again: it stays parked where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twin.admission import BY_NAME, Admitted
from twin.arrow_columns import FAR
from twin.columns import Message, event_ids
from twin.contracts import CONTRACTS, Contract
from twin.dedup import UNSEEN
from twin.events import EXTENSIONS, Row, columns_of
from twin.frames import Frame, column_texts
from twin.kinds import Dtype
from twin.outcomes import Outcome, Reason

_unpack = msgspec.msgpack.Decoder(list[Any]).decode
FIRST = -1  # in the column `redrives`: this event was not parked before


class Parked(NamedTuple):
    """A parked event as it came, its id filled in, and where it is."""

    offset: int
    reason: Reason
    row: Row


class Flaw(NamedTuple):
    """What of an event breaks its contract: the field, what was expected there, what came."""

    field: str
    expected: str
    got: str


def parked_in(frame: Frame) -> list[tuple[int, bytes]]:
    """Return (position, row as it came) of every event of a frame that was parked."""
    at = np.flatnonzero(frame.columns["reason"] != Reason.NONE).tolist()
    if not at:
        return []
    held = column_texts(frame.columns, "raw")
    raw, ends = held.content.tobytes(), held.offsets.tolist()
    return [(i, raw[ends[n] : ends[n + 1]]) for n, i in enumerate(at)]


def parked(frame: Frame, i: int, raw: bytes) -> Parked:
    """Return event `i` of a frame. A source that gave no id knows it by its content's hash."""
    row = _unpack(raw)
    row[0] = event_ids(frame).get(i)
    return Parked(frame.first + i, Reason(int(frame.columns["reason"][i])), row)


def message(events: Sequence[Parked], tenant: str, writer: str) -> Message:
    """Return parked events as one to be offered again, by `writer`."""
    offsets = np.array([event.offset for event in events], np.int64)
    return Message(columns_of([event.row for event in events]), tenant, writer, offsets)


def settle(one: Admitted, redrives: NDArray[np.int64]) -> None:
    """Leave as APPLIED only what is parked at its offset still, and now keeps its contract.

    All else becomes a DUPLICATE, which journals nothing: with the reason for which it stays
    parked, or with that of what took its place meanwhile (NONE if that stands).
    """
    known = one.known
    here = (known.entry != UNSEEN) & (known.outcome == Outcome.PARKED) & (known.offset == redrives)
    stays = here & (one.outcome != Outcome.APPLIED)
    one.outcome[stays | ~here] = Outcome.DUPLICATE
    one.reason[~here] = known.reason[~here]


def flaw(row: Row, reason: Reason) -> Flaw:
    """Return the first field that is a cause of `reason`; of no field in particular: blanks."""
    contract = _contract(row)
    payload: dict[str, Any] = row[7] if isinstance(row[7], dict) else {}
    if reason is Reason.TIME_OUT_OF_RANGE:
        return Flaw("time", "1970 to a day ahead of now", _text(row[6]))
    if reason is Reason.SCHEMA_UNSUPPORTED or contract is None:
        known = [f"{c.type}.v{c.version}" for c in CONTRACTS if c.type == row[2]]
        expected = ", ".join(known) or "a type that has a contract"
        return Flaw("type", expected, f"{row[2]}.v{row[3]}")
    if reason is Reason.FIELD_UNKNOWN:
        mine = {promise.name for promise in contract.payload}
        strange = next((n for n, v in payload.items() if n not in mine and v is not None), "")
        return Flaw(strange, ", ".join(sorted(mine)), _text(payload.get(strange)))
    for promise in contract.payload:
        value = payload.get(promise.name)
        absent = value is None or (promise.dtype is Dtype.TEXT and value == "")
        if reason is Reason.FIELD_MISSING and promise.required and absent:
            return Flaw(promise.name, promise.dtype.value, "")
        if absent:
            continue
        if reason is Reason.TYPE_MISMATCH and _mistyped(value, promise.dtype):
            return Flaw(promise.name, promise.dtype.value, _text(value))
        if reason is Reason.NOT_FINITE and isinstance(value, float) and not np.isfinite(value):
            return Flaw(promise.name, "number", _text(value))
        if reason is Reason.OUT_OF_RANGE and promise.among and value not in promise.among:
            return Flaw(promise.name, "one of " + ", ".join(promise.among), _text(value))
        if reason is Reason.OUT_OF_RANGE and isinstance(value, int | float):
            if value < promise.least:
                return Flaw(promise.name, f">= {promise.least:g}", _text(value))
            if value > promise.most:
                return Flaw(promise.name, f"<= {promise.most:g}", _text(value))
    more = row[8] if len(row) > 8 and isinstance(row[8], dict) else {}
    sure = more.get("confidence")
    if reason is Reason.OUT_OF_RANGE and sure is not None:
        return Flaw(EXTENSIONS[1], "0 to 1", _text(sure))
    return Flaw("", "", "")


def _contract(row: Row) -> Contract | None:
    version = 1 if row[3] is None else row[3]
    number = BY_NAME.get((row[2], version)) if isinstance(version, int) else None
    return None if number is None else CONTRACTS[number]


def _mistyped(value: Any, dtype: Dtype) -> bool:
    if dtype is Dtype.TEXT:
        return not isinstance(value, str)
    if dtype is Dtype.FLAG:
        return not isinstance(value, bool)
    if isinstance(value, bool):
        return True
    if dtype is Dtype.NUMBER:
        return not isinstance(value, int | float)
    return not isinstance(value, int) or not -FAR < value < FAR


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:64]
