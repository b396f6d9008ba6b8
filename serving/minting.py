"""Tokens of one's own: minted with the key of a data directory on this machine.

The key is read when a token is needed and never kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LIFE_S = 600  # for which a token is used; it lives longer


def minter(
    folder: Path, name: str, scopes: Sequence[str] = ("read", "write"), tenant: str | None = None
) -> Callable[[], str]:
    """Return a function that gives a valid token, minted anew before it expires.

    `tenant`: whose twins it is for; the data directory's own if not given.
    """
    from serving import access  # noqa: PLC0415 - a client elsewhere brings its token, and no PyJWT

    held: list[Any] = ["", 0.0]

    def token() -> str:
        if time.time() > held[1]:
            fresh = access.mint(folder / "key", name=name, scopes=scopes, tenant=tenant)
            held[:] = [fresh, time.time() + LIFE_S]
        return str(held[0])

    return token
