"""The lock of a data directory: one host at a time, known by pid, freed by its death.

The kernel holds the lock, not the file: a file left behind by a killed host locks nothing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from twin.errors import BadRequest

FILE = "lock"


class Lock:
    """Held from `hold` until the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = -1

    def hold(self) -> None:
        """Take the lock. Raises BadRequest ALREADY_RUNNING, naming the pid of the other host."""
        handle = os.open(self._folder / FILE, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(handle)
            raise already(self._folder) from e
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._handle = handle

    def free(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def already(folder: Path) -> BadRequest:
    """Return the refusal of a second host."""
    return BadRequest(
        f"a twin runs in {folder} (pid {owner(folder)}); see `twin status`, or stop it with "
        "`twin down` first",
        "ALREADY_RUNNING",
    )


def owner(folder: Path) -> int:
    """Return the pid of the host that holds the lock, 0 if nobody does."""
    try:
        handle = os.open(folder / FILE, os.O_RDWR)
    except OSError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(handle, 20, 0)
        return int(text) if text.isdigit() else -1
    finally:
        os.close(handle)
    return 0
