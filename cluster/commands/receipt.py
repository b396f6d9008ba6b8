"""`twin receipt`: what became of an event, by its receipt or by its source and id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cluster import show
from serving.client import connect

FIELDS = (
    *("id", "source", "type", "outcome", "reason", "field", "expected", "got", "shard", "epoch"),
    *("key", "writer", "receipt", "redrives", "settled_by"),
)
TIMES = ("event_time", "ingest_time")


@click.command()
@click.argument("name")
@click.argument("ids", nargs=-1)
@show.folder_option
@show.json_option
def command(name: str, ids: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """Print a receipt by its NAME (KIND/REGION/SHARD/OFFSET), or those of events of one source.

    twin receipt shipment/east/0/17      twin receipt scms 86606:ordered
    """
    with connect(folder, name="cli") as client:
        receipts = client.receipts(name, ids) if ids else [client.receipt(name)]
    rows = [as_dict(receipt) for receipt in receipts]
    if as_json:
        show.json(rows)
    elif len(rows) == 1:
        for field, value in rows[0].items():
            click.echo(f"  {field:12} {value}")
    else:
        print_rows(rows)
        click.echo(f"  shown {len(rows)} of {len(ids)}")
    return 0 if all(row["outcome"] != "UNSEEN" for row in rows) else 1


def as_dict(receipt: Any) -> dict[str, Any]:
    """Return a Receipt message as plain values; fields that say nothing are left out."""
    held = {name: getattr(receipt, name) for name in FIELDS}
    out = {name: value for name, value in held.items() if value not in ("", 0)}
    out |= {name: show.instant(getattr(receipt, name)) for name in TIMES if getattr(receipt, name)}
    return out


def print_rows(rows: list[dict[str, Any]]) -> None:
    heads = ("receipt", "source", "id", "type", "outcome", "reason", "event_time", "ingest_time")
    show.table(heads, [[str(row.get(head, "-")) for head in heads] for row in rows])
