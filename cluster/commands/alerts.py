"""`twin alerts`: what needs a person, the worst first, and what people do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.cli import DEGRADED
from cluster.commands.search import show_mode
from cluster.config import FILE, Config, Webhook, load
from serving import records
from serving.client import Client, TwinState, connect
from serving.client_follow import Happened
from serving.webhooks import Files
from serving.wire import twin_pb2 as pb
from twin.compare import time_us
from twin.errors import BadRequest, Retryable
from twin.kinds import ABSENT
from twin.rules import duration_us

TOLD = 5  # alerts whose message is shown: the worst
CENTS = 100
SUMMED = "severity, deadline, value at risk"
_who = click.option("--region", default="", help="Of the alert; found by itself if not given.")
_note = click.option("--note", default="", help="What to write down with it.")


@click.group(invoke_without_command=True)
@click.option("--where", default="", help="A filter over alerts; those that are open if not given.")
@click.option("--incidents", is_flag=True, help="Alerts of one cause as one incident.")
@click.option("--order", default="", help=f"FIELD or -FIELD, instead of {SUMMED}.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--follow", is_flag=True, help="Print every change from now on, until interrupted.")
@click.option("--cursor", default="", help="Of an earlier --follow: go on behind it.")
@show.region_option
@show.folder_option
@show.json_option
@click.pass_context
def command(
    ctx: click.Context,
    where: str,
    incidents: bool,
    order: str,
    limit: int,
    follow: bool,
    cursor: str,
    region: str,
    folder: Path,
    as_json: bool,
) -> int | None:
    """Print the alerts that are open or acknowledged, the worst first.

    --where "rule = 'cold-chain' AND state = 'CLEARED'" asks for others.
    With --follow every line of --json has the cursor to go on with; interrupted, or given up after
    half a minute without the twin, it says on stderr how to go on.
    """
    if ctx.invoked_subcommand:
        return None
    with connect(folder, name="cli") as client:
        if follow or cursor:
            _follow(client, where, region, cursor, as_json)
            return 0
        asked = pb.AlertsRequest(
            where=where, region=region, limit=limit, incidents=incidents, order=order
        )
        reply = client.ask("Alerts", asked)
    if as_json:
        show.json(_told(reply))
    elif incidents:
        _print_incidents(reply)
    else:
        _print(reply)
    return DEGRADED if reply.mode != pb.NORMAL else 0


@command.command()
@click.argument("alert")
@_note
@_who
@show.folder_option
@show.json_option
def ack(alert: str, note: str, region: str, folder: Path, as_json: bool) -> None:
    """Say that you have seen ALERT."""
    _act(folder, as_json, note, pb.ActRequest(alert=alert, action="acknowledge", region=region))


@command.command()
@click.argument("alert")
@click.argument("owner")
@_note
@_who
@show.folder_option
@show.json_option
def assign(alert: str, owner: str, note: str, region: str, folder: Path, as_json: bool) -> None:
    """Make ALERT the business of OWNER."""
    asked = pb.ActRequest(alert=alert, action="assign", owner=owner, region=region)
    _act(folder, as_json, note, asked)


@command.command()
@click.argument("alert")
@click.option("--for", "span", default="", help="How long, by the twin's clock: 30m, 4h, 2d.")
@click.option("--until", default="", help="Or until when: 2013-09-10T08:00:00Z.")
@_note
@_who
@show.folder_option
@show.json_option
def snooze(
    alert: str, span: str, until: str, note: str, region: str, folder: Path, as_json: bool
) -> None:
    """Put ALERT aside for a while; it is back at its time, if it is not cleared before."""
    if bool(span) == bool(until):
        raise click.UsageError("give --for 4h, or --until 2013-09-10T08:00:00Z")
    with connect(folder, name="cli") as client:
        if until:
            at = time_us(until)
        elif (wait := duration_us(span)) is not None:
            at = client.status().now + wait
        else:
            raise BadRequest(f"{span!r} is no duration; write 30s, 15m, 4h or 2d")
    asked = pb.ActRequest(alert=alert, action="snooze", until=at, region=region)
    _act(folder, as_json, note, asked)


@command.command()
@click.argument("alert")
@_who
@show.folder_option
@show.json_option
def wake(alert: str, region: str, folder: Path, as_json: bool) -> None:
    """Let a snoozed ALERT wait for a person again."""
    _act(folder, as_json, "", pb.ActRequest(alert=alert, action="unsnooze", region=region))


@command.command()
@click.argument("alert")
@click.argument("note")
@_who
@show.folder_option
@show.json_option
def comment(alert: str, note: str, region: str, folder: Path, as_json: bool) -> None:
    """Write down NOTE with ALERT."""
    asked = pb.ActRequest(alert=alert, action="comment", note=note, region=region)
    _act(folder, as_json, "", asked)


@command.group()
def webhooks() -> None:
    """Show the webhooks of twin.toml, and send again what was put aside."""


@webhooks.command("list")
@show.folder_option
@show.json_option
def list_(folder: Path, as_json: bool) -> int:
    """Print how each webhook stands; status 3 if one is failing, or has dead letters."""
    settings = _configured()
    rows = [_hook(folder, hook, hook.tenant or settings.tenant) for hook in settings.webhooks]
    if as_json:
        show.json({"webhooks": rows})
    else:
        heads = ("name", "tenant", "url", "where", "events", "taken", "dead_letters", "failing")
        if rows:
            show.table(heads, [[str(row[head] or "-") for head in heads] for row in rows])
        click.echo(f"  {len(rows)} webhooks   [[webhooks]] in {FILE} names them")
        for row in rows:
            for dead in row["dead"]:
                click.echo(f"  put aside {dead['id']}: {dead['why']}")
    return DEGRADED if any(row["dead_letters"] or row["failing"] for row in rows) else 0


@webhooks.command()
@click.argument("name")
@show.folder_option
@show.json_option
def redeliver(name: str, folder: Path, as_json: bool) -> None:
    """Have what was put aside for NAME sent again, under the ids it had."""
    if name not in {hook.name for hook in _configured().webhooks}:
        raise BadRequest(f"no webhook is called {name}; `twin alerts webhooks list` names them")
    count = Files(folder, name).ask_again()
    if as_json:
        show.json({"webhook": name, "again": count})
    else:
        click.echo(f"  {count} messages are sent again")


def _configured() -> Config:
    return load(Path(FILE), os.environ).config


def _hook(folder: Path, hook: Webhook, tenant: str) -> dict[str, Any]:
    files = Files(folder, hook.name)
    standing, dead = files.standing(), files.dead()
    return {
        "name": hook.name,
        "tenant": tenant,
        "url": hook.url,
        "where": hook.where,
        "events": ",".join(hook.events),
        "taken": standing.taken,
        "failing": standing.failing,
        "dead_letters": len(dead),
        "dead": [{"id": one.id, "why": one.why, "attempts": one.attempts} for one in dead],
    }


def _act(folder: Path, as_json: bool, note: str, asked: pb.ActRequest) -> None:
    with connect(folder, name="cli") as client:
        reply = client.ask("Act", asked)
        if note:
            region = reply.alert.region
            more = pb.ActRequest(alert=asked.alert, action="comment", note=note, region=region)
            reply = client.ask("Act", more)
    alert = records.state(reply.alert)
    if as_json:
        show.json({"alert": show.state(alert), "receipt": reply.receipt})
        return
    said = {name: _plain(alert, name) for name in ("state", "owner", "acknowledged_by")}
    if said["state"] == "SNOOZED":
        said["until"] = _plain(alert, "snoozed_until")
    if note or asked.note:
        said["note"] = _plain(alert, "note")
    told = "   ".join(f"{name} {text}" for name, text in said.items() if text != "-")
    click.echo(f"  {alert.id}   {told}   receipt {reply.receipt}")


def _follow(client: Client, where: str, region: str, cursor: str, as_json: bool) -> None:
    """Print what happens to alerts as it does; each event once, over any restart of a shard."""
    degraded = False
    try:
        for told in client.alerting.follow(where, region=region, cursor=cursor):
            _print_happened(told, as_json)
            cursor = told.cursor  # only now: who is interrupted misses nothing
            if told.degraded != degraded and not as_json:
                show_mode("degraded" if told.degraded else "normal", [])
            degraded = told.degraded
    except (KeyboardInterrupt, Retryable):
        if cursor:
            click.echo(f"go on with --cursor={cursor}", err=True)
        raise


def _print_happened(told: Happened, as_json: bool) -> None:
    for event, cursor in told.events:
        twin = records.state(event.twin)
        at = show.instant(event.event_time)
        if as_json:
            said = {"event": event.type, "id": event.id, "at": at, "by": event.writer}
            said |= {"receipt": event.receipt, "cursor": cursor}
            show.json(said | {"alert": show.state(twin)})
            continue
        names = [n for n in ("state", "severity", "message", "owner") if n in twin.values]
        values = "  ".join(_plain(twin, name) for name in names)
        what = event.type.partition(".")[2]
        click.echo(f"  {at}  {what:12}  {twin.region}/{twin.id}  {values}  by {event.writer}")


def _told(reply: pb.AlertsReply) -> dict[str, Any]:
    return {
        "alerts": [show.state(records.state(twin)) for twin in reply.alerts],
        "incidents": [_incident(one) for one in reply.incidents],
        "shown": reply.shown,
        "total": reply.total,
        "mode": pb.Mode.Name(reply.mode).lower(),
        "now": show.instant(reply.now),
        "missing": list(reply.missing),
    }


def _incident(one: pb.Incident) -> dict[str, Any]:
    return {
        "id": one.id,
        "cause": one.cause,
        "severity": one.severity,
        "count": one.count,
        "value_usd": one.value,
        "deadline": show.instant(one.deadline),
        "alerts": list(one.alerts),
        "next_step": one.next_step,
    }


def _print(reply: pb.AlertsReply) -> None:
    twins = [records.state(twin) for twin in reply.alerts]
    if twins:
        heads = ("alert", "region", "severity", "state", "due", "at risk USD", "owner", "age")
        show.table(heads, [_row(twin, reply.now) for twin in twins])
        for twin in twins[:TOLD]:
            click.echo(show.dim(f"  {twin.id}: {_plain(twin, 'message')}"))
        for step in dict.fromkeys(_plain(twin, "next_step") for twin in twins[:TOLD]):
            click.echo(show.dim(f"  next: {step}"))
    _foot(reply, "alerts")


def _row(twin: TwinState, now: int) -> tuple[str, ...]:
    cents = _value(twin, "value_at_risk_cents")
    raised = _value(twin, "raised_at")
    return (
        twin.id,
        twin.region,
        _plain(twin, "severity"),
        _plain(twin, "state"),
        _due(_value(twin, "deadline"), now),
        f"{cents / CENTS:,.0f}".replace(",", " ") if isinstance(cents, int) else "-",
        _plain(twin, "owner"),
        show.span(max(0.0, (now - raised) / show.MICROS)) if isinstance(raised, int) else "-",
    )


def _print_incidents(reply: pb.AlertsReply) -> None:
    if reply.incidents:
        heads = ("incident", "severity", "alerts", "at risk USD", "due", "next step")
        rows: list[Sequence[str]] = [
            (
                one.id,
                one.severity,
                str(one.count),
                f"{one.value:,.0f}".replace(",", " "),
                _due(one.deadline, reply.now),
                one.next_step or "-",
            )
            for one in reply.incidents
        ]
        show.table(heads, rows)
    _foot(reply, "incidents")


def _foot(reply: pb.AlertsReply, what: str) -> None:
    now = show.instant(reply.now)
    click.echo(f"  shown {reply.shown} of {reply.total} {what}   now {now}")
    show_mode("normal" if reply.mode == pb.NORMAL else "degraded", list(reply.missing))


def _due(deadline: Any, now: int) -> str:
    if not isinstance(deadline, int) or deadline in (0, ABSENT):
        return "-"
    left = (deadline - now) / show.MICROS
    return f"in {show.span(left)}" if left >= 0 else f"{show.span(-left)} ago"


def _value(twin: TwinState, name: str) -> Any:
    return twin.values[name].value if name in twin.values else None


def _plain(twin: TwinState, name: str) -> str:
    value = twin.values.get(name)
    return "-" if value is None else show.plain(name, value.value, value.unit)
