"""`twin doctor`: the checks, and every configured value with where it is from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cluster import doctor, show
from cluster.cli import FAILED
from cluster.config import FILE, Loaded, flat, load


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Data directory.")
@show.json_option
def command(folder: Path | None, as_json: bool) -> int:
    """Check this machine and the configuration, and say what to mend."""
    loaded = load(Path(FILE), os.environ, folder)
    found = list(doctor.checks(loaded.config, Path(loaded.config.folder)))
    ready = all(check.verdict != doctor.FAIL for check in found)
    result = "ready" if ready else "not ready"
    if as_json:
        values = [
            {"key": key, "value": value, "source": loaded.sources[key]}
            for key, value in flat(loaded.config).items()
        ]
        show.json({"result": result, "checks": [c._asdict() for c in found], "config": values})
    else:
        _print(found, loaded, result)
    return 0 if ready else FAILED


def _print(found: list[doctor.Check], loaded: Loaded, result: str) -> None:
    for check in found:
        verdict = f"{check.verdict:4}"
        line = (
            f"  {verdict if check.verdict == doctor.OK else show.warn(verdict)}  {check.name:14} "
        )
        click.echo(line + check.found + (f"; {check.remedy}" if check.remedy else ""))
    click.echo("")
    rows = [(key, _text(value), loaded.sources[key]) for key, value in flat(loaded.config).items()]
    show.table(("key", "value", "from"), rows)
    click.echo(f"\n  result: {result}")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
