"""`twin ingest`: the rows of a file, through a mapping, to the twin.

Every row is accounted for: its events have outcomes, or it is parked with a line and a reason.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cluster import config, load, mapping, show
from cluster.bookmark import Bookmark
from cluster.clock import Clock
from cluster.expressions import micros
from cluster.mapping import Mapping
from cluster.rehearsal import Rehearsal
from cluster.rows import File
from cluster.tally import Tally
from serving.client import OUTCOMES, connect
from twin.errors import BadRequest

INCOMPLETE = 3  # some rows did not come through
Step = Callable[[Tally], None]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--mapping", "mapping_name", required=True, help="Name of a packaged mapping, or a TOML file."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    help="What FILE is, if neither its name nor the mapping says it.",
)
@click.option("--until", "until_text", default="", help="Only what was known on this date.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many events.")
@click.option("--dry-run", is_flag=True, help="Judge every event here; send nothing.")
@click.option("--restart", is_flag=True, help="Begin anew where an earlier run was interrupted.")
@show.json_option
@show.folder_option
def command(
    file: Path,
    mapping_name: str,
    format_: str | None,
    until_text: str,
    limit: int | None,
    dry_run: bool,
    restart: bool,
    as_json: bool,
    folder: Path,
) -> int:
    """Offer the rows of FILE (CSV, JSON lines or Parquet; .gz and .zst too) as events.

    A run that was interrupted goes on where it was when it is run again. Once it is through,
    running it again offers the same events with the same ids: all of them are duplicates.

    --dry-run needs no running twin. Status 0 if every row came through, or would; 3 if some are
    parked or rejected.
    """
    found = mapping.find(mapping_name)
    until_us = _until(until_text)
    opened = load.opened(file, found, format_ or "")
    if dry_run:
        tally = _rehearsed(opened, found, until_us, limit, as_json, folder)
    else:
        bookmark = Bookmark(folder, file, found, [format_, until_us, limit])
        tally = _sent(opened, found, until_us, limit, as_json, folder, bookmark, restart)
    if as_json:
        show.json(_object(tally, dry_run))
    else:
        _tell(tally, dry_run)
    return 0 if tally.whole else INCOMPLETE


def _until(text: str) -> int:
    if not text:
        return load.ALL
    at = micros(text)
    if at is None:
        message = (
            f"{text!r} is no date; write --until 2013-09-01, or an RFC 3339 time with its zone"
        )
        raise BadRequest(message)
    return at


def _rehearsed(
    file: File,
    found: Mapping,
    until_us: int,
    limit: int | None,
    as_json: bool,
    folder: Path,
) -> Tally:
    held = config.load(Path(config.FILE), os.environ).config
    sink = Rehearsal(held.regions, found.tenant or held.tenant, Clock(folder).now_us())
    messages = load.mapped(file, found, until_us=until_us, room=limit)
    tally = Tally()
    with _bar(file.size, as_json, tally) as step:
        load.offer(sink, messages, tally, step)
    return tally


def _sent(
    file: File,
    found: Mapping,
    until_us: int,
    limit: int | None,
    as_json: bool,
    folder: Path,
    bookmark: Bookmark,
    restart: bool,
) -> Tally:
    tally = Tally() if restart else bookmark.read()
    if tally.rows:
        click.echo(
            f"going on behind row {tally.rows:,}, where an earlier run was interrupted "
            "(--restart begins anew)",
            err=True,
        )
    room = None if limit is None else limit - tally.events
    messages = load.mapped(file, found, tally.rows, until_us=until_us, room=room)
    with connect(folder, name="ingest") as client, _bar(file.size, as_json, tally) as step:

        def answered(counted: Tally) -> None:
            bookmark.keep(counted)
            step(counted)

        try:
            load.offer(client, messages, tally, answered)
        except KeyboardInterrupt:
            kept = bookmark.read().rows
            click.echo(f"\n{kept:,} rows are in; run it again to go on", err=True)
            raise
    bookmark.remove()
    return tally


@contextmanager
def _bar(size: int, as_json: bool, tally: Tally) -> Iterator[Step]:
    """Yield a function that moves a progress bar, or does nothing where nobody watches."""
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    began, before = time.monotonic(), tally.events

    def said(counted: Tally | None) -> str:
        if counted is None:
            return ""
        rate = (counted.events - before) / max(time.monotonic() - began, 1e-3)
        parts = [f"{n:,} {name.lower()}" for name, n in counted.outcomes.items() if n]
        if rows := counted.parked_rows.total():
            parts.append(f"{rows:,} rows parked")
        return f"{rate:,.0f} events/s  " + ", ".join(parts)

    with click.progressbar(
        length=max(size, 1), label="ingest", item_show_func=said, file=sys.stderr, width=20
    ) as bar:
        bar.update(tally.position, tally)

        def step(counted: Tally) -> None:
            bar.update(counted.position - bar.pos, counted)
            bar.render_progress()  # also where a packed file was read ahead to its end

        yield step


def _object(tally: Tally, dry_run: bool) -> dict[str, Any]:
    return {
        "rows": tally.rows,
        "events": tally.events,
        "left": tally.left,
        "types": dict(tally.types),
        "sent": None if dry_run else tally.events,
        "outcomes": {name: tally.outcomes[name] for name in OUTCOMES},
        "reasons": dict(tally.reasons),
        "parked_events": [refused._asdict() for refused in tally.refused],
        "parked": tally.parked_rows.total(),
        "parked_reasons": dict(tally.parked_rows),
        "parked_rows": [parked._asdict() for parked in tally.parked],
        "dry_run": dry_run,
    }


def _tell(tally: Tally, dry_run: bool) -> None:
    click.echo(f"{tally.rows:,} rows, {tally.events:,} events")
    if tally.left:
        click.echo(f"{tally.left:,} more events were left out by --until or --limit")
    types = sorted(tally.types.items())
    show.table(["type", "events"], [[name, f"{n}"] for name, n in types])
    names = [name for name in OUTCOMES if not dry_run or name != "SUPERSEDED"]
    counts = [[_word(name, dry_run), f"{tally.outcomes[name]}"] for name in names]
    show.table(["outcome", "events"], counts)
    if tally.refused:
        _tell_refused(tally, dry_run)
    if tally.parked:
        _tell_parked(tally)
    if dry_run:
        click.echo("Nothing was sent, or compared with a twin; leave out --dry-run to offer them.")
    elif tally.events and tally.outcomes["DUPLICATE"] == tally.events:
        click.echo("All of them were known: nothing was changed.")
    elif tally.whole:
        click.echo("Next: twin search shipment --limit 10")


def _word(outcome: str, dry_run: bool) -> str:
    return f"would be {outcome.lower()}" if dry_run else outcome.lower()


def _tell_refused(tally: Tally, dry_run: bool) -> None:
    heads = ["line", "outcome", "reason", "field", "expected", "got"]
    show.table(heads, [[str(cell) or "-" for cell in row] for row in sorted(tally.refused)])
    _tell_shown(len(tally.refused), tally.reasons.total())
    if not dry_run:
        click.echo("See them with `twin quarantine`, correct the rows and ingest them again.")


def _tell_parked(tally: Tally) -> None:
    rows = tally.parked_rows.total()
    click.echo(show.warn(f"{rows:,} rows are parked here: no event can be made of them"))
    cells = [[str(cell) or "-" for cell in row] for row in sorted(tally.parked)]
    show.table(["line", "reason", "column", "value"], cells)
    _tell_shown(len(tally.parked), rows)
    click.echo("Correct these lines, or the mapping, and run it again: the rest are duplicates.")


def _tell_shown(shown: int, total: int) -> None:
    if shown < total:
        click.echo(f"  shown {shown} of {total:,}")
