"""SQL: statements run by DuckDB over Arrow columns, in databases that reach nothing else.

A database belongs to one statement at a time, reads what that statement was given and no file, no
network and no setting; memory, time, threads and rows have bounds, and each bound a code word.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import duckdb
import pyarrow as pa

from serving.sql_statement import LONGEST, Statement, forbidden, read, unknown
from serving.sql_tables import TABLES
from twin.errors import BadRequest, TwinError

log = logging.getLogger(__name__)
MEMORY = "512MB"  # of one statement
LARGEST = 256 << 20  # bytes of a result: it waits here for whoever reads it
ROWS = 4096  # of a batch of it: a row may be large
AGAIN_S = 0.05  # an interrupt that comes before its statement is lost: it is repeated
NOW = "twin_now"
T = TypeVar("T")
_LOCKED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # or a table could be a variable of this program
    "temp_directory": "",
    "threads": "1",
}
# What asks for the time is told the twin's.
_CLOCKS = {
    "now": "TIMESTAMPTZ",
    "get_current_timestamp": "TIMESTAMPTZ",
    "transaction_timestamp": "TIMESTAMPTZ",
    "current_timestamp": "TIMESTAMPTZ",
    "localtimestamp": "TIMESTAMP",
    "current_localtimestamp": "TIMESTAMP",
    "current_date": "DATE",
    "today": "DATE",
}
_BY_TEXT: dict[str, type[duckdb.Error]] = {
    "INTERRUPT Error": duckdb.InterruptException,
    "Out of Memory Error": duckdb.OutOfMemoryException,
    "Conversion Error": duckdb.ConversionException,
    "Out of Range Error": duckdb.OutOfRangeException,
    "Invalid Input Error: Arrow": duckdb.OutOfMemoryException,
    "Invalid Input Error": duckdb.InvalidInputException,
    "Not implemented Error": duckdb.NotSupportedError,
    "Permission Error": duckdb.PermissionException,
    "IO Error": duckdb.IOException,
    "INTERNAL Error": duckdb.InternalException,
    "FATAL Error": duckdb.FatalException,
}
_EXPLAIN = re.compile(r"\s*explain\b(?!\s*(?:analyze\b|\())", re.IGNORECASE)
_NO_COLUMN = re.compile(r'[Cc]olumn "([^"]+)"(?: not found| does not exist)|named "([^"]+)"')
_NO_ALIAS = re.compile(r'Referenced table "([^"]+)" not found')
_NO_FUNCTION = re.compile(r"Function with name (\S+) does not exist")
_PLACE = re.compile(r"LINE (\d+): ")


class Result(NamedTuple):
    """What a statement answers; `truncated`: there was more than the limit."""

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    truncated: bool

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)


class Sandbox:
    """A database for one statement at a time."""

    def __init__(self, memory: str = MEMORY) -> None:
        self._memory = memory
        self._database = _database(memory)
        self._running: duckdb.DuckDBPyConnection | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Interrupt what runs; called from another thread, again and again until it has ended."""
        self._stopped.set()
        running = self._running
        if running is not None:
            running.interrupt()

    def bind(self, statement: Statement, now_us: int, values: Sequence[Any] = ()) -> None:
        """Find every name and type of a statement, and read no rows. Raises as `run` does."""
        params = list(values) or None
        tables = {name: TABLES[name].schema().empty_table() for name in statement.reads}
        self._within(
            statement, tables, now_us, lambda cursor: cursor.sql(statement.text, params=params)
        )

    def run(
        self,
        statement: Statement,
        tables: Mapping[str, pa.Table],
        now_us: int,
        limit: int,
        values: Sequence[Any] = (),
    ) -> Result:
        """Run a statement over `tables`. Raises BadRequest with a code word that begins SQL_.

        A `limit` of 0 tells the columns of an answer, and computes none.
        """
        text = statement.text
        return self._within(
            statement, tables, now_us, lambda cursor: self._read(cursor, text, limit, values)
        )

    def _within(
        self,
        statement: Statement,
        tables: Mapping[str, pa.Table],
        now_us: int,
        work: Callable[[duckdb.DuckDBPyConnection], T],
    ) -> T:
        self._stopped.clear()
        cursor = self._database.cursor()
        try:
            for name, table in tables.items():
                cursor.register(name, table)
            _set_clock(cursor, now_us)
            self._running = cursor
            return work(cursor)
        except (pa.ArrowException, OSError) as e:  # of DuckDB too, once its batches come as Arrow's
            raise typed(_of_reader(e), statement.reads) from e
        except duckdb.Error as e:
            if isinstance(e, duckdb.FatalException | duckdb.InternalException):
                log.exception("a database failed, and is made anew")
                self._database = _database(self._memory)
                raise
            raise typed(e, statement.reads) from e
        finally:
            self._running = None
            cursor.close()

    def _read(
        self, cursor: duckdb.DuckDBPyConnection, text: str, limit: int, values: Sequence[Any]
    ) -> Result:
        relation = cursor.sql(text, params=list(values) or None)
        if relation is None:
            raise forbidden("this answers nothing")
        if not limit:
            return Result(distinct(relation.limit(0).to_arrow_table().schema), [], True)
        reader = relation.to_arrow_reader(ROWS)
        schema = distinct(reader.schema)
        batches: list[pa.RecordBatch] = []
        rows = size = 0
        for held in reader:
            batch = held.rename_columns(schema.names)
            if self._stopped.is_set():
                raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")
            if rows + batch.num_rows > limit:
                return Result(schema, [*batches, batch.slice(0, limit - rows)], True)
            batches.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size > LARGEST:
                raise BadRequest(
                    f"the answer is larger than {LARGEST >> 20} MiB; ask for fewer columns or rows",
                    "SQL_TOO_LARGE",
                )
        return Result(schema, batches, False)


class Parser:
    """Reads statements, and runs none: it answers at once, whatever one of them would take."""

    def __init__(self) -> None:
        self._database = _database("128MB")

    def read(self, text: str) -> Statement:
        """Check a statement. Raises BadRequest SQL_SYNTAX, SQL_FORBIDDEN, SQL_UNKNOWN, SQL_..."""
        if len(text) > LONGEST:
            raise BadRequest(
                f"the statement is longer than {LONGEST} characters; shorten it", "SQL_TOO_LARGE"
            )
        explained = _EXPLAIN.match(text)
        inner = text[explained.end() :] if explained else text
        with self._database.cursor() as cursor:
            try:
                (raw,) = cursor.execute("SELECT json_serialize_sql(?)", [inner]).fetchone() or ("",)
                tree = json.loads(raw)
            except RecursionError as e:
                raise BadRequest(
                    "the statement is nested too deep; flatten it", "SQL_TOO_LARGE"
                ) from e
            except duckdb.Error as e:
                raise typed(e, ()) from e
        if tree["error"]:
            raise _unread(tree, inner)
        return read(text, tree, explained=explained is not None)


def distinct(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose columns have names of their own: a second `id` is `id_1`.

    A join has both sides' columns; a row of JSON, or of a data frame, would lose one of them.
    """
    names: list[str] = []
    given = set(schema.names)
    for name in schema.names:
        own, number = name, 0
        while own in names or (number and own in given):
            number += 1
            own = f"{name}_{number}"
        names.append(own)
    return pa.schema([field.with_name(own) for field, own in zip(schema, names, strict=True)])


def empty() -> dict[str, pa.Table]:
    """Return every table without its rows."""
    return {name: table.schema().empty_table() for name, table in TABLES.items()}


def typed(e: duckdb.Error, reads: Iterable[str]) -> TwinError:
    """Return the refusal that goes with an error of DuckDB; its text names no path."""
    said = str(e).partition(": ")[2] or str(e)
    first = said.strip().splitlines()[0].rstrip("!. ")
    if isinstance(e, duckdb.InterruptException):
        return BadRequest(
            "the statement took too long and was ended; narrow it, or ask for less", "SQL_TIMEOUT"
        )
    if isinstance(e, duckdb.OutOfMemoryException):
        return BadRequest(
            f"the statement needs more memory than the {MEMORY} it may have; narrow it, or join on "
            "equal keys",
            "SQL_TOO_LARGE",
        )
    if isinstance(e, duckdb.PermissionException | duckdb.IOException | duckdb.HTTPException):
        return forbidden("files, the network and settings are out of reach")
    if isinstance(e, duckdb.ParserException | duckdb.SyntaxException):
        return _syntax(first, said)
    if isinstance(e, duckdb.BinderException) and (found := _NO_COLUMN.search(said)):
        names = sorted({c for name in reads for c in TABLES[name].columns})
        name = found[1] or found[2]
        return unknown("there is no column", name, names, "DESCRIBE TABLE lists them")
    if found := _NO_ALIAS.search(said):
        return BadRequest(f"there is no table {found[1]} in this FROM; name one", "SQL_UNKNOWN")
    if found := _NO_FUNCTION.search(said):
        return BadRequest(f"there is no function {found[1]}; use one of DuckDB's", "SQL_UNKNOWN")
    if isinstance(e, duckdb.CatalogException):
        return BadRequest(f"{first}; SHOW TABLES lists the tables", "SQL_UNKNOWN")
    return BadRequest(f"{first}{_place(said)}; correct the statement", "SQL_INVALID")


def _of_reader(e: Exception) -> duckdb.Error:
    """Return the error of DuckDB that Arrow tells of by its text alone."""
    said = str(e)
    for start, kind in _BY_TEXT.items():
        if said.startswith(start):
            return kind(said)
    return duckdb.OutOfMemoryException(said)  # of Arrow itself: a buffer it cannot make


def _unread(tree: dict[str, Any], text: str) -> TwinError:
    if tree["error_type"] == "not implemented":
        return forbidden("this is no query, or changes something")
    said = str(tree["error_message"])
    at = int(tree.get("position", -1))
    if at < 0:
        return _syntax(said, said)
    before = text.encode()[:at].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return BadRequest(f"{said}, line {line}, column {column}; correct it", "SQL_SYNTAX")


def _syntax(first: str, said: str) -> TwinError:
    if "depth" in first:
        return BadRequest("the statement is nested too deep; flatten it", "SQL_TOO_LARGE")
    return BadRequest(f"{first}{_place(said)}; correct it", "SQL_SYNTAX")


def _place(said: str) -> str:
    """Return where, as DuckDB points at it: LINE 2: ... with a ^ below."""
    lines = said.splitlines()
    for above, below in zip(lines, lines[1:], strict=False):
        if (line := _PLACE.match(above)) and below.strip().startswith("^"):
            return f", line {line[1]}, near {above[below.index('^') :][:20].split('  ')[0]!r}"
    return ""


def _database(memory: str) -> duckdb.DuckDBPyConnection:
    """Return a locked database in memory."""
    database = duckdb.connect(":memory:", config={**_LOCKED, "memory_limit": memory})
    for name, type_ in _CLOCKS.items():
        database.execute(f"CREATE MACRO {name}() AS getvariable('{NOW}')::TIMESTAMPTZ::{type_}")
    database.execute("SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true")
    return database


def _set_clock(cursor: duckdb.DuckDBPyConnection, now_us: int) -> None:
    moment = datetime.fromtimestamp(now_us // 1_000_000, UTC).replace(
        microsecond=now_us % 1_000_000
    )
    cursor.execute(f"SET VARIABLE {NOW} = TIMESTAMPTZ '{moment.isoformat()}'")
