"""The transition: one batch of events, and all that it does to the state of a shard.

`plan` is pure: it says what to journal. `commit` takes what is in the journal, from the live
path or from replay, and nothing else; so both arrive at the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin import level, merge
from twin.admission import Admitted, Rule, admit, repeats
from twin.chain import Read, walk
from twin.chunks import Table, TableSnapshot
from twin.columns import Message, Part, gather, group_values, kept_columns, of_kind
from twin.contracts import CONTRACTS, COUNTED, MOVED
from twin.dedup import Seen
from twin.events import NOTHING
from twin.frames import Frame
from twin.keys import Keys
from twin.kinds import ABSENT, KINDS, Group, Kind, Merge
from twin.lexicon import Draft, Lexicon
from twin.merge import HEAD, TENANT, Decision, Facts
from twin.outcomes import Outcome, Reason
from twin.retraction import Withdrawn, withdrawal
from twin.sources import rank
from twin.texts import Texts, join, texts

Column = NDArray[Any]


class Plan(NamedTuple):
    """What to journal of some messages, and what became of each event so far."""

    admitted: list[Admitted]  # per message
    kept: list[Column]  # per message: positions of the events in the frame
    frame: Frame


class KindState:
    """All twins of one kind in a shard: their rows, their keys, their levels."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.table = Table(merge.blanks(kind), merge.blocks(kind), merge.sparse(kind))
        self.keys = Keys()
        self.levels: dict[int, level.Level] = {}
        self.as_of_columns = {f"{group.name}.as_of": ABSENT for group in kind.groups}
        self.source_columns = [f"{group.name}.source" for group in kind.groups]


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
        repeats(admitted)
        kept, parts = [], []
        for message, one in zip(messages, admitted, strict=True):
            at = np.flatnonzero((one.outcome == Outcome.APPLIED) | (one.outcome == Outcome.PARKED))
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
        self.lexicon.extend(frame.words)
        for kind, names in frame.names.items():
            held = self.kinds[kind]
            held.keys.add(names)
            held.table.grow(held.keys.size)
        reason = columns["reason"]
        stands = reason == Reason.NONE
        outcome = np.where(stands, Outcome.SUPERSEDED, Outcome.PARKED).astype(np.int8)
        speaks = stands & self.withdrawn.speaks(frame)
        for held in self.kinds.values():
            mine = stands & of_kind(frame, held.kind)
            at = np.flatnonzero(mine & speaks)
            if at.size:
                outcome[at[self._apply(held, frame, at)]] = Outcome.APPLIED
            if mine.any():
                row = columns["row"][mine].astype(np.int64)
                newest = {HEAD: frame.first + np.flatnonzero(mine), TENANT: columns["tenant"][mine]}
                held.table.puts(newest, row)
        offset = np.arange(frame.first, frame.first + frame.size)
        self.seen.add(columns["hash"], columns["content"], offset, outcome, reason)
        if "does" in columns:
            self._withdraw(frame, outcome, read)
            self.seen.add(columns["hash"], columns["content"], offset, outcome, reason)
        self.outcomes += np.bincount(outcome, minlength=self.outcomes.size)
        self.next = frame.first + frame.size
        self.now = max(self.now, frame.ingest_time)
        standing = columns["time"][reason == Reason.NONE]
        self.newest = max(self.newest, int(standing.max(initial=0)))
        return outcome

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.next,
            self.now,
            {name: held.table.snapshot() for name, held in self.kinds.items()},
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
        stands = columns["reason"] == Reason.NONE
        kinds = np.array([list(KINDS).index(c.kind) for c in CONTRACTS] + [-1])
        names: dict[str, Texts] = {}
        for number, (name, held) in enumerate((n, self.kinds.get(n)) for n in KINDS):
            if held is None:
                continue
            at = np.flatnonzero(stands & (kinds[columns["contract"]] == number))
            if not at.size:
                continue
            located = held.keys.locate(subject.take(at))
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
            [contract.name for contract in CONTRACTS],
            columns,
        )

    def _apply(
        self, held: KindState, frame: Frame, at: Column, row: Column | None = None
    ) -> NDArray[np.bool_]:
        """Decide and commit the events at `at`; say which of them changed anything."""
        columns = frame.columns
        applied = np.zeros(at.size, np.bool_)
        ranks = self.ranks()
        if row is None:
            row = columns["row"][at].astype(np.int64)
        offset = frame.first + at
        for group in held.kind.groups:
            mine, values = group_values(held.kind, group, frame, at)
            if not mine.size:
                continue
            source = columns["source"][at[mine]]
            facts = Facts(
                row[mine],
                values,
                columns["time"][at[mine]],
                ranks[source],
                columns["hash"][at[mine], 0],
                offset[mine],
                source,
                columns["confidence"][at[mine]],
            )
            if group.merge is Merge.LEVEL:
                decision = _levels(held, group, facts)
            else:
                decision = merge.decide(held.table, group, facts, ranks)
            merge.commit(held.table, decision)
            applied[mine] |= decision.applied
        return applied

    def _withdraw(self, frame: Frame, outcome: NDArray[np.int8], read: Read) -> None:
        """Apply the corrections and retractions of a frame, in order."""
        columns = frame.columns
        for i in np.flatnonzero((columns["does"] != NOTHING) & (columns["reason"] == 0)).tolist():
            held = self.kinds[CONTRACTS[int(columns["contract"][i])].kind]
            row = int(columns["row"][i])
            entry = withdrawal(frame, i, int(self.ranks()[columns["source"][i]]))
            known = self.seen.find(columns["target"][i : i + 1])
            changed = self.withdrawn.add(entry)
            if not changed or known.entry[0] < 0 or known.outcome[0] == Outcome.PARKED:
                continue  # nothing new, or a tombstone: the original has not come yet
            if self._refold(held, row, read):
                outcome[i] = Outcome.APPLIED

    def _refold(self, held: KindState, row: int, read: Read) -> bool:
        """Fold all that still stands about one twin anew; say whether that changed it."""
        fresh = KindState(held.kind)
        fresh.table.grow(1)
        head = int(held.table.cell(HEAD, row))
        for offset in reversed(list(walk(head, read))):
            frame = read(offset)
            at = np.array([offset - frame.first])
            if self.withdrawn.speaks(frame)[at[0]]:
                self._apply(fresh, frame, at, np.zeros(1, np.int64))
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
    order = np.argsort(row, kind="stable")
    twin = row[order]
    old = twin < table.size
    before = np.full(row.size, -1, np.int64)
    before[old] = table.take(HEAD, twin[old])
    again = np.flatnonzero(twin[1:] == twin[:-1]) + 1  # not the first of its twin in this batch
    before[again] = offset[order][again - 1]
    prev = np.empty_like(before)
    prev[order] = before
    return prev


def _levels(held: KindState, group: Group, facts: Facts) -> Decision:
    """Fold counts and movements into levels, one by one: they are few."""
    applied = np.zeros(facts.row.size, np.bool_)
    changed: dict[int, level.Level] = {}
    for i, row in enumerate(facts.row.tolist()):
        known = changed.get(row) or held.levels.get(row, level.UNKNOWN)
        quantity, delta = int(facts.values[COUNTED][i]), int(facts.values[MOVED][i])
        counts = quantity != ABSENT
        entry = level.Entry(
            int(facts.as_of[i]),
            int(facts.rank[i]),
            int(facts.tie[i]),
            quantity if counts else delta,
            int(facts.offset[i]),
            int(facts.source[i]),
            float(facts.confidence[i]),
        )
        after = level.count(known, entry) if counts else level.move(known, entry)
        if after is not None:
            changed[row] = after
            applied[i] = True
    held.levels |= changed
    rows = sorted(changed)
    newest = [changed[row].newest for row in rows]
    winners = Facts(
        np.array(rows, np.int64),
        {group.fields[0].name: np.array([changed[row].on_hand for row in rows], np.int64)},
        np.array([entry.time for entry in newest], np.int64),
        np.array([entry.rank for entry in newest], np.int64),
        np.array([entry.tie for entry in newest], np.uint64),
        np.array([entry.offset for entry in newest], np.int64),
        np.array([entry.source for entry in newest], np.int32),
        np.array([entry.confidence for entry in newest], np.float32),
    )
    return Decision(group, winners, applied)
