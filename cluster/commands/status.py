"""`twin status`: mode, clock, shards, and what is not as it should be."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import click
import msgspec

from cluster import lock, show
from cluster.cli import DEGRADED
from cluster.config import Config
from cluster.host import CONFIG
from serving.access import issue_code
from serving.client import connect
from twin.errors import BadRequest

BEHIND = 5_000  # events that rules have not judged, before status says so


@click.command()
@show.folder_option
@click.option("--digests", is_flag=True, help="Also compute both digests of every shard.")
@click.option("--link", is_flag=True, help="Print a new dashboard link, and nothing else.")
@show.json_option
def command(folder: Path, digests: bool, link: bool, as_json: bool) -> int:
    """Print how the twin is; exit status 3 when it is degraded."""
    if link:
        click.echo(_link(folder))
        return 0
    with connect(folder, name="cli") as client:
        reply = client.status(digests)
    degraded = reply.mode != 0
    if as_json:
        show.json(_plain(reply))
        return DEGRADED if degraded else 0
    _head(reply, degraded)
    show.table(*_shards(reply))
    if digests:
        heads = ("shard", "at offset", "truth digest", "replay digest")
        rows = [[s.name, str(s.offset), s.truth_digest, s.replay_digest] for s in reply.shards]
        show.table(heads, rows)
    shown = (_archives, _bases, _outboxes, _subscriptions, _alert_watches)
    for line in chain.from_iterable(lines(reply) for lines in shown):
        click.echo(line)
    for name, text in sorted(reply.notes.items()):
        click.echo(f"  {name}: {text}")
    if not lock.owner(folder):
        click.echo(
            show.warn("  the host is gone: nothing restarts what dies; `twin down`, `twin up`")
        )
        return DEGRADED
    return DEGRADED if degraded else 0


def _head(reply: Any, degraded: bool) -> None:
    mode = show.warn("degraded") if degraded else "normal"
    serving = sum(shard.state == "serving" for shard in reply.shards)
    rate = sum(shard.events_per_s for shard in reply.shards)
    newest = max((shard.newest_as_of for shard in reply.shards), default=0)
    parked = sum(shard.outcomes["PARKED"] for shard in reply.shards)
    clock = f"{reply.clock} x{reply.speed:,.0f}" if reply.clock == "replay" else reply.clock
    click.echo(
        f"  mode {mode}   {serving}/{len(reply.shards)} shards   ingest {rate:,.0f} ev/s   "
        f"quarantine {parked}   now {show.instant(reply.now)} ({clock})"
    )
    if newest > 0:
        age = show.span(max(0.0, (reply.now - newest) / show.MICROS))
        click.echo(f"  newest value as_of {show.instant(newest)}, age {age}")


def _shards(reply: Any) -> tuple[tuple[str, ...], list[list[str]]]:
    heads = "shard state epoch pid twins offset durable checkpoint ev/s queue headroom memory"
    rows = [
        [
            s.name,
            s.state,
            str(s.epoch),
            str(s.pid),
            str(sum(s.twins.values())),
            str(s.offset),
            str(s.durable_offset),
            str(s.checkpoint_offset),
            f"{s.events_per_s:.0f}",
            f"{s.queue}/{s.queue_bound}",
            f"{s.headroom:.0f}x",
            f"{s.memory_bytes / 2**20:.0f} MiB",
            f"{s.fsync_p99_ms:.1f} ms",
        ]
        for s in sorted(reply.shards, key=lambda s: s.name)
    ]
    return (*heads.split(), "fsync p99"), rows


def _outboxes(reply: Any) -> list[str]:
    """Return what follows from shipments and has not arrived where it belongs, if anything."""
    lines = []
    for s in sorted(reply.shards, key=lambda s: s.name):
        box = s.outbox
        if box.waiting:
            unknown = f", {box.homeless:,} for suppliers nobody registered" if box.homeless else ""
            lines.append(
                f"  {s.name}: {box.waiting:,} derived facts under way{unknown}, "
                f"the oldest for {show.span(max(0.0, box.oldest_s))}"
            )
        if box.refused:
            lines.append("  " + show.warn(f"{s.name}: {box.refused:,} derived facts were refused"))
    return lines


def _subscriptions(reply: Any) -> list[str]:
    """Return who follows the changes of shards, and how many were too slow for them."""
    lines = []
    for s in sorted(reply.shards, key=lambda s: s.name):
        told = s.subscriptions
        if told.followers:
            what = f"{told.followers} subscriptions to {told.topics} questions"
            lines.append(f"  {s.name}: {what}, {told.bytes / 2**20:.1f} MiB for them")
        if told.dropped:
            text = f"{s.name}: {told.dropped:,} subscriptions ended, as they were not read"
            lines.append("  " + show.warn(text))
    return lines


def _alert_watches(reply: Any) -> list[str]:
    """Return where rules are not judged as they should be."""
    lines = []
    for s in sorted(reply.shards, key=lambda s: s.name):
        if not s.HasField("alert_watch"):
            continue
        watch = s.alert_watch
        if (behind := s.offset - watch.judged) > BEHIND:
            lines.append(f"{s.name}: alerts are {behind:,} events behind")
        if watch.overtaken:
            fast = f"{watch.overtaken:,} commits came too fast for the rules"
            lines.append(f"{s.name}: {fast}, and were judged from the journal")
        if watch.refused:
            lines.append(f"{s.name}: {watch.refused:,} events of alerts were refused")
    return ["  " + show.warn(line) for line in lines]


def _bases(reply: Any) -> list[str]:
    """Return what is kept so that the past is read fast, and what that takes of the disk."""
    held = [s.bases for s in reply.shards if s.HasField("bases") and s.bases.count]
    if not held:
        return []
    count, size = sum(one.count for one in held), sum(one.bytes for one in held)
    bound = sum(one.bytes_bound for one in held)
    oldest = show.instant(min(one.oldest for one in held))
    return [
        f"  the past: {count} tables of earlier moments, the oldest of {oldest}, "
        f"{size / 2**20:.1f} MiB of {bound / 2**20:.0f} MiB"
    ]


def _archives(reply: Any) -> list[str]:
    """Return how far archives are: what would be lost with the disk, what fails, what was lost."""
    held = [s for s in sorted(reply.shards, key=lambda s: s.name) if s.HasField("archive")]
    if not held:
        return []
    behind = sum(max(0, s.offset - s.archive.offset) for s in held)
    keep = held[0].archive.keep_s
    kept = show.span(keep) if keep else "everything"
    lines = [
        f"  archive {held[0].archive.url}   {behind:,} events of {len(held)} shards are not in it",
        f"  the disk keeps {kept} of what is archived",
    ]
    for s in held:
        if s.archive.floor:
            lines.append(f"  {s.name}: before offset {s.archive.floor} in the archive alone")
        if s.archive.error:
            failed = f"{s.name}: archiving failed {s.archive.failures} times: {s.archive.error}"
            lines.append("  " + show.warn(failed))
        if s.archive.restored:
            lines.append("  " + show.warn(f"{s.name}: {s.archive.restored}"))
    return lines


def _plain(reply: Any) -> dict[str, Any]:
    """Return the reply for JSON, with the names of its fields."""
    return _fields(reply) | {"mode": "degraded" if reply.mode else "normal"}


def _fields(message: Any) -> dict[str, Any]:
    """Return every field of a message by name; a message that is not set is null."""
    out: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is None:
            out[field.name] = list(value) if field.is_repeated else value
        elif field.message_type.GetOptions().map_entry:
            out[field.name] = dict(value)
        elif field.is_repeated:
            out[field.name] = [_fields(one) for one in value]
        else:
            out[field.name] = _fields(value) if message.HasField(field.name) else None
    return out


def _link(folder: Path) -> str:
    try:
        config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=Config)
    except (FileNotFoundError, msgspec.DecodeError) as e:
        raise BadRequest(f"no twin runs in {folder}; `twin up` starts one", "NOT_RUNNING") from e
    return f"http://127.0.0.1:{config.http_port(config.regions[0])}/?code={issue_code(folder)}"
