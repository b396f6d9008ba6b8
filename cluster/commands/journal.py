"""`twin journal`: what the files of a shard hold, read a second time by their format alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec

from actors.archive import Archive
from actors.disk import OsDisk
from actors.fetch import restore as mend
from cluster import lock, show
from cluster.archives import archive_of
from cluster.journal_check import Checked, check
from cluster.journal_reader import Batch, JournalReader, shards
from serving.routes import Routes
from twin.errors import BadRequest
from twin.outcomes import Reason

LIMIT = 20
MOST_FAULTS = 20  # of one shard on the terminal; --json has all


@click.group()
def command() -> None:
    """Verify, show and measure journals: offline, or beside a running twin."""


@command.command()
@click.argument("shard", required=False)
@click.option("--all", "every", is_flag=True, help="Every shard of the data directory.")
@show.folder_option
@show.json_option
def verify(shard: str | None, every: bool, folder: Path, as_json: bool) -> int:
    """Read every frame of SHARD (or --all); status 1, with file and byte, if one is damaged."""
    if every == bool(shard):
        raise click.UsageError("name a SHARD, as in shipment/east/0, or say --all")
    found = [
        check(name, home, archive_of(folder, name)) for name, home in _chosen(folder, shard).items()
    ]
    if as_json:
        show.json([_plain(one) for one in found])
    else:
        for one in found:
            _tell(one)
    faults = sum(len(one.damage) for one in found)
    if not as_json:
        events = sum(one.events for one in found)
        word = show.warn(f"{faults} faults") if faults else "whole"
        click.echo(f"  {len(found)} journals, {events:,} events: {word}")
    for one in found:
        for fault in one.damage[:MOST_FAULTS]:
            click.echo(f"JOURNAL_CORRUPT: {fault.file} byte {fault.byte}: {fault.what}", err=True)
        if len(one.damage) > MOST_FAULTS:
            click.echo(f"  ... shown {MOST_FAULTS} of {len(one.damage)} of {one.shard}", err=True)
    return 1 if faults else 0


@command.command(name="show")
@click.argument("shard")
@click.option("--offset", type=click.IntRange(min=0), help="Begin there; else: the newest events.")
@click.option("--limit", type=click.IntRange(min=1, max=100_000), default=LIMIT, show_default=True)
@show.folder_option
@show.json_option
def display(shard: str, offset: int | None, limit: int, folder: Path, as_json: bool) -> int:
    """Print events of SHARD as its journal has them, one a line."""
    reader = JournalReader(_chosen(folder, shard)[shard], archive=archive_of(folder, shard))
    rows: deque[dict[str, Any]] = deque(maxlen=limit if offset is None else None)
    for batch in reader.batches():  # to the end: what is shown is named beside how many there are
        first, last = max(0, (offset or 0) - batch.first), batch.size
        if offset is not None:
            last = min(last, first + limit - len(rows))
        elif batch.size > limit:
            first = batch.size - limit
        if first < last:
            rows.extend(_described(reader, batch, shard.split("/")[1], range(first, last)))
    if as_json:
        show.json(list(rows))
    else:
        heads = "offset epoch type id key source writer event_time ingest_time reason prev_offset"
        columns = heads.split()
        show.table(columns, [[_cell(row, name) for name in columns] for row in rows])
        total = sum(epoch.events for epoch in reader.epochs)
        which = "the newest" if offset is None else f"from offset {offset}"
        click.echo(f"  shown {len(rows)} of {total:,}, {which}")
    for fault in reader.damage:
        click.echo(f"JOURNAL_CORRUPT: {fault.file} byte {fault.byte}: {fault.what}", err=True)
    return 1 if reader.damage else 0


@command.command()
@click.argument("shard", required=False)
@show.folder_option
@show.json_option
def stats(shard: str | None, folder: Path, as_json: bool) -> int:
    """Print sizes of journals and checkpoints, by shard."""
    rows = []
    for name, home in _chosen(folder, shard).items():
        archive = archive_of(folder, name)
        rows.append(_sizes(check(name, home, archive), archive))
    if as_json:
        show.json(rows)
        return 0
    heads = (
        *("shard", "epochs", "segments", "frames", "events", "events/frame", "bytes/event"),
        *("frames' bytes", "allocated", "torn", "checkpoints (offset: bytes)", "drafts"),
        *("archived to", "on disk from"),
    )
    show.table(heads, [[_figure(value) for value in row.values()] for row in rows])
    total = sum(row["allocated"] for row in rows)
    click.echo(f"  {len(rows)} shards, {total / 2**20:,.1f} MiB of segments")
    return 0


@command.command()
@click.argument("shard")
@show.folder_option
@show.json_option
def restore(shard: str, folder: Path, as_json: bool) -> int:
    """Repair damaged or missing segments of SHARD from its archive; nothing is thrown away.

    For a shard that does not serve: it does so by itself at its next start. What is damaged is
    kept beside its repair. Status 1 if something is damaged that was never archived.
    """
    home = _chosen(folder, shard)[shard]
    archive = archive_of(folder, shard)
    if archive is None:
        raise BadRequest("no archive is configured; set storage.url in twin.toml")
    if lock.owner(folder) and Routes(folder).all()[shard].state == "serving":
        raise BadRequest(f"{shard} serves, and a shard that serves is whole; `twin down` first")
    repaired = mend(archive, OsDisk(), home)
    if as_json:
        show.json([one._asdict() for one in repaired])
        return 0
    for one in repaired:
        click.echo(
            f"  {one.name}: {one.archived:,} events from {archive.url}, {one.kept:,} that stood "
            f"behind; what it was is kept as .{one.name}.damaged"
        )
    click.echo(f"  {len(repaired)} segments repaired" + ("; start it again" if repaired else ""))
    return 0


def _chosen(folder: Path, shard: str | None) -> dict[str, Path]:
    """Return the journals asked for. Raises BadRequest."""
    found = shards(folder)
    if not found:
        raise BadRequest(f"{folder} holds no journals; name a data directory with --folder")
    if shard is None:
        return found
    if shard not in found:
        raise BadRequest(f"no journal is called {shard}; there are {', '.join(found)}")
    return {shard: found[shard]}


def _tell(one: Checked) -> None:
    state = show.warn(f"{len(one.damage)} faults") if one.damage else "whole"
    click.echo(
        f"  {one.shard}: {state}   next offset {one.next:,}   events {one.events:,}   "
        f"parked {one.parked:,}   witness {one.witness:,}"
    )
    heads = (
        *("epoch", "state", "owner", "offsets", "events", "parked"),
        *("frames", "segments", "bytes", "torn", "fenced"),
    )
    rows = [
        [
            str(epoch.number),
            epoch.state,
            epoch.owner,
            f"{epoch.first}-{epoch.next - 1}" if epoch.events else "-",
            f"{epoch.events:,}",
            f"{epoch.parked:,}",
            f"{epoch.frames:,}",
            str(len(epoch.segments)),
            f"{epoch.bytes:,}",
            str(epoch.torn),
            str(epoch.fenced_segments),
        ]
        for epoch in one.epochs
    ]
    show.table(heads, rows)
    kept = "  ".join(f"{offset:,} ({size:,} bytes)" for offset, size in one.checkpoints.items())
    click.echo(f"  checkpoints {kept or 'none'}   drafts {len(one.drafts)}")


def _plain(one: Checked) -> dict[str, Any]:
    """Return a finding for JSON: offsets of an epoch without events are null."""
    epochs = []
    for epoch in one.epochs:
        held = asdict(epoch) | {"segments": len(epoch.segments)}
        held["seal"] = epoch.seal._asdict() if epoch.seal else None
        if not epoch.frames:
            held |= {"first": None, "next": None}
        epochs.append(held)
    faults = [fault._asdict() for fault in one.damage]
    rest = {"epochs": epochs, "damage": faults, "whole": not one.damage}
    named = {str(offset): size for offset, size in one.checkpoints.items()}
    return asdict(one) | rest | {"checkpoints": named}


def _described(
    reader: JournalReader, batch: Batch, region: str, at: Iterable[int]
) -> Iterator[dict[str, Any]]:
    columns, ids = batch.columns, batch.ids()
    for i in at:
        kind, name, key = _about(reader, batch, i)
        yield {
            "offset": batch.first + i,
            "epoch": batch.epoch,
            "type": name,
            "id": ids[i],
            "key": key.replace("/", f"/{kind}/{region}/", 1),
            "source": reader.word(int(columns["source"][i])),
            "writer": reader.word(int(columns["writer"][i])),
            "event_time": int(columns["time"][i]),
            "ingest_time": batch.ingest_time,
            "reason": _reason(int(columns["reason"][i])),
            "prev_offset": int(columns["prev"][i]),
        }


def _about(reader: JournalReader, batch: Batch, i: int) -> tuple[str, str, str]:
    """Return kind, type with version, and tenant/id of what event `i` is about."""
    columns, row = batch.columns, int(batch.columns["row"][i])
    if row >= 0:
        name = batch.contracts[int(columns["contract"][i])]
        kind = name.partition(".")[0]
        names: Sequence[str] = reader.names.get(kind, ())
        return kind, name, names[row] if row < len(names) else "?/?"
    parked = int((columns["reason"][:i] != 0).sum())
    start, end = columns["raw.offsets"][parked : parked + 2].tolist()
    said = msgspec.msgpack.decode(columns["raw.content"][start:end].tobytes())
    kind = str(said[2]).partition(".")[0]
    return kind, f"{said[2]}.v{said[3]}", f"{reader.word(int(columns['tenant'][i]))}/{said[4]}"


def _reason(number: int) -> str:
    known = {reason.value: reason.name for reason in Reason if reason}
    return known.get(number, str(number)) if number else ""


def _sizes(one: Checked, archive: Archive | None) -> dict[str, Any]:
    frames = sum(epoch.frames - epoch.empty_frames for epoch in one.epochs)
    size = sum(epoch.bytes for epoch in one.epochs)
    return {
        "shard": one.shard,
        "epochs": len(one.epochs),
        "segments": sum(len(epoch.segments) for epoch in one.epochs),
        "frames": frames,
        "events": one.events,
        "events_per_frame": one.events / frames if frames else None,
        "bytes_per_event": size / one.events if one.events else None,
        "bytes": size,
        "allocated": sum(epoch.allocated for epoch in one.epochs),
        "torn": sum(epoch.torn for epoch in one.epochs),
        "checkpoints": {str(offset): bytes_ for offset, bytes_ in one.checkpoints.items()},
        "drafts": len(one.drafts),
        "archived": archive.look().next if archive else None,
        "floor": one.floor,
    }


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{offset}: {size:,}" for offset, size in value.items()) or "-"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "-")


def _cell(row: dict[str, Any], name: str) -> str:
    if name.endswith("_time"):
        return show.instant(row[name])
    return str(row[name]) if row[name] not in ("", -1) else "-"
