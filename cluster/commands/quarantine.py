"""`twin quarantine`: events parked because they break their contract, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from cluster import show
from cluster.commands.receipt import as_dict
from serving.client import connect


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@show.folder_option
@show.json_option
def command(limit: int, folder: Path, as_json: bool) -> None:
    """Print the parked events; send the same id with the right value to mend one."""
    with connect(folder, name="cli") as client:
        reply = client.quarantine(limit)
    rows = [as_dict(receipt) for receipt in reply.parked]
    if as_json:
        show.json({"parked": rows, "shown": reply.shown, "total": reply.total})
        return
    if rows:
        waits = [max(0.0, (reply.now - r.ingest_time) / show.MICROS) for r in reply.parked]
        ages = [show.span(wait) for wait in waits]
        heads = ("receipt", "source", "id", "reason", "event_time", "ingest_time", "age")
        cells = [
            [*(str(row.get(head, "-")) for head in heads[:-1]), age]
            for row, age in zip(rows, ages, strict=True)
        ]
        show.table(heads, cells)
        click.echo("  what a reason means: twin error REASON")
    click.echo(f"  {reply.total} parked   shown {reply.shown} of {reply.total}")
