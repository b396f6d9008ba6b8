"""Questions on the command line: the options that several commands share, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from cluster import show

T = TypeVar("T", bound=Callable[..., Any])
FALLBACKS = ("refuse", "withhold", "label")


def _micros(ctx: click.Context, parameter: click.Parameter, given: str) -> int:
    """Return a moment in microseconds UTC, 0 if none is given."""
    if not given:
        return 0
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as e:
        raise click.BadParameter(
            f"{given!r} is no time; write 2013-09-01 or 2013-09-01T12:00:00Z", ctx, parameter
        ) from e
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * show.MICROS)


as_of_option = click.option(
    "--as-of", "as_of", default="", callback=_micros, help="What was true then; a time."
)
known_at_option = click.option(
    "--known-at", "known_at", default="", callback=_micros, help="As it was known then; a time."
)
after_option = click.option(
    "--after", multiple=True, help="A receipt that the answer must include; may be repeated."
)


def moment_option(name: str, text: str) -> Callable[[T], T]:
    """Return an option that is a time."""
    return click.option(name, default="", callback=_micros, help=f"{text} A time.")


def demand_options(command: Any) -> Any:
    """Add what is demanded of values, and what becomes of those that fail."""
    for option in (
        click.option(
            "--fallback",
            type=click.Choice(FALLBACKS),
            default="refuse",
            show_default=True,
            help="What to do about values that are too old or too unsure.",
        ),
        click.option(
            "--min-confidence", default=0.0, help="Of the fields shown: surer than this, 0 to 1."
        ),
        click.option(
            "--max-age", "max_age_s", default=0.0, help="Of the fields shown: not older (s)."
        ),
    ):
        command = option(command)
    return command


def split(text: str) -> tuple[str, ...]:
    """Return the parts of a list by comma; commas in parentheses are none."""
    parts, deep = [""], 0
    for sign in text:
        deep += (sign == "(") - (sign == ")")
        if sign == "," and not deep:
            parts.append("")
        else:
            parts[-1] += sign
    return tuple(part.strip() for part in parts if part.strip())
