"""`twin impact`: what a failing supplier, site or lane touches, in shipments, packs and money."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cluster import show
from cluster.cli import DEGRADED
from cluster.commands.search import show_mode
from serving.client import connect
from serving.http_json import plain
from serving.wire import twin_pb2 as pb

KINDS = ("supplier", "site", "lane")
COLUMNS = {
    "shipment": ("quantity", "value_cents", "promised_at", "status", "site"),
    "site": ("name", "country", "status"),
    "supplier": ("name", "status"),
    "stock": ("site", "product", "on_hand"),
}


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("id")
@click.option(
    "--depth", default=0, type=click.IntRange(0, 100), help="Relations; as far as it goes if 0."
)
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 1000))
@show.region_option
@show.folder_option
@show.json_option
def command(
    kind: str, id: str, depth: int, limit: int, region: str, folder: Path, as_json: bool
) -> int:
    """Print what depends on a KIND of the name ID: open shipments, sites, stock; the dearest first.

    Then what is to leave those sites with what is late there, and so on, as far as it goes: of each
    the number of relations in between. Each twin, and its money, is counted once.

    twin impact supplier SCMS-FROM-RDC; a lane is ORIGIN-SITE.
    """
    with connect(folder, name="cli") as client:
        reply = client.impact(kind, id, region, depth=depth, limit=limit)
    if as_json:
        show.json(_plain(reply))
    else:
        _print(reply, f"{kind} {id}")
    return DEGRADED if reply.mode == pb.DEGRADED else 0


def _plain(reply: pb.ImpactReply) -> dict[str, Any]:
    return plain(reply)


def _print(reply: pb.ImpactReply, what: str) -> None:
    ships = [group for group in reply.groups if group.kind == "shipment"]
    earliest = min((group.earliest for group in ships if group.earliest), default=0)
    click.echo(
        f"  {what}: {sum(group.count for group in ships)} open shipments, "
        f"{_packs(reply.quantity)} packs, {_money(reply.value)}; "
        f"the first is promised for {show.instant(earliest)}"
    )
    for group in reply.groups:
        amount = f"{_packs(group.quantity)} packs"
        money = f", {_money(group.value)}" if group.kind != "stock" else ""
        click.echo(
            f"  {group.kind}: {group.count}, by {group.relation} ({group.depth})   {amount}{money}"
        )
        fields = COLUMNS[group.kind]
        rows = [(twin.id, twin.region, *_cells(twin, fields)) for twin in group.twins]
        show.table(("id", "region", *fields, "as_of"), rows)
    if reply.truncated:
        click.echo(show.warn("  more depends on it than was walked: it is at least this"))
    click.echo(f"  now {show.instant(reply.now)}")
    show_mode("degraded" if reply.mode == pb.DEGRADED else "normal", list(reply.missing))


def _cells(twin: pb.TwinState, fields: tuple[str, ...]) -> list[str]:
    cells, latest = [], 0
    for name in fields:
        if name not in twin.values:
            cells.append("-")
            continue
        value = twin.values[name]
        cells.append(show.plain(name, getattr(value, value.WhichOneof("value")), value.unit))
        latest = max(latest, value.as_of)
    return [*cells, show.instant(latest)]


def _packs(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _money(usd: float) -> str:
    return f"USD {usd:,.0f}".replace(",", " ")
