"""Analyse a twin: `python docs/examples/analyse.py [DATA_DIRECTORY]`, beside `twin up --demo`.

Everything is a pyarrow table, which pandas, polars and DuckDB read as it is; each value has its
provenance beside it. Needs the extra `arrow`.
"""
# ruff: noqa: T201 - an example prints

import sys
from pathlib import Path

import pyarrow as pa

from serving.analyst import told
from serving.client import Client, connect

DAY_US = 86_400 * 1_000_000


def main(folder: Path) -> None:
    with connect(folder, name="analyst") as twin:
        due = shipments(twin)
        moments(twin, due)
        history(twin, due)
        explain(twin, due)
        sql(twin)


def shipments(twin: Client) -> pa.Table:
    print("shipments: what is due next, and who says so")
    where = "delivered_at IS ABSENT AND promised_at IS KNOWN AND supplier IS KNOWN"
    table = twin.shipments(where, ["supplier", "promised_at"], "promised_at", limit=3)
    for row in table.to_pylist():
        told_at = f"told {row['promise_age_s'] / 86_400:.0f} days ago"
        source = f"{row['promise_source']}#{row['promise_offset']}"
        print(
            f"  {row['id']}  {row['promised_at']:%Y-%m-%d}  {row['supplier']}  {told_at}  {source}"
        )
    said = told(table)
    print(f"  of {said['total']}  {said['mode']}  from {len(said['offsets'])} shards")
    return table


def moments(twin: Client, due: pa.Table) -> None:
    print("as_of: how many were delivered a month ago, and by now")
    now = told(due)["now"]
    for name, view in (("then", twin.as_of(now - 30 * DAY_US)), ("now", twin.as_of(now))):
        table = view.shipments("delivered_at IS KNOWN", ["quantity", "delivered_at"])
        packs = sum(table["quantity"].drop_null().to_pylist())
        print(f"  {name}  {table.num_rows} shipments  {packs} packs")


def history(twin: Client, due: pa.Table) -> None:
    print("history: the first that was heard of one shipment")
    first = due.slice(0, 1).to_pylist()[0]
    table = twin.history("shipment", first["id"], first["region"], limit=2)
    for row in table.to_pylist():
        print(f"  {row['event_time']:%Y-%m-%d}  {row['type']}  {row['outcome']}  {row['receipt']}")


def explain(twin: Client, due: pa.Table) -> None:
    print("explain: why its promise is what it is")
    first = due.slice(0, 1).to_pylist()[0]
    table = twin.explain("shipment", first["id"], "promised_at", first["region"])
    decided = table.slice(0, 1).to_pylist()[0]
    print(
        f"  {decided['value']}  {decided['source']}  {decided['receipt']}  {told(table)['merge']}"
    )
    print(f"  {decided['rule']}")


def sql(twin: Client) -> None:
    print("sql: packs on the way, by supplier")
    table = twin.sql(
        "SELECT supplier, count(*) AS shipments, sum(quantity) AS packs FROM shipments "
        "WHERE delivered_at IS NULL AND supplier IS NOT NULL "
        "GROUP BY supplier ORDER BY packs DESC, supplier LIMIT 3"
    )
    for row in table.to_pylist():
        print(f"  {row['supplier']}  {row['shipments']} shipments  {row['packs']:.0f} packs")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".twin"))
