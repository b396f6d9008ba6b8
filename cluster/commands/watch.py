"""`twin watch`: twins that match a condition, then every change of them as it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.commands.search import USUAL, show_mode
from cluster.questions import split
from serving import records
from serving.client import connect
from serving.wire import twin_pb2 as pb
from twin.errors import Compacted, Retryable

NEVER = 0


@click.command()
@click.argument("kind", type=click.Choice(tuple(USUAL)))
@click.argument("where", nargs=-1)
@click.option("--fields", default="", help="Which to show, by comma; `all` for every one.")
@click.option("--only-changes", is_flag=True, help="From now on: not what matches already.")
@click.option("--cursor", default="", help="Of an earlier run: go on behind it.")
@click.option(
    "--limit", default=NEVER, type=click.IntRange(0), help="Stop after so many changes; else never."
)
@show.region_option
@show.folder_option
@show.json_option
def command(
    kind: str,
    where: tuple[str, ...],
    fields: str,
    only_changes: bool,
    cursor: str,
    limit: int,
    region: str,
    folder: Path,
    as_json: bool,
) -> None:
    """Print the KIND twins that match WHERE, then each change of them, until interrupted.

    twin watch shipment "temp_c > 8" --fields=temp_c,site

    A twin is told of as `entered` when it begins to match, as `left` when it matches no more, and
    as `changed` with what was told of it meanwhile. With --json every line has the cursor to go on
    with (docs/subscribe.md); it is null until the first answer is complete. Interrupted, or given
    up after half a minute without the twin, it says on stderr how to go on.
    """
    chosen = split(fields) or USUAL[kind]
    asked = () if chosen == ("all",) else chosen
    shown = Shown(limit, as_json, cursor)
    with connect(folder, name="cli") as client:
        replies = client.subscribe(
            kind, " ".join(where), asked, region, cursor=cursor, only_changes=only_changes
        )
        try:
            for reply in replies:
                shown.add(reply)
                if limit and shown.count >= limit:
                    return
        except (KeyboardInterrupt, Retryable) as e:
            if shown.cursor and not isinstance(e, Compacted):
                click.echo(f"go on with --cursor={shown.cursor}", err=True)
            raise


class Shown:
    """What was printed so far, and the cursor behind it."""

    def __init__(self, limit: int, as_json: bool, cursor: str) -> None:
        self.count = 0
        self.cursor = cursor
        self._limit, self._as_json = limit, as_json
        self._mode = pb.NORMAL

    def add(self, reply: pb.SubscribeReply) -> None:
        """Print the changes of a message."""
        changes = list(reply.changes)
        if self._limit:
            changes = changes[: self._limit - self.count]
        for number, change in enumerate(changes, 1):
            if self._as_json:
                last = number == len(reply.changes)
                show.json(_told(change, reply, reply.cursor if last else ""))
            else:
                click.echo(_line(change))
        self.count += len(changes)
        self.cursor = reply.cursor or self.cursor  # only now: who is interrupted misses nothing
        if reply.mode != self._mode and not self._as_json:
            show_mode("degraded" if reply.mode == pb.DEGRADED else "normal", [])
        self._mode = reply.mode


def _told(change: pb.Change, reply: pb.SubscribeReply, cursor: str) -> dict[str, Any]:
    return {
        "change": change.change,
        "twin": show.state(records.state(change.twin)),
        "absent": list(change.absent),
        "offset": change.offset,
        "snapshot": reply.snapshot,
        "mode": "degraded" if reply.mode == pb.DEGRADED else "normal",
        "cursor": cursor or None,
    }


def _line(change: pb.Change) -> str:
    twin = records.state(change.twin)
    told = [f"{n} {show.plain(n, v.value, v.unit)}" for n, v in sorted(twin.values.items())]
    told += [f"{name} -" for name in change.absent]
    return f"  {change.change:8} {twin.region}/{twin.id}  {'  '.join(told)}".rstrip()
