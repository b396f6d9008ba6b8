"""Redis as a peer: durable dedup ingest by a Lua script, and pipelined reads of whole hashes.

Its own job, not a copy of ours: SET NX on the event id, XADD to a log stream, HSET of the entity
if the sequence is newer, checked at the end against the truth of its stream.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.bench.figures import Sizes
from cluster.bench.oracle import WrongEnd
from cluster.bench.peer_servers import library, need, redis_program, redis_server
from cluster.bench.peer_stream import Truth, events
from cluster.bench.rig import fresh

# Rates of this job on the machine of the first measurements (2 cores), undisturbed.
KNOWN = {"always": 83_000.0, "everysec": 95_000.0}
KNOWN_READS = 130_000.0
BATCH = 1000
READS = 20_000
LOADED = 200_000  # entities that are read from
SCRIPT = """
local n = 0
for i = 1, #ARGV do
  local e = cmsgpack.unpack(ARGV[i])
  if redis.call('SET', 'd:' .. e.event_id, 1, 'NX', 'EX', 86400) then
    n = n + 1
    redis.call('XADD', 'log', '*', 'e', ARGV[i])
    local cur = redis.call('HGET', e.entity_id, 'seq')
    if (not cur) or e.seq > tonumber(cur) then
      redis.call('HSET', e.entity_id, 'seq', e.seq, 'kind', e.kind, 'event_time',
        string.format('%.0f', e.event_time), 'source', e.source, 'lat', e.lat, 'lon', e.lon,
        'eta', e.eta, 'temperature', e.temperature, 'quantity', e.quantity)
    end
  end
end
return n"""
COLUMNS = (
    "kind",
    "event_time",
    "seq",
    "source",
    "lat",
    "lon",
    "eta",
    "temperature",
    "quantity",
)


class Redis:
    """One stream, offered to a fresh server each time."""

    def __init__(self, fsync: str, sizes: Sizes) -> None:
        """Prepare what to offer. Raises Missing."""
        self._program = _program()
        self._fsync = fsync
        stream = events(sizes.events, sizes.entities)
        pack = library("msgpack").packb
        # Redis' cmsgpack knows no bin type.
        self._packed = [pack(e, use_bin_type=False) for e in stream.dicts()]
        self._truth = stream.truth()
        self.name = f"Redis AOF {fsync}, Lua batch {BATCH}"
        self.known = KNOWN[fsync]

    def ingest(self, folder: Path) -> float:
        """Return events a second. Raises WrongEnd."""
        with (
            fresh(folder, "redis") as own,
            redis_server(self._program, own, self._fsync) as port,
        ):
            r = library("redis").Redis(port=port)
            script = r.register_script(SCRIPT)
            start = time.perf_counter()
            for at in range(0, len(self._packed), BATCH):
                script(keys=[], args=self._packed[at : at + BATCH])
            seconds = time.perf_counter() - start
            _check(r, self._truth)
            r.close()
        return len(self._packed) / seconds


class Reads:
    """Pipelined HGETALL of whole entities, by one Python client."""

    def __init__(self, port: int, entities: int, pipeline: int) -> None:
        self.name = f"Redis HGETALL, pipeline {pipeline}"
        self._r = library("redis").Redis(port=port)
        self._pipeline = pipeline
        draw = random.Random(1)
        self._keys = [f"shp-{draw.randrange(entities):08d}" for _ in range(READS)]

    def run(self) -> float:
        """Return entities a second."""
        start = time.perf_counter()
        for at in range(0, len(self._keys), self._pipeline):
            p = self._r.pipeline(transaction=False)
            for key in self._keys[at : at + self._pipeline]:
                p.hgetall(key)
            if not all(p.execute()):
                raise WrongEnd("Redis lacks an entity that was loaded")
        return len(self._keys) / (time.perf_counter() - start)


@contextmanager
def loaded(folder: Path, entities: int, pipeline: int) -> Iterator[Reads]:
    """Run a Redis that holds `entities`. Raises Missing."""
    program = _program()
    with fresh(folder, "redis") as own, redis_server(program, own, "everysec") as port:
        r = library("redis").Redis(port=port)
        rows = events(entities, entities, repeats=0, disorder=0, each=True).dicts()
        for at in range(0, entities, 10_000):
            p = r.pipeline(transaction=False)
            for row in rows[at : at + 10_000]:
                cells = [part for name in COLUMNS for part in (name, row[name])]
                p.execute_command("HSET", row["entity_id"], *cells)
            p.execute()
        yield Reads(port, entities, pipeline)


def _program() -> Path:
    return need(("redis", "hiredis", "msgpack"), redis_program(), "redis-server")


def _check(r: Any, truth: Truth) -> None:
    pipeline = r.pipeline(transaction=False)
    for key in r.scan_iter("shp-*", count=10_000):
        pipeline.hget(key, "seq")
    seq_sum = sum(int(float(value)) for value in pipeline.execute())
    if (r.xlen("log"), seq_sum) != tuple(truth):
        raise WrongEnd(f"Redis ends with {(r.xlen('log'), seq_sum)}, its truth is {tuple(truth)}")
