"""Offer events: `python docs/examples/offer.py [DATA_DIRECTORY]`, beside `twin up --demo`.

A sensor of your own on a shipment that the twin knows: five events, and all five outcomes.
"""
# ruff: noqa: T201 - an example prints

import sys
from collections.abc import Iterator
from pathlib import Path

from serving.client import Event, TwinState, connect

HOUR_US = 3600 * 1_000_000
SOURCE = "example/gps"


def main(folder: Path) -> None:
    with connect(folder, name="example") as twin:
        found = twin.search("shipment", "delivered_at IS ABSENT", ["status"], limit=1)
        for receipt in twin.ingest(list(events(found.twins[0], found.now))):
            print(f"{receipt.outcome} {receipt.reason}".rstrip())
            print(f"  {receipt.id}  {receipt.name or 'not journaled'}")


def events(one: TwinState, now: int) -> Iterator[Event]:
    first = Event(
        type="shipment.position",
        source=SOURCE,
        subject=one.id,
        time=now,  # when it became true, in microseconds
        data={"lat": -15.3, "lon": 28.4},
        id=f"{one.id}.{now}.1",
        region=one.region,
    )
    yield first
    yield first._replace(id=f"{one.id}.{now}.2", time=now - HOUR_US)  # late: an older truth
    yield first  # sent twice
    yield first._replace(id=f"{one.id}.{now}.3", data={"lat": 97.0, "lon": 28.4})  # no latitude
    yield first._replace(data={"lat": -15.4, "lon": 28.4})  # the same id with another content


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".twin"))
