"""The journal check: whether a shard's journal is whole and agrees with itself, by second reading.

Offsets without gap or repeat, seals and markers that fit, chains that link, nothing journaled
twice, nothing acknowledged that is missing. Every fault has its file and byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from actors.archive import Archive
from cluster.journal_reader import (
    Bad,
    Batch,
    Column,
    Damage,
    Epoch,
    JournalReader,
    checkpoints,
    drafts,
    parse,
)

PER_EVENT = (
    *("hash", "content", "contract", "time", "source", "writer", "tenant"),
    *("confidence", "reason", "row", "prev"),
)


@dataclass
class Checked:
    """What one journal holds, and what is wrong with it."""

    shard: str
    next: int
    witness: int
    events: int
    parked: int
    epochs: list[Epoch]
    checkpoints: dict[int, int]  # offset -> bytes
    drafts: list[str]
    damage: list[Damage]
    floor: int  # what lies before it is in the archive alone


@dataclass
class _Chains:
    """The newest event of every twin, as the frames so far link them."""

    newest: dict[str, Column] = field(default_factory=dict)  # kind -> offset by row

    def fault(self, batch: Batch, names: dict[str, list[str]]) -> str:
        """Take a frame in; return what is wrong with its rows and links, or ""."""
        row, prev = batch.columns["row"].astype(np.int64), batch.columns["prev"]
        contract, stands = batch.columns["contract"], batch.columns["reason"] == 0
        if (row[~stands] != -1).any() or (prev[~stands] != -1).any():
            return "a parked event is linked to a twin"
        if not ((contract[stands] >= 0) & (contract[stands] < len(batch.contracts))).all():
            return "an event that stands has no contract"
        kinds = np.array([*(name.partition(".")[0] for name in batch.contracts), ""])
        for kind in np.unique(kinds[contract[stands]]).tolist():
            at = np.flatnonzero(stands & (kinds[contract] == kind))
            known = len(names.get(kind, ()))
            if ((row[at] < 0) | (row[at] >= known)).any():
                return f"an event is about a {kind} that has no name"
            wanted = self._links(kind, row[at], batch.first + at, known)
            wrong = np.flatnonzero(wanted != prev[at])
            if wrong.size:
                i = int(wrong[0])
                offset = batch.first + int(at[i])
                return f"offset {offset} links to {int(prev[at[i]])}, not to {int(wanted[i])}"
        return ""

    def _links(self, kind: str, row: Column, offset: Column, known: int) -> Column:
        newest = self.newest.get(kind, np.empty(0, np.int64))
        if newest.size < known:
            grown = np.full(max(known, 2 * newest.size), -1, np.int64)
            grown[: newest.size] = newest
            newest = self.newest[kind] = grown
        order = np.argsort(row, kind="stable")
        before = newest[row[order]]
        again = np.flatnonzero(np.diff(row[order]) == 0) + 1
        before[again] = offset[order][again - 1]
        newest[row] = offset  # the last one of a row stays
        links = np.empty_like(before)
        links[order] = before
        return links


def check(shard: str, folder: Path, archive: Archive | None = None) -> Checked:
    """Read the whole journal of a shard in `folder`, and in `archive` what is only there."""
    reader = JournalReader(folder, archive=archive)
    chains = _Chains()
    places: list[tuple[int, Path, int]] = []
    hashes: list[Column] = []
    parked: list[Column] = []
    following, witnessed, clock = 0, 0, 0
    last: Batch | None = None
    for batch in reader.batches():
        for fault in _frame_faults(batch, last, following, witnessed, clock):
            reader.spoilt(batch.file, batch.start, fault)
        if batch.size and not reader.damage:  # behind damage, names and links are not all known
            if fault := _size_fault(batch) or chains.fault(batch, reader.names):
                reader.spoilt(batch.file, batch.start, fault)
            places.append((batch.first, batch.file, batch.start))
            hashes.append(batch.columns["hash"])
            parked.append(batch.columns["reason"] != 0)
        following = batch.first + batch.size
        witnessed, clock, last = max(witnessed, batch.witness), batch.ingest_time, batch
    if hashes and not reader.damage:
        _repeats(reader, places, np.concatenate(hashes), np.concatenate(parked))
    following = _ends(reader, following)
    if max(reader.witness, witnessed) > following:
        known = max(reader.witness, witnessed)
        file, end = (last.file, last.end) if last else (folder, 0)
        reader.spoilt(file, end, f"the journal ends at {following}, {known} was acknowledged")
    kept = _checkpoints(reader, folder, following)
    return Checked(
        shard,
        following,
        reader.witness,
        sum(epoch.events for epoch in reader.epochs),
        sum(epoch.parked for epoch in reader.epochs),
        reader.epochs,
        kept,
        drafts(folder),
        reader.damage,
        reader.floor,
    )


def _frame_faults(
    batch: Batch, last: Batch | None, following: int, witnessed: int, clock: int
) -> list[str]:
    faults = []
    if batch.first != following:
        word = "is missing" if batch.first > following else "was there before"
        at = following if batch.first > following else batch.first
        before = f" on {last.file} byte {last.end}" if last else ""
        faults.append(f"offset {at} {word}: {following} should follow{before}, {batch.first} does")
    if f"e{batch.epoch}" != batch.file.parent.name:
        faults.append(f"a frame of epoch {batch.epoch} among those of {batch.file.parent.name}")
    segment = batch.file.name.startswith("seg-")
    if segment and batch.start == 0 and batch.file.name != f"seg-{batch.first:020d}.twj":
        faults.append(f"the segment begins with offset {batch.first}, not as its name says")
    if not witnessed <= batch.witness <= batch.first:
        faults.append(f"witness {batch.witness} of offset {batch.first}, {witnessed} before it")
    if last is not None and batch.ingest_time < clock:
        faults.append("the clock of the journal went back")
    return faults


def _size_fault(batch: Batch) -> str:
    n = batch.size
    for name in PER_EVENT:
        column = batch.columns.get(name)
        if column is None or column.shape[0] != n:
            return f"column {name} does not have a value for each of {n} events"
    if batch.columns["id.offsets"].size != n + 1:
        return f"not each of {n} events has an id"
    return ""


def _ends(reader: JournalReader, following: int) -> int:
    """Hold seals against what was read; return the offset behind the journal."""
    for epoch in reader.epochs:
        if epoch.seal is None:
            continue
        if epoch.next >= 0 and epoch.seal.next != epoch.next:
            what = f"the seal ends its epoch at {epoch.seal.next}, its frames at {epoch.next}"
            reader.spoilt(reader.folder / f"seal-{epoch.number}", 0, what)
        following = max(following, epoch.seal.next)
    return following


def _repeats(
    reader: JournalReader, places: list[tuple[int, Path, int]], hashes: Column, parked: Column
) -> None:
    """Tell each event that is journaled twice; one that was parked may be offered anew."""
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: equal ones stay in journal order
    pair = hashes[order]
    again = np.flatnonzero((pair[1:] == pair[:-1]).all(axis=1)) + 1
    firsts = np.array([place[0] for place in places])
    for i in again[~parked[order[again - 1]]].tolist():
        offset, before = int(order[i]), int(order[i - 1])  # no damage: offsets are positions
        _, file, start = places[int(np.searchsorted(firsts, offset, "right")) - 1]
        reader.spoilt(file, start, f"offset {offset} has the id of offset {before}: applied twice")


def _checkpoints(reader: JournalReader, folder: Path, following: int) -> dict[int, int]:
    kept = {}
    for path in checkpoints(folder):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            continue  # a newer one took its place meanwhile
        kept[int(path.name[5:25])] = len(raw)
        try:
            held = parse(memoryview(raw), 0, path)
        except Bad as e:
            reader.spoilt(path, 0, f"{e}; recovery passes this checkpoint over")
            continue
        if held.first != int(path.name[5:25]):
            reader.spoilt(path, 0, f"the checkpoint is of offset {held.first}")
        elif held.first > following and not reader.damage and not _grew(folder, held.first):
            reader.spoilt(path, 0, f"the checkpoint is beyond the journal, which ends {following}")
    return kept


def _grew(folder: Path, offset: int) -> bool:
    """Say whether a journal that is being written has meanwhile reached `offset`."""
    again = JournalReader(folder)
    return max((batch.first + batch.size for batch in again.batches()), default=0) >= offset
