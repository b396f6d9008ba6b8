"""One twin, as commands name it: ID alone, or KIND/REGION/ID as other commands print it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

from cluster import show
from serving.http_json import plain
from serving.wire import twin_pb2 as pb
from twin.errors import TwinError, UnknownField, UnknownKey

T = TypeVar("T")
KINDS = ("shipment", "site", "supplier", "stock", "alert")
kind_option = click.option(
    "--kind", type=click.Choice(KINDS), help="Of twin; all are tried if not given."
)


class Named(NamedTuple):
    """A twin, and the kinds that it may be of."""

    id: str
    kinds: tuple[str, ...]
    region: str

    def ask(self, question: Callable[[str, str, str], T]) -> T:
        """Return what `question`, of (kind, id, region), says of the first kind that knows it.

        Raises UnknownKey where none does; UnknownField where only kinds do that lack a field.
        """
        lacking: UnknownField | None = None
        for kind in self.kinds:
            try:
                return question(kind, self.id, self.region)
            except UnknownKey:
                if len(self.kinds) == 1:
                    raise
            except UnknownField as e:  # a twin of another kind may have this id, and the field
                lacking = lacking or e
            except TwinError:
                if lacking is None:
                    raise
        if lacking is not None:
            raise lacking
        where = f" in {self.region}" if self.region else ""
        raise UnknownKey(
            f"no {' or '.join(self.kinds)} is called {self.id}{where}, or was at the moment asked "
            "about; look with `twin search`"
        )


def named(id: str, kind: str | None, region: str) -> Named:
    """Return the twin that a command line names."""
    parts = id.split("/", 2)
    if len(parts) == 3 and parts[0] in KINDS:
        return Named(parts[2], (parts[0],), parts[1])
    return Named(id, (kind,) if kind else tuple(KINDS), region)


def said(values: Any, unit: bool = True) -> str:
    """Return values of a message as one text: lat 1, lon 2."""
    told = []
    for name in sorted(values):
        value = values[name]
        held = value.WhichOneof("value")
        text = show.plain(name, getattr(value, held), value.unit) if held else "-"
        more = f" {value.unit}" if unit and held and value.unit not in ("", "us", "1") else ""
        told.append(f"{name} {text}{more}")
    return ", ".join(told)


def json(reply: Any) -> None:
    """Print a message as one JSON object."""
    show.json(plain(reply))


def status(reply: Any, degraded: int) -> int:
    """Return the exit status that goes with a reply's mode."""
    return degraded if reply.mode == pb.DEGRADED else 0
