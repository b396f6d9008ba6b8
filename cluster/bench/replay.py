"""A new process that replays a journal, and says how long that took and where it led.

    python -m cluster.bench.replay < SPEC.json

It claims the journal of that shard under that epoch and reads no checkpoint: all is checked,
applied and indexed again, from the first event on.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import msgspec

from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.ray_shard import ShardSpec, journal_folder
from actors.shard import Shard
from cluster.clock import Clock
from twin.admission import Rule
from twin.kinds import SHARD_KINDS
from twin.warm import warm


class Replayed(msgspec.Struct, frozen=True):
    """`seconds`: from an empty shard with its kernels loaded to one that could serve."""

    events: int
    seconds: float
    truth: str
    replay: str


def replayed(spec: ShardSpec) -> Replayed:
    """Recover the shard from its journal alone."""
    warm()
    with tempfile.TemporaryDirectory() as none:  # no checkpoint is there
        start = time.perf_counter()
        shard = Shard(
            name=spec.name,
            rule=Rule(spec.region, SHARD_KINDS[spec.kind], spec.number, spec.shards),
            journal=FileJournal(OsDisk(), journal_folder(spec), spec.epoch),
            checkpoints=Checkpoints(OsDisk(), Path(none)),
            clock=Clock(Path(spec.folder)).now_us,
            read_ahead=True,
        )
        shard.recover()
        seconds = time.perf_counter() - start
    found = shard.digests()
    return Replayed(shard.replayed, seconds, found.truth, found.replay)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=ShardSpec)
    sys.stdout.buffer.write(msgspec.json.encode(replayed(asked)))
