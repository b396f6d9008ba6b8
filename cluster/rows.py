"""Rows: a file's rows in batches, whatever its format; memory does not grow with the file.

Every line is accounted for: a row that cannot be taken apart is parked with its line, and its
neighbours are not touched. Lines count as an editor counts them; of Parquet, rows from 1.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from cluster.unpacked import PACKED, Damage, Unpacked, lines, records
from cluster.vectors import TEXT, WHOLE
from twin.errors import BadRequest

SIZE = 8192  # rows of a batch: columns are worth their overhead, and a batch is soon answered
BLOCK = 1 << 20  # bytes of a CSV read at once; a row is shorter
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Parked(NamedTuple):
    """A row that no event could be made from. `line`: in the file, its header being line 1."""

    line: int
    reason: str
    column: str
    value: str


class Rows(NamedTuple):
    """Some consecutive rows. `lines` (n,): of each; `columns`: in the order of the header."""

    columns: Sequence[Any]
    lines: NDArray[np.int64]
    parked: list[Parked]
    position: int  # bytes of the file read so far

    @property
    def size(self) -> int:
        return self.lines.size

    def part(self, start: int, end: int | None = None, parked: Sequence[Parked] = ()) -> Rows:
        """Return some of the rows; what was parked goes with the first, `parked` besides."""
        columns = [
            column.slice(start, self.size if end is None else end - start)
            for column in self.columns
        ]
        before = self.parked if start == 0 else []
        return Rows(columns, self.lines[start:end], [*before, *parked], self.position)


class Source(NamedTuple):
    """A file and how to read it."""

    path: Path
    format: str
    delimiter: str = ","
    encoding: str = "utf-8"


def source(path: Path, format_: str = "", delimiter: str = "", encoding: str = "utf-8") -> Source:
    """Return how to read a file: as `format_` says, else by its suffix, else as CSV."""
    suffixes = [s for s in (suffix.lower() for suffix in path.suffixes) if s not in PACKED]
    last = suffixes[-1] if suffixes else ""
    sign = delimiter or ("\t" if last == ".tsv" else ",")
    return Source(path, format_ or FORMATS.get(last, "csv"), sign, encoding)


class File:
    """An open file: its header, then its rows. Raises BadRequest FILE_UNREADABLE."""

    def __init__(self, of: Source, enough: Callable[[list[str]], bool], size: int = SIZE) -> None:
        """`size`: rows of a batch. `enough`: whether these names will do.

        JSON lines are read on while they will not: an object need not have every field. Other
        formats know their header.
        """
        self.source = of
        self._enough = enough
        self._size = size
        try:
            self.size = of.path.stat().st_size
            self.header: list[str] = self._header()
        except Damage as e:
            raise self._unreadable(e) from e
        if not any(self.header):
            raise BadRequest(
                f"{of.path} has no rows; give a file of {of.format}", "FILE_UNREADABLE"
            )
        if twice := sorted({n for n in self.header if n and self.header.count(n) > 1}):
            message = f"{of.path} has the column {twice[0]!r} twice; rename one"
            raise BadRequest(message, "FILE_UNREADABLE")

    def batches(self, skip: int = 0) -> Iterator[Rows]:
        """Yield the rows, but for the first `skip`."""
        read = {"csv": self._csv, "jsonl": self._jsonl, "parquet": self._parquet}
        try:
            for rows in read[self.source.format]():
                taken = len(rows.lines) + len(rows.parked)
                if skip >= taken:
                    skip -= taken
                    continue
                yield _behind(rows, skip)
                skip = 0
        except Damage as e:
            raise self._unreadable(e) from e

    def _header(self) -> list[str]:
        if self.source.format == "parquet":
            return list(pa.parquet.read_schema(self.source.path).names)
        if self.source.format == "csv":
            with self._open() as stream:
                return [name.strip() for name in self._csv_reader(stream, []).schema.names]
        names: dict[str, None] = {}
        with self._open() as stream:
            for _, _, row in self._lines(stream):
                if isinstance(row, dict) and not row.keys() <= names.keys():
                    names |= dict.fromkeys(row)
                    if self._enough(list(names)):
                        break
            if not names:
                stream.check()
        return list(names)

    def _open(self) -> Unpacked:
        if self.source.format == "csv":
            ends = records(self.source.delimiter)
            return Unpacked(self.source.path, ends, self.source.encoding)
        return Unpacked(self.source.path, lines)

    def _csv_reader(self, stream: Any, odd: list[Any], names: Sequence[str] = ()) -> Any:
        def skip(row: Any) -> str:
            odd.append(row)
            return "skip"

        csv = pa.csv
        return csv.open_csv(
            io.BufferedReader(stream, BLOCK),
            csv.ReadOptions(use_threads=False, block_size=BLOCK),
            csv.ParseOptions(
                delimiter=self.source.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
                ignore_empty_lines=False,
            ),
            csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.binary()),
                strings_can_be_null=False,
            ),
        )

    def _csv(self) -> Iterator[Rows]:
        with self._open() as stream:
            names = self._csv_reader(stream, []).schema.names
        odd: list[Any] = []
        with self._open() as stream:
            count = _Lines(len(names), odd)
            for block in self._csv_reader(stream, odd, names):
                breaks = _breaks(block)
                for start in range(0, block.num_rows, self._size):
                    told = count.number(breaks[start : start + self._size])
                    part = block.slice(start, self._size)
                    yield _decoded(part, *told, stream.position)
            if left := count.left_out():
                yield Rows([pa.nulls(0, TEXT)] * len(names), _none(), left, stream.position)
            stream.check()

    def _lines(self, stream: Unpacked) -> Iterator[tuple[int, int, Any]]:
        """Yield (line, position, object or Parked) of JSON lines; an empty line is no row."""
        for line, raw in enumerate(io.BufferedReader(stream, BLOCK), 1):
            if content := raw.strip():
                yield line, stream.position, _object(content, line, self.source.encoding)

    def _jsonl(self) -> Iterator[Rows]:
        held: list[tuple[int, int, Any]] = []
        with self._open() as stream:
            for row in self._lines(stream):
                held.append(row)
                if len(held) == self._size:
                    yield self._packed(held)
                    held = []
            if held:
                yield self._packed(held)
            stream.check()

    def _packed(self, held: list[tuple[int, int, Any]]) -> Rows:
        good = [(line, row) for line, _, row in held if isinstance(row, dict)]
        parked = [row for _, _, row in held if isinstance(row, Parked)]
        columns = []
        for name in self.header:
            texts = pa.array([_cell(row.get(name)) for _, row in good], TEXT)
            columns.append(_blank_is_absent(texts))
        lines = np.array([line for line, _ in good], np.int64)
        return Rows(columns, lines, parked, held[-1][1])

    def _parquet(self) -> Iterator[Rows]:
        with pa.parquet.ParquetFile(self.source.path) as file:
            total, at = max(1, file.metadata.num_rows), 0
            for batch in file.iter_batches(self._size):
                lines = np.arange(at + 1, at + 1 + batch.num_rows)
                at += batch.num_rows
                columns = [_typed(column) for column in batch.columns]
                yield Rows(columns, lines, [], self.size * at // total)

    def _unreadable(self, e: Exception) -> BadRequest:
        reason = getattr(e, "strerror", None) or str(e).splitlines()[0]
        what = f"{self.source.path} cannot be read: {reason}"
        return BadRequest(f"{what}; check the path and that the file is whole", "FILE_UNREADABLE")


class _Lines:
    """The line on which each row of a CSV ends: Arrow counts rows, and says which it left out."""

    def __init__(self, width: int, odd: list[Any]) -> None:
        self._row, self._line = 1, 1  # the header
        self._width, self._odd = width, odd

    def number(self, breaks: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Parked]]:
        """Return the lines of the next rows, and what was left out before and among them.

        `breaks` (n,): how many line breaks the cells of each hold.
        """
        lines, parked = np.empty(breaks.size, np.int64), list[Parked]()
        if not self._odd:
            lines[:] = self._line + np.cumsum(breaks + 1)
            self._row += breaks.size
            self._line = int(lines[-1]) if lines.size else self._line
            return lines, parked
        for i, more in enumerate(breaks.tolist()):
            parked += self.left_out()
            self._row, self._line = self._row + 1, self._line + 1 + more
            lines[i] = self._line
        return lines, parked

    def left_out(self) -> list[Parked]:
        """Return the rows that Arrow left out where the count stands now."""
        parked = []
        while self._odd and (self._odd[0].number is None or self._odd[0].number == self._row + 1):
            odd = self._odd.pop(0)
            self._row, self._line = self._row + 1, self._line + 1 + odd.text.count("\n")
            what = f"{odd.actual_columns} cells, not {self._width}"
            parked.append(Parked(self._line, "ROW_MALFORMED", "", what))
        return parked


def _breaks(part: Any) -> NDArray[np.int64]:
    """Return how many line breaks the cells of each row hold."""
    found = np.zeros(part.num_rows, np.int64)
    for column in part.columns:
        held = column.buffers()[2]
        if held is not None and (np.frombuffer(held, np.uint8) == ord("\n")).any():
            found += np.asarray(pc.count_substring(column, "\n").fill_null(0))
    return found


def _decoded(part: Any, lines: NDArray[np.int64], parked: list[Parked], position: int) -> Rows:
    """Return cells as texts; rows with bytes that are no UTF-8 are parked, empty ones dropped."""
    columns, bad = [], np.zeros(part.num_rows, np.bool_)
    for column in part.columns:
        try:
            columns.append(column.cast(TEXT))
        except pa.ArrowInvalid:
            texts = [_utf8(cell) for cell in column.to_pylist()]
            bad |= np.array([text is None for text in texts])
            columns.append(pa.array(texts, TEXT))
    columns = [_blank_is_absent(column) for column in columns]
    parked += [
        Parked(int(line), "ROW_MALFORMED", "", "bytes that are no UTF-8") for line in lines[bad]
    ]
    empty = np.logical_and.reduce([np.asarray(column.is_null()) for column in columns]) & ~bad
    keep = ~(bad | empty)
    if not keep.all():
        columns = [column.filter(pa.array(keep)) for column in columns]
    return Rows(columns, lines[keep], sorted(parked), position)


def _behind(rows: Rows, skip: int) -> Rows:
    """Return rows without the first `skip`, in the order of their lines."""
    if not skip:
        return rows
    lines = np.sort(np.concatenate([rows.lines, [parked.line for parked in rows.parked]]))
    after = lines[skip - 1]
    keep = pa.array(rows.lines > after)
    columns = [column.filter(keep) for column in rows.columns]
    left = [parked for parked in rows.parked if parked.line > after]
    return Rows(columns, rows.lines[rows.lines > after], left, rows.position)


def _blank_is_absent(column: Any) -> Any:
    column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, TEXT), column)


def _typed(column: Any) -> Any:
    """Return a Parquet column as text, or as int64, float64 or bool where that is what it is."""
    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        return _typed(column.cast(kind.value_type))
    if types.is_integer(kind) and not types.is_uint64(kind):
        return column.cast(WHOLE)
    if types.is_floating(kind):
        return column.cast(pa.float64())
    if types.is_boolean(kind):
        return column
    if types.is_timestamp(kind) and kind.tz:
        return column.cast(pa.timestamp("us", "UTC"), safe=False).cast(WHOLE)
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return pa.nulls(len(column), TEXT)
    return _blank_is_absent(column.cast(TEXT))


def _object(content: bytes, line: int, encoding: str) -> Any:
    try:
        row = json.loads(content.decode(encoding))
    except (ValueError, RecursionError) as e:
        return Parked(line, "ROW_MALFORMED", "", str(e))
    if not isinstance(row, dict):
        return Parked(line, "ROW_MALFORMED", "", "no JSON object")
    if any(isinstance(v, str) and not _sound(v) for v in row.values()):
        return Parked(line, "ROW_MALFORMED", "", "bytes that are no UTF-8")
    return row


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _sound(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _utf8(cell: bytes) -> str | None:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return None


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)
