"""The watchman: judges the twins of a shard by its rules, and journals what crosses.

It looks at every change, in the order of the journal, and at what time alone changes, now and
then. The alerts themselves are its memory: killed at any moment, it reads again what was not
judged, and says of it what it would have said. It never makes the writer wait for a judgement.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.shard import Shard
from twin.alert_contracts import PENDING, SNOOZED, STANDING
from twin.alert_events import Action, Scene, acted, crossed, same, woken
from twin.alerts import ALERT, alert_id, named
from twin.caught import Caught, Plan, caught_of, joined, piece, plans_of, sight
from twin.columns import Message
from twin.crossings import SWEPT, Crossing, Crossings
from twin.errors import BadRequest, UnknownKey
from twin.events import Row, columns_of
from twin.frames import Frame
from twin.kinds import ABSENT
from twin.outcomes import Outcome, Reason
from twin.remembered import Held
from twin.rules import Ready
from twin.sources import OWN
from twin.transition import Snapshot, State

log = logging.getLogger(__name__)
NAME = f"{OWN}watchman"  # the named identity under which it writes
MOST_CAUGHT = 500_000  # rows that wait to be judged; what comes beyond that is read in the journal
TOGETHER = 20_000  # rows judged at once
PIECE = 32_768  # rows that are copied while the writer waits: under a millisecond
SUBJECT = 4  # of a row: where its subject is
UTTERED = 64  # events journaled at once: what the writer is kept from others stays a few ms
Column = NDArray[Any]


class Watchman:
    """Judges one shard. `run`: does something in the writer's thread, and waits for it.

    `watch` is called there as well; everything else in one other thread.
    """

    def __init__(
        self,
        shard: Shard,
        run: Callable[[Callable[[], None]], None],
        clock: Callable[[], int],
    ) -> None:
        self.overtaken = 0  # commits that came too fast to be caught, and were read in the journal
        self.refused = 0  # events that were not taken: a fault of this program
        self.looked_at = 0  # the clock when what time alone changes was looked at last
        self.stirred = threading.Event()
        self._shard, self._run, self._clock = shard, run, clock
        self._plans: tuple[Plan, ...] = ()
        self._rules: tuple[Ready, ...] = ()
        self._queue: deque[Caught] = deque()
        self._waiting = self._pushed = self._taken = 0
        self._missed = -1  # the first offset that was not caught: it is read in the journal
        self._reading = -1  # ... from where on that is under way
        self._crossings = Crossings(self._recall)
        self._looked: dict[str, int] = {}  # rule -> the clock when it was looked at last
        self._fresh: set[str] = set()  # rules whose every twin is to be looked at
        self._catching_up = False
        self._whole = False
        self._state = shard.study(lambda state: state)  # read in the writer's thread alone

    def lay(self, rules: Sequence[Ready], *, whole: bool = True) -> None:
        """Judge by these rules from now on; what was raised by others is cleared.

        Unless these are not the `whole` of them, as some could not be read.
        """
        self._whole = whole
        mine = tuple(one for one in rules if one.rule.kind in self._shard.rule.kinds)
        before = {one.rule.name: one.rule for one in self._rules}
        for one in (one for one in mine if before.get(one.rule.name) != one.rule):
            self._fresh.add(one.rule.name)
            self._crossings.held(one.rule.kind, one.rule.name).begin_anew()
        self._rules = mine
        self._plans = plans_of(mine)

    def begin(self, since: int) -> None:
        """Remember what was raised, and judge what was journaled from `since` on and was not.

        `watch` is in place already: what is committed from now on is caught there.
        """
        self._reading = since
        self._crossings.empty()
        until = self._load()
        self._catching_up = self._crossings.keeps = True
        for frame in self._shard.frames(since) if since < until else ():
            if frame.first >= until:
                break
            if not frame.size:
                continue
            outcome = self._shard.study(
                partial(_outcomes, np.arange(frame.first, frame.first + frame.size))
            )
            look = partial(caught_of, self._plans, frame, outcome, late=True)
            for one in self._shard.study(look):
                self._judge([one])
        self._crossings.settle()
        self._catching_up, self._reading = False, -1

    def watch(self, frame: Frame, outcome: NDArray[np.int8]) -> None:
        """Take what a commit changed. In the writer's thread, while the lock is held."""
        if self._missed >= 0 or self._waiting > MOST_CAUGHT:
            self._missed = self._missed if self._missed >= 0 else frame.first
            self.overtaken += 1
            self.stirred.set()
            return
        found = caught_of(self._plans, frame, outcome, self._state)
        for one in found:
            self._queue.append(one)
            self._waiting += one.rows.size
            self._pushed += 1
        if found:
            self.stirred.set()

    def step(self) -> None:
        """Judge what was caught, then what time has changed."""
        self.drain()
        now_us = self._clock()
        self._retire(now_us)
        self._fresh |= {name for _, name in self._crossings.room(now_us)}
        looked = [one for one in self._rules if self._is_due(one, now_us)]
        for kind in dict.fromkeys(one.rule.kind for one in looked):
            self._sweep(kind, [one for one in looked if one.rule.kind == kind], now_us)
        for one in looked:
            self._looked[one.rule.name] = now_us
            self._fresh.discard(one.rule.name)
        for one in self._rules:
            self._utter(self._crossings.due(one, now_us, self._shard.next))
        self._wake(now_us)
        self.looked_at = now_us

    def drain(self) -> int:
        """Judge what was caught so far; return how many commits that were."""
        commits = self._drain(self._pushed)
        if (missed := self._missed) >= 0:
            self.begin(missed)
        return commits

    @property
    def full(self) -> list[str]:
        """Return the rules that hold of more twins, or begin more often, than anybody looks at."""
        return sorted(name for _, name in self._crossings.full)

    @property
    def waiting(self) -> int:
        """Return how many changes were caught and are not judged."""
        return self._waiting

    @property
    def judged(self) -> int:
        """Return an offset before which everything was judged."""
        return self._shard.lend(self._judged)  # between two commits: what is applied was caught

    def _judged(self, live: Snapshot) -> int:
        waits = [one.first for one in list(self._queue)[:1]]
        return min([live.offset, *waits, *(at for at in (self._missed, self._reading) if at >= 0)])

    def _is_due(self, one: Ready, now_us: int) -> bool:
        if one.rule.name in self._fresh:
            return True
        last = self._looked.get(one.rule.name)
        return one.timed and (last is None or now_us - last >= one.rule.every_us)

    def _drain(self, until: int) -> int:
        """Judge what was caught before the push numbered `until`, in order."""
        commits = 0
        while self._taken < until:
            some: list[Caught] = []
            size = 0
            for one in islice(self._queue, until - self._taken):
                if some and size + one.rows.size > TOGETHER:
                    break
                some.append(one)
                size += one.rows.size
            parts: dict[tuple[str, tuple[str, ...]], list[Caught]] = {}
            for one in some:
                parts.setdefault((one.kind, one.reads), []).append(one)
            for part in parts.values():
                self._judge(part)
            for _ in some:  # only now: what is judged and not journaled is judged again
                self._queue.popleft()
            self._taken += len(some)
            self._waiting -= size
            commits += len({one.first for one in some})
        return commits

    def _judge(self, some: Sequence[Caught]) -> None:
        """Judge what was caught for the same rules."""
        for plan in self._plans:
            # What was caught for other rules is passed over: those that are new look at all.
            if (plan.kind, plan.reads) != (some[0].kind, some[0].reads):
                continue
            if (seen := joined(plan, some, self._state)) is not None:
                for ready in plan.rules:
                    self._utter(self._crossings.judge(ready, seen))

    def _sweep(self, kind: str, rules: Sequence[Ready], now_us: int) -> None:
        """Look at every twin of a kind, some rows at a time, as they stand."""
        names = tuple(dict.fromkeys(name for one in rules for name in one.columns))
        start = 0
        while start < self._state.kinds[kind].keys.size:
            look = partial(self._piece, kind, names, start)
            columns, rows, judged, pushed = self._shard.lend(look)
            if self._missed >= 0:  # they hold what was not judged yet: that comes first
                self.drain()
                continue
            self._drain(pushed)  # what was caught before those rows were copied comes first
            start += rows.size
            where = (rows, np.full(rows.size, SWEPT), np.full(rows.size, now_us))
            named = any(one.of_ids for one in rules)
            seen = sight(kind, self._state, columns, where, judged, named=named)
            for ready in rules:
                self._utter(self._crossings.judge(ready, seen))

    def _piece(
        self, kind: str, names: tuple[str, ...], start: int, live: Snapshot
    ) -> tuple[dict[str, Column], Column, int, int]:
        return (*piece(kind, names, start, PIECE, live), live.offset, self._pushed)

    def _utter(self, crossings: Sequence[Crossing]) -> None:
        """Journal what crossed, a few at a time, so that others are let in between."""
        for at in range(0, len(crossings), UTTERED):
            self._run(partial(self._tell, crossings[at : at + UTTERED]))

    def _tell(self, crossings: Sequence[Crossing]) -> None:
        """Journal some crossings. In the writer's thread: nothing is committed meanwhile."""
        said: dict[str, list[Row]] = {}
        for one in crossings:
            tenant, _, subject = self._shard.name_of(one.kind, one.row).partition("/")
            alert = alert_id(one.kind, subject, one.rule)
            if any(row[SUBJECT] == alert for row in said.get(tenant, ())):
                self._offer(said)  # what happens to it next rests on what just did
                said = {}
            scene = self._scene(tenant, one.kind, subject, alert)
            if (row := crossed(one, scene)) is not None:
                said.setdefault(tenant, []).append(row)
        self._offer(said)

    def act(self, tenant: str, alert: str, what: Action, writer: str) -> int:
        """Journal what a person did to an alert; return the offset. In the writer's thread.

        Raises UnknownKey, or BadRequest ALERT_STATE where its state forbids it.
        """
        about = named(alert)
        scene = self._scene(tenant, about.kind, about.subject, alert)
        if not scene.alert:
            raise UnknownKey(f"no alert is called {alert}; look with `twin alerts`")
        if (before := same(what, scene)) is not None:
            return before
        row = acted(alert, what, scene, self._clock())
        message = Message(columns_of([row]), tenant, writer, own=True)
        receipt = self._shard.offer([message])[0]
        if receipt.outcome[0] in (Outcome.PARKED, Outcome.REJECTED):
            reason = Reason(int(receipt.reason[0])).name
            raise BadRequest(f"what is to be written down is refused: {reason}; send other texts")
        return int(receipt.offset[0])

    def _offer(self, said: dict[str, list[Row]]) -> None:
        if not said:
            return
        messages = [Message(columns_of(rows), t, NAME, own=True) for t, rows in said.items()]
        for message, receipt in zip(messages, self._shard.offer(messages), strict=True):
            bad = np.isin(receipt.outcome, (Outcome.PARKED, Outcome.REJECTED))
            if bad.any():
                self.refused += int(bad.sum())
                ids = [message.offered.subject.get(i) for i in np.flatnonzero(bad).tolist()]
                log.error("%s: alerts were not taken: %s", self._shard.name, ids[:5])

    def _scene(self, tenant: str, kind: str, subject: str, alert: str) -> Scene:
        cells = _cells(self._shard, kind, tenant, subject)
        known = _cells(self._shard, ALERT, tenant, alert)
        shard = self._shard
        return Scene(shard.name, shard.rule.region, subject, cells, known, shard.word)

    def _wake(self, now_us: int) -> None:
        """Let what was snoozed wait for a person again, where its time has come."""
        code = self._state.lexicon.code(SNOOZED)
        if code < 0:
            return

        def asleep(live: Snapshot) -> list[str]:
            table = live.tables[ALERT]
            rows = np.flatnonzero(table.column("state") == code)
            over = rows[table.take("snoozed_until", rows) <= now_us]
            return live.names[ALERT].take(over).list()

        if names := self._shard.lend(asleep):
            self._run(partial(self._rouse, names, now_us))

    def _rouse(self, names: Sequence[str], now_us: int) -> None:
        said: dict[str, list[Row]] = {}
        for name in names[:UTTERED]:
            tenant, _, alert = name.partition("/")
            about = named(alert)
            scene = self._scene(tenant, about.kind, about.subject, alert)
            if (row := woken(alert, scene, now_us)) is not None:
                said.setdefault(tenant, []).append(row)
        self._offer(said)

    def _retire(self, now_us: int) -> None:
        """Clear what was raised by rules that are gone."""
        if not self._whole:
            return
        mine = {(one.rule.kind, one.rule.name) for one in self._rules}
        for kind, rule in self._crossings.rules:
            if (kind, rule) not in mine:
                self._utter(self._crossings.ended(kind, rule, now_us, self._shard.next))

    def _load(self) -> int:
        """Remember every alert that is raised, or whose clock runs; return as of which offset."""
        standing = (*STANDING, PENDING)

        def look(live: Snapshot) -> tuple[int, list[str], list[dict[str, Any]]]:
            self._queue.clear()  # it is read in the journal instead, up to here
            self._taken, self._waiting, self._missed = self._pushed, 0, -1
            table, lexicon = live.tables[ALERT], live.lexicon
            codes = [lexicon.code(state) for state in standing]
            rows = np.flatnonzero(np.isin(table.column("state"), [c for c in codes if c >= 0]))
            names = ("state", "out_since", "out_s", "judged_offset")
            held = {name: table.take(name, rows).tolist() for name in names}
            cells = [
                dict(zip(held, values, strict=True)) for values in zip(*held.values(), strict=True)
            ]
            return live.offset, live.names[ALERT].take(rows).list(), cells

        until, names, cells = self._shard.lend(look)
        for name, alert in zip(names, cells, strict=True):
            tenant, _, id = name.partition("/")
            about = named(id)
            if about.kind not in self._state.kinds:
                continue
            row = self._state.kinds[about.kind].keys.row(f"{tenant}/{about.subject}")
            if row >= 0:
                mine = self._crossings.held(about.kind, about.rule)
                mine.put(row, held_of(alert, self._state.lexicon.word, self._clock()))
        return until

    def _recall(self, ready: Ready, row: int) -> Held | None:
        """Return what an alert says that is neither raised nor begun, where that can matter."""
        if not (self._catching_up or ready.rule.total):
            return None
        tenant, _, subject = self._shard.name_of(ready.rule.kind, row).partition("/")
        alert = alert_id(ready.rule.kind, subject, ready.rule.name)
        cells = _cells(self._shard, ALERT, tenant, alert)
        return held_of(cells, self._shard.word, self._clock()) if cells else None


def held_of(alert: dict[str, Any], word: Callable[[int], str], now_us: int) -> Held:
    """Return what the cells of an alert say of it."""
    out_s, offset = alert.get("out_s", ABSENT), alert.get("judged_offset", ABSENT)
    return Held(
        word(int(alert.get("state", -1))) in STANDING,
        int(alert.get("out_since", ABSENT)),
        now_us,
        max(0, int(out_s)),
        max(0, int(offset)),
    )


def _outcomes(offset: NDArray[np.int64], state: State) -> NDArray[np.int8]:
    return state.seen.outcomes(offset)


def _cells(shard: Shard, kind: str, tenant: str, id: str) -> dict[str, Any]:
    """Return what is known of a twin, nothing if there is none."""
    try:
        return shard.row(kind, tenant, id).cells
    except UnknownKey:
        return {}
