"""Loading: a file's rows, through a mapping, to the twin; every row and event is accounted for.

Ids come from the rows, so loading twice, or going on after a break, gives duplicates and nothing
else. The whole file is read before the first event leaves: an unreadable file sends nothing.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from cluster.mapping import Mapped, Mapping, Parked, Result, apply
from serving.client import Event, Receipt
from twin.errors import BadRequest, Retryable

BATCH = 512  # events: a few of them in flight keep both ends busy, and a retry repeats little
PATIENCE_S = 60.0  # a shard that was killed is back well before
Progress = Callable[[int, int], None]  # events answered, events in all


class Sink(Protocol):
    """Where events go: the client, or a recorder in a test."""

    def stream(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]: ...


class Rows(NamedTuple):
    """`rows`: (line, cells in the order of `header`), or what could not be taken apart."""

    header: list[str]
    rows: list[tuple[int, list[str] | Parked]]


class Sent(NamedTuple):
    """What became of events. `reasons`: of those parked or rejected by the twin."""

    events: int
    outcomes: dict[str, int]
    reasons: dict[str, int]


def read(path: Path, mapping: Mapping) -> Result:
    """Return the file's rows as events, in the order they became known, and the parked ones.

    Raises BadRequest FILE_UNREADABLE, COLUMN_UNKNOWN, MAPPING_INVALID.
    """
    header, rows = parse(_text(path), mapping.reader.format, str(path))
    return apply(mapping, header, rows)


def parse(text: str, format_: str, name: str) -> Rows:
    """Return the rows of a text. Raises BadRequest FILE_UNREADABLE if there is no header."""
    rows = _csv(text) if format_ == "csv" else _jsonl(text)
    if not any(rows.header):
        raise BadRequest(f"{name} has no rows; give a file of {format_}", "FILE_UNREADABLE")
    return rows


def until(events: Sequence[Mapped], at_us: int) -> list[Event]:
    """Return the events known at `at_us`, in the order they became known."""
    return [mapped.event for mapped in events if mapped.known_us <= at_us]


def send(
    sink: Sink,
    events: Sequence[Event],
    progress: Progress | None = None,
    *,
    batch: int = BATCH,
    patience_s: float = PATIENCE_S,
    wait: Callable[[float], None] = time.sleep,
) -> Sent:
    """Offer all events, in order; what was not answered is offered again after a Retryable.

    Raises the Retryable once waiting would exceed `patience_s` without any answer in between.
    """
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    done, waited = 0, 0.0
    while done < len(events):
        left = (events[at : at + batch] for at in range(done, len(events), batch))
        try:
            for receipts in sink.stream(left):
                outcomes.update(receipt.outcome for receipt in receipts)
                reasons.update(receipt.reason for receipt in receipts if receipt.reason)
                done, waited = done + len(receipts), 0.0
                if progress:
                    progress(done, len(events))
        except Retryable as e:
            pause = max(e.retry_after, 0.05)
            waited += pause
            if waited > patience_s:
                raise
            wait(pause)
        else:
            break
    return Sent(done, dict(outcomes), dict(reasons))


def _text(path: Path) -> str:
    """Return a file's text, unpacked by its name; bytes that are no UTF-8 stay as surrogates."""
    try:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as e:
        reason = getattr(e, "strerror", None) or str(e)
        message = f"{path} cannot be read: {reason}; check the path and that the file is whole"
        raise BadRequest(message, "FILE_UNREADABLE") from e
    return content.decode("utf-8-sig", errors="surrogateescape")


def _csv(text: str) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""))
    header: list[str] = []
    rows: list[tuple[int, list[str] | Parked]] = []
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return Rows(header, rows)
        except csv.Error as e:
            rows.append((reader.line_num, Parked(reader.line_num, "ROW_MALFORMED", "", str(e))))
            continue
        if not header:
            header = [cell.strip() for cell in cells]
        elif cells:  # an empty line is no row
            rows.append((reader.line_num, _checked(cells, len(header), reader.line_num)))


def _checked(cells: list[str], width: int, line: int) -> list[str] | Parked:
    if len(cells) != width:
        return Parked(line, "ROW_MALFORMED", "", f"{len(cells)} cells, not {width}")
    for cell in cells:
        if not cell.isascii() and any("\ud800" <= letter <= "\udfff" for letter in cell):
            return Parked(line, "ROW_MALFORMED", "", "bytes that are no UTF-8")
    return cells


def _jsonl(text: str) -> Rows:
    """Return one row per line; the header is every name that any object has."""
    found: list[tuple[int, dict[str, object] | Parked]] = []
    header: dict[str, int] = {}
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as e:
            found.append((line, Parked(line, "ROW_MALFORMED", "", str(e))))
            continue
        if not isinstance(row, dict):
            found.append((line, Parked(line, "ROW_MALFORMED", "", "no JSON object")))
            continue
        for name in row:
            header.setdefault(name, len(header))
        found.append((line, row))
    rows: list[tuple[int, list[str] | Parked]] = []
    for line, row in found:
        if isinstance(row, Parked):
            rows.append((line, row))
        else:
            cells = [_cell(row.get(name)) for name in header]
            rows.append((line, _checked(cells, len(header), line)))
    return Rows(list(header), rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
