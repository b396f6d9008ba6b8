"""bench memory: bytes that a shipment takes, and bytes that a remembered event id takes.

What counts is the growth of the process as a whole (PSS), free memory given back before and after;
what its structures say of themselves is printed apart. Every shipment is ordered, promised,
departed and delivered, and has a 20-byte id. There is nobody to tell of the deliveries, so all of
them wait in the outbox: where they arrive it takes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.bench import stream as streams
from cluster.bench.figures import Asked, Figure, counted
from cluster.bench.offer import WINDOW, offer
from cluster.bench.oracle import WrongEnd
from cluster.bench.rig import Held, OneShard, fresh, pss_bytes

TWINS = 1_000_000
AT_ONCE = 100_000  # shipments whose messages are built together
BATCH = 10_000
WARM = BATCH // len(streams.LIFE)  # shipments that are there before: one message of them
PER_TWIN, PER_ID = "B/shipment", "B/id"
CASES = ("whole", "fields", "provenance", "chain", "index", "outbox", "dedup")


def run(asked: Asked) -> Iterator[Figure]:
    """Yield bytes per shipment as a whole, without dedup; then each structure, and dedup per id."""
    twins = asked.twins or TWINS
    name = counted(twins)
    grown: list[float] = []
    held: list[Held] = []
    for turn in range(1, asked.repeats + 1):
        asked.say(f"{name}: run {turn} of {asked.repeats}")
        bytes_, found = _measured(asked, twins)
        grown.append(bytes_)
        held.append(found)
    figures = {
        "whole": (PER_TWIN, [(b - h.dedup) / twins for b, h in zip(grown, held, strict=True)]),
        **{
            part: (PER_TWIN, [h.columns * h.shares[part] / twins for h in held])
            for part in ("fields", "provenance", "chain")
        },
        "index": (PER_TWIN, [h.keys / twins for h in held]),
        "outbox": (PER_TWIN, [h.outbox / twins for h in held]),
        "dedup": (PER_ID, [h.dedup / h.ids for h in held]),
    }
    for case, (unit, runs) in figures.items():
        if asked.wants(case):
            yield Figure("memory", name if case == "whole" else f"{name}-{case}", unit, runs)


def _measured(asked: Asked, twins: int) -> tuple[int, Held]:
    """Load a new shard; return by how many bytes its process grew, and what it holds."""
    with fresh(asked.folder, "shard") as own, OneShard(own) as shard:
        # Kernels, buffers and codes exist before the first measurement, as for any size: one
        # message, again and again, is a full window of work and leaves few twins.
        first = streams.lives(WARM, first=len(streams.LIFE) * twins)
        warm = first._replace(key=first.key + twins)
        offer(shard.address, shard.token, 2 * WINDOW * list(streams.arrow(warm, BATCH)))
        shard.held()
        before = pss_bytes(shard.pid)
        whole = streams.lives(twins)
        step = AT_ONCE * len(streams.LIFE)
        for at in range(0, whole.size, step):
            messages = list(streams.arrow(whole.part(at, at + step), BATCH))
            answered = offer(shard.address, shard.token, messages)
            if answered.outcomes[1:].any():
                raise WrongEnd(f"not all events were applied: {answered.outcomes.tolist()}")
        held = shard.held()
        if held.shipments != twins + WARM:
            raise WrongEnd(f"{held.shipments} shipments are held, {twins + WARM} were offered")
        return pss_bytes(shard.pid) - before, held
