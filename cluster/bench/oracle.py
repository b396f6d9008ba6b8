"""The oracle: what a stream must have led to, found with plain Python and nothing of the twin's.

It counts outcomes one event at a time, in the order offered, and knows what sampled twins must
say; a figure of a run that ended otherwise is not a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cluster.bench.stream import PROMISE_US, SOURCES, TELEMETRY, Stream, subject
from serving.client import TwinState

SAMPLE = 200  # twins whose values are compared
AT_ONCE = 1_000_000
OUTCOMES = ("APPLIED", "SUPERSEDED", "DUPLICATE", "PARKED", "REJECTED")
Said = tuple[Any, int, str]  # value, as_of, source


class WrongEnd(Exception):
    """A run ended in another state than the oracle's."""


class Expected(NamedTuple):
    outcomes: dict[str, int]
    shipments: int  # that exist at the end
    twins: dict[str, dict[str, Said]]  # id of a sampled shipment -> field -> what it says


def judge(stream: Stream) -> Expected:
    """Return what `stream`, of telemetry, must lead to."""
    seen: set[int] = set()
    newest: dict[int, tuple[int, int]] = {}  # shipment and type -> (event time, position)
    counts = dict.fromkeys(OUTCOMES, 0)
    kinds = len(TELEMETRY)
    for start in range(0, stream.size, AT_ONCE):
        part = stream.part(start, start + AT_ONCE)
        events = zip(
            part.number.tolist(),
            part.key.tolist(),
            part.type.tolist(),
            part.time.tolist(),
            part.parked.tolist(),
            strict=True,
        )
        for at, (number, key, type_, time, parked) in enumerate(events, start):
            if number in seen:
                counts["DUPLICATE"] += 1
                continue
            seen.add(number)
            if parked:
                counts["PARKED"] += 1
                continue
            slot = key * kinds + type_
            held = newest.get(slot)
            if held is None or time > held[0]:
                newest[slot] = (time, at)
                counts["APPLIED"] += 1
            else:
                counts["SUPERSEDED"] += 1
    keys = sorted({slot // kinds for slot in newest})
    step = max(1, len(keys) // SAMPLE)
    sample = {subject(key): _values(stream, newest, key) for key in keys[::step]}
    return Expected(counts, len(keys), sample)


def check(
    expected: Expected,
    outcomes: Sequence[int],
    shipments: int,
    get: Callable[[str], TwinState],
) -> None:
    """Raise WrongEnd unless receipts, twins and values are those expected."""
    told = dict(zip(OUTCOMES, map(int, outcomes), strict=True))
    if told != expected.outcomes:
        raise WrongEnd(f"receipts say {told}, the oracle {expected.outcomes}")
    if shipments != expected.shipments:
        raise WrongEnd(f"{shipments} shipments are there, the oracle knows {expected.shipments}")
    for id, fields in expected.twins.items():
        compare(id, fields, get(id))


def compare(id: str, fields: Mapping[str, Said], twin: TwinState) -> None:
    """Raise WrongEnd unless the twin says exactly what `fields` say."""
    held = {
        name: (value.value, value.as_of, value.source)
        for name, value in twin.values.items()
        if value.value is not None
    }
    if held != dict(fields):
        odd = sorted(n for n in {*held, *fields} if held.get(n) != fields.get(n))[0]
        raise WrongEnd(f"{id} says {odd} = {held.get(odd)}, the oracle {fields.get(odd)}")


def _values(stream: Stream, newest: Mapping[int, tuple[int, int]], key: int) -> dict[str, Said]:
    out: dict[str, Said] = {}
    for type_ in range(len(TELEMETRY)):
        if (held := newest.get(key * len(TELEMETRY) + type_)) is None:
            continue
        time, at = held
        source = SOURCES[int(stream.source[at])]
        x, y = float(stream.x[at]), float(stream.y[at])
        says: list[dict[str, Any]] = [
            {"lat": x, "lon": y},
            {"temp_c": x},
            {"promised_at": time + PROMISE_US},
            {"departed_at": time, "status": "DEPARTED"},
        ]
        out |= {name: (value, time, source) for name, value in says[type_].items()}
    return out
