"""The transition: one batch of events, and all that it does to the state of a shard.

`plan` is pure: it says what to journal. `commit` takes what is in the journal, from the live
path or from replay, and nothing else; so both arrive at the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import Admitted, Rule, admit, repeats
from twin.chain import Read, walk
from twin.chunks import Table
from twin.columns import (
    Message,
    Part,
    gather,
    kept_columns,
    of_kind,
)
from twin.contracts import CONTRACTS
from twin.dedup import Seen
from twin.derived import reserve
from twin.events import NOTHING
from twin.fold import KindState, fold
from twin.frames import Frame
from twin.kernels import chain
from twin.kinds import KINDS
from twin.lexicon import Draft, Lexicon
from twin.merge import HEAD, TENANT
from twin.outbox import Outbox
from twin.outcomes import APPLIED, PARKED, STANDS, SUPERSEDED, Outcome
from twin.pages import TableSnapshot
from twin.redrive import settle
from twin.retraction import Withdrawn, withdrawal
from twin.revisions import Revisions
from twin.slots import room
from twin.sources import rank
from twin.texts import Texts, join, texts

Column = NDArray[Any]
_KIND_OF = np.array([list(KINDS).index(c.kind) for c in CONTRACTS] + [-1])
_CONTRACTS = [contract.name for contract in CONTRACTS]


class Plan(NamedTuple):
    """What to journal of some messages, and what became of each event so far."""

    admitted: list[Admitted]  # per message
    kept: list[Column]  # per message: positions of the events in the frame
    frame: Frame


class Snapshot(NamedTuple):
    """What a shard held when every event before `offset` was applied, and no other."""

    offset: int
    ingest_time: int
    tables: dict[str, TableSnapshot]
    names: dict[str, Texts]
    lexicon: Lexicon  # append only: codes in the tables are known to it for ever


class State:
    """Every twin of a shard, and the ids of the events that made them. One writer."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.kinds = {name: KindState(KINDS[name]) for name in rule.kinds}
        self.lexicon = Lexicon()
        self.seen = Seen()
        self.withdrawn = Withdrawn()
        self.revisions = Revisions()
        self.outbox = Outbox()
        self.next = 0  # offset of the next event
        self.now = 0  # greatest ingest_time so far
        self.newest = 0  # greatest event_time that stands
        self.outcomes = np.zeros(len(Outcome), np.int64)
        self._ranks = np.zeros(0, np.int64)

    def plan(self, messages: Sequence[Message], epoch: int, now_us: int) -> Plan:
        """Return what to journal of `messages`, without changing anything."""
        now = max(now_us, self.now)  # the journal's clock never goes back, whatever NTP does
        draft = Draft(self.lexicon)
        admitted = [admit(m.offered, m.tenant, self.seen, self.rule, now) for m in messages]
        for one, message in zip(admitted, messages, strict=True):
            if message.redrives is None and not message.own:  # parked ones were not refused then
                reserve(one, message.offered, message.writer)
        if messages and messages[0].redrives is not None:
            settle(admitted[0], messages[0].redrives)  # it comes alone
        else:
            repeats(admitted)
        kept, parts = [], []
        for message, one in zip(messages, admitted, strict=True):
            at = ((one.outcome == APPLIED) | (one.outcome == PARKED)).nonzero()[0]
            kept.append(at)
            parts.append(kept_columns(message, one, at, draft))
        frame = self._frame(parts, draft, epoch, now)
        return Plan(admitted, kept, frame)

    def commit(self, frame: Frame, read: Read) -> NDArray[np.int8]:
        """Take durable events into the state; return the outcome of each.

        `read`: the frame that holds an offset, from the journal; asked only where a retraction
        withdraws what decided a value.
        """
        columns = frame.columns
        if "shipment" in self.kinds:
            self.outbox.before(frame, self.kinds["shipment"].table)
        self.lexicon.extend(frame.words)
        known = {name: held.keys.size for name, held in self.kinds.items()}
        for kind, names in frame.names.items():
            held = self.kinds[kind]
            held.keys.add(names)
            held.table.grow(held.keys.size)
        reason = columns["reason"]
        stands = reason == STANDS
        outcome = np.where(stands, SUPERSEDED, PARKED).astype(np.int8)
        speaks = stands & self.withdrawn.speaks(frame)
        for held in self.kinds.values():
            mine = stands & of_kind(frame, held.kind)
            at = (mine & speaks).nonzero()[0]
            if at.size:
                outcome[at[fold(held, frame, at, self.ranks(), self.seen)]] = APPLIED
            if mine.any():
                row = columns["row"][mine].astype(np.int64)
                held.table.put(HEAD, row, frame.first + mine.nonzero()[0])
                fresh = row >= known[held.kind.name]  # a twin is of one tenant for ever
                held.table.put(TENANT, row[fresh], columns["tenant"][mine][fresh])
        outcome[self.revisions.apply(frame, stands, self.kinds, self.ranks())] = APPLIED
        offset = np.arange(frame.first, frame.first + frame.size)
        self.seen.add(columns["hash"], columns["content"], offset, outcome, reason)
        if "does" in columns:
            self._withdraw(frame, outcome, read)
            self.seen.judge(frame.first, outcome)
        if "shipment" in self.kinds:
            self.outbox.note(frame, self.kinds["shipment"].table)
        self.outcomes += np.bincount(outcome, minlength=self.outcomes.size)
        self.next = frame.first + frame.size
        self.now = max(self.now, frame.ingest_time)
        standing = columns["time"][stands]
        self.newest = max(self.newest, int(standing.max(initial=0)))
        return outcome

    def turns(self, frame: Frame) -> bool:
        """Say whether a frame must not be joined to those before it (twin.outbox)."""
        held = self.kinds.get("shipment")
        return held is not None and self.outbox.turns(frame, held.table)

    def expect(self, events: int) -> None:
        """Make room for that many more events at once, where they are known to come."""
        self.seen.reserve(self.seen.size + max(0, events))

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.next,
            self.now,
            {name: held.table.snapshot() for name, held in self.kinds.items()},
            {name: held.keys.names() for name, held in self.kinds.items()},
            self.lexicon,
        )

    def live(self) -> Snapshot:
        """Return the state as it stands, nothing frozen: to be read before the next commit only."""
        return Snapshot(
            self.next,
            self.now,
            {name: held.table.live() for name, held in self.kinds.items()},
            {name: held.keys.names() for name, held in self.kinds.items()},
            self.lexicon,
        )

    def ranks(self) -> NDArray[np.int64]:
        """Return the rank of every source code."""
        if self._ranks.size != len(self.lexicon):
            more = [rank(word) for word in self.lexicon.since(self._ranks.size)]
            self._ranks = np.concatenate([self._ranks, np.array(more, np.int64)])
        return self._ranks

    def _frame(self, parts: Sequence[Part], draft: Draft, epoch: int, now: int) -> Frame:
        columns = gather(parts)
        count = columns["time"].size
        row = np.full(count, -1, np.int32)
        prev = np.full(count, -1, np.int64)
        subject = join([part.name for part in parts]) if parts else texts([])
        stands = columns["reason"] == STANDS
        names: dict[str, Texts] = {}
        for number, (name, held) in enumerate((n, self.kinds.get(n)) for n in KINDS):
            if held is None:
                continue
            at = (stands & (_KIND_OF[columns["contract"]] == number)).nonzero()[0]
            if not at.size:
                continue
            located = held.keys.locate(subject, at)
            row[at] = located.row
            if located.new.size:
                names[name] = located.new
            prev[at] = _chain(held.table, located.row, self.next + at)
        columns |= {"row": row, "prev": prev}
        return Frame(
            epoch,
            self.next,
            count,
            self.next,
            now,
            draft.new,
            names,
            _CONTRACTS,
            columns,
        )

    def _withdraw(self, frame: Frame, outcome: NDArray[np.int8], read: Read) -> None:
        """Apply the corrections and retractions of a frame, in order."""
        columns = frame.columns
        for i in ((columns["does"] != NOTHING) & (columns["reason"] == 0)).nonzero()[0].tolist():
            held = self.kinds[CONTRACTS[int(columns["contract"][i])].kind]
            row = int(columns["row"][i])
            entry = withdrawal(frame, i, int(self.ranks()[columns["source"][i]]))
            known = self.seen.find(columns["target"][i : i + 1])
            changed = self.withdrawn.add(entry)
            if not changed or known.entry[0] < 0 or known.outcome[0] == PARKED:
                continue  # nothing new, or a tombstone: the original has not come yet
            if self._refold(held, row, read):
                outcome[i] = APPLIED

    def _refold(self, held: KindState, row: int, read: Read) -> bool:
        """Fold all that still stands about one twin anew; say whether that changed it."""
        fresh = KindState(held.kind)
        fresh.table.grow(1)
        head = int(held.table.cell(HEAD, row))
        for offset in reversed(list(walk(head, read))):
            frame = read(offset)
            at = np.array([offset - frame.first])
            if self.withdrawn.speaks(frame)[at[0]]:
                fold(fresh, frame, at, self.ranks(), self.seen, np.zeros(1, np.int64))
        self.revisions.refold(held.kind.name, row, fresh, self.ranks())
        changed = False
        where = np.array([row])
        for name in held.table.blanks:
            if name in {HEAD, TENANT}:
                continue
            new = fresh.table.take(name, np.zeros(1, np.int64))
            old = held.table.take(name, where)
            if new.tobytes() != old.tobytes():
                held.table.put(name, where, new)
                changed = True
        if 0 in fresh.levels:
            held.levels[row] = fresh.levels[0]
        else:
            held.levels.pop(row, None)
        return changed


def _chain(table: Table, row: Column, offset: Column) -> NDArray[np.int64]:
    """Return for each event, about to be journaled at `offset`, the one before it of its twin."""
    prev = np.full(row.size, -1, np.int64)
    old = (row < table.size).nonzero()[0]
    prev[old] = table.take(HEAD, row[old])
    chain(room(row.size), row, offset, prev)
    return prev
