"""PostgreSQL as a peer: durable dedup ingest, COPY to a staging table and one CTE a batch.

Its own job, not a copy of ours: a log table with the event id as key, a state table that takes a
newer sequence only; checked at the end against the truth of its stream.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.bench.figures import Sizes
from cluster.bench.oracle import WrongEnd
from cluster.bench.peer_servers import library, need, postgres_folder, postgres_server
from cluster.bench.peer_stream import events
from cluster.bench.rig import fresh, until

KNOWN = 127_000.0  # events a second, on the machine of the first measurements, undisturbed
BATCH = 10_000
DDL = """
create table event_log (event_id bytea primary key, entity_id text, kind text, event_time bigint,
  seq bigint, source text, lat float8, lon float8, eta bigint, temperature float8, quantity bigint);
create table state (entity_id text primary key, kind text, event_time bigint, seq bigint,
  source text, lat float8, lon float8, eta bigint, temperature float8, quantity bigint);
create unlogged table stage (like event_log);
"""
APPLY = """
with ins as (insert into event_log select distinct on (event_id) * from stage
  on conflict do nothing returning *)
insert into state select distinct on (entity_id) entity_id, kind, event_time, seq, source, lat, lon,
  eta, temperature, quantity from ins order by entity_id, seq desc
on conflict (entity_id) do update set kind=excluded.kind, event_time=excluded.event_time,
  seq=excluded.seq, source=excluded.source, lat=excluded.lat, lon=excluded.lon, eta=excluded.eta,
  temperature=excluded.temperature, quantity=excluded.quantity where excluded.seq > state.seq"""
TYPES = ["bytea", "text", "text", "int8", "int8", "text", *["float8"] * 2, "int8", "float8", "int8"]


class Postgres:
    """One stream, offered to empty tables each time."""

    name = f"PostgreSQL synchronous_commit on, batches of {BATCH}"
    known = KNOWN

    def __init__(self, connection: Any, sizes: Sizes) -> None:
        self._c = connection
        stream = events(sizes.events, sizes.entities)
        self._rows, self._truth = stream.rows(), stream.truth()

    def ingest(self, folder: Path) -> float:
        """Return events a second. Raises WrongEnd."""
        c = self._c
        c.execute("truncate event_log, state, stage")
        c.commit()
        start = time.perf_counter()
        with c.cursor() as cursor:
            for at in range(0, len(self._rows), BATCH):
                cursor.execute("truncate stage")
                with cursor.copy("copy stage from stdin (format binary)") as copy:
                    copy.set_types(TYPES)
                    for row in self._rows[at : at + BATCH]:
                        copy.write_row(row)
                cursor.execute(APPLY)
                c.commit()
        seconds = time.perf_counter() - start
        unique = c.execute("select count(*) from event_log").fetchone()[0]
        seq_sum = c.execute("select sum(seq) from state").fetchone()[0]
        c.commit()
        if (unique, seq_sum) != tuple(self._truth):
            raise WrongEnd(
                f"PostgreSQL ends with {(unique, seq_sum)}, its truth is {tuple(self._truth)}"
            )
        return len(self._rows) / seconds


@contextmanager
def postgres(folder: Path, sizes: Sizes) -> Iterator[Postgres]:
    """Run PostgreSQL for some runs. Raises Missing."""
    programs = need(("psycopg",), postgres_folder(), "postgresql-15")
    psycopg = library("psycopg")
    with fresh(folder, "pg") as own, postgres_server(programs, own, "on") as port:

        def connected() -> Any:
            try:
                return psycopg.connect(
                    f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=False
                )
            except psycopg.OperationalError:
                return None

        c = until(connected, 10.0, "PostgreSQL to take a connection")
        try:
            c.execute(DDL)
            c.commit()
            yield Postgres(c, sizes)
        finally:
            c.close()
