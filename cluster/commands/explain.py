"""`twin explain`: why a value is what it is: what decided it, what lost, and by which rule."""

from __future__ import annotations

from pathlib import Path

import click

from cluster import one, show
from cluster.cli import DEGRADED
from cluster.questions import as_of_option, known_at_option
from serving.client import connect
from serving.wire import twin_pb2 as pb


@click.command()
@click.argument("id")
@click.argument("field")
@one.kind_option
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000))
@as_of_option
@known_at_option
@show.region_option
@show.folder_option
@show.json_option
def command(
    id: str,
    field: str,
    kind: str | None,
    limit: int,
    as_of: int,
    known_at: int,
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print why FIELD of the twin ID (or KIND/REGION/ID) is what it is."""
    with connect(folder, name="cli") as client:

        def ask(kind: str, id: str, region: str) -> pb.ExplainReply:
            return client.past.explain(
                kind, id, field, region, as_of=as_of, known_at=known_at, limit=limit
            )

        reply = one.named(id, kind, region).ask(ask)
    if as_json:
        one.json(reply)
    else:
        _print(reply)
    return one.status(reply, DEGRADED)


def _print(reply: pb.ExplainReply) -> None:
    held = {reply.field: reply.value} if reply.HasField("value") else {}
    value = one.said(held) or f"{reply.field} is not known"
    click.echo(f"  {reply.key}   {value}")
    if held:
        click.echo(f"  {_provenance(reply.value)}")
    click.echo(f"  {reply.merge}: {reply.rule.removeprefix(f'a {reply.merge}: ')}")
    if reply.HasField("decided_by"):
        by = reply.decided_by
        lifted = f", read by {reply.upcast}" if reply.upcast else ""
        click.echo(
            f"  decided by {by.receipt}: {by.type}{lifted}, id {by.id}, written by {by.writer}, "
            f"known at {show.instant(by.ingest_time)}"
        )
    if reply.losers:
        heads = ("lost", "stated", "event time", "source", "why")
        show.table(heads, [_loser(loser) for loser in reply.losers])
        click.echo(f"  shown {len(reply.losers)} of {reply.losers_total} that lost")
    if reply.inputs:
        heads = ("from", "type", "event time", "source", "stated")
        show.table(heads, [_input(entry) for entry in reply.inputs])


def _provenance(value: pb.Value) -> str:
    age = show.span(value.age_ms / 1000)
    told = f"{value.state}   as of {show.instant(value.as_of)}, age {age}"
    if not value.source:  # it is computed of several groups, as of when it is asked for
        return told
    return f"{told}   confidence {value.confidence:.2f}   source {value.source}"


def _loser(loser: pb.Loser) -> tuple[str, ...]:
    event = loser.event
    when = show.instant(event.event_time)
    return event.receipt, loser.value or "-", when, event.source, loser.rule


def _input(entry: pb.HistoryEntry) -> tuple[str, ...]:
    when = show.instant(entry.event_time)
    return entry.receipt, entry.type, when, entry.source, one.said(entry.said) or "-"
