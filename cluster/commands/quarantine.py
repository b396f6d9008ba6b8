"""`twin quarantine`: events parked because they break their contract, and their re-drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.commands.receipt import as_dict
from serving.client import connect

CHOICES = (
    click.option("--type", "type_", default="", help="Only events of this type."),
    click.option("--reason", default="", help="Only those parked for this reason."),
    click.option("--source", default="", help="Only those of this source."),
)


def _chosen(command: Any) -> Any:
    for option in reversed(CHOICES):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@_chosen
@show.folder_option
@show.json_option
@click.pass_context
def command(
    ctx: click.Context,
    limit: int,
    type_: str,
    reason: str,
    source: str,
    folder: Path,
    as_json: bool,
) -> None:
    """Print the parked events, newest first.

    Send the same id with the right value to mend one; `twin quarantine redrive` has them judged
    again as they are, as after an upgrade that knows what they say.
    """
    if ctx.invoked_subcommand:
        return
    with connect(folder, name="cli") as client:
        reply = client.quarantine(limit, type=type_, reason=reason, source=source)
    rows = [as_dict(receipt) for receipt in reply.parked]
    if as_json:
        show.json({"parked": rows, "shown": reply.shown, "total": reply.total})
        return
    if rows:
        waits = [max(0.0, (reply.now - r.ingest_time) / show.MICROS) for r in reply.parked]
        ages = [show.span(wait) for wait in waits]
        heads = ("receipt", "source", "id", "reason", "field", "expected", "got", "age")
        cells = [
            [*(str(row.get(head, "-")) for head in heads[:-1]), age]
            for row, age in zip(rows, ages, strict=True)
        ]
        show.table(heads, cells)
        click.echo("  what a reason means: twin error REASON")
    click.echo(f"  {reply.total} parked   shown {reply.shown} of {reply.total}")


@command.command()
@_chosen
@click.option("--id", "ids", multiple=True, help="Only the event of this id; may be repeated.")
@click.option("--limit", default=10_000, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--dry-run", is_flag=True, help="Say what would become of them; change nothing.")
@show.folder_option
@show.json_option
def redrive(
    type_: str,
    reason: str,
    source: str,
    ids: tuple[str, ...],
    limit: int,
    dry_run: bool,
    folder: Path,
    as_json: bool,
) -> int:
    """Judge parked events again, oldest first, by the contracts and the clock of today.

    What now keeps its contract is applied, with its own source, id and time; what is still broken
    stays parked. Again is harmless. Status 3 if any stays parked, or was left by --limit.
    """
    with connect(folder, name="cli") as client:
        reply = client.redrive(
            type=type_, reason=reason, source=source, ids=ids, limit=limit, dry_run=dry_run
        )
    outcomes, reasons = dict(reply.outcomes), dict(reply.reasons)
    events = [as_dict(receipt) for receipt in reply.events]
    stays = bool(outcomes.get("PARKED") or reply.left or reply.missing)
    if as_json:
        told = {
            "judged": reply.judged,
            "outcomes": outcomes,
            "reasons": reasons,
            "settled": reply.settled,
            "left": reply.left,
            "missing": list(reply.missing),
            "dry_run": dry_run,
            "events": events,
        }
        show.json(told)
        return 3 if stays else 0
    if events:
        heads = ("id", "source", "type", "outcome", "reason", "field", "redrives", "receipt")
        show.table(heads, [[str(row.get(head, "-")) for head in heads] for row in events])
        if len(events) < reply.judged - reply.settled:
            click.echo(f"  shown {len(events)} of {reply.judged - reply.settled}")
    _sum(reply, outcomes, reasons, dry_run)
    return 3 if stays else 0


def _sum(reply: Any, outcomes: dict[str, int], reasons: dict[str, int], dry_run: bool) -> None:
    counts = ", ".join(f"{n:,} {name.lower()}" for name, n in sorted(outcomes.items()))
    why = ", ".join(f"{name} {n:,}" for name, n in sorted(reasons.items()))
    would = "would be judged" if dry_run else "judged"
    click.echo(f"  {reply.judged:,} {would}" + (f": {counts}" if counts else ""))
    if why:
        click.echo(f"  still parked: {why}; send the same id with the right value")
    if reply.settled:
        click.echo(f"  {reply.settled:,} were mended by somebody else meanwhile")
    if reply.left:
        click.echo(f"  {reply.left:,} more are parked; run it again, or raise --limit")
    if reply.missing:
        click.echo(show.warn(f"  no answer of {', '.join(reply.missing)}; run it again"))
