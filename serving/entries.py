"""Entries: events of one twin's chain as messages, with what each stated and what it changed.

A chain belongs to one twin of one tenant, and whoever finds it has proven that it is the asker's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.past import Found
from actors.shard import Shard
from serving import encode
from serving.wire import twin_pb2 as pb
from twin.columns import event_ids, payload_column
from twin.contracts import CONTRACTS
from twin.course import NONE, Course, Turns
from twin.events import CORRECTS, NOTHING, RETRACTS
from twin.fields import SURE_DIGITS
from twin.kinds import BLANKS, Dtype
from twin.lexicon import Lexicon
from twin.outcomes import Outcome
from twin.promises import Promise
from twin.query import View
from twin.texts import texts
from twin.transition import Snapshot, State
from twin.why import silencer

Column = NDArray[Any]


class Entries:
    """The events of one twin, named and written out as they are asked for."""

    def __init__(self, shard: Shard, found: Found, tenant: str, id: str, now_us: int) -> None:
        self.shard = shard
        self.found = found
        self.tenant = tenant
        self.id = id
        self.now_us = now_us
        self.course = Course(found.kind, found.chain, found.ranks)
        self._lexicon, self._outcome = shard.study(self._hold)
        self._ids = event_ids(found.chain.frame)
        self._payload: dict[str, Column] = {}

    @property
    def key(self) -> str:
        return f"{self.tenant}/{self.found.kind}/{self.shard.rule.region}/{self.id}"

    def receipt(self, i: int) -> str:
        """Return the name of an event: shard/offset."""
        return f"{self.shard.name}/{int(self.found.chain.offset[i])}"

    def word(self, code: int) -> str:
        return self._lexicon.word(code)

    def source(self, i: int) -> str:
        return self._lexicon.word(int(self.found.chain.column("source")[i]))

    def entry(self, i: int) -> pb.HistoryEntry:
        """Return event `i` of the chain; what it changed is for the caller to add."""
        chain = self.found.chain
        contract = CONTRACTS[int(chain.column("contract")[i])]
        made = pb.HistoryEntry(
            offset=int(chain.offset[i]),
            event_time=int(chain.column("time")[i]),
            ingest_time=int(chain.ingest_time[i]),
            type=contract.name,
            source=self.source(i),
            id=self._ids.get(i),
            confidence=round(float(chain.column("confidence")[i]), SURE_DIGITS),
            writer=self._lexicon.word(int(chain.column("writer")[i])),
            receipt=self.receipt(i),
        )
        for promise in contract.payload:
            if self._states(promise, i):
                self._say(made.said[promise.name], promise, i)
        does = int(chain.column("does")[i])
        if does != NOTHING:
            made.amends = self._target(i)
        by = NONE if self.course.masks.speaks[i] or does == RETRACTS else silencer(self.course, i)
        if by != NONE:
            made.amended_by = self.receipt(by)
        made.outcome = self._outcome_of(i, does, withdrawn=by != NONE)
        return made

    def view(self, turns: Turns) -> View:
        """Return the twin after each of some turns, a row a turn."""
        held = self.course.rows(turns)
        names = texts([f"{self.tenant}/{self.id}"] * turns.event.size)
        kind = self.found.kind
        at = Snapshot(
            self.found.cut,
            int(self.found.chain.ingest_time[-1]),
            {kind: held.table.live()},
            {kind: names},
            self._lexicon,
        )
        return View(at, kind, self.tenant, self.shard.rule.region, self.now_us)

    def twins(self, view: View, rows: NDArray[np.int64], fields: list[str]) -> list[pb.TwinState]:
        """Return rows of such a view as messages."""
        return encode.twins(view, rows, fields, shard=self.shard.name, epoch=self.shard.epoch)

    def _hold(self, state: State) -> tuple[Lexicon, NDArray[np.int8]]:
        return state.lexicon, state.seen.find(self.found.chain.column("hash")).outcome.copy()

    def _outcome_of(self, i: int, does: int, *, withdrawn: bool) -> str:
        if does == RETRACTS:
            return "RETRACTION"
        if withdrawn:
            return "RETRACTED"
        return "CORRECTION" if does == CORRECTS else Outcome(int(self._outcome[i])).name

    def _target(self, i: int) -> str:
        """Return the id of the event that one amends; "" while it has not come."""
        target = self.found.chain.column("target")[i]
        same = (self.found.chain.column("hash") == target).all(axis=1)
        at = np.flatnonzero(same)
        return self._ids.get(int(at[-1])) if at.size else ""

    def _column(self, name: str) -> Column:
        if name not in self._payload:
            self._payload[name] = payload_column(self.found.chain.frame, name)
        return self._payload[name]

    def _states(self, promise: Promise, i: int) -> bool:
        value, blank = self._column(promise.name)[i], BLANKS[promise.dtype]
        return bool(value == value and value != blank)  # noqa: PLR0124 - NaN is not itself

    def _say(self, value: pb.Value, promise: Promise, i: int) -> None:
        held = self._column(promise.name)[i]
        if promise.dtype is Dtype.TEXT:
            value.text = self._lexicon.word(int(held))
        elif promise.dtype is Dtype.TIME:
            value.time = int(held)
        elif promise.dtype is Dtype.NUMBER:
            value.number = float(held)
        elif promise.dtype is Dtype.FLAG:
            value.flag = bool(held)
        else:
            value.integer = int(held)
        value.as_of = int(self.found.chain.column("time")[i])
        if promise.unit:
            value.unit = promise.unit
