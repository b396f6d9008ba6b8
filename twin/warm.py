"""Warming: every kernel compiled, or loaded from its cache, before it is waited for.

A kernel is compiled anew for arrays that may not be written, as those of replay are; so what is
done here is what a shard does: it takes messages of both forms, journals and replays them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from twin import frames, gather, skim, tallies
from twin.admission import Rule, place
from twin.columns import Message
from twin.events import ENVELOPE, Offered, decode_arrow, decode_rows
from twin.frames import Frame
from twin.joining import joined
from twin.texts import texts
from twin.transition import State

_NOW = 1_700_000_000_000_000  # us, 2023
_ORDER = {"supplier": "s", "country": "NG", "product_group": "p", "quantity": 1}
_ROWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("shipment.ordered", "a", _ORDER),
    ("shipment.position", "a", {"lat": 1.0, "lon": 2.0}),
    ("shipment.position", "a", {"lat": 99.0, "lon": 2.0}),
    ("shipment.delivered", "a", {}),
    ("stock.counted", "w:p", {"site": "w", "product": "p", "quantity": 3}),
    ("supplier.registered", "s", {"name": "S"}),
)


def warm() -> None:
    """Compile every kernel of the twin, or load it. Takes seconds once, then about 0.2 s."""
    skim.warm()
    gather.warm()
    tallies.warm()
    for kinds in (("shipment",), ("site", "stock"), ("supplier",)):
        _live(kinds)
    place("t", texts(["a"]), 2)


def _live(kinds: Sequence[str]) -> None:
    """Let a shard of these kinds live, and another one replay what it journaled."""
    live, again = (State(Rule("east", kinds, 0, 1)) for _ in range(2))
    written: list[Frame] = []

    def read(offset: int) -> Frame:
        return next(frame for frame in written if frame.first <= offset < frame.first + frame.size)

    for offered in (_arrow("a"), _rows("b"), joined([_rows("c"), _arrow("d")]), _arrow("a")):
        plan = live.plan([Message(offered, "t", "w"), Message(offered, "t", "w")], 1, _NOW)
        if plan.frame.size:
            live.commit(plan.frame, read)
            found = frames.read(memoryview(frames.encode(plan.frame)), 0)
            assert found is not None
            written.append(found.frame)
            again.commit(found.frame, read)
    again.seen.load(live.seen.dump())
    for held in live.kinds.values():
        held.keys.find(texts(["t/a"]))


def _events(name: str) -> list[Any]:
    return [
        [f"{name}{i}", "erp/x", type_, 1, subject, "east", _NOW, payload, {}]
        for i, (type_, subject, payload) in enumerate(_ROWS)
    ]


def _rows(name: str) -> Offered:
    return decode_rows(msgspec.msgpack.encode(_events(name)))


def _arrow(name: str) -> Offered:
    rows = []
    for *head, payload, _ in _events(name):
        event: dict[str, object] = dict(zip(ENVELOPE, head, strict=True))
        rows.append({**event, **payload})
    batch = pa.RecordBatch.from_pylist(
        rows,
        pa.schema(
            {
                **{n: pa.string() for n in ("id", "subject", "region")},
                **{n: pa.dictionary(pa.int32(), pa.string()) for n in ("source", "type")},
                "version": pa.int64(),
                "time": pa.int64(),
                **{n: pa.float64() for n in ("lat", "lon")},
                **{n: pa.string() for n in ("supplier", "country", "product_group", "name")},
                **{n: pa.string() for n in ("site", "product")},
                "quantity": pa.int64(),
            }
        ),
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return decode_arrow(sink.getvalue().to_pybytes())
