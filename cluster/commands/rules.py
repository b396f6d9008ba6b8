"""`twin rules`: what raises alerts: listed, checked, and tried on what the journals hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.commands.search import show_mode
from serving.client import connect
from serving.rulebook import FOLDER, PACKAGED, Rulebook, packaged, read
from serving.wire import twin_pb2 as pb
from twin.compare import time_us
from twin.errors import BadRequest, TwinError
from twin.rules import AlertRule, parse

_SINCE = re.compile(r"since (\d+)$")
LONGEST_S = 600.0  # for shards to replay their journals


@click.group()
def command() -> None:
    """Show, check and try the rules that raise alerts."""


@command.command("list")
@show.folder_option
@show.json_option
def list_(folder: Path, as_json: bool) -> int:
    """Print the rules that stand: the packaged ones, and those in the data directory's rules/."""
    book = Rulebook(folder).book()
    if as_json:
        show.json({"rules": [_told(rule) for rule in book.rules], "faults": book.faults})
        return 1 if book.faults else 0
    heads = ("rule", "kind", "when", "for", "severity", "sla", "owner", "from")
    show.table(heads, [_row(rule) for rule in book.rules])
    on = sum(rule.enabled for rule in book.rules)
    click.echo(f"  {on} of {len(book.rules)} rules are on   yours go to {folder / FOLDER}/*.toml")
    for text in book.faults.values():
        click.echo(show.warn(f"  RULE_INVALID: {text}"))
    return 1 if book.faults else 0


@command.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@show.folder_option
@show.json_option
def check(files: tuple[Path, ...], folder: Path, as_json: bool) -> int:
    """Check FILES, or all in the data directory's rules/; status 1 if one cannot be used."""
    faults: dict[str, str] = {}
    rules: list[AlertRule] = []
    if not files:
        book = Rulebook(folder).book()
        faults, rules = dict(book.faults), list(book.rules)
    for path in files:
        try:
            rules += read(path)
        except TwinError as e:
            faults[str(path)] = str(e)
    if as_json:
        show.json({"rules": [rule.name for rule in rules], "faults": faults})
        return 1 if faults else 0
    for text in faults.values():
        click.echo(f"RULE_INVALID: {text}", err=True)
    if not faults:
        count = "1 rule, and it" if len(rules) == 1 else f"{len(rules)} rules, and each"
        click.echo(f"  {count} can be judged")
    return 1 if faults else 0


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--since", default="", help="Count from this moment on: 2013-09-01.")
@click.option("--until", default="", help="... up to this one; to now if not given.")
@show.region_option
@show.folder_option
@show.json_option
def test(
    file: Path | None, since: str, until: str, region: str, folder: Path, as_json: bool
) -> int:
    """Say how often the rules of FILE would have fired on what the journals hold.

    Every shard replays its journal beside its work and judges it by these rules; nothing is
    changed, and nobody is told. Moments are those of the twin's clock. Without FILE: the
    packaged rules. Status 3 if a shard did not answer.
    """
    rules = _text(file)
    parse(rules, file.name if file else PACKAGED)
    asked = pb.RehearseRequest(
        rules=rules,
        since=time_us(since) if since else 0,
        until=time_us(until) if until else 0,
        region=region,
    )
    with connect(folder, name="cli") as client:
        reply = client.ask("Rehearse", asked, LONGEST_S)
    if as_json:
        told = {
            "rules": [_rehearsal(one) for one in reply.rules],
            "events": reply.events,
            "now": show.instant(reply.now),
            "missing": list(reply.missing),
        }
        show.json(told)
    else:
        heads = ("rule", "raised", "cleared", "open", "for example")
        rows = [
            (
                one.rule,
                str(one.raised),
                str(one.cleared),
                str(one.open),
                (_examples(one) or ["-"])[0],
            )
            for one in reply.rules
        ]
        show.table(heads, rows)
        click.echo(f"  {reply.events:,} events judged; nothing was changed".replace(",", " "))
        show_mode("degraded" if reply.missing else "normal", list(reply.missing))
    return 3 if reply.missing else 0


def _text(file: Path | None) -> str:
    if file is None:
        return packaged()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise BadRequest(f"{file} cannot be read: {e}; give a TOML file", "RULE_INVALID") from e


def _row(rule: AlertRule) -> tuple[str, ...]:
    held = show.span(rule.held_us / show.MICROS) if rule.held_us else "-"
    name = rule.name if rule.enabled else f"{rule.name} (off)"
    when = " ".join(rule.when.split())
    return name, rule.kind, when, held, rule.severity, rule.sla, rule.owner or "-", rule.place


def _told(rule: AlertRule) -> dict[str, Any]:
    told = rule._asdict()
    for name in ("held", "every"):
        told[f"{name}_s"] = told.pop(f"{name}_us") / show.MICROS
    return told


def _rehearsal(one: pb.Rehearsal) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "raised": one.raised,
        "cleared": one.cleared,
        "open": one.open,
        "examples": _examples(one),
    }


def _examples(one: pb.Rehearsal) -> list[str]:
    """Return examples with their moment as people read it."""
    return [_SINCE.sub(lambda m: f"since {show.instant(int(m[1]))}", e) for e in one.examples]
