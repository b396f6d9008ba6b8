"""`twin history`: the events of one twin, what each stated, and what it changed."""

from __future__ import annotations

from pathlib import Path

import click

from cluster import one, show
from cluster.cli import DEGRADED
from cluster.questions import as_of_option, known_at_option, moment_option, split
from serving.client import connect
from serving.wire import twin_pb2 as pb


@click.command()
@click.argument("id")
@one.kind_option
@click.option("--fields", default="", help="Only what concerns these, by comma.")
@moment_option("--since", "Event time, inclusive.")
@moment_option("--until", "Event time, exclusive.")
@click.option("--by-event-time", is_flag=True, help="In the order things happened, not were known.")
@click.option("--oldest-first", is_flag=True, help="Else the newest come first.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--cursor", default="", help="Of an earlier answer: print what follows it.")
@as_of_option
@known_at_option
@show.region_option
@show.folder_option
@show.json_option
def command(
    id: str,
    kind: str | None,
    fields: str,
    since: int,
    until: int,
    by_event_time: bool,
    oldest_first: bool,
    limit: int,
    cursor: str,
    as_of: int,
    known_at: int,
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print what happened to the twin ID (or KIND/REGION/ID), event by event."""
    with connect(folder, name="cli") as client:

        def ask(kind: str, id: str, region: str) -> pb.HistoryReply:
            return client.past.history(
                kind,
                id,
                region,
                fields=split(fields),
                since=since,
                until=until,
                by_event_time=by_event_time,
                oldest_first=oldest_first,
                limit=limit,
                cursor=cursor,
                as_of=as_of,
                known_at=known_at,
            )

        reply = one.named(id, kind, region).ask(ask)
    if as_json:
        one.json(reply)
    else:
        _print(reply)
    return one.status(reply, DEGRADED)


def _print(reply: pb.HistoryReply) -> None:
    heads = ("event time", "known at", "type", "outcome", "stated", "became", "source", "receipt")
    show.table(heads, [_row(entry) for entry in reply.entries])
    for entry in reply.entries:
        if entry.amended_by:
            click.echo(f"  {entry.receipt} was amended by {entry.amended_by}")
    click.echo(f"  shown {reply.shown} of {reply.total}   now {show.instant(reply.now)}")
    if reply.cursor:
        click.echo(show.dim(f"  more: --cursor {reply.cursor}"))


def _row(entry: pb.HistoryEntry) -> tuple[str, ...]:
    return (
        show.instant(entry.event_time),
        show.instant(entry.ingest_time),
        entry.type,
        entry.outcome,
        one.said(entry.said) or "-",
        one.said(entry.became) or "-",
        entry.source,
        entry.receipt,
    )
