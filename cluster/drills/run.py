"""A drill from beginning to end: clients, kills, the count, and what it all says.

It passes only if every phase was hit as often as asked and every counter of a wrong is 0.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cluster.archives import archive_of
from cluster.config import Config
from cluster.drills import count
from cluster.drills.history import History
from cluster.drills.kill import PHASES, Clients, Killer, Killing
from cluster.host import CONFIG
from cluster.journal_check import check
from cluster.journal_reader import shards as journals_of
from serving.client import Client, connect, patiently
from twin.errors import Unavailable

Say = Callable[[str], None]
EACH = 10  # one of so many kills is asked of each phase
REPORTS = "reports"
SERVING_S = 120.0


@dataclass
class Report:
    """What a drill found."""

    seed: int
    run: str
    wanted: int  # kills
    each: int  # ... of each phase
    killing: Killing
    counts: count.Counts
    refusals: dict[str, int]  # batches, by code word
    other_takeovers: int  # successions that the drill did not cause
    faults_of_journals: list[str]
    twins: tuple[int, int, str, str]  # in memory, by the journals; digests
    shards: list[dict[str, Any]]  # their own digests, of memory and journal

    @property
    def hits(self) -> Counter[str]:
        return self.killing.hits()

    @property
    def equal(self) -> bool:
        own = all(s["truth"][0] == s["truth"][1] != "" for s in self.shards)
        own = own and all(s["replay"][0] == s["replay"][1] != "" for s in self.shards)
        return own and self.twins[2] == self.twins[3] and self.twins[0] > 0

    def failures(self) -> list[str]:
        """Return why the drill failed, in words; nothing if it passed."""
        hits = self.hits
        found = [
            f"{p} was hit {hits[p]} times of {self.each}" for p in PHASES if hits[p] < self.each
        ]
        if hits.total() < self.wanted:
            found.append(f"{hits.total()} kills of {self.wanted} interrupted a batch")
        found += self.counts.wrongs()
        found += [f"{n} batches were refused with {code}" for code, n in self.refusals.items()]
        if not self.equal:
            found.append("memory and journal differ")
        return found + self.faults_of_journals

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "seed": self.seed,
            "run": self.run,
            **asdict(self.counts),
            "faults": {"total": self.hits.total(), **dict.fromkeys(PHASES, 0), **self.hits},
            "not_counted": sum(not kill.counts for kill in self.killing.kills),
            "moments_missed": dict(self.killing.missed),
            "refusals": self.refusals,
            "other_takeovers": self.other_takeovers,
            "recovery_s": self.recovery(),
            "twins": dict(
                zip(("memory", "journal", "digest", "journal_digest"), self.twins, strict=True)
            ),
            "shards": self.shards,
            "kills": [asdict(kill) for kill in self.killing.kills],
            "failures": self.failures(),
        }

    def recovery(self) -> dict[str, float]:
        """Return how long a shard acknowledged nothing after a kill, in seconds."""
        took = self.killing.recoveries()
        if not took:
            return {}
        p50, p95, most = np.percentile(took, [50, 95, 100]).tolist()
        return {"p50": p50, "p95": p95, "max": most}


def run(folder: Path, *, times: int, seed: int, shards: Sequence[str], say: Say) -> Report:
    """Drill the twin that runs in `folder`; `say` what happens.

    Raises Unavailable if the twin does not serve before, or a shard does not come back.
    """
    each = max(1, times // EACH)
    with connect(folder, name="drill") as client:
        status = serving(client)
        chosen = list(shards) or sorted(shard.name for shard in status.shards)
        before = {shard.name: shard.epoch for shard in status.shards}
        name = f"drill.{seed}.{time.time_ns() // 1_000_000:x}"
        (folder / REPORTS).mkdir(exist_ok=True)
        history = History(folder / REPORTS / f"{name}.jsonl")
        say(f"  seed {seed}   run {name}   shards {len(chosen)}   history {history.path}")
        clients = Clients(folder, history.path, name, seed, status.now, chosen)
        try:
            killer = Killer(
                folder,
                chosen,
                clients,
                history,
                run=name,
                rng=random.Random(seed),
                checkpoint_s=_checkpoint_s(folder),
                say=say,
            )
            killing = killer.run(times, each)
            say("  the clients finish what they offered")
            clients.end()
        finally:
            clients.kill()
        history.more()
        after = {shard.name: shard.epoch for shard in serving(client).shards}
        taken_over = sum(after[shard] - before[shard] for shard in chosen)
        say("  journals are read a second time, by their format alone")
        journals = count.Journals(name)
        for shard in chosen:
            journals.read(shard, journals_of(folder)[shard], archive_of(folder, shard))
        faults = _faults(folder)
        say("  shards rebuild their state from their journals, and compare")
        return Report(
            seed,
            name,
            times,
            each,
            killing,
            count.count(history, journals),
            history.refusals(),
            taken_over - len(killing.kills),
            faults,
            _twins(client, journals),
            _digests(client),
        )


def lines(report: Report) -> list[str]:
    """Return a report as lines."""
    counts, hits = report.counts, report.hits
    kinds = ", ".join(f"{phase} {number}" for phase, number in sorted(hits.items()))
    took = report.recovery()
    spread = "   ".join(f"{name} {took[name]:.2f} s" for name in took) or "none"
    memory, journal, digest, other = report.twins
    out = [
        f"  inputs {counts.inputs:,}   acknowledged {counts.acknowledged:,}   "
        f"lost {counts.lost}   duplicated {counts.duplicated}   "
        f"out_of_order {counts.out_of_order}   faults {hits.total()} ({kinds})",
        f"  never answered {counts.unanswered}   refused {counts.refused}   "
        f"unoffered {counts.unoffered}   kills that interrupted nothing "
        f"{sum(not kill.counts for kill in report.killing.kills)}   "
        f"takeovers by others {report.other_takeovers}",
        f"  recovery, from kill -9 to the next acknowledgement: {spread}",
        f"  {memory} twins of the drill: memory {digest}, second reading of {journal} {other}: "
        f"{_equal(digest, other)}",
    ]
    for shard in report.shards:
        truth, replay = shard["truth"], shard["replay"]
        out.append(
            f"  {shard['shard']:<16} at {shard['offset']:<8} truth {truth[0][:12]}… "
            f"replay {replay[0][:12]}…   memory and journal {_equal(*truth)}, {_equal(*replay)}"
        )
    missed = ", ".join(f"{phase} {n}" for phase, n in report.killing.missed.items())
    out += [f"  moments that never came: {missed}"] if missed else []
    failures = report.failures()
    out += [f"  FAILED: {failure}" for failure in failures]
    out.append(f"  seed {report.seed}   {'FAILED' if failures else 'passed'}")
    return out


def serving(client: Client, *, verify: bool = False) -> Any:
    """Return the status once every shard serves. Raises Unavailable."""
    until = time.monotonic() + SERVING_S
    while True:
        status = patiently(partial(client.status, verify=verify))
        away = [shard.name for shard in status.shards if shard.state != "serving"]
        if status.shards and not away:
            return status
        if time.monotonic() > until:
            raise Unavailable(f"{', '.join(away)} do not serve; see `twin status`", 0)
        time.sleep(0.2)


def _faults(folder: Path) -> list[str]:
    """Return what a second reading finds damaged, in every journal."""
    return [
        f"{shard}: {fault.file} byte {fault.byte}: {fault.what}"
        for shard, home in journals_of(folder).items()
        for fault in check(shard, home, archive_of(folder, shard)).damage
    ]


def _twins(client: Client, journals: count.Journals) -> tuple[int, int, str, str]:
    """Return how many twins of drills there are in memory and in journals, and their digests."""
    memory = count.in_memory(client)
    mine = {key: fact for key, fact in memory.items() if key in journals.twins}
    return len(mine), len(journals.twins), count.digest(mine), count.digest(journals.twins)


def _digests(client: Client) -> list[dict[str, Any]]:
    reply = client.status(verify=True)
    return [
        {
            "shard": shard.name,
            "epoch": shard.epoch,
            "offset": shard.offset,
            "truth": [shard.truth_digest, shard.journal_truth_digest],
            "replay": [shard.replay_digest, shard.journal_replay_digest],
        }
        for shard in sorted(reply.shards, key=lambda shard: shard.name)
    ]


def _checkpoint_s(folder: Path) -> float:
    config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=Config)
    return config.checkpoint_every_s


def _equal(one: str, other: str) -> str:
    return "equal" if one == other != "" else "DIFFERENT"
