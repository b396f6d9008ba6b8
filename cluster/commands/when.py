"""`twin when`: since when a condition holds of one twin, or until when it did."""

from __future__ import annotations

from pathlib import Path

import click

from cluster import one, show
from cluster.cli import DEGRADED
from cluster.questions import moment_option
from serving.client import connect
from serving.wire import twin_pb2 as pb


@click.command()
@click.argument("id")
@click.argument("where")
@one.kind_option
@click.option("--last", is_flag=True, help="When it last ceased to hold, instead.")
@click.option("--in-the-world", is_flag=True, help="When it was so; else when it became known.")
@moment_option("--since", "Not before.")
@moment_option("--until", "Not after.")
@show.region_option
@show.folder_option
@show.json_option
def command(
    id: str,
    where: str,
    kind: str | None,
    last: bool,
    in_the_world: bool,
    since: int,
    until: int,
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print when WHERE first held of the twin ID, as in: twin when SCMS-4 "status = 'DELIVERED'".

    It is looked at after every event of the twin; what depends on age is judged then.
    """
    with connect(folder, name="cli") as client:

        def ask(kind: str, id: str, region: str) -> pb.FirstTrueReply:
            return client.past.first_true(
                kind,
                id,
                where,
                region,
                last=last,
                event_axis=in_the_world,
                since=since,
                until=until,
            )

        reply = one.named(id, kind, region).ask(ask)
    if as_json:
        one.json(reply)
    elif not reply.found:
        click.echo("  never, as far as is known")
    else:
        event = reply.event
        by = f"by {event.type} of {event.source}, {event.receipt}"
        if not event.receipt:
            by = "it holds to this day"
        click.echo(f"  {reply.twin.key}   {show.instant(reply.at)}   {by}")
    return one.status(reply, DEGRADED)
