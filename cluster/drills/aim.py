"""The aim: watch a shard's files from outside, and end its process at a chosen moment.

Nothing in the shard helps: a head that appears at the journal's tail, a witness that moves, a
draft, a marker are seen as anyone could see them. Whether a kill hit its moment is told by what
it left on the disk, never by the aim.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cluster import environment, process
from cluster.journal_reader import HEAD, WITNESS, body_length, read_witness, tail

BIG = 1 << 20  # bytes of a frame whose writing takes long enough to be interrupted
MANY = 10_000  # events in a frame whose answers take long enough to be prevented
PAUSE_S = 0.00005
ROLL_S = 0.002  # how often a new segment is looked for
RECOVERY_S = 0.05  # a successor is killed within so long after its marker
GONE_S = 10.0
DRAFT = ".ckpt-"


class Victim(NamedTuple):
    """A shard, and who writes it."""

    shard: str
    home: Path  # its journal
    epoch: int
    pid: int


class Hit(NamedTuple):
    """A kill, and what lay on the disk just after it."""

    victim: Victim
    at: int  # monotonic microseconds
    witness: int
    drafts: tuple[str, ...]  # of checkpoints; those that it died over


def routes(folder: Path) -> dict[str, dict[str, object]]:
    """Return what the supervisor says of each shard."""
    with suppress(OSError, ValueError):
        found: dict[str, dict[str, object]] = json.loads((folder / "routes.json").read_text())[
            "shards"
        ]
        return found
    return {}


def now_us() -> int:
    return time.monotonic_ns() // 1000


def strike(folder: Path, victim: Victim, known: Collection[str]) -> Hit | None:
    """Kill a victim with -9 and see it gone. `known`: drafts that others left before.

    None: it was gone already, or is no process of this twin.
    """
    one = process.identify(victim.pid)
    if one is None or not _ours(folder, victim.pid):
        return None
    at = now_us()
    if not process.send(one, signal.SIGKILL):
        return None
    process.wait([one], GONE_S)
    left = tuple(sorted(set(drafts(victim.home)) - set(known)))
    return Hit(victim, at, read_witness(victim.home), left)


def _ours(folder: Path, pid: int) -> bool:
    """Say whether a process was started for this data directory: pids are reused."""
    try:
        held = Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{process.MARK}={environment.mark(folder)}".encode() in held


def drafts(home: Path) -> list[str]:
    """Return the checkpoints that somebody began to write and did not finish, or has not yet."""
    return [name for name in os.listdir(home) if name.startswith(DRAFT)]


def await_append(victim: Victim, until_s: float) -> bool:
    """Return True as soon as the head of a big frame stands at the tail: its body follows."""
    with Tail(victim) as end:
        while time.monotonic() < until_s:
            length = end.next()
            if length >= BIG:
                return True
            if length < 0:
                time.sleep(PAUSE_S)
    return False


def await_witness(victim: Victim, until_s: float) -> bool:
    """Return True as soon as the witness moves far: many events are synced, none is answered."""
    path = victim.home / "witness"
    while not path.exists():
        if time.monotonic() > until_s:
            return False
        time.sleep(ROLL_S)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), WITNESS.size, prot=mmap.PROT_READ) as seen,
    ):
        before, _ = WITNESS.unpack_from(seen)
        while (after := WITNESS.unpack_from(seen)[0]) < before + MANY:
            if time.monotonic() > until_s:
                return False
            before = after
            time.sleep(PAUSE_S)
    return True


def await_draft(
    victims: Sequence[Victim], known: Mapping[str, Collection[str]], until_s: float
) -> Victim | None:
    """Return the first victim that begins to write a checkpoint. `known`: drafts by shard."""
    while time.monotonic() < until_s:
        for victim in victims:
            if not set(drafts(victim.home)) <= set(known[victim.shard]):
                return victim
        time.sleep(PAUSE_S)
    return None


def await_successor(victim: Victim, rng: random.Random, until_s: float) -> Victim | None:
    """Return the successor of a dead victim, a little after it made its marker."""
    marker = victim.home / f"epoch-{victim.epoch + 1}"
    while not marker.exists():
        if time.monotonic() > until_s:
            return None
        time.sleep(PAUSE_S)
    pid = int(marker.read_text().rpartition(":")[2])
    time.sleep(rng.uniform(0.0, RECOVERY_S))
    return Victim(victim.shard, victim.home, victim.epoch + 1, pid)


class Tail:
    """Where a journal that is being written ends, seen through a map of its newest segment."""

    def __init__(self, victim: Victim) -> None:
        self._folder = victim.home / f"e{victim.epoch}"
        self._path = Path()
        self._map: mmap.mmap | None = None
        self._at = 0
        self._looked_s = 0.0

    def __enter__(self) -> Tail:
        self._follow()
        return self

    def __exit__(self, *_: object) -> None:
        if self._map is not None:
            self._map.close()

    def next(self) -> int:
        """Return how long the body of the frame behind the last one is, or -1; step over it."""
        if self._map is not None:
            length = body_length(self._map, self._at)
            if length >= 0:
                end = self._at + HEAD.size + length
                self._at = end + -end % 8
                return length
        if time.monotonic() - self._looked_s > ROLL_S:
            self._follow()
        return -1

    def _follow(self) -> None:
        """Map the newest segment, if it is another one or has grown."""
        self._looked_s = time.monotonic()
        names = sorted(os.listdir(self._folder)) if self._folder.exists() else []
        if not names:
            return
        path = self._folder / names[-1]
        size = path.stat().st_size
        if not size or (path == self._path and self._map is not None and len(self._map) == size):
            return
        if self._map is not None:
            self._map.close()
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        first = self._path == Path()
        if path != self._path:
            # What a new segment holds when it is first seen was written while it was looked for.
            self._path, self._at = path, tail(self._map) if first else 0
