"""The kill drill: end shards with -9 while clients of another process write, and count.

Every kill interrupts a batch that somebody waits for. A phase counts as hit when the disk shows
it: a torn frame, a synced one without an answer, a draft of a checkpoint, a successor without a
word. What did not happen fails the drill.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster import journal_reader
from cluster.drills import aim, count
from cluster.drills.aim import Hit, Victim
from cluster.drills.history import History
from twin.errors import JournalCorrupt, Unavailable

Say = Callable[[str], None]
APPEND, SYNCED, CHECKPOINT, RECOVERY = "append", "after_fsync", "checkpoint", "recovery"
PHASES = (APPEND, SYNCED, CHECKPOINT, RECOVERY)
UNSURE, ELSEWHERE = "before_or_in_fsync", "elsewhere"  # no phases that are aimed at
APART_S = 11.0  # of kills of one shard: the supervisor takes it over every 10 s at most
RECOVERIES_S = 65.0  # of successors of one shard killed: 3 failed starts in 60 s quarantine it
FLOW_S, MOMENT_S, BACK_S = 30.0, 20.0, 90.0
DRAFT_S = 0.005  # a draft is there for no longer than its sync takes
LOAD_END_S = 120.0
ROUND_S = 0.02


@dataclass
class Kill:
    """One kill, and what it turned out to be."""

    number: int
    shard: str
    epoch: int
    pid: int
    aimed: str
    phase: str
    at_us: int  # as the histories have it
    waiting: int  # batches that the dead process never answered
    torn_bytes: int
    back_s: float  # until the shard acknowledged something again; -1: it was killed again before

    @property
    def counts(self) -> bool:
        return self.waiting > 0


@dataclass
class Killing:
    """What the kills of a drill came to."""

    kills: list[Kill] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)  # aims whose moment never came

    def hits(self) -> Counter[str]:
        return Counter(kill.phase for kill in self.kills if kill.counts)

    def recoveries(self) -> list[float]:
        return sorted(kill.back_s for kill in self.kills if kill.back_s >= 0)


class Clients:
    """The drill's clients: a process of their own, aimed through its standard input."""

    def __init__(
        self, folder: Path, history: Path, run: str, seed: int, now_us: int, shards: Sequence[str]
    ) -> None:
        argv = [sys.executable, "-m", "cluster.drills.load", "--folder", str(folder)]
        argv += ["--history", str(history), "--run", run, "--seed", str(seed)]
        argv += ["--now", str(now_us), *shards]
        with history.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def aim(self, shards: Sequence[str], *, heavy: bool = False) -> None:
        assert self._process.stdin is not None
        try:
            line = json.dumps({"shards": list(shards), "heavy": heavy})
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as e:
            raise Unavailable("the drill's clients ended by themselves; see their log", 0) from e

    def end(self) -> None:
        """Have them finish what they offered, and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(LOAD_END_S)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Killer:
    """Picks victims and moments, kills, and finds out what was hit."""

    def __init__(
        self,
        folder: Path,
        shards: Sequence[str],
        clients: Clients,
        history: History,
        *,
        run: str,
        rng: random.Random,
        checkpoint_s: float,
        say: Say,
    ) -> None:
        self.done = Killing()
        self._folder, self._clients, self._history = folder, clients, history
        self._homes = {name: journal_reader.shards(folder)[name] for name in shards}
        self._run, self._rng, self._say = run, rng, say
        self._checkpoint_s = checkpoint_s
        self._drafts = {name: set(aim.drafts(home)) for name, home in self._homes.items()}
        self._struck = dict.fromkeys(shards, -APART_S)  # when each was killed last
        self._failed = dict.fromkeys(shards, -RECOVERIES_S)  # ... while it recovered

    def run(self, times: int, each: int) -> Killing:
        """Kill until `times` kills counted and every phase was hit `each` times, or give up."""
        self._flow(list(self._homes), dict.fromkeys(self._homes, 1))
        for turn in range(2 * times + 8 * each):
            hits = self.done.hits()
            short = [phase for phase in PHASES if hits[phase] < each]
            if hits.total() >= times and not short:
                break
            aims = short or list(PHASES)
            self._round(aims[turn % len(aims)])
        return self.done

    def _round(self, wanted: str) -> None:
        """One kill, or two: a successor can only be killed after its predecessor."""
        apart = RECOVERIES_S if wanted == RECOVERY else 0.0
        victims = self._ready(apart)
        if wanted != CHECKPOINT:
            victims = [self._rng.choice(victims)]
        names = [victim.shard for victim in victims]
        self._clients.aim(names, heavy=wanted in {APPEND, SYNCED})
        self._flow(names, {victim.shard: victim.epoch for victim in victims})
        hits = self._hit(wanted, victims)
        if not hits:
            self.done.missed[wanted] += 1
            return
        last = hits[-1]
        self._struck[last.victim.shard] = time.monotonic()
        back_at = self._back(last)
        self._judge(wanted, hits, back_at)

    def _hit(self, wanted: str, victims: list[Victim]) -> list[Hit]:
        """Wait for the moment and kill."""
        victim = victims[0]
        until_s = time.monotonic() + MOMENT_S
        if wanted == APPEND:
            come = aim.await_append(victim, until_s)
        elif wanted == SYNCED:
            come = aim.await_witness(victim, until_s)
        elif wanted == CHECKPOINT:
            until_s += 2 * self._checkpoint_s
            begun = aim.await_draft(victims, self._drafts, until_s)
            come = begun is not None
            victim = begun or victim
            self._await_batch(victim, DRAFT_S)
        else:
            come = True
            time.sleep(self._rng.uniform(0.0, 0.3))
            self._await_batch(victim, FLOW_S)
        first = self._strike(victim) if come else None
        if first is None or wanted != RECOVERY:
            return [first] if first else []
        successor = aim.await_successor(victim, self._rng, time.monotonic() + BACK_S)
        again = self._strike(successor) if successor else None
        if again:
            self._failed[victim.shard] = time.monotonic()
        return [first, again] if again else [first]

    def _strike(self, victim: Victim) -> Hit | None:
        known = self._drafts[victim.shard]
        hit = aim.strike(self._folder, victim, known)
        known.update(hit.drafts if hit else ())
        return hit

    def _judge(self, wanted: str, hits: list[Hit], back_at: int) -> None:
        """Tell what each kill was, from what it left."""
        for hit in hits:
            victim, interrupted = hit.victim, hit is not hits[-1]
            waiting = self._history.unanswered_by(victim.shard, victim.epoch, hit.at)
            firsts = [f"{self._run}-{offer.client}-{offer.first}" for offer in waiting]
            found = count.journaled(victim.home, victim.epoch, firsts)
            ends = [end for epoch, end in found.values() if epoch == victim.epoch]
            ended = self._epoch(victim)
            shown = [
                (RECOVERY, victim is not hits[0].victim and self._mute(hit)),
                (APPEND, ended.torn > 0),
                (CHECKPOINT, bool(hit.drafts)),
                (SYNCED, any(end <= hit.witness for end in ends)),
                (UNSURE, bool(ends)),
                (ELSEWHERE, True),
            ]
            found_phases = [phase for phase, seen in shown if seen]
            kill = Kill(
                len(self.done.kills) + 1,
                victim.shard,
                victim.epoch,
                victim.pid,
                wanted,
                wanted if wanted in found_phases else found_phases[0],
                hit.at,
                len(waiting),
                ended.torn,
                -1.0 if interrupted else (back_at - hit.at) / 1e6,
            )
            self.done.kills.append(kill)
            self._tell(kill)

    def _tell(self, kill: Kill) -> None:
        torn = f"   torn {kill.torn_bytes:,} bytes" if kill.torn_bytes else ""
        back = (
            f"back after {kill.back_s:.2f} s"
            if kill.back_s >= 0
            else "killed again before it is back"
        )
        note = "" if kill.counts else "   NOT COUNTED: every batch was answered"
        self._say(
            f"  {kill.number:>3}  {kill.shard:<16} epoch {kill.epoch:<3} pid {kill.pid:<7} "
            f"aimed {kill.aimed:<11} hit {kill.phase:<18} {kill.waiting} unanswered   "
            f"{back}{torn}{note}"
        )

    def _epoch(self, victim: Victim) -> journal_reader.Epoch:
        """Return the epoch of a victim, read by format alone."""
        reader = journal_reader.JournalReader(victim.home)
        for _ in reader.batches(victim.epoch):
            pass
        return reader.epochs[0]

    def _mute(self, hit: Hit) -> bool:
        """Say whether an epoch never served: it journaled nothing and answered nothing."""
        epoch = hit.victim.epoch
        answered = any(
            offer.epoch == epoch
            for offer in self._history.offers.values()
            if offer.shard == hit.victim.shard
        )
        return not answered and self._epoch(hit.victim).frames == 0

    def _ready(self, apart_s: float) -> list[Victim]:
        """Return the shards that may be killed now; wait until there is one."""
        until = time.monotonic() + BACK_S + RECOVERIES_S
        while time.monotonic() < until:
            now, routes = time.monotonic(), aim.routes(self._folder)
            found = [
                Victim(name, home, int(str(routes[name]["epoch"])), int(str(routes[name]["pid"])))
                for name, home in self._homes.items()
                if routes.get(name, {}).get("state") == "serving"
                and now - self._struck[name] > APART_S
                and now - self._failed[name] > apart_s
            ]
            if found:
                return found
            time.sleep(ROUND_S)
        raise Unavailable("no shard serves for a long time; see `twin status`", 0)

    def _flow(self, shards: Sequence[str], epochs: dict[str, int]) -> None:
        """Wait until each of the shards has acknowledged something new."""
        since, until = aim.now_us(), time.monotonic() + FLOW_S
        left = list(shards)
        while left:
            self._history.more()
            left = [n for n in left if not self._history.answer_of(n, epochs[n], since)]
            if left and time.monotonic() > until:
                raise Unavailable(f"nothing is acknowledged by {', '.join(left)}; see its log", 0)
            time.sleep(ROUND_S)

    def _await_batch(self, victim: Victim, patience_s: float) -> None:
        """Wait until a batch is on its way to a shard, as far as its clients have written down."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            self._history.more()
            if self._history.on_way(victim.shard, aim.now_us()):
                return
            time.sleep(aim.PAUSE_S)

    def _back(self, hit: Hit) -> int:
        """Return when a successor of the killed process first acknowledged something."""
        until = time.monotonic() + BACK_S
        while time.monotonic() < until:
            self._history.more()
            name = hit.victim.shard
            if at := self._history.answer_of(name, hit.victim.epoch + 1, hit.at):
                return at
            route = aim.routes(self._folder).get(name, {})
            if route.get("state") == "quarantined":
                raise JournalCorrupt(f"{name} is quarantined: {route['note']}; see `twin error`")
            time.sleep(ROUND_S)
        raise Unavailable(f"{hit.victim.shard} did not come back within {BACK_S:.0f} s", 0)
