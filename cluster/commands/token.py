"""`twin token`: makes a token with the key of the data directory."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cluster.show import folder_option
from serving.access import ANY, mint
from twin.sources import OWN

_TTL = re.compile(r"(\d+)(s|m|h|)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def _seconds(ctx: click.Context, parameter: click.Parameter, text: str) -> int:
    found = _TTL.fullmatch(text)
    if not found:
        raise click.BadParameter(f"{text} is no duration; write 90s, 15m or 1h")
    return int(found.group(1)) * _UNITS[found.group(2)]


@click.command()
@folder_option
@click.option("--scope", default="read", show_default=True, help="Of read, write, admin; by comma.")
@click.option("--region", default=ANY, show_default=True, help="The only region that takes it.")
@click.option("--ttl", default="15m", show_default=True, callback=_seconds, help="An hour at most.")
@click.option(
    "--name", default="cli", show_default=True, help="Who bears it; journaled with writes."
)
@click.option("--tenant", help="Whose twins it is for; the twin's own if not given.")
def command(folder: Path, scope: str, region: str, ttl: int, name: str, tenant: str | None) -> None:
    """Print a token for a client, an app or curl; nothing else is printed."""
    if name.startswith(OWN):
        raise click.BadParameter(f"names that begin {OWN} are the twin's own; take another")
    scopes = [part.strip() for part in scope.split(",") if part.strip()]
    click.echo(
        mint(folder / "key", name=name, scopes=scopes, region=region, tenant=tenant, ttl_s=ttl)
    )
