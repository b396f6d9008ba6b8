"""`twin error CODE`: cause and remedy of a code word. Needs no running twin."""

from __future__ import annotations

import difflib

import click
import msgspec

from cluster.errors_text import TEXTS


@click.command()
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(code: str | None, as_json: bool) -> None:
    """Say what a code word means and what to do about it; list all without one."""
    if code is None:
        if as_json:
            click.echo(msgspec.json.encode({word: text._asdict() for word, text in TEXTS.items()}))
            return
        for word, text in TEXTS.items():
            click.echo(f"  {word:22}  {text.cause}")
        return
    word = code.upper().replace("-", "_")
    if word not in TEXTS:
        near = difflib.get_close_matches(word, TEXTS, 1)
        hint = f"did you mean {near[0]}?" if near else "`twin error` lists them all"
        raise click.UsageError(f"there is no code {word}; {hint}")
    text = TEXTS[word]
    if as_json:
        click.echo(msgspec.json.encode({"code": word} | text._asdict()))
        return
    again = "yes, sending it again can help" if text.again else "no, not without a change"
    click.echo(f"{word}\n  cause   {text.cause}\n  remedy  {text.remedy}\n  retry   {again}")
