"""The disk drill: take a shard's disk and process away while clients write; see it come home.

What was acknowledged and not yet archived is lost with a disk: it is counted, and so is the time
it covers (the recovery point). Everything before that must be there, at its offset, to the event.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.archives import archive_of
from cluster.drills.aim import now_us
from cluster.drills.history import History
from cluster.drills.kill import Clients
from cluster.drills.run import REPORTS, serving
from cluster.journal_check import check
from cluster.journal_reader import JournalReader
from cluster.journal_reader import shards as journals_of
from serving.client import connect
from twin.errors import BadRequest, Unavailable

Say = Callable[[str], None]
BACK_S = 120.0
PAUSE_S = 0.05
AFTER_S = 2.0  # of writing, once it is back


@dataclass
class Report:
    """What became of the events of a shard whose disk was lost."""

    shard: str
    run: str
    seed: int
    acknowledged: int = 0  # before the disk was lost
    offset: int = 0  # ... of the next event then
    archived: int = 0  # where the archive ended
    lost: int = 0  # acknowledged and not archived
    rpo_s: float = 0.0  # from the first acknowledgement that was lost to the loss of the disk
    missing: int = 0  # acknowledged, archived, and not there: none may be
    after: int = 0  # acknowledged by the successor
    back_s: float = -1.0  # until it acknowledged again
    epochs: tuple[int, int] = (0, 0)
    restored: str = ""
    digests: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # of the journal, by a second reading

    def failures(self) -> list[str]:
        """Return why the drill failed, in words; nothing if it passed."""
        found = [] if self.acknowledged else ["nothing was acknowledged before the disk was lost"]
        found += [] if self.restored else ["the journal was not brought home: no disk was lost"]
        found += [] if self.after else ["the successor acknowledged nothing"]
        found += [f"{self.missing} archived events are missing"] if self.missing else []
        differ = [name for name, (one, other) in self.digests.items() if one != other or not one]
        return found + [f"{name} digests differ" for name in differ] + self.faults

    def plain(self) -> dict[str, Any]:
        return asdict(self) | {"failures": self.failures()}


def run(folder: Path, shard: str, *, seconds: float, seed: int, say: Say) -> Report:
    """Take the disk of one shard away after `seconds` of writing; return what was found.

    Raises BadRequest without an archive, Unavailable if the shard does not come back.
    """
    archive = archive_of(folder, shard)
    if archive is None:
        raise BadRequest("no archive is configured, so nothing would come back; set storage.url")
    with connect(folder, name="drill") as client:
        status = serving(client)
        name = f"drill.{seed}.{time.time_ns() // 1_000_000:x}"
        (folder / REPORTS).mkdir(exist_ok=True)
        history = History(folder / REPORTS / f"{name}.jsonl")
        report = Report(shard, name, seed)
        clients = Clients(folder, history.path, name, seed, status.now, [shard])
        try:
            clients.aim([shard])
            _until(lambda: history.answer_of(shard, 1), history, "acknowledges nothing")
            time.sleep(seconds)
            victim = next(s for s in client.status().shards if s.name == shard)
            report.offset = victim.offset
            say(f"  {shard}: epoch {victim.epoch}, pid {victim.pid}, acknowledged {victim.offset}")
            lost_at = _lose(journals_of(folder)[shard], victim.pid)
            say("  its folder is deleted, its process killed")
            back = _until(
                lambda: history.answer_of(shard, victim.epoch + 1, lost_at), history, "stays away"
            )
            report.back_s = (back - lost_at) / 1e6
            time.sleep(AFTER_S)
            clients.end()
        finally:
            clients.kill()
        history.more()
        after = next(s for s in serving(client, verify=True).shards if s.name == shard)
        report.epochs, report.restored = (victim.epoch, after.epoch), after.archive.restored
        report.digests = {
            "truth": [after.truth_digest, after.journal_truth_digest],
            "replay": [after.replay_digest, after.journal_replay_digest],
        }
    home = journals_of(folder)[shard]
    _count(report, history, home, victim.epoch, lost_at)
    report.faults = [
        f"{fault.file} byte {fault.byte}: {fault.what}"
        for fault in check(shard, home, archive).damage
    ]
    return report


def lines(report: Report) -> list[str]:
    """Return a report as lines."""
    out = [
        f"  {report.restored}",
        f"  acknowledged {report.acknowledged} before   lost with the disk {report.lost} "
        f"(offsets from {report.archived} on)   recovery point {report.rpo_s:.2f} s",
        f"  archived and missing {report.missing}   acknowledged after {report.after}",
        f"  epoch {report.epochs[0]} -> {report.epochs[1]}, back after {report.back_s:.2f} s",
    ]
    for name, (one, other) in report.digests.items():
        word = "equal" if one == other != "" else "DIFFERENT"
        out.append(f"  {name} digest {one[:12]}…   memory and journal {word}")
    failures = report.failures()
    out += [f"  FAILED: {failure}" for failure in failures]
    return [*out, f"  seed {report.seed}   {'FAILED' if failures else 'passed'}"]


def _lose(home: Path, pid: int) -> int:
    """Delete the folder of a shard, and kill its process; return when, in us."""
    gone = home.with_name(f".{home.name}.lost")
    home.rename(gone)  # at once: what its process still writes is in no journal any more
    os.kill(pid, signal.SIGKILL)
    lost_at = now_us()
    shutil.rmtree(gone)
    return lost_at


def _until(happened: Callable[[], int], history: History, what: str) -> int:
    until = time.monotonic() + BACK_S
    while time.monotonic() < until:
        history.more()
        if at := happened():
            return at
        time.sleep(PAUSE_S)
    raise Unavailable(f"the shard {what}; see `twin status` and its log", 0)


def _count(report: Report, history: History, home: Path, epoch: int, lost_at: int) -> None:
    """Hold every acknowledgement against the journal, as it is now."""
    reader = JournalReader(home, archive=archive_of(home.parents[3], report.shard))
    held: dict[int, str] = {}
    for batch in reader.batches():
        ids = batch.ids() if batch.size else []
        held.update((batch.first + i, id) for i, id in enumerate(ids) if id.startswith(report.run))
    seal = next(one.seal for one in reader.epochs if one.number == epoch)
    report.archived = seal.next if seal else 0
    first_lost = lost_at
    for answered_at, by, offset, id in _acknowledged(report.run, history):
        if by > epoch:
            report.after += 1
            report.missing += held.get(offset) != id
        elif offset < report.archived:
            report.acknowledged += 1
            report.missing += held.get(offset) != id
        else:
            report.acknowledged += 1
            report.lost += 1
            first_lost = min(first_lost, answered_at)
    report.rpo_s = (lost_at - first_lost) / 1e6


def _acknowledged(run_: str, history: History) -> Iterator[tuple[int, int, int, str]]:
    """Yield (when, epoch, offset, id) of every event that was acknowledged."""
    for offer in history.offers.values():
        places = [(one.epoch, one.offset + i) for one in offer.runs for i in range(one.size)]
        for number, (epoch, offset) in enumerate(places, offer.first):
            yield offer.answered_at, epoch, offset, f"{run_}-{offer.client}-{number}"
