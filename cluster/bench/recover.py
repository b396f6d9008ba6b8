"""bench recover: how fast a journal is replayed, and how soon a killed shard answers again.

`replay`: a new process, no checkpoint; both digests must equal those of the shard that wrote it.
`kill`: kill -9 under a supervisor while events flow; the first right answer through the gateway is
one that knows the value acknowledged last before the kill.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import msgspec

from cluster.bench import kill
from cluster.bench import stream as streams
from cluster.bench.figures import Asked, Figure, counted, take_turns
from cluster.bench.ingest import CASES as INGEST
from cluster.bench.ingest import KEYS, MOST_EVENTS, Load, through
from cluster.bench.oracle import WrongEnd, judge
from cluster.bench.replay import Replayed
from cluster.bench.rig import OneShard, fresh
from serving.wire import twin_pb2 as pb

CASES = ("replay", "kill")
EVENTS = 1_000_000
REPLAY_S = 600.0


def run(asked: Asked) -> Iterator[Figure]:
    """Yield events replayed a second, and seconds from kill -9 to a right answer."""
    if asked.wants("replay"):
        yield _replay(asked)
    if asked.wants("kill"):
        events = asked.events or EVENTS
        asked.say(f"kill: {counted(events)} events after a checkpoint")
        runs = kill.runs(asked, events, asked.twins or KEYS)
        yield Figure("recover", f"kill-{counted(events)}", "s", runs)


def _replay(asked: Asked) -> Figure:
    n = min(asked.events or EVENTS, MOST_EVENTS)
    asked.say(f"replay: a journal of {counted(n)} events is written")
    case = INGEST["arrow-10000"]
    events = streams.telemetry(n, asked.twins or KEYS)
    load = Load(list(streams.arrow(events, case.batch)), judge(events))
    with fresh(asked.folder, "shard") as own:
        with OneShard(own) as shard:
            through(shard, case, load, checkpoint=False)
            with shard.client() as client:
                written = client.status(digests=True).shards[0]
        spec, epochs = shard.spec, [1]

        def replayed() -> float:
            epochs[0] += 1
            found = _in_new_process(msgspec.json.encode(spec._replace(epoch=epochs[0])))
            _same(found, written)
            return found.events / found.seconds

        runs, _ = take_turns(asked, "replay", replayed)
    return Figure("recover", "replay", "events/s", runs)


def _in_new_process(spec: bytes) -> Replayed:
    done = subprocess.run(
        [sys.executable, "-m", "cluster.bench.replay"],
        input=spec,
        capture_output=True,
        timeout=REPLAY_S,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise WrongEnd(f"the replay failed: {said[-1]}")
    return msgspec.json.decode(done.stdout, type=Replayed)


def _same(found: Replayed, written: pb.ShardStatus) -> None:
    """Raise WrongEnd unless a replay led where the live shard was."""
    live = (written.offset, written.truth_digest, written.replay_digest)
    if (found.events, found.truth, found.replay) != live:
        raise WrongEnd(
            f"the replay ends at {found.events} with {found.truth}, the shard at {live[0]} "
            f"with {live[1]}"
        )
