"""`twin contracts`: what events must say, as JSON Schema files, and whether that still holds."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from twin.compat import KEYS, breaches
from twin.contracts import CONTRACTS, STEPS
from twin.errors import BadRequest
from twin.schema import Schema, schemas
from twin.upcast import unsound

FOLDER = Path("contracts")
SUFFIX = ".json"
_folder = click.Path(path_type=Path, file_okay=False)


@click.group()
def command() -> None:
    """Export the contracts of events as JSON Schema, and check that changes break none."""


@command.command()
@click.option("--into", type=_folder, default=FOLDER, show_default=True, help="Where to.")
def export(into: Path) -> None:
    """Write one file for each contract; refused if that would break one that is there."""
    told = breaches(_read(into), schemas()) + unsound(CONTRACTS, STEPS)
    if told:
        raise _broken(told)
    into.mkdir(parents=True, exist_ok=True)
    changed = 0
    for name, schema in schemas().items():
        path, text = into / f"{name}{SUFFIX}", _text(schema)
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
            changed += 1
    click.echo(f"  {len(CONTRACTS)} contracts in {into}, {changed} of them new or changed")


@command.command()
@click.option("--against", type=_folder, default=FOLDER, show_default=True, help="An export.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(against: Path, as_json: bool) -> int:
    """Compare the contracts with an export; status 1 if one is broken, or the export is old."""
    old, new = _read(against), schemas()
    if not old:
        raise BadRequest(f"{against} holds no contracts; export them first", "CONTRACTS_STALE")
    broken = breaches(old, new) + unsound(CONTRACTS, STEPS)
    stale = sorted(name for name in new if old.get(name) != msgspec.json.decode(_text(new[name])))
    if as_json:
        told = {"contracts": len(new), "broken": broken, "stale": stale}
        click.echo(msgspec.json.encode(told))
        return 1 if broken or stale else 0
    if broken:
        raise _broken(broken)
    if stale:
        named = f"{', '.join(stale)} differ from {against}"
        raise BadRequest(f"{named}; run `twin contracts export`", "CONTRACTS_STALE")
    click.echo(f"  {len(new)} contracts, as exported, and no event breaks")
    return 0


def _read(folder: Path) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            schema = msgspec.json.decode(path.read_bytes(), type=dict)
        except msgspec.DecodeError as e:
            raise BadRequest(f"{path} is no contract ({e}); restore it", "CONTRACTS_STALE") from e
        if not schema.keys() >= KEYS:
            raise BadRequest(f"{path} is no exported contract; remove it", "CONTRACTS_STALE")
        found[path.name.removesuffix(SUFFIX)] = schema
    return found


def _text(schema: Schema) -> bytes:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def _broken(told: list[str]) -> BadRequest:
    remedy = "append a new version and a step to it instead"
    return BadRequest(f"{'. '.join(told)}; {remedy}", "CONTRACT_BROKEN")
