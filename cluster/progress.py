"""Progress: what a host does, as JSON lines that `twin up` follows. A line is written whole.

The last line of a start is `ready` or `failed`; a failure names the first cause, not the last.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cluster.clock import wall_us

FILE = "progress.jsonl"
STEP, ANSWERING, READY, FAILED = "step", "answering", "ready", "failed"


class Line(msgspec.Struct, frozen=True):
    pid: int
    at_us: int  # wall clock
    event: str
    text: str
    code: str = ""


class Progress:
    """The writing end. One host at a time, as it holds the lock of its folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._path.write_bytes(b"")

    def __call__(self, text: str, event: str = STEP, code: str = "") -> None:
        line = msgspec.json.encode(Line(os.getpid(), wall_us(), event, text, code))
        with self._path.open("ab") as file:
            file.write(line + b"\n")


class Follower:
    """The reading end: the lines that process `pid` wrote, as they come."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._path, self._pid, self._read = folder / FILE, pid, 0

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are new since the last call."""
        try:
            held = self._path.read_bytes()
        except FileNotFoundError:
            return
        if len(held) < self._read:  # a new host began it anew
            self._read = 0
        whole = held.rfind(b"\n") + 1
        fresh, self._read = held[self._read : whole], max(self._read, whole)
        for text in fresh.splitlines():
            line = msgspec.json.decode(text, type=Line)
            if line.pid == self._pid:
                yield line


def root_cause(error: BaseException) -> str:
    """Return the first exception of a chain: its class, its text, and the line that raised it."""
    seen = {id(error)}
    while (cause := _cause(error)) is not None and id(cause) not in seen:
        error = cause
        seen.add(id(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _cause(error: BaseException) -> BaseException | None:
    # Ray wraps what an actor raised and keeps the original in `cause`.
    for found in (getattr(error, "cause", None), error.__cause__):
        if isinstance(found, BaseException):
            return found
    return None if error.__suppress_context__ else error.__context__
