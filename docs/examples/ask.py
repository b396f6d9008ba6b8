"""Ask a running twin: `python docs/examples/ask.py [DATA_DIRECTORY]`, beside `twin up --demo`.

Every value that is printed carries its age, its source and how sure it is.
"""
# ruff: noqa: T201 - an example prints

import sys
from pathlib import Path

from serving.client import Client, TwinState, connect


def main(folder: Path) -> None:
    with connect(folder) as twin:
        latest = search(twin)
        aggregate(twin)
        get(twin, latest)
        receipt(twin, latest)


def search(twin: Client) -> TwinState:
    print("search: the newest positions")
    found = twin.search("shipment", "lat IS KNOWN", ["lat", "lon"], order="age(position)", limit=3)
    for state in found.twins:
        lat, lon = state.values["lat"], state.values["lon"]
        print(f"  {state.id}  {lat.value:.2f} {lon.value:.2f}  {lat.age_s:.0f} s old  {lat.source}")
    print(f"  shown {found.shown} of {found.total}  mode {found.mode}")
    return found.twins[0]


def aggregate(twin: Client) -> None:
    print("aggregate: deliveries by supplier")
    groups = twin.aggregate(
        "shipment",
        where="delivered_at IS KNOWN",
        by=["supplier"],
        measures=["count", "avg(on_time)"],
        order="-count",
        limit=3,
    )
    for row in groups.rows:
        print(f"  {row['supplier']}  {row['count']:.0f}  {row['avg(on_time)']:.0%} on time")
    print(f"  shown {groups.shown} of {groups.total}")


def get(twin: Client, one: TwinState) -> None:
    print("get: one twin, and where its values are from")
    state = twin.get("shipment", one.id, one.region)
    for name in ("status", "promised_at", "lat"):
        value = state.values[name]
        print(f"  {name}  {value.value}  {value.state}  {value.source}#{value.offset}")
    print(f"  as of offset {state.offset} of {state.shard}, epoch {state.epoch}")


def receipt(twin: Client, one: TwinState) -> None:
    print("receipt: the proof of one value")
    proof = twin.receipt(f"{one.shard}/{one.values['lat'].offset}")
    print(f"  {proof.receipt}  {proof.outcome}")
    print(f"  {proof.source}  {proof.id}  {proof.type}  offered by {proof.writer}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".twin"))
