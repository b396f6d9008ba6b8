"""The count: what became of every event, by the clients' histories and a second reading of disks.

An event is lost if it was acknowledged and its journal does not have it; nothing that only the
twin says of itself is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from actors.archive import Archive
from cluster.drills.history import History, Offer
from cluster.drills.load import SOURCE
from cluster.journal_reader import Batch, Column, JournalReader
from serving.client import OUTCOMES, Client

OWN = "drill-"  # how the drill's own twins are called
PLACED = ("shipment.position.v1", "site.registered.v1")  # contracts whose events say a latitude
GROUPS = {"shipment": ("position", "lat"), "site": ("place", "lat"), "supplier": ("profile", "")}
REFUSED = (OUTCOMES.index("PARKED"), OUTCOMES.index("REJECTED"))


class Entry(NamedTuple):
    """One event of a drill in a journal."""

    shard: str
    offset: int
    number: int


class Fact(NamedTuple):
    """What decides the state of one twin."""

    time: int
    offset: int
    latitude: str


@dataclass
class Journals:
    """The events of one drill in all journals, and what they make of the drill's twins."""

    run: str
    entries: dict[int, list[Entry]] = field(default_factory=dict)  # by client, in journal order
    twins: dict[str, Fact] = field(default_factory=dict)

    def read(self, shard: str, home: Path, archive: Archive | None = None) -> None:
        """Take in the journal of one shard, and from its archive what is only there."""
        reader = JournalReader(home, archive=archive)
        for batch in reader.batches():
            if batch.size and SOURCE in reader.words:
                self._take(reader, batch, shard)

    def _take(self, reader: JournalReader, batch: Batch, shard: str) -> None:
        columns = batch.columns
        code = reader.words.index(SOURCE)
        at = np.flatnonzero((columns["source"] == code) & (columns["reason"] == 0))
        if not at.size:
            return
        ids, latitude, region = batch.ids(), _latitudes(batch), shard.split("/")[1]
        kinds = [name.partition(".")[0] for name in batch.contracts]
        for i in at.tolist():
            run, client, number = _parts(ids[i])
            if run == self.run:
                entry = Entry(shard, batch.first + i, number)
                self.entries.setdefault(client, []).append(entry)
            kind = kinds[int(columns["contract"][i])]
            name = reader.names[kind][int(columns["row"][i])].partition("/")[2]
            if name.startswith(OWN):
                key = f"{kind}/{region}/{name}"
                fact = Fact(int(columns["time"][i]), batch.first + i, _text(latitude[i]))
                self.twins[key] = max(fact, self.twins.get(key, fact))


@dataclass
class Counts:
    """The counters of a drill; all behind the first three are to be 0."""

    inputs: int = 0  # distinct events offered
    acknowledged: int = 0
    unanswered: int = 0  # offered, and never answered: they may be in the journal, or not
    lost: int = 0  # acknowledged, and not in the journal
    duplicated: int = 0  # journaled more than once, or acknowledged at another place
    out_of_order: int = 0  # behind a later event of the same client
    unoffered: int = 0  # in the journal, and nobody offered them
    refused: int = 0  # answered as parked, as rejected, or with an error that says: do not repeat

    def wrongs(self) -> list[str]:
        """Return what must not be, in words."""
        wrong = {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out of order": self.out_of_order,
            "journaled, and nobody offered them": self.unoffered,
            "refused": self.refused,
        }
        found = [f"{number} events are {what}" for what, number in wrong.items() if number]
        return found if self.acknowledged else [*found, "nothing was acknowledged"]


def count(history: History, journals: Journals) -> Counts:
    """Hold what the clients know against what the journals have."""
    total = Counts()
    offered = dict(history.by_client())
    for client, offers in offered.items():
        _client(total, offers, journals.entries.get(client, []))
    for client in journals.entries.keys() - offered.keys():
        total.unoffered += len(journals.entries[client])
    return total


def _client(total: Counts, offers: list[Offer], entries: list[Entry]) -> None:
    """Count the events of one client. It offers one batch after the other, numbers rising."""
    size = max(offer.first + offer.count for offer in offers)
    offered, acknowledged, refused = (np.zeros(size, np.bool_) for _ in range(3))
    told = np.full(size, -1, np.int64)
    for offer in offers:
        offered[offer.first : offer.first + offer.count] = True
        refused[offer.first : offer.first + offer.count] = bool(offer.refused)
        at = offer.first
        for run in offer.runs:
            said = refused if run.outcome in REFUSED else acknowledged
            said[at : at + run.size] = True
            told[at : at + run.size] = np.arange(run.offset, run.offset + run.size)
            if said is acknowledged and run.shard != offer.shard:
                total.duplicated += run.size
            at += run.size
    times, found = np.zeros(size, np.int64), np.full(size, -1, np.int64)
    greatest = -1
    for entry in entries:
        if entry.number >= size or not offered[entry.number]:
            total.unoffered += 1
            continue
        total.duplicated += entry.shard != offers[0].shard
        times[entry.number] += 1
        found[entry.number] = entry.offset
        total.out_of_order += times[entry.number] == 1 and entry.number < greatest
        greatest = max(greatest, entry.number)
    total.inputs += int(offered.sum())
    total.acknowledged += int(acknowledged.sum())
    total.refused += int(refused.sum())
    total.unanswered += int((offered & ~acknowledged & ~refused).sum())
    total.lost += int((acknowledged & (times == 0)).sum())
    total.duplicated += int(np.maximum(times - 1, 0).sum())
    total.duplicated += int((acknowledged & (times == 1) & (told != found)).sum())


def in_memory(client: Client) -> dict[str, Fact]:
    """Ask the twin for its state of the drill's twins."""
    found = {}
    for kind, (group, value) in GROUPS.items():
        columns = client.columns(kind, [value] if value else ["name"]).columns
        blank = np.full(columns["id"].size, np.nan)
        rows = zip(
            *(columns[name].tolist() for name in ("id", "region")),
            *(columns[f"{group}_{name}"].tolist() for name in ("as_of", "offset")),
            (columns[value] if value else blank).tolist(),
            strict=True,
        )
        for id, region, as_of, offset, latitude in rows:
            if id.startswith(OWN):
                found[f"{kind}/{region}/{id}"] = Fact(as_of, offset, _text(latitude))
    return found


def digest(twins: Mapping[str, Fact]) -> str:
    """Return a hash of twins: key, event time and offset of what decided each, and its value."""
    lines = (f"{key} {' '.join(map(str, fact))}\n" for key, fact in sorted(twins.items()))
    return sha256("".join(lines).encode()).hexdigest()[:32]


def journaled(home: Path, since: int, wanted: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return (epoch, offset behind its frame) of each wanted id that a journal has."""
    left, found = set(wanted), {}
    for batch in JournalReader(home).batches(since):
        if batch.size and left:
            for id in left & set(batch.ids()):
                found[id] = (batch.epoch, batch.first + batch.size)
            left -= found.keys()
    return found


def _parts(id: str) -> tuple[str, int, int]:
    """Return run, client and number of an event, by its id."""
    head, _, number = id.rpartition("-")
    run, _, client = head.rpartition("-")
    return (run, int(client), int(number)) if client.isdigit() else ("", 0, 0)


def _latitudes(batch: Batch) -> Column:
    """Return the latitude that each event says (size,), NaN where it says none."""
    whole = np.full(batch.size, np.nan)
    said = batch.columns.get("data.lat")
    if said is not None:
        names = np.array([*batch.contracts, ""])[batch.columns["contract"]]
        whole[np.isin(names, PLACED) & (batch.columns["reason"] == 0)] = said
    return whole


def _text(latitude: float) -> str:
    return f"{latitude:.2f}"
