"""`twin preview`: what retracting an event would change. It retracts nothing."""

from __future__ import annotations

from pathlib import Path

import click

from cluster import one, show
from cluster.cli import DEGRADED
from cluster.commands.diff import rows_of
from cluster.commands.search import show_mode
from serving.client import connect


@click.command()
@click.argument("event")
@click.option("--source", default="", help="Then EVENT is its id; else it is a receipt.")
@show.folder_option
@show.json_option
def command(event: str, source: str, folder: Path, as_json: bool) -> int:
    """Print which values, predictions and alerts would change were EVENT retracted.

    twin preview shipment/east/0/5733, or: twin preview --source erp ID
    """
    with connect(folder, name="cli") as client:
        if source:
            reply = client.past.preview(source=source, id=event)
        else:
            reply = client.past.preview(receipt=event)
    if as_json:
        one.json(reply)
        return one.status(reply, DEGRADED)
    click.echo(f"  {reply.key}: {reply.event.type} of {reply.event.source}, {reply.event.receipt}")
    rows = rows_of(reply.differences)
    if rows:
        show.table(("id", "region", "change", "field", "before", "after"), rows)
    else:
        click.echo("  nothing would change")
    for name, some in (("prediction", reply.predictions), ("alert", reply.alerts)):
        for text in some:
            click.echo(f"  {name}: {text}")
    show_mode("degraded" if reply.mode else "normal", list(reply.missing))
    return one.status(reply, DEGRADED)
