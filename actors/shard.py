"""The shard: the imperative shell around the twin's pure core.

`offer` plans, journals, looks for a newer epoch, commits and answers, in that order: durable
before visible, visible before acknowledged. Starting is recovery, so a crash between two steps
needs no repair; and a writer that was replaced says FENCED, no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from actors.ahead import ahead
from actors.archive import Archived
from actors.bases import Bases
from twin import checkpoint, digest
from twin.admission import Rule, salts
from twin.columns import Message, concat
from twin.dedup import Known
from twin.errors import Fenced, JournalCorrupt, JournalFailed, Recovering, UnknownKey
from twin.frames import Frame
from twin.journal import Journal, read_frame
from twin.letters import Due, Letter, letters
from twin.newer import require_known
from twin.outbox import CURSOR
from twin.outcomes import Outcome
from twin.receipts import Receipt, receipts
from twin.texts import Texts, hashes, texts
from twin.transition import Plan, Snapshot, State

RETRY_AFTER_S = 0.5  # a replay takes seconds
RUN = 100_000  # events replayed in one step: numpy amortised, memory still small
T = TypeVar("T")
# Called with a frame that was just committed and the outcome of each event, in the writer's
# thread, before anybody is answered: it takes what it needs and is done in microseconds.
Watch = Callable[[Frame, NDArray[np.int8]], None]
_REPELLED = [Outcome.DUPLICATE, Outcome.REJECTED]  # what a journal does not hold


class Checkpoints(Protocol):
    """Where checkpoints are kept."""

    offset: int

    def write(self, offset: int, raw: bytes) -> None: ...

    def newest(self, rule: Rule) -> State: ...

    def before(self, rule: Rule, offset: int) -> State: ...


class Row(NamedTuple):
    """One twin as it stands: column -> value, of the groups that are known; sources as texts."""

    cells: dict[str, Any]  # int, float; a text is its code, a source its name
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
        read_ahead: bool = False,
    ) -> None:
        self.name = name
        self._read_ahead = read_ahead  # replay reads in a thread of its own
        self.rule = rule
        self.replayed = 0  # events that recovery applied again
        self._journal = journal
        self.checkpoints = checkpoints
        self._clock = clock
        self._state = State(rule)
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()  # held while columns change, or are taken hold of
        self._ready = False
        self.bases: Bases | None = None  # what questions about the past begin with
        self.archived: Callable[[], Archived] | None = None  # how far its archive is, if any
        self._repelled = np.zeros(len(_REPELLED), np.int64)  # since this process began
        self.watches: tuple[Watch, ...] = ()  # replaced whole, never changed in place
        self.stirred = threading.Event()  # something waits to leave (actors.outbox)

    @property
    def epoch(self) -> int:
        return self._journal.epoch

    @property
    def journal(self) -> Journal:
        """Where its events are: to be read from, at any time."""
        return self._journal

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
        return self.checkpoints.offset

    def recover(self) -> int:
        """Claim the journal, load a checkpoint, replay the rest: the only way to start.

        Return the offset of the next event. Raises Fenced, JournalCorrupt or JournalNewer.
        """
        self._journal.claim()
        state = self.checkpoints.newest(self.rule)
        self.replayed = replay(state, self._journal, read_ahead=self._read_ahead)
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
        self._require_level()
        plan = self._state.plan(messages, self.epoch, self._clock())
        answers = receipts(plan, self._keep(plan))
        for answer in answers:
            self._repelled[:] += np.bincount(answer.outcome, minlength=5)[_REPELLED]
        return answers

    def redrive(self, message: Message, *, dry_run: bool = False) -> Receipt:
        """Take parked events (twin.redrive.message) that now keep their contracts; as `offer`.

        A dry run journals nothing, and calls APPLIED what would be.
        """
        self._require_level()
        plan = self._state.plan([message], self.epoch, self._clock())
        if dry_run:
            self.require_marker()
            return receipts(plan, np.zeros(plan.frame.size, np.int8))[0]
        return receipts(plan, self._keep(plan))[0]

    def _keep(self, plan: Plan) -> NDArray[np.int8]:
        """Make a plan durable, then visible; return what became of its journaled events."""
        decided = np.empty(0, np.int8)
        if plan.frame.size:
            self.require_marker()  # once fenced, never append: the offset would be used twice
            self._journal.append(plan.frame)
        self.require_marker()  # not sooner, nor later: what is durable may be the successor's
        if plan.frame.size:
            with self._lock:
                self._snapshot = None  # what nobody reads any more needs no notes
                decided = self._state.commit(plan.frame, self._read)
                for watch in self.watches:
                    watch(plan.frame, decided)
            self._journal.witness(self._state.next)
            if self._state.outbox.waiting:
                self.stirred.set()
        return decided

    def bear_witness(self) -> None:
        """Journal an empty frame that says how far everything was acknowledged."""
        self.require_marker()
        now = max(self._clock(), self._state.now)
        empty: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        if self.cursor_moved:
            with self._lock:
                empty[CURSOR] = np.array([self._state.outbox.settled(self.next)])
        self._journal.append(Frame(self.epoch, self.next, 0, self.next, now, [], {}, [], empty))

    @property
    def cursor_moved(self) -> bool:
        """Say whether anything left or arrived since the last witness told how far that is."""
        return self._state.outbox.changed

    @property
    def outbox_waiting(self) -> int:
        """Return how many derived facts have not arrived where they belong."""
        return self._state.outbox.waiting

    def outbox_oldest(self) -> int:
        """Return the ingest time since which one of them waits, ABSENT if none does."""
        with self._lock:
            return self._state.outbox.oldest()

    def due(self, most: int) -> tuple[Due, list[Letter]] | None:
        """Return derived facts that wait, and an event for each. Settle them, whatever happens.

        Raises Fenced: a shard that was replaced tells nobody anything.
        """
        self.require_ready()
        held = self._state.kinds["shipment"]
        with self._lock:
            due = self._state.outbox.take(held.table, held.keys, self._state.next, most)
        self.require_marker()
        if due is None:
            return None
        return due, letters(due, self._state.lexicon, self.rule.region, self.name, self.epoch)

    def settle(self, due: Due, arrived: NDArray[np.bool_]) -> None:
        """Note which facts are durable where they belong; the others wait on, unasked for."""
        with self._lock:
            self._state.outbox.settle(due, arrived)

    def unsettled(self, rows: NDArray[np.int64]) -> None:
        """Let what waits of some shipments be due again."""
        with self._lock:
            self._state.outbox.again(rows)

    def row(self, kind: str, tenant: str, id: str) -> Row:
        """Return one twin as of the last acknowledged write. Raises UnknownKey."""
        self.require_ready()
        held = self._state.kinds[kind]
        with self._lock:
            row = held.keys.row(f"{tenant}/{id}")
            if row < 0:
                raise UnknownKey(f"no {kind} is called {id}; search for it, or check the id")
            cells = held.table.cells(row, held.as_of_columns)
            offset = self._state.next
        word = self._state.lexicon.word
        for name in held.source_columns:
            if (code := cells.get(name)) is not None:
                cells[name] = word(int(code))
        self.require_marker()  # reads look too: after computing, before answering
        return Row(cells, offset)

    def rows(self, kind: str, names: Texts) -> NDArray[np.int64]:
        """Return the row of each tenant/id (n,), or -1. A snapshot taken later has all of them."""
        self.require_ready()
        with self._lock:
            return self._state.kinds[kind].keys.find(names).astype(np.int64)

    def word(self, code: int) -> str:
        return self._state.lexicon.word(code)

    def snapshot(self) -> Snapshot:
        """Return an immutable view of everything acknowledged so far.

        Nothing is frozen for it: as long as it is held, writes note what they overwrite.
        """
        self.require_ready()
        with self._lock:
            if self._snapshot is None or self._snapshot.offset != self._state.next:
                self._snapshot = self._state.snapshot()
            return self._snapshot

    def lend(self, work: Callable[[Snapshot], T]) -> T:
        """Return what `work` makes of the state as it stands between two commits.

        The writer waits meanwhile: `work` takes a millisecond or so, and keeps copies only.
        Columns are not copied for it, as they are out of a snapshot.
        """
        self.require_ready()
        with self._lock:
            return work(self._state.live())

    def study(self, work: Callable[[State], T]) -> T:
        """As `lend`, of all that a snapshot is made of: dedup, retractions, ranks of sources."""
        self.require_ready()
        with self._lock:
            return work(self._state)

    def checkpoint(self) -> int:
        """Write a checkpoint; return its offset. Ingest goes on meanwhile."""
        self.require_ready()
        with self._lock:
            snapshot, extra = checkpoint.capture(self._state)
        self.require_marker()
        self.checkpoints.write(snapshot.offset, checkpoint.write(snapshot, extra, self.epoch))
        if self.bases is not None:
            self.bases.consider(snapshot, extra, self.epoch)
        return snapshot.offset

    def digests(self) -> digest.Digests:
        with self._lock:
            return digest.digests(self._state.live(), self._state.seen)

    def verify(self) -> tuple[digest.Digests, digest.Digests]:
        """Return the digests of the live state, and of what the journal alone says of it."""
        with self._lock:
            live = digest.digests(self._state.live(), self._state.seen)
        rebuilt = State(self.rule)
        replay(rebuilt, self._journal, live.offset)
        return live, digest.digests(rebuilt.live(), rebuilt.seen)

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
            offsets = self._state.seen.offsets(Outcome.PARKED)
        return sorted(offsets.tolist(), reverse=True)

    def frame(self, offset: int) -> Frame | None:
        """Return the journaled frame that holds `offset`, or None."""
        return self._journal.at(offset)

    def frames(self, offset: int) -> Iterator[Frame]:
        """Yield the journaled frames from `offset` on, from files: no writer waits for it."""
        return self._journal.scan(offset)

    def name_of(self, kind: str, row: int) -> str:
        return self._state.kinds[kind].keys.name(row)

    def _read(self, offset: int) -> Frame:
        return read_frame(self._journal, offset)

    def require_ready(self) -> None:
        if not self._ready:
            raise Recovering(f"{self.name} is replaying its journal; ask again", RETRY_AFTER_S)

    def _require_level(self) -> None:
        self.require_ready()
        if self._state.next != self._journal.next:  # it was fenced, or a commit failed
            self.require_marker()
            raise JournalFailed("the journal is ahead of the state; end this process")

    def require_marker(self) -> None:
        if self._journal.fenced():
            raise Fenced(f"{self.name}: epoch {self.epoch} is over; ask again", RETRY_AFTER_S)


def replay(state: State, journal: Journal, until: int = 2**62, *, read_ahead: bool = False) -> int:
    """Apply the journaled events from `state.next` on, up to `until`; return how many.

    Frames are joined into runs: a run does what its frames do one by one, and costs less.
    Raises JournalCorrupt if an offset is missing, JournalNewer if a frame says what is unknown.
    """
    start = state.next
    read = partial(read_frame, journal)
    run: list[Frame] = []
    following, waiting = start, 0
    state.expect(min(until, journal.next) - start)
    frames = journal.scan(start)
    for frame in ahead(frames) if read_ahead else frames:
        require_known(frame)
        if not frame.size:
            state.outbox.heard(frame)
            continue
        if frame.first >= until:
            break
        if frame.first != following:
            raise JournalCorrupt(
                f"offset {following} is missing, {frame.first} follows; restore the journal"
            )
        alone = "does" in frame.columns  # outcomes after a retraction depend on what came before
        if run and (alone or waiting >= RUN or state.turns(frame)):
            state.commit(concat(run), read)
            run, waiting = [], 0
        run.append(frame)
        state.outbox.joined(frame)
        following, waiting = following + frame.size, waiting + frame.size
        if alone:
            state.commit(frame, read)
            run, waiting = [], 0
    if run:
        state.commit(concat(run), read)
    state.outbox.drop()
    return state.next - start
