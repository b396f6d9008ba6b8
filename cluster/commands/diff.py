"""`twin diff`: what differs between two moments, of one twin or of all that match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from cluster import one, show
from cluster.cli import DEGRADED
from cluster.commands.search import show_mode
from cluster.questions import moment_option, split
from serving.client import connect
from serving.wire import twin_pb2 as pb


@click.command()
@click.argument("id", required=False)
@click.option("--where", default="", help="Of all twins of --kind that match at either moment.")
@one.kind_option
@moment_option("--before", "What was true then; else now.")
@moment_option("--after", "What was true then; else now.")
@moment_option("--before-known-at", "As it was known then.")
@moment_option("--after-known-at", "As it was known then.")
@click.option("--fields", default="", help="Which to compare, by comma; all if not given.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@show.region_option
@show.folder_option
@show.json_option
def command(
    id: str | None,
    where: str,
    kind: str | None,
    before: int,
    after: int,
    before_known_at: int,
    after_known_at: int,
    fields: str,
    limit: int,
    region: str,
    folder: Path,
    as_json: bool,
) -> int:
    """Print what differs of the twin ID, or of all that match --where, between two moments.

    twin diff SCMS-4 --before 2013-08-01 --after 2013-09-01

    twin diff --where "status = 'DELIVERED'" --before-known-at 2013-09-01
    """
    if bool(id) == bool(where):
        raise click.UsageError("name one twin by ID, or many by --where")
    if not (before or after or before_known_at or after_known_at):
        raise click.UsageError("say which moments: --before, --after; one of them may be now")
    with connect(folder, name="cli") as client:

        def ask(kind: str, id: str, region: str) -> pb.DiffReply:
            return client.past.diff(
                kind,
                id,
                where=where,
                region=region,
                fields=split(fields),
                before=before,
                after=after,
                before_known_at=before_known_at,
                after_known_at=after_known_at,
                limit=limit,
            )

        reply = one.named(id, kind, region).ask(ask) if id else ask(kind or "shipment", "", region)
    if as_json:
        one.json(reply)
    else:
        _print(reply)
    return one.status(reply, DEGRADED)


def _print(reply: pb.DiffReply) -> None:
    if rows := rows_of(reply.differences):
        show.table(("id", "region", "change", "field", "before", "after"), rows)
    word = "twins differ" if reply.total != 1 else "twin differs"
    click.echo(f"  shown {reply.shown} of {reply.total} {word}   now {show.instant(reply.now)}")
    show_mode("degraded" if reply.mode else "normal", list(reply.missing))


def rows_of(differences: Iterable[pb.Difference]) -> list[tuple[str, ...]]:
    """Return (id, region, change, field, before, after) for each field that differs."""
    rows: list[tuple[str, ...]] = []
    for found in differences:
        for name in sorted({*found.before, *found.after} or {"-"}):
            values = _text(found.before, name), _text(found.after, name)
            rows.append((found.id, found.region, found.change, name, *values))
    return rows


def _text(values: Mapping[str, pb.Value], name: str) -> str:
    held = {name: values[name]} if name in values else {}
    return one.said(held).removeprefix(f"{name} ") or "-"
