"""Clocks: the wall clock, or the replay clock that a data directory's clock.json declares.

Time is an argument everywhere else; this is where `now` comes from, and it never runs backwards
across a restart: a replay goes on from the last simulated time that was written down.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

FILE = "clock.json"


class Replay(msgspec.Struct, frozen=True):
    """A replay clock: `sim_start_us` at `wall_start_us`, from then on `speed` times as fast."""

    wall_start_us: int
    sim_start_us: int
    speed: float
    mode: str = "replay"
    sim_last_us: int = 0  # the latest simulated time known to have been; a restart goes on there

    def at(self, wall_us: int) -> int:
        """Return the simulated time at `wall_us`, never before the start."""
        passed = max(0, wall_us - self.wall_start_us)
        return self.sim_start_us + int(passed * self.speed)


class Clock:
    """The clock of one data directory, for any process on this machine."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._seen: tuple[int, int] | None = None  # inode and mtime: a rewrite changes both
        self._replay: Replay | None = None

    def now_us(self) -> int:
        """Return now in microseconds UTC: simulated during a replay, else the wall clock's."""
        self._look()
        return self._replay.at(wall_us()) if self._replay else wall_us()

    @property
    def mode(self) -> str:
        self._look()
        return self._replay.mode if self._replay else "wall"

    @property
    def speed(self) -> float:
        self._look()
        return self._replay.speed if self._replay else 1.0

    def _look(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._replay = None, None
            return
        seen = (stat.st_ino, stat.st_mtime_ns)
        if seen != self._seen:
            self._replay = read(self._path.parent)
            self._seen = seen


def wall_us() -> int:
    return time.time_ns() // 1000


def read(folder: Path) -> Replay | None:
    """Return the replay clock of `folder`, or None if it runs by the wall clock."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Replay)
    except FileNotFoundError:
        return None


def text(folder: Path) -> str:
    """Return now as RFC 3339, to the minute."""
    now = datetime.fromtimestamp(Clock(folder).now_us() / 1e6, UTC)
    return now.strftime("%Y-%m-%dT%H:%MZ")


def start(folder: Path, sim_us: int, speed: float) -> None:
    """Begin a replay now, at simulated time `sim_us`."""
    _write(folder, Replay(wall_us(), sim_us, speed, sim_last_us=sim_us))


def resume(folder: Path, speed: float | None = None) -> bool:
    """Go on from the last simulated time, as if the pause had not been. False: no replay here."""
    replay = read(folder)
    if replay is None:
        return False
    last = max(replay.sim_last_us, replay.sim_start_us)
    _write(folder, Replay(wall_us(), last, speed or replay.speed, replay.mode, last))
    return True


def note(folder: Path) -> None:
    """Write down the simulated time, so that a restart can go on from here."""
    replay = read(folder)
    if replay is not None:
        _write(folder, msgspec.structs.replace(replay, sim_last_us=replay.at(wall_us())))


def _write(folder: Path, replay: Replay) -> None:
    draft = folder / f".{FILE}.{os.getpid()}"
    draft.write_bytes(msgspec.json.encode(replay))
    draft.replace(folder / FILE)
