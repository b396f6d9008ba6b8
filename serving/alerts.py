"""Alerts of one shard: the thread that watches it, and what people do to its alerts.

The watch works beside the writer and journals through the writer's own thread; where it has come
is written down, unsynced, as a hint from where a successor goes on: an older one does no harm.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from actors.rehearsal import Rehearsal
from actors.shard import Shard
from actors.watchman import Watchman
from serving import deadline
from serving.access import Identity
from serving.alert_tail import AlertTail
from serving.cells import point
from serving.pace import Pace
from serving.rulebook import Rulebook
from serving.wire import twin_pb2 as pb
from twin.alert_events import Action
from twin.alerts import ALERT
from twin.errors import (
    BadRequest,
    Compacted,
    Fatal,
    Fenced,
    Overloaded,
    Retryable,
    Unavailable,
)
from twin.kinds import KINDS
from twin.remembered import MOST_HELD, TOLD_A_SECOND
from twin.rules import parse, ready

log = logging.getLogger(__name__)
MARKS = "alerts"  # the folder of them
LOOK_S = 1.0  # between two looks at what time changes, and at the rules
SHARE = 0.1  # of a core, at most, for such looks: where they take long they come less often
JUDGING = 0.1  # of a core, over time: beyond it the watch rests, and judges more at once
TOGETHER = 2  # times as much counts what was judged of several commits: those can wait
KEPT_S = 0.02  # of processor time, for what comes out of quiet
LONGEST_REST_S = 0.04  # so an alert waits no longer, however much comes
END_S = 5.0


class ShardAlerts:
    """What a shard answers about its alerts."""

    def __init__(
        self,
        shard: Shard,
        io: ThreadPoolExecutor,
        clock: Callable[[], int],
        end: Callable[[Fatal], Any],
    ) -> None:
        self.watch: Watch | None = None
        self._shard, self._io, self._clock, self._end = shard, io, clock, end
        self._rehearsing = asyncio.Lock()  # one at a time: each takes a state's memory
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="alert tail")
        self._rehearser = ThreadPoolExecutor(1, thread_name_prefix="rehearsal")

    def begin(self, folder: Path) -> None:
        """Watch the shard from now on, if it holds alerts."""
        if ALERT in self._shard.rule.kinds:
            self._tail = AlertTail(self._shard, self._clock)
            self._shard.watches = (*self._shard.watches, self._tail.watch)
            self.watch = Watch(self._shard, folder, self._io, self._clock, self._end)

    def stop(self) -> None:
        if self.watch is not None:
            self.watch.stop()

    async def alerts(self, request: pb.AlertsRequest, who: Identity) -> pb.AlertsReply:
        if not request.events:
            raise BadRequest("a shard ranks no alerts; ask a gateway")
        self._watching()
        work = partial(self._tail.answer, request, who)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def act(self, request: pb.ActRequest, who: Identity) -> pb.ActReply:
        watch = self._watching()
        work = partial(watch.act, request, who)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._io, work)
        except Fatal as e:
            self._end(e)
            raise

    async def rehearse(self, request: pb.RehearseRequest, who: Identity) -> pb.RehearseReply:
        rules = [ready(rule) for rule in parse(request.rules, "the rules")]
        if self._rehearsing.locked():
            raise Overloaded(f"{self._shard.name} rehearses already; ask again", 2.0)
        over = threading.Event()
        one = Rehearsal(self._shard, rules, who.tenant, request.since, request.until)
        until = deadline.until()

        def goes_on() -> bool:
            return not over.is_set() and time.monotonic() < until

        async with self._rehearsing:
            work = partial(one.run, self._clock(), goes_on)
            try:
                done = await asyncio.get_running_loop().run_in_executor(self._rehearser, work)
            finally:
                over.set()  # also where the caller has gone
        if not done:
            raise Unavailable("the call's time was over before the journal's end; allow more", 1.0)
        self._shard.require_marker()
        found = [
            pb.Rehearsal(
                rule=name,
                raised=count.raised,
                cleared=count.cleared,
                open=len(count.open),
                examples=count.examples,
            )
            for name, count in one.counts.items()
        ]
        return pb.RehearseReply(rules=found, events=one.events, now=self._clock())

    def _watching(self) -> Watch:
        if self.watch is None:
            raise Unavailable(f"{self._shard.name} does not watch its twins yet; ask again", 0.2)
        return self.watch


class Mark(msgspec.Struct, frozen=True):
    """What a watch writes down: before which offset all is judged, and which rules are full."""

    judged: int
    full: list[str] = []


def notes(folder: Path) -> dict[str, str]:
    """Return what Status says of rules that hold of more twins than anybody could look after."""
    rules: dict[str, list[str]] = {}
    for path in sorted((folder / MARKS).glob("*.json")):
        try:
            mark = msgspec.json.decode(path.read_bytes(), type=Mark)
        except (OSError, msgspec.DecodeError):
            continue
        for rule in mark.full:
            rules.setdefault(rule, []).append(path.stem.replace("-", "/"))
    told = (
        f"holds of over {MOST_HELD} twins, or began more than {TOLD_A_SECOND} times a second; "
        "not all its alerts are raised there: mend the rule"
    )
    return {f"rule {rule}": f"{told} ({', '.join(names)})" for rule, names in rules.items()}


class Watch:
    """Watches a shard from a thread of its own, until it is stopped or fenced."""

    def __init__(
        self,
        shard: Shard,
        folder: Path,
        io: ThreadPoolExecutor,
        clock: Callable[[], int],
        end: Callable[[Fatal], Any],
    ) -> None:
        self._shard, self._io, self._end, self._clock = shard, io, end, clock
        self._rulebook = Rulebook(folder)
        self._mark = folder / MARKS / f"{shard.name.replace('/', '-')}.json"
        self._marked: Mark | None = None
        self._stop = threading.Event()
        self.watchman = Watchman(shard, self._in_writer, clock)
        book = self._rulebook.book()
        self.watchman.lay(book.ready, whole=not book.faults)
        since = self._read_mark()
        shard.watches = (*shard.watches, self.watchman.watch)
        self._thread = threading.Thread(
            target=self._run, args=(since,), name="watchman", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for what is under way."""
        self._stop.set()
        self.watchman.stirred.set()
        self._thread.join(END_S)
        self._shard.watches = tuple(w for w in self._shard.watches if w != self.watchman.watch)

    def act(self, request: pb.ActRequest, who: Identity) -> pb.ActReply:
        """Do what a person asks for. In the writer's thread."""
        what = Action(request.action, who.name, request.owner, request.until, request.note)
        offset = self.watchman.act(who.tenant, request.alert, what, who.name)
        asked = pb.GetRequest(kind=ALERT, id=request.alert)
        found = point(self._shard, KINDS[ALERT], asked, who.tenant, self._clock)
        return pb.ActReply(alert=found.twin, receipt=f"{self._shard.name}/{offset}")

    def _run(self, since: int) -> None:
        begun, following, rested = False, 0.0, 0.0
        pace = Pace(JUDGING, KEPT_S, LONGEST_REST_S)
        while not self._stop.is_set():
            try:
                if not begun:
                    self.watchman.begin(since)
                    begun = True
                self.watchman.stirred.clear()  # before the look: what comes meanwhile stirs again
                computed = time.thread_time()
                together = TOGETHER if self.watchman.drain() > 1 else 1
                start = time.monotonic()
                rested = start + pace.rest(start, together * (time.thread_time() - computed))
                if start >= following:
                    self._look()
                    following = start + max(LOOK_S, (time.monotonic() - start) / SHARE)
            except Fenced:
                log.info("%s: replaced; its successor watches", self._shard.name)
                return
            except Fatal as e:
                self._end(e)
                return
            except Compacted as e:  # its mark is older than the journal: what is so now, is judged
                log.warning("%s: what was not judged is gone: %s", self._shard.name, e)
                begun, since = False, self._shard.next
                continue
            except Exception as e:  # a thread's boundary: logged, and tried again
                level = logging.INFO if isinstance(e, Retryable) else logging.CRITICAL
                log.log(level, "%s: alerts wait", self._shard.name, exc_info=True)
                begun, since = False, self.watchman.judged  # what was not journaled is not known
                self._stop.wait(0.2)
                continue
            self.watchman.stirred.wait(max(0.0, following - time.monotonic()))
            self._stop.wait(max(0.0, rested - time.monotonic()))  # most often it is over by now

    def _look(self) -> None:
        if self._rulebook.changed():
            book = self._rulebook.book()
            self.watchman.lay(book.ready, whole=not book.faults)
        self.watchman.step()
        mark = Mark(self.watchman.judged, self.watchman.full)
        if mark != self._marked:
            self._write_mark(mark)

    def _in_writer(self, work: Callable[[], None]) -> None:
        self._io.submit(work).result()

    def _read_mark(self) -> int:
        """Return from which offset on it is to be judged what the last writer may not have."""
        try:
            mark = msgspec.json.decode(self._mark.read_bytes(), type=Mark)
            return min(max(0, mark.judged), self._shard.next)
        except (OSError, msgspec.DecodeError):
            return self._shard.next  # nobody watched before: what is past raises nothing

    def _write_mark(self, mark: Mark) -> None:
        try:
            self._mark.parent.mkdir(exist_ok=True)
            draft = self._mark.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(mark))
            draft.replace(self._mark)
            self._marked = mark
        except OSError as e:  # a full disk: a successor goes back further
            log.info("%s: how far it judged is not written down: %s", self._shard.name, e)
