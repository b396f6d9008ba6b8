"""The drill's load: clients in a process of their own, who write down what they did.

    python -m cluster.drills.load --folder F --history FILE --run NAME --seed S --now US

Each shard has steady clients with one batch on its way at a time; a shard that is aimed at has a
heavy one beside them. A batch is offered again, ids unchanged, until it is answered. A line is
written before each offer and after each answer, so the history never knows more than they did.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from serving.client import OUTCOMES, Client, Event, Receipt, connect, patiently
from twin.errors import Retryable, TwinError

SOURCE = "demo/drill"
TWINS, MOST_TWINS = 6, 256  # of each shard, at least; looked up to find them, at most
CLIENTS = 3  # of each shard: the last is the heavy one
STEADY, HEAVY = 100, 40_000  # most events in a batch
AIMED_S, ASIDE_S, HEAVY_S, REFUSED_S = 0.001, 0.3, 0.2, 0.5  # pauses between batches
PATIENCE_S = 60.0  # at the end, for batches that are not answered yet


class Place(NamedTuple):
    """A shard, and the twins of it that the drill tells of: they are its own, and so named."""

    shard: str
    kind: str
    region: str
    subjects: tuple[str, ...]


class Aim(NamedTuple):
    shards: tuple[str, ...]
    heavy: bool


class History:
    """Appends lines to a file; a line is whole, or not there."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def note(self, **said: Any) -> None:
        with self._lock:  # the time is taken inside, so that lines are in its order
            line = json.dumps({"at": time.monotonic_ns() // 1000, **said}, separators=(",", ":"))
            self._file.write(line.encode() + b"\n")


class Writer:
    """One client of one shard."""

    def __init__(
        self, number: int, place: Place, part: int, run: str, now_us: int, seed: int
    ) -> None:
        self.number, self.place, self.heavy = number, place, part == CLIENTS - 1
        self._run, self._now_us = run, now_us
        self._subjects = place.subjects[part::CLIENTS]  # its own, so that no two times are equal
        self._next = 0
        self._rng = random.Random(seed * 1009 + number)

    def batch(self) -> tuple[int, list[Event]]:
        """Return the number of the first event, and the next events."""
        most = HEAVY if self.heavy else STEADY
        size = self._rng.randint(most // 2 if self.heavy else 1, most)
        first, self._next = self._next, self._next + size
        return first, [self._event(number) for number in range(first, first + size)]

    def _event(self, number: int) -> Event:
        place = self.place
        subject = self._subjects[number % len(self._subjects)]
        name = f"{self._run}-{self.number}-{number}"
        kind, data = fact(place.kind, number)
        time_us = self._now_us + number
        return Event(kind, SOURCE, subject, time_us, data, name, place.region, confidence=0.1)


class Load:
    """All writers, and the history they share."""

    def __init__(self, folder: Path, history: History, writers: Sequence[Writer]) -> None:
        self._folder = folder
        self._history = history
        self._aim = Aim((), heavy=False)
        self._turned = threading.Condition()
        self._ended = False
        self._threads = [
            threading.Thread(target=self._write, args=(writer,), daemon=True) for writer in writers
        ]

    def run(self) -> bool:
        """Offer until standard input ends; say whether every batch was answered."""
        for thread in self._threads:
            thread.start()
        for line in sys.stdin:
            said = json.loads(line)
            with self._turned:
                self._aim = Aim(tuple(said["shards"]), said["heavy"])
                self._turned.notify_all()
        with self._turned:
            self._ended = True
            self._turned.notify_all()
        until = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _write(self, writer: Writer) -> None:
        with connect(self._folder, writer.place.region, "drill") as client:
            while self._wait(writer):
                first, events = writer.batch()
                self._offer(client, writer, first, events)

    def _wait(self, writer: Writer) -> bool:
        """Pause as the aim wants it of this writer; False when it is to end."""
        with self._turned:
            if writer.heavy:
                self._turned.wait_for(lambda: self._ended or self._heavy(writer))
                self._turned.wait_for(lambda: self._ended, HEAVY_S)
            else:
                aimed = writer.place.shard in self._aim.shards
                self._turned.wait_for(lambda: self._ended, AIMED_S if aimed else ASIDE_S)
            return not self._ended

    def _heavy(self, writer: Writer) -> bool:
        return self._aim.heavy and writer.place.shard in self._aim.shards

    def _offer(self, client: Client, writer: Writer, first: int, events: list[Event]) -> None:
        about: dict[str, Any] = {"c": writer.number, "n": first, "k": len(events)}
        until = time.monotonic() + PATIENCE_S
        while not (self._ended and time.monotonic() > until):
            self._history.note(do="invoke", shard=writer.place.shard, **about)
            try:
                receipts = client.ingest(events)
            except Retryable as e:
                self._history.note(do="info", why=e.code, **about)
                time.sleep(min(1.0, max(0.05, e.retry_after)))
            except TwinError as e:
                self._history.note(do="fail", why=e.code, **about)
                time.sleep(REFUSED_S)
                return
            else:
                self._history.note(do="ok", runs=runs(receipts), **about)
                return


def runs(receipts: Sequence[Receipt]) -> list[list[Any]]:
    """Return receipts in short: [shard, epoch, outcome, offset, how many] of consecutive ones."""
    out: list[list[Any]] = []
    for one in receipts:
        like = [one.shard, one.epoch, OUTCOMES.index(one.outcome)]
        if out and out[-1][:3] == like and one.offset == out[-1][3] + out[-1][4]:
            out[-1][4] += 1
        else:
            out.append([*like, one.offset, 1])
    return out


def fact(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    """Return the type and payload of a drill's event: a new value each time."""
    lat, lon = latitude(number), float(number % 360 - 180)
    if kind == "shipment":
        return "shipment.position", {"lat": lat, "lon": lon}
    if kind == "site":
        words = {"name": "drill", "country": "NL", "function": "drill"}
        return "site.registered", {**words, "lat": lat, "lon": lon}
    return "supplier.registered", {"name": "drill", "aggregator": True}


def latitude(number: int) -> float:
    return (number % 18_001) / 100 - 90.0


def places(client: Client, shards: Sequence[str]) -> list[Place]:
    """Return for each shard the twins that the drill may tell of, by asking who writes them."""
    held: dict[str, list[str]] = {name: [] for name in shards}
    for kind, region in sorted({(kind, region) for kind, region, _ in map(_parts, shards)}):
        mine = [name for name in shards if _parts(name)[:2] == (kind, region)]
        for number in range(MOST_TWINS):
            if all(len(held[name]) >= TWINS for name in mine):
                break
            id = f"drill-{number}"
            owner = patiently(partial(client.locate, kind, id, region)).shard
            if owner in held:
                held[owner].append(id)
    return [Place(name, *_parts(name)[:2], tuple(ids)) for name, ids in held.items()]


def _parts(shard: str) -> tuple[str, str, str]:
    kind, region, number = shard.split("/")
    return kind, region, number


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cluster.drills.load", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--run", required=True, help="first part of every id")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--now", type=int, required=True, help="event time of the first events, us")
    parser.add_argument("shards", nargs="+")
    given = parser.parse_args(argv)
    with connect(given.folder, name="drill") as client:
        found = places(client, given.shards)
    writers = [
        Writer(CLIENTS * i + part, place, part, given.run, given.now, given.seed)
        for i, place in enumerate(found)
        for part in range(CLIENTS)
    ]
    history = History(given.history)
    answered = Load(given.folder, history, writers).run()
    history.note(do="end", answered=answered)
    return 0 if answered else 1


if __name__ == "__main__":
    sys.exit(main())
