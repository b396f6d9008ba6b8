"""`twin ingest`: the rows of a file, through a mapping, to the twin.

Every row is accounted for: its events have outcomes, or it is parked with a line and a reason.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cluster import load, mapping, show
from cluster.expressions import micros
from cluster.mapping import Parked, Result
from serving.client import OUTCOMES, Event, connect
from twin.errors import BadRequest

SHOWN = 10  # parked rows of a reason that are listed; --json has them all


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--mapping", "mapping_name", required=True, help="Name of a packaged mapping, or a TOML file."
)
@click.option("--until", "until_text", default="", help="Only what was known on this date.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many events, oldest first.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent and parked; send nothing.")
@show.json_option
@show.folder_option
def command(
    file: Path,
    mapping_name: str,
    until_text: str,
    limit: int | None,
    dry_run: bool,
    as_json: bool,
    folder: Path,
) -> None:
    """Offer the rows of FILE as events.

    Running it again offers the same events with the same ids: all of them are duplicates.
    """
    found = mapping.find(mapping_name)
    result = load.read(file, found)
    events = load.until(result.events, _until(until_text))
    left = len(result.events) - len(events)
    if limit is not None:
        left += max(0, len(events) - limit)
        events = events[:limit]
    sent = None
    if not dry_run:
        with connect(folder, name="ingest") as client, _bar(len(events), as_json) as progress:
            sent = load.send(client, events, progress)
    if as_json:
        show.json(_object(result, events, left, sent))
    else:
        _tell(result, events, left, sent)


def _until(text: str) -> int:
    if not text:
        return 2**62
    at = micros(text)
    if at is None:
        message = (
            f"{text!r} is no date; write --until 2013-09-01, or an RFC 3339 time with its zone"
        )
        raise BadRequest(message)
    return at


@contextmanager
def _bar(events: int, as_json: bool) -> Iterator[load.Progress]:
    """Yield a function that moves a progress bar, or does nothing where nobody watches."""
    if as_json or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=events, label="events", file=sys.stderr) as bar:
        yield lambda done, _total: bar.update(done - bar.pos)


def _object(
    result: Result, events: list[Event], left: int, sent: load.Sent | None
) -> dict[str, Any]:
    return {
        "rows": result.rows,
        "events": len(events),
        "left": left,
        "types": dict(Counter(event.type for event in events)),
        "sent": None if sent is None else sent.events,
        "outcomes": None if sent is None else {o: sent.outcomes.get(o, 0) for o in OUTCOMES},
        "reasons": None if sent is None else sent.reasons,
        "parked_rows": [parked._asdict() for parked in result.parked],
    }


def _tell(result: Result, events: list[Event], left: int, sent: load.Sent | None) -> None:
    click.echo(f"{result.rows:,} rows, {len(events):,} events")
    if left:
        click.echo(f"{left:,} more events were left out by --until or --limit")
    if sent is None:
        types = Counter(event.type for event in events)
        show.table(["type", "events"], [[name, f"{n}"] for name, n in sorted(types.items())])
        click.echo("Nothing was sent. Leave out --dry-run to offer them.")
    else:
        counts = [[name.lower(), f"{sent.outcomes.get(name, 0)}"] for name in OUTCOMES]
        show.table(["outcome", "events"], counts)
        if sent.reasons:
            reasons = sorted(sent.reasons.items())
            show.table(["reason", "events"], [[name, f"{n}"] for name, n in reasons])
            click.echo("See them with `twin quarantine`, correct the rows and ingest them again.")
    if result.parked:
        _tell_parked(result.parked)
    elif sent is not None and not sent.reasons:
        click.echo("Next: twin search shipment --limit 10")


def _tell_parked(parked: list[Parked]) -> None:
    click.echo(show.warn(f"{len(parked):,} rows were parked here: no event could be made of them"))
    by_reason: Counter[tuple[str, str]] = Counter()
    listed = []
    for row in parked:
        by_reason[row.reason, row.column] += 1
        if by_reason[row.reason, row.column] <= SHOWN:
            listed.append([str(row.line), row.reason, row.column or "-", row.value or "-"])
    show.table(["line", "reason", "column", "value"], listed)
    if len(listed) < len(parked):
        click.echo(f"{len(listed)} of {len(parked):,} shown; --json lists them all")
    click.echo("Correct these lines, or the mapping, and run it again: the rest are duplicates.")
