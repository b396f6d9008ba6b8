"""Environment: what every process of one twin inherits, and the temporary folder it may use.

Ray listens on loopback only, with a token of its own, and nothing is written to the home folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from cluster.process import MARK
from twin.errors import BadRequest

NAMESPACE = "twin"  # of our actors in Ray
# Ray reads these when it is imported, so they are set before anything of a host is.
RAY = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the one switch that puts all its ports on 127.0.0.1
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
}
# One heap for all threads of a process: with one for each, what they freed stays with them, a
# seventh of what a shard takes.
HEAP = {"MALLOC_ARENA_MAX": "1"}


def mark(folder: Path) -> str:
    """Return the name by which everything started for `folder` is known on this machine."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:10]


def temp_dir(folder: Path) -> Path:
    """Return where Ray keeps its sockets: short, as the path of a socket has 107 characters."""
    return Path("/tmp") / f"twin-{mark(folder)}"


def variables(folder: Path) -> dict[str, str]:
    """Return what is set for every process of the twin in `folder`."""
    return (
        RAY
        | HEAP
        | {
            "RAY_AUTH_TOKEN_PATH": str(folder.resolve() / "ray_token"),
            "RAY_TMPDIR": str(temp_dir(folder)),
            MARK: mark(folder),
        }
    )


def prepare(folder: Path) -> None:
    """Write a new Ray token and make an empty temporary folder, for our eyes only.

    Raises BadRequest when somebody else's folder is in its place.
    """
    token = folder / "ray_token"
    token.unlink(missing_ok=True)
    with os.fdopen(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    clear(folder)
    try:
        temp_dir(folder).mkdir(mode=0o700)
    except FileExistsError as e:
        raise BadRequest(
            f"{temp_dir(folder)} is there and not ours to remove; remove it", "START_FAILED"
        ) from e


def clear(folder: Path) -> None:
    """Remove the temporary folder, if it is ours."""
    place = temp_dir(folder)
    if place.is_dir() and not place.is_symlink() and place.stat().st_uid == os.getuid():
        shutil.rmtree(place, ignore_errors=True)
