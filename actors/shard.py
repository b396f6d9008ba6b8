"""The shard: the imperative shell around the twin's pure core.

`offer` plans, journals, looks for a newer epoch, commits and answers, in that order: durable
before visible, visible before acknowledged. Starting is recovery, so a crash between two steps
needs no repair; and a writer that was replaced says FENCED, no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from twin import checkpoint, digest
from twin.admission import Rule, salts
from twin.columns import Message, concat
from twin.dedup import Known
from twin.errors import Fenced, JournalCorrupt, JournalFailed, Recovering, UnknownKey
from twin.frames import Frame
from twin.journal import Journal
from twin.outcomes import Outcome
from twin.receipts import Receipt, receipts
from twin.texts import hashes, texts
from twin.transition import Snapshot, State

RETRY_AFTER_S = 0.5  # a replay takes seconds
RUN = 100_000  # events replayed in one step: numpy amortised, memory still small
_REPELLED = [Outcome.DUPLICATE, Outcome.REJECTED]  # what a journal does not hold


class Checkpoints(Protocol):
    """Where checkpoints are kept."""

    offset: int

    def write(self, offset: int, raw: bytes) -> None: ...

    def newest(self, rule: Rule) -> State: ...


class Row(NamedTuple):
    """One twin as it stands: column -> value, of the groups that are known; sources as texts."""

    cells: dict[str, float | int | str]
    offset: int


class Shard:
    """The one writer of some twins in one region. Runs with or without Ray."""

    def __init__(
        self,
        *,
        name: str,
        rule: Rule,
        journal: Journal,
        checkpoints: Checkpoints,
        clock: Callable[[], int],
    ) -> None:
        self.name = name
        self.rule = rule
        self.replayed = 0  # events that recovery applied again
        self._journal = journal
        self._checkpoints = checkpoints
        self._clock = clock
        self._state = State(rule)
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()  # held while columns change, or are taken hold of
        self._ready = False
        self._repelled = np.zeros(len(_REPELLED), np.int64)  # since this process began

    @property
    def epoch(self) -> int:
        return self._journal.epoch

    @property
    def next(self) -> int:
        return self._state.next

    @property
    def newest_as_of(self) -> int:
        """Return the greatest event_time that was applied."""
        return self._state.newest

    @property
    def journal_bytes(self) -> int:
        return self._journal.bytes

    @property
    def fsync_p99_ms(self) -> float:
        """Return what 99 of 100 of the latest appends took at most, sync included."""
        took = list(self._journal.took_s)
        return float(np.percentile(took, 99)) * 1000 if took else 0.0

    @property
    def checkpoint_offset(self) -> int:
        return self._checkpoints.offset

    def recover(self) -> int:
        """Claim the journal, load a checkpoint, replay the rest: the only way to start.

        Return the offset of the next event. Raises Fenced or JournalCorrupt.
        """
        self._journal.claim()
        state = self._checkpoints.newest(self.rule)
        self.replayed = replay(state, self._journal)
        if state.next != self._journal.next:
            raise JournalCorrupt(
                f"the journal ends at {self._journal.next}, and what is known at {state.next}; "
                "restore the journal"
            )
        self._state = state
        self._ready = True
        return state.next

    def offer(self, messages: Sequence[Message]) -> list[Receipt]:
        """Take the events of some messages; answer when they are durable and visible."""
        self.require_ready()
        if self._state.next != self._journal.next:  # it was fenced, or a commit failed
            self.require_marker()
            raise JournalFailed("the journal is ahead of the state; end this process")
        plan = self._state.plan(messages, self.epoch, self._clock())
        decided = np.empty(0, np.int8)
        if plan.frame.size:
            self.require_marker()  # once fenced, never append: the offset would be used twice
            self._journal.append(plan.frame)
        self.require_marker()  # not sooner, nor later: what is durable may be the successor's
        if plan.frame.size:
            with self._lock:
                decided = self._state.commit(plan.frame, self._read)
            self._journal.witness(self._state.next)
        answers = receipts(plan, decided)
        for answer in answers:
            self._repelled[:] += np.bincount(answer.outcome, minlength=5)[_REPELLED]
        return answers

    def bear_witness(self) -> None:
        """Journal an empty frame that says how far everything was acknowledged."""
        self.require_marker()
        now = max(self._clock(), self._state.now)
        empty: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        self._journal.append(Frame(self.epoch, self.next, 0, self.next, now, [], {}, [], empty))

    def row(self, kind: str, tenant: str, id: str) -> Row:
        """Return one twin as of the last acknowledged write. Raises UnknownKey."""
        self.require_ready()
        held = self._state.kinds[kind]
        with self._lock:
            row = int(held.keys.find(texts([f"{tenant}/{id}"]))[0])
            if row < 0:
                raise UnknownKey(f"no {kind} is called {id}; search for it, or check the id")
            cells = held.table.cells(row, held.as_of_columns)
            offset = self._state.next
        word = self._state.lexicon.word
        for name in held.source_columns:
            if name in cells:
                cells[name] = word(int(cells[name]))
        self.require_marker()  # reads look too: after computing, before answering
        return Row(cells, offset)

    def word(self, code: int) -> str:
        return self._state.lexicon.word(code)

    def snapshot(self) -> Snapshot:
        """Return an immutable view of everything acknowledged so far."""
        self.require_ready()
        with self._lock:
            if self._snapshot is None or self._snapshot.offset != self._state.next:
                self._snapshot = self._state.snapshot()
            return self._snapshot

    def checkpoint(self) -> int:
        """Write a checkpoint; return its offset. Ingest goes on meanwhile."""
        self.require_ready()
        with self._lock:
            snapshot, extra = checkpoint.capture(self._state)
        self.require_marker()
        self._checkpoints.write(snapshot.offset, checkpoint.write(snapshot, extra, self.epoch))
        return snapshot.offset

    def digests(self) -> digest.Digests:
        with self._lock:
            return digest.digests(self._state.snapshot(), self._state.seen)

    def verify(self) -> tuple[digest.Digests, digest.Digests]:
        """Return the digests of the live state, and of what the journal alone says of it."""
        with self._lock:
            live = digest.digests(self._state.snapshot(), self._state.seen)
        rebuilt = State(self.rule)
        replay(rebuilt, self._journal, live.offset)
        return live, digest.digests(rebuilt.snapshot(), rebuilt.seen)

    def outcomes(self) -> dict[str, int]:
        """Return how many events had each outcome: repeats and rejects since this process began."""
        names = [outcome.name for outcome in Outcome]
        counts = self._state.outcomes.copy()
        counts[_REPELLED] = self._repelled
        return dict(zip(names, counts.tolist(), strict=True))

    def sizes(self) -> dict[str, int]:
        """Return how many twins of each kind there are."""
        return {name: held.keys.size for name, held in self._state.kinds.items()}

    def find(self, source: str, tenant: str, ids: Sequence[str]) -> Known:
        """Return what is remembered of events of one source."""
        self.require_ready()
        salt = salts(hashes(texts([source]))[:, 0], tenant)
        wanted = texts(ids)
        with self._lock:
            return self._state.seen.find(hashes(wanted, np.broadcast_to(salt, len(ids)).copy()))

    def parked(self) -> list[int]:
        """Return the offsets of the events that are parked, newest first."""
        with self._lock:
            known = self._state.seen.dump()
        offsets = known["offset"][known["outcome"] == Outcome.PARKED]
        return sorted(offsets.tolist(), reverse=True)

    def frame(self, offset: int) -> Frame | None:
        """Return the journaled frame that holds `offset`, or None."""
        return self._journal.at(offset)

    def name_of(self, kind: str, row: int) -> str:
        return self._state.kinds[kind].keys.name(row)

    def _read(self, offset: int) -> Frame:
        return read_frame(self._journal, offset)

    def require_ready(self) -> None:
        if not self._ready:
            raise Recovering(f"{self.name} is replaying its journal; ask again", RETRY_AFTER_S)

    def require_marker(self) -> None:
        if self._journal.fenced():
            raise Fenced(f"{self.name}: epoch {self.epoch} is over; ask again", RETRY_AFTER_S)


def replay(state: State, journal: Journal, until: int = 2**62) -> int:
    """Apply the journaled events from `state.next` on, up to `until`; return how many.

    Frames are joined into runs: a run does what its frames do one by one, and costs less.
    Raises JournalCorrupt if an offset is missing.
    """
    start = state.next
    read = partial(read_frame, journal)
    run: list[Frame] = []
    following, waiting = start, 0
    for frame in journal.scan(start):
        if not frame.size:
            continue
        if frame.first >= until:
            break
        if frame.first != following:
            raise JournalCorrupt(
                f"offset {following} is missing, {frame.first} follows; restore the journal"
            )
        alone = "does" in frame.columns  # outcomes after a retraction depend on what came before
        if run and (alone or waiting >= RUN):
            state.commit(concat(run), read)
            run, waiting = [], 0
        run.append(frame)
        following, waiting = following + frame.size, waiting + frame.size
        if alone:
            state.commit(frame, read)
            run, waiting = [], 0
    if run:
        state.commit(concat(run), read)
    return state.next - start


def read_frame(journal: Journal, offset: int) -> Frame:
    """Return the journaled frame that holds `offset`. Raises JournalCorrupt if there is none."""
    frame = journal.at(offset)
    if frame is None:
        raise JournalCorrupt(f"offset {offset} is missing from the journal; restore the journal")
    return frame
