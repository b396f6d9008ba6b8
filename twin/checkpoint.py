"""Checkpoints: a snapshot as bytes, and back. Recovery starts from one instead of from nothing.

The bytes are one frame (twin.frames): columns, keys, lexicon, dedup, levels; a wrong byte fails
its checksum. Replaying the journal from `offset` on leads to the state that would have been.
What an older program's checkpoint lacks is absent: no event before it can have said it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import frames, outbox
from twin.admission import Rule
from twin.errors import JournalCorrupt
from twin.fold import KindState
from twin.frames import Frame, column_texts, text_columns
from twin.kinds import KINDS
from twin.level import Entry, Level
from twin.newer import OWN, require_contracts
from twin.revisions import Revisions
from twin.texts import Texts
from twin.transition import Snapshot, State

Column = NDArray[Any]


def capture(state: State) -> tuple[Snapshot, dict[str, Column]]:
    """Take what a checkpoint needs of a live state, cheaply; `write` may run elsewhere."""
    extra = {f"seen.{name}": column for name, column in state.seen.dump().items()}
    extra["outcomes"] = state.outcomes.copy()
    extra |= state.withdrawn.dump() | state.revisions.dump() | state.outbox.dump()
    extra["words"] = np.array([len(state.lexicon)])
    extra["newest"] = np.array([state.newest])
    for kind, held in state.kinds.items():
        extra |= _levels(kind, held.levels)
    return state.snapshot(), extra


def write(snapshot: Snapshot, extra: dict[str, Column], epoch: int) -> bytes:
    """Return a checkpoint of what `capture` took."""
    words = list(snapshot.lexicon.since(0))[: int(extra["words"][0])]
    columns = dict(extra)
    for kind, table in snapshot.tables.items():
        columns |= text_columns(f"{kind}/name", snapshot.names[kind])
        columns |= {f"{kind}/{name}": column for name, column in table.dump().items()}
    return frames.encode(
        Frame(
            epoch,
            snapshot.offset,
            0,
            snapshot.offset,
            snapshot.ingest_time,
            words,
            {},
            OWN,
            columns,
        )
    )


def restore(raw: bytes, rule: Rule) -> State:
    """Return the state that `raw` holds. Raises JournalCorrupt for a wrong byte, JournalNewer."""
    found = frames.read(memoryview(raw), 0)
    if found is None:
        raise JournalCorrupt("the checkpoint fails its checksum; an older one is used")
    frame = found.frame
    require_contracts(frame)
    state = State(rule)
    state.lexicon.extend(frame.words)
    for kind, held in state.kinds.items():
        held.keys.add(_load_kind(held, frame.columns))
        held.levels = _read_levels(kind, frame.columns)
    seen = {n[5:]: column for n, column in frame.columns.items() if n.startswith("seen.")}
    state.seen.load(seen)
    state.outcomes[:] = frame.columns["outcomes"]
    state.withdrawn.load(frame.columns)
    state.next, state.now = frame.first, frame.ingest_time
    _load_derived(state, frame.columns)
    state.newest = int(frame.columns["newest"][0])
    return state


def tables(raw: bytes, rule: Rule) -> tuple[int, dict[str, KindState], Revisions]:
    """Return what `raw` holds of twins and no more: its offset, tables without keys, revisions.

    Raises JournalCorrupt for a wrong byte, JournalNewer.
    """
    found = frames.read(memoryview(raw), 0)
    if found is None:
        raise JournalCorrupt("the checkpoint fails its checksum; an older one is used")
    frame = found.frame
    require_contracts(frame)
    kinds = {name: KindState(KINDS[name]) for name in rule.kinds}
    for kind, held in kinds.items():
        _load_kind(held, frame.columns)
        held.levels = _read_levels(kind, frame.columns)
    revisions = Revisions()
    if "revisions.cause" in frame.columns:
        revisions.load(frame.columns)
    return frame.first, kinds, revisions


def _load_kind(held: KindState, columns: Mapping[str, Column]) -> Texts:
    """Fill the table of a kind; return the names of its rows."""
    kind = held.kind.name
    names = column_texts(columns, f"{kind}/name")
    own = len(kind) + 1
    held.table.load(
        {n[own:]: c for n, c in columns.items() if n.startswith(f"{kind}/")}, names.size
    )
    return names


def _load_derived(state: State, columns: Mapping[str, Column]) -> None:
    """Take in what has to do with derived events; an older program's checkpoint lacks it."""
    if "revisions.cause" in columns:
        state.revisions.load(columns)
    if "shipment" not in state.kinds:
        return
    table = state.kinds["shipment"].table
    if outbox.CURSOR in columns:
        state.outbox.load(columns, table)
    else:
        state.outbox.begin(table, state.now)


def _levels(kind: str, levels: dict[int, Level]) -> dict[str, Column]:
    """Return every entry of every level as a line of numbers: row, is a count, the entry."""
    lines = []
    confidence = []
    for row, level in sorted(levels.items()):
        counted = [level.counted] if level.counted is not None else []
        for is_count, entry in [(1, e) for e in counted] + [(0, e) for e in level.moves]:
            tie = entry.tie - (1 << 64) if entry.tie >= 1 << 63 else entry.tie
            lines.append(
                [
                    row,
                    is_count,
                    entry.time,
                    entry.rank,
                    tie,
                    entry.amount,
                    entry.offset,
                    entry.source,
                ]
            )
            confidence.append(entry.confidence)
    numbers = np.array(lines, np.int64).reshape(-1, 8)
    return {f"{kind}/levels": numbers, f"{kind}/surety": np.array(confidence, np.float64)}


def _read_levels(kind: str, columns: Any) -> dict[int, Level]:
    levels: dict[int, Level] = {}
    pairs = zip(columns[f"{kind}/levels"].tolist(), columns[f"{kind}/surety"].tolist(), strict=True)
    for (row, is_count, time, rank, tie, amount, offset, source), surety in pairs:
        entry = Entry(time, rank, tie % (1 << 64), amount, offset, source, surety)
        old = levels.get(row, Level(None, ()))
        levels[row] = (
            Level(entry, old.moves) if is_count else Level(old.counted, (*old.moves, entry))
        )
    return levels
