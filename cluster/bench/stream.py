"""The stream that benchmarks offer: events of shipments as arrays, and as messages of both forms.

Equal arguments give an equal stream. Ids are dense numbers, so an oracle needs no string to tell
a repeat; event times are all different, so no tie has to be broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Column = NDArray[Any]
TELEMETRY = ("shipment.position", "shipment.condition", "shipment.promised", "shipment.departed")
LIFE = ("shipment.ordered", "shipment.promised", "shipment.departed", "shipment.delivered")
SOURCES = ("carrier/north", "carrier/south", "sensor/box", "erp/orders")
BEGIN_US = 1_700_000_000_000_000
SLOT_US = 200_000  # event time passes that much from one event to the next
LATEST = 100_000  # slots by which a late event lags at most
REPEATS, LATE, PARKED = 0.05, 0.10, 0.01
REPEATED_WITHIN = 1000  # events
PROMISE_US = 30 * 86_400_000_000
BROKEN_LAT = 123.0  # no latitude: what its contract parks
AT_ONCE = 100_000  # events built together
ZIPF = 1.1
QUANTITIES = 5000  # 0 up to this, scattered
_pack = msgspec.msgpack.Encoder().encode


class Stream(NamedTuple):
    """n events in the order they are offered; repeats have the number of their original."""

    types: tuple[str, ...]
    number: Column  # of the event: its id
    key: Column  # of the shipment
    type: Column  # position in `types`
    source: Column  # position in SOURCES
    time: Column  # us, no two alike
    x: Column  # latitude, or degrees Celsius
    y: Column  # longitude
    parked: Column  # breaks its contract

    @property
    def size(self) -> int:
        return int(self.number.size)

    def part(self, start: int, end: int) -> Stream:
        return Stream(self.types, *(column[start:end] for column in self[1:]))


def telemetry(n: int, keys: int, seed: int = 7) -> Stream:
    """Return n events over `keys` shipments, zipf: repeats, late ones and broken ones among them.

    Source of the shares: 5 % repeats, 10 % late, 1 % parked; a repeat follows its original within
    1,000 events, as a producer does that sends again.
    """
    draw = np.random.default_rng([seed, n, keys])
    number = np.arange(n)
    late = draw.random(n) < LATE
    lag = np.where(late, draw.integers(1, LATEST, n), 0)
    within = np.where(late, 1 + number % (SLOT_US - 1), 0)  # keeps late ones apart from all others
    parked = draw.random(n) < PARKED
    kind = np.where(parked, 0, draw.integers(0, len(TELEMETRY), n)).astype(np.int8)
    stream = Stream(
        TELEMETRY,
        number,
        (draw.zipf(ZIPF, n) - 1) % keys,
        kind,
        draw.integers(0, len(SOURCES), n).astype(np.int8),
        BEGIN_US + (number - lag) * SLOT_US + within,
        np.where(parked, BROKEN_LAT, draw.uniform(-60, 80, n)),
        draw.uniform(-180, 180, n),
        parked,
    )
    at = np.flatnonzero(draw.random(n) < REPEATS)
    of = number.copy()
    of[at] = np.maximum(0, at - draw.integers(1, REPEATED_WITHIN, at.size))
    return Stream(TELEMETRY, *(column[of] for column in stream[1:]))


def lives(keys: int, types: tuple[str, ...] = LIFE, first: int = 0) -> Stream:
    """Return one event of each type for each of `keys` shipments, ids from `first` on."""
    n = keys * len(types)
    number = np.arange(n)
    return Stream(
        types,
        first + number,
        number // len(types),
        (number % len(types)).astype(np.int8),
        (number % len(SOURCES)).astype(np.int8),
        BEGIN_US + (first + number) * SLOT_US,
        (number % 140 - 60).astype(np.float64),
        (number % 360 - 180).astype(np.float64),
        np.zeros(n, np.bool_),
    )


class Feed:
    """Telemetry that goes on: ids and event times follow those that were offered before."""

    def __init__(self, twins: int, offered: int) -> None:
        self._twins = twins
        self._offered = offered

    def messages(self, n: int, size: int) -> list[bytes]:
        """Return the next n events as Arrow messages of `size` each."""
        events = telemetry(n, self._twins, seed=self._offered)
        after = events._replace(
            number=events.number + self._offered, time=events.time + self._offered * SLOT_US
        )
        self._offered += n
        return list(arrow(after, size))


def subject(key: int) -> str:
    """Return the id of a shipment: 20 bytes."""
    return f"shp-{key:016d}"


def id_of(number: int) -> str:
    return f"ev-{number:013d}"


def arrow(stream: Stream, size: int) -> Iterator[bytes]:
    """Yield the stream as Arrow IPC streams of `size` events each."""
    for start in range(0, stream.size, max(size, AT_ONCE // size * size)):
        end = start + max(size, AT_ONCE // size * size)
        batch = _batch(stream.part(start, end))
        for at in range(0, batch.num_rows, size):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch.slice(at, size))
            yield sink.getvalue().to_pybytes()


def rows(stream: Stream, size: int) -> Iterator[bytes]:
    """Yield the stream as msgpack arrays of `size` rows each, as the client sends them."""
    for start in range(0, stream.size, size):
        part = stream.part(start, start + size)
        columns = [column.tolist() for column in part[1:8]]
        yield _pack([_row(*event) for event in zip(*columns, strict=True)])


def _row(number: int, key: int, type_: int, source: int, time: int, x: float, y: float) -> Any:
    name = TELEMETRY[type_]
    payload: dict[str, Any] = {}
    if type_ == 0:
        payload = {"lat": x, "lon": y}
    elif type_ == 1:
        payload = {"temp_c": x}
    elif type_ == 2:
        payload = {"promised_at": time + PROMISE_US}
    return [id_of(number), SOURCES[source], name, 1, subject(key), "east", time, payload, {}]


def _batch(s: Stream) -> pa.RecordBatch:
    n = s.size
    columns = {
        "id": _names("ev-", s.number, 13),
        "source": _coded(s.source, SOURCES),
        "type": _coded(s.type, s.types),
        "subject": _names("shp-", s.key, 16),
        "region": _coded(np.zeros(n, np.int8), ("east",)),
        "time": pa.array(s.time),
    }

    def only(name: str, values: Column) -> pa.Array:
        return pa.array(values, mask=s.type != s.types.index(name))

    if "shipment.position" in s.types:
        columns |= {"lat": only("shipment.position", s.x), "lon": only("shipment.position", s.y)}
    if "shipment.condition" in s.types:
        columns["temp_c"] = only("shipment.condition", s.x)
    if "shipment.promised" in s.types:
        columns["promised_at"] = only("shipment.promised", s.time + PROMISE_US)
    if "shipment.delivered" in s.types:
        columns["recorded_at"] = only("shipment.delivered", s.time)
    if "shipment.ordered" in s.types:
        columns |= _order(s, s.type == s.types.index("shipment.ordered"))
    return pa.record_batch(columns)


def _order(s: Stream, mine: Column) -> dict[str, pa.Array]:
    texts = {
        "supplier": 200,
        "origin": 90,
        "site": 50,
        "country": 40,
        "mode": 4,
        "product_group": 8,
        "product": 300,
    }
    columns = {
        name: _coded(np.where(mine, s.key % count, -1), [f"{name}-{i}" for i in range(count)])
        for name, count in texts.items()
    }
    quantity = s.key * 7919 % QUANTITIES
    for name, values in (
        ("ordered_at", s.time),
        ("quantity", quantity),
        ("value_cents", quantity * 100),
    ):
        columns[name] = pa.array(values, mask=~mine)
    return columns


def _coded(codes: Column, words: Any) -> pa.Array:
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(words)))


def _names(prefix: str, numbers: Column, digits: int) -> pa.Array:
    """Return prefix and decimal digits of each number, all of one width."""
    head = np.frombuffer(prefix.encode(), np.uint8)
    raw = np.empty((numbers.size, head.size + digits), np.uint8)
    raw[:, : head.size] = head
    rest = numbers.astype(np.int64)
    for at in range(raw.shape[1] - 1, head.size - 1, -1):
        rest, digit = np.divmod(rest, 10)
        raw[:, at] = digit + ord("0")
    ends = np.arange(numbers.size + 1, dtype=np.int32) * raw.shape[1]
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(raw.tobytes())]
    return pa.Array.from_buffers(pa.string(), numbers.size, buffers)
