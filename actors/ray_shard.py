"""The Ray shell of a shard. Nothing but construction: the supervisor calls `begin`.

Ray never restarts it and never repeats a call: only the supervisor starts a writer, under a new
epoch, because Ray can run two actors of one name for seconds. The server is handed in as the
name of a function, since whoever holds state does not know who may ask.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from actors import lean, marker
from actors.bases import Schedule
from actors.disk import OsDisk
from actors.recovery import Storage, recover
from actors.shard import Shard
from twin.admission import Rule
from twin.errors import EpochStale
from twin.kinds import SHARD_KINDS
from twin.warm import warm

# How long a thread may keep the interpreter from others that wait: a reader beside ingest waits
# dozens of times, for 5 ms each as Python has it.
SWITCH_S = 0.0005


class ShardSpec(NamedTuple):
    """Which shard, where its files are, who serves it and what its clock is."""

    kind: str
    region: str
    number: int
    shards: int  # of this kind in this region
    folder: str
    epoch: int
    serve: str  # "module:function"(shard, folder, clock) -> Served
    clock: str  # "module:function"(folder) -> () -> microseconds
    supervisor: int = 0  # epoch of the supervisor that asks; 0: nobody's, as in a test
    storage: Storage = Storage()
    schedule: Schedule = Schedule()  # of what the past is read from

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.region}/{self.number}"


class Begun(NamedTuple):
    """A shard that serves: where, since which offset, and how long its recovery took."""

    address: str
    lifeline: str
    pid: int
    offset: int
    replayed: int
    torn_bytes: int
    recovery_s: float
    note: str = ""  # how its journal came home, if it did


def supervisor_folder(folder: Path) -> Path:
    """Return where the supervisors of a data directory make their markers."""
    return folder / "journal" / "supervisor"


def journal_folder(spec: ShardSpec) -> Path:
    return Path(spec.folder) / "journal" / spec.region / spec.kind / str(spec.number)


class ShardHost:
    """One process that can hold one shard. Started empty, so that a spare is ready at once."""

    def __init__(self) -> None:
        self._shard: Shard | None = None
        self._served: Any = None
        self._archiver: Any = None

    def warm(self, serve: str) -> int:
        """Load everything a shard needs, and return the pid."""
        sys.setswitchinterval(SWITCH_S)
        with lean.loading():
            warm()
            _resolve(serve)
        return os.getpid()

    def begin(self, spec: ShardSpec) -> Begun:
        """Recover the shard and serve it. Raises Fenced, JournalCorrupt, EpochStale."""
        start = time.perf_counter()
        folder = Path(spec.folder)
        clock = _resolve(spec.clock)(folder)
        disk = OsDisk()
        own = marker.following(supervisor_folder(folder), spec.supervisor)
        if spec.supervisor and disk.exists(own):
            raise EpochStale(f"supervisor {spec.supervisor} was replaced; it ends")
        home = journal_folder(spec)
        recovered = recover(
            spec.name,
            Rule(spec.region, SHARD_KINDS[spec.kind], spec.number, spec.shards),
            disk,
            home,
            epoch=spec.epoch,
            owner=f"{os.uname().nodename}:{os.getpid()}",
            clock=clock,
            storage=spec.storage,
            schedule=spec.schedule,
        )
        shard, self._archiver = recovered.shard, recovered.archiver
        offset = shard.next
        served = _resolve(spec.serve)(shard, folder, clock)
        took = time.perf_counter() - start
        served.surface.recovery_s, served.surface.restored = took, recovered.note
        self._shard, self._served = shard, served
        return Begun(
            served.address,
            served.lifeline,
            os.getpid(),
            offset,
            shard.replayed,
            recovered.journal.torn_bytes,
            took,
            recovered.note,
        )

    def checkpoint(self) -> int:
        """Write a checkpoint of the shard, if it serves; return its offset."""
        return self._shard.checkpoint() if self._shard is not None else 0

    def end(self) -> None:
        """Stop serving, write a checkpoint and leave."""
        if self._shard is not None:
            self._served.stop()
            self._shard.checkpoint()
        if self._archiver is not None:
            self._archiver.finish()  # the last events too: nothing more is acknowledged


def _resolve(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
