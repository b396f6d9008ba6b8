"""Record a golden journal: python -m tests.journals.record v2. Once, when a format is released.

What lies in a folder here was written by the release it is named for, and is never written again.
"""

import json
import random
import sys
from pathlib import Path

from actors import journal_file
from tests.actors.shards import shard
from tests.twin.histories import DAY, ORDER, SITES, T0, event, message

HERE = Path(__file__).parent
ITEM = {"site": "W1", "product": "P1"}
SAYS = {
    "shipment": [
        ("shipment.ordered", {**ORDER, "value_cents": 12_345}),
        ("shipment.promised", {"promised_at": T0 + DAY}),
        ("shipment.departed", {}),
        ("shipment.position", {"lat": 1.5, "lon": -2.5}),
        ("shipment.position", {"lat": 91.0, "lon": 0.0}),
        ("shipment.condition", {"temp_c": -18.25}),
        ("shipment.delivered", {"recorded_at": T0 + 2 * DAY}),
    ],
    "site": [
        (
            "site.registered",
            {"name": "Wärehouse", "country": "NG", "function": "1234", "lat": 6.5, "lon": 3.4},
        ),
        ("stock.counted", {**ITEM, "quantity": 40}),
        ("stock.moved", {**ITEM, "delta": -3}),
    ],
}


def history(kind):
    """Return batches of events with repeats, repairs, late and withdrawn ones."""
    rng, batches, number = random.Random(f"golden {kind}"), [], 0
    for _ in range(9):
        batch = []
        for _ in range(rng.randint(1, 9)):
            type_, data = rng.choice(SAYS[kind])
            source = rng.choice(["erp", "tms", "demo/telemetry"])
            time = T0 + rng.randrange(5) * 1_000_000
            subject = f"{type_.partition('.')[0]}-{rng.randrange(4)}"
            one = event(
                id=f"e{number}", source=source, type=type_, subject=subject, time=time, data=data
            )
            if number and rng.random() < 0.15:
                one |= {"retracts": f"e{rng.randrange(number)}", "data": {}}
            batch.append(one)
            number += 1
        batches.append([*batch, batch[0]])
    return batches


def main(version):
    journal_file.SMALLEST = 4096
    for kind in SAYS:
        folder = HERE / version / kind
        one, batches = None, history(kind)
        for epoch in (1, 2, 3):
            rule = {"rule": SITES} if kind == "site" else {}
            one = shard(folder, epoch, **rule)
            for batch in batches[3 * epoch - 3 : 3 * epoch]:
                one.offer([message(*batch)])
            if epoch == 2:
                one.checkpoint()
        digests, counts = one.digests(), one.outcomes()
        told = {name: counts[name] for name in ("APPLIED", "SUPERSEDED", "PARKED")}
        expected = {**digests._asdict(), **told}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        for segment in folder.rglob("*.twj"):
            segment.write_bytes(segment.read_bytes().rstrip(b"\0") + bytes(16))


if __name__ == "__main__":
    main(sys.argv[1])
