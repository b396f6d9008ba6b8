"""The kill drill: end a shard with -9 while events flow, then count what became of every event.

The counts come from this client's own history and from the twin's receipts; equal digests of
memory and of a fresh replay of the journal show that the successor knows what the disk knows.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from serving.client import Client, Event, Receipt
from twin.errors import Retryable, TwinError
from twin.kinds import ABSENT

Say = Callable[[str], None]
BATCH = 20  # events
RUN_S = 6.0
KILL_AFTER_S = 2.0
BACK_S = 60.0
SOURCE = "demo/drill"
ASK = 500  # receipts in one call


class History(NamedTuple):
    """What this client did: every id it offered, and the receipt of each that was answered."""

    offered: list[str]
    answered: dict[str, Receipt]
    unsure: list[str]  # offered, and the answer lost: offered again with the same id


class Load:
    """Offers positions of known shipments, batch by batch, until told to stop."""

    def __init__(self, client: Client, ids: list[tuple[str, str]], run: str, now_us: int) -> None:
        self.history = History([], {}, [])
        self._client = client
        self._ids = ids
        self._run = run
        self._now_us = now_us
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._offer, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(BACK_S)

    def _offer(self) -> None:
        for batch in self._batches():
            self.history.offered.extend(event.id for event in batch)
            while not self._stop.is_set() or batch[0].id not in self.history.answered:
                try:
                    for receipt in self._client.ingest(batch):
                        self.history.answered[receipt.id] = receipt
                    break
                except Retryable as e:
                    self.history.unsure.extend(event.id for event in batch)
                    time.sleep(max(0.05, e.retry_after))
            if self._stop.is_set():
                return

    def _batches(self) -> Iterator[list[Event]]:
        number = 0
        while True:
            batch = []
            for _ in range(BATCH):
                id, region = self._ids[number % len(self._ids)]
                place = {"lat": (number % 120) - 60.0, "lon": (number % 300) - 150.0}
                time_us = self._now_us - 86_400_000_000 + number
                name = f"{self._run}-{number}"
                event = Event("shipment.position", SOURCE, id, time_us, place, name, region)
                batch.append(event._replace(confidence=0.1))
                number += 1
            yield batch


def kill_shard(client: Client, say: Say) -> bool:
    """Kill one shipment shard under load; say what happened. True if nothing was lost."""
    status = client.status()
    victim = max((s for s in status.shards if s.kind == "shipment"), key=lambda s: s.offset)
    open_ones = client.search("shipment", "delivered_at IS ABSENT", ["supplier"], limit=200)
    ids = [(twin.id, twin.region) for twin in open_ones.twins if twin.shard == victim.name]
    load = Load(client, ids, f"drill-{os.getpid()}-{status.now}", status.now)
    load.start()
    time.sleep(KILL_AFTER_S)
    before = len(load.history.answered)
    os.kill(victim.pid, signal.SIGKILL)
    killed = time.monotonic()
    say(f"  {victim.name} (pid {victim.pid}, epoch {victim.epoch}) killed after {before} receipts")
    back_s = _back(client, ids[0], victim.epoch, killed)
    time.sleep(max(0.0, RUN_S - KILL_AFTER_S - back_s))
    load.stop()
    return _account(client, victim.name, load.history, back_s, say)


def _back(client: Client, one: tuple[str, str], epoch: int, since: float) -> float:
    """Return the seconds until a twin of the shard was answered for by a newer epoch."""
    while time.monotonic() - since < BACK_S:
        try:
            if client.get("shipment", *one).epoch > epoch:
                return time.monotonic() - since
        except TwinError:
            time.sleep(0.02)
    return ABSENT


def _account(client: Client, shard: str, history: History, back_s: float, say: Say) -> bool:
    offered, answered = history.offered, history.answered
    acknowledged = [id for id in offered if id in answered]
    seen: dict[str, tuple[str, int]] = {}
    for at in range(0, len(acknowledged), ASK):
        for receipt in client.receipts(SOURCE, acknowledged[at : at + ASK]):
            seen[receipt.id] = (receipt.outcome, receipt.offset)
    lost = [id for id in acknowledged if seen.get(id, ("UNSEEN", -1))[0] == "UNSEEN"]
    moved = [id for id in acknowledged if seen[id][1] != answered[id].offset]
    places = [(answered[id].shard, answered[id].offset) for id in acknowledged]
    doubled = len(places) - len(set(places)) + len(moved)
    (after,) = (s for s in client.status(verify=True).shards if s.name == shard)
    equal = after.truth_digest == after.journal_truth_digest
    equal = (
        equal and after.replay_digest == after.journal_replay_digest and after.truth_digest != ""
    )
    say(
        f"  epoch {after.epoch} answered {back_s:.2f} s after the kill "
        f"(recovery {after.recovery_s:.2f} s, {after.replayed} events replayed)"
    )
    say(
        f"  offered {len(offered)}  acknowledged {len(acknowledged)}  lost {len(lost)}  "
        f"duplicated {doubled}  answers lost and asked again {len(history.unsure)}"
    )
    word = "equal" if equal else "DIFFERENT"
    say(f"  truth  digest {after.truth_digest[:12]}… at {after.offset}: memory and journal {word}")
    say(f"  replay digest {after.replay_digest[:12]}… at {after.offset}: memory and journal {word}")
    return equal and bool(acknowledged) and not lost and not doubled and back_s >= 0
