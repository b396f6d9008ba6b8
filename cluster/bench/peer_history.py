"""PostgreSQL as a peer for the past: a history table, each row with the time it was recorded.

Its own way of keeping history: a row stands from when it was recorded until another took its
place, so what was known at a moment is one condition. What was true at a moment is found by event
time. Indexed for both; moments of recording are the numbers of the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.bench.peer_servers import library, need, postgres_folder, postgres_server
from cluster.bench.rig import fresh, until

END = 2**62
DDL = """
create table history (entity int8, event_time int8, recorded int8, lat float8, replaced int8);
"""
# A row is replaced by the first one recorded later that is newer; until then it is what is known.
REPLACED = """
create table positions as
with newest as (
  select *, max(event_time) over (partition by entity order by recorded
    rows between unbounded preceding and 1 preceding) as before from history),
stood as (
  select entity, event_time, recorded, lat,
    lead(recorded) over (partition by entity order by recorded) as replaced
  from newest where before is null or event_time > before)
select h.entity, h.event_time, h.recorded, h.lat,
  case when s.entity is null then h.recorded else coalesce(s.replaced, {end}) end as replaced
from history h left join stood s using (entity, recorded);
create index on positions (entity, event_time desc);
analyze positions;
"""
ONE = """select recorded from positions where entity = %s and recorded < %s and event_time <= %s
order by event_time desc limit 1"""
KNOWN = "select count(*), sum(lat) from positions where recorded < %s and replaced >= %s"
TRUE = """select count(*), sum(lat) from (select distinct on (entity) lat from positions
where recorded < %s and event_time <= %s order by entity, event_time desc) as last"""
Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


class History:
    """A table of positions: entity, event time, the number it was recorded as, latitude."""

    name = "PostgreSQL, a history table with its index"

    def __init__(self, connection: Any) -> None:
        self._c = connection

    def load(self, columns: Iterable[Columns]) -> None:
        self._c.execute(DDL)
        with self._c.cursor() as cursor, cursor.copy("copy history from stdin") as copy:
            for entity, event_time, recorded, lat in columns:
                lines = zip(
                    entity.tolist(),
                    event_time.tolist(),
                    recorded.tolist(),
                    lat.tolist(),
                    strict=True,
                )
                copy.write("".join(f"{e}\t{t}\t{r}\t{x}\t\\N\n" for e, t, r, x in lines))
        self._c.execute(REPLACED.format(end=END))
        self._c.commit()

    def one(self, entity: int, known: int, at: int) -> int:
        """Return the row that decides an entity, of the first `known` ones, -1 if none does."""
        row = self._c.execute(ONE, (entity, known, at)).fetchone()
        return -1 if row is None else int(row[0])

    def table(self, known: int, at: int) -> tuple[int, float]:
        """Return how many entities there were, and the sum of their latitudes."""
        if at >= END:
            row = self._c.execute(KNOWN, (known, known)).fetchone()
        else:
            row = self._c.execute(TRUE, (known, at)).fetchone()
        return int(row[0]), float(row[1] or 0.0)


@contextmanager
def history(folder: Path, columns: Iterable[Columns]) -> Iterator[History]:
    """Run PostgreSQL with these rows. Raises Missing."""
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
            held = History(c)
            held.load(columns)
            yield held
        finally:
            c.close()
