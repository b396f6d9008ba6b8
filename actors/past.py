"""The past of a shard: twins and whole snapshots as of an earlier moment, from journal and chain.

Nothing here is on the writer's way: what is read of the live state is taken hold of between two
commits, and all else comes from checkpoints and frames that never change again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.bases import Tables
from actors.shard import RUN, Row, Shard
from twin import past
from twin.chain import END, Chain, gather, select
from twin.columns import concat
from twin.errors import AsOfTooEarly, UnknownKey
from twin.fold import KindState
from twin.frames import Frame
from twin.journal import read_frame
from twin.kinds import ABSENT, KINDS
from twin.merge import HEAD, TENANT
from twin.newer import require_known
from twin.past import NOBODY, Moment, Sweep, Ties
from twin.revisions import Revisions
from twin.transition import Snapshot, State

CACHED = 512 << 20  # bytes of snapshots kept for the next question about the same moment
PIECE = 10_000  # twins whose chains are folded at once
FEW = 50_000  # events that chains are walked for; to read the journal itself is cheaper beyond


class Found(NamedTuple):
    """A twin with its whole chain up to some cut. `row`: of it in the shard."""

    kind: str
    row: int
    chain: Chain
    ranks: NDArray[np.int64]
    cut: int


class _Live(NamedTuple):
    """What is taken hold of, of a live state."""

    ranks: NDArray[np.int64]
    ties: Ties
    withdrawn: dict[str, NDArray[np.int64]]  # kind -> rows that retractions concern


class Past:
    """One shard's. Reader threads share it."""

    def __init__(
        self,
        shard: Shard,
        *,
        cached: int = CACHED,
        few: int = FEW,
    ) -> None:
        self._shard = shard
        self._few = few
        self._bound = cached
        self._kept: OrderedDict[tuple[int, int], tuple[Snapshot, int]] = OrderedDict()
        self._lock = threading.Lock()

    def cut(self, known_at: int) -> int:
        """Return the offset behind all that was journaled by `known_at`. Raises AsOfTooEarly."""
        self._shard.require_ready()
        if known_at >= END:
            return self._shard.next
        found = min(self._shard.journal.cut(known_at), self._shard.next)
        if not found:
            raise AsOfTooEarly(
                f"{self._shard.name} had journaled nothing by then; ask what was known later"
            )
        return found

    def find(
        self, kind: str, tenant: str, id: str, known_at: int = END, before: int = END
    ) -> Found:
        """Return a twin with its chain, of what was known, and of offsets below `before`.

        Raises UnknownKey, also where it was not known yet.
        """
        name = f"{tenant}/{id}"

        def look(state: State) -> tuple[int, int, NDArray[np.int64], int]:
            held = state.kinds[kind]
            row = held.keys.row(name)
            head = int(held.table.cell(HEAD, row)) if row >= 0 else -1
            return row, head, state.ranks(), state.next

        row, head, ranks, end = self._shard.study(look)
        cut = min(before, end if known_at >= END else self.cut(known_at))
        picked = gather([head], self.read, cut) if row >= 0 else []
        if not picked:
            raise unknown(kind, id)
        return Found(kind, row, select(picked), ranks, cut)

    def row(self, kind: str, tenant: str, id: str, moment: Moment) -> Row:
        """Return one twin as it was. Raises UnknownKey where it was not there yet."""
        found = self.find(kind, tenant, id, moment.known_at)
        cells = self.state(found, moment.at).table.cells(0, _as_of(kind))
        for group in KINDS[kind].groups:
            if (code := cells.get(f"{group.name}.source")) is not None:
                cells[f"{group.name}.source"] = self._shard.word(int(code))
        self._shard.require_marker()
        return Row(cells, found.cut)

    def state(self, found: Found, at: int = END) -> KindState:
        """Return a twin as row 0 of a state of its own, as it was at `at`. Raises UnknownKey."""
        rows = np.array([found.row])
        held = past.refold(found.kind, found.chain, rows, found.ranks, at)
        if held.table.cell(TENANT, 0) == NOBODY:
            raise UnknownKey(f"this {found.kind} was not there yet; ask about a later moment")
        return held

    def snapshot(self, moment: Moment) -> Snapshot:
        """Return the whole state as of a moment: an ordinary snapshot, its rows those of today.

        The offset is behind all that was known. Raises AsOfTooEarly, Compacted, JournalCorrupt.
        """
        cut = self.cut(moment.known_at)
        key = (moment.at, cut)
        if (kept := self._look(key)) is not None:
            return kept
        present = self._shard.snapshot()
        live = self._shard.study(_hold)
        made = present
        if cut < present.offset:
            made = self._known(present, live, cut)
        if moment.at < END:
            made = self._true(made, live, moment.at)
        self._keep(key, made)
        return made

    def kept(self, moment: Moment) -> Snapshot | None:
        """Return the state as of a moment if it is at hand. Raises AsOfTooEarly."""
        return self._look((moment.at, self.cut(moment.known_at)))

    def _look(self, key: tuple[int, int]) -> Snapshot | None:
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def read(self, offset: int) -> Frame:
        return read_frame(self._shard.journal, offset)

    def _keep(self, key: tuple[int, int], made: Snapshot) -> None:
        size = sum(
            table.size * sum(blank.nbytes for blank in table.blanks.values())
            for table in made.tables.values()
        )
        with self._lock:
            self._kept[key] = made, size
            while self._kept and sum(one[1] for one in self._kept.values()) > self._bound:
                self._kept.popitem(last=False)

    def _known(self, present: Snapshot, live: _Live, cut: int) -> Snapshot:
        """Return what was known before an offset."""
        touched = {k: np.flatnonzero(t.column(HEAD) >= cut) for k, t in present.tables.items()}
        base = self._shard.bases.before(cut) if self._shard.bases is not None else None
        start = base[0] if base else 0
        if _reckoned(present, touched) <= min(self._few, cut - start):
            kinds = {kind: past.thawed(t, kind) for kind, t in present.tables.items()}
            heads = {k: present.tables[k].take(HEAD, rows) for k, rows in touched.items()}
            self._refold(kinds, touched, heads, live, cut)
            return _snapshot(present, kinds, cut)
        return self._forward(present, live, base, cut)

    def _forward(self, present: Snapshot, live: _Live, base: Tables | None, cut: int) -> Snapshot:
        """Return what was known before an offset: tables of an earlier one, and what followed."""
        none = {kind: KindState(KINDS[kind]) for kind in present.tables}
        start, kinds, revisions = base or (0, none, Revisions())
        wanted, again = {}, {}
        for kind, held in kinds.items():
            held.table.grow(present.tables[kind].size)
            wanted[kind] = np.ones(held.table.size, np.bool_)
            rows = live.withdrawn[kind]
            again[kind] = rows[present.tables[kind].take(HEAD, rows) >= start]
            wanted[kind][again[kind]] = False
        sweep = Sweep(kinds, wanted, live.ranks, live.ties, revisions=revisions)
        for frame in self._runs(start, cut):
            sweep.take(frame)
        heads = {k: present.tables[k].take(HEAD, rows) for k, rows in again.items()}
        self._refold(kinds, again, heads, live, cut)
        return _snapshot(present, kinds, cut)

    def _true(self, known: Snapshot, live: _Live, at: int) -> Snapshot:
        """Return what of a snapshot was true at a moment."""
        kinds = {kind: past.thawed(table, kind) for kind, table in known.tables.items()}
        rows = {kind: past.after(table, kind, at) for kind, table in known.tables.items()}
        if _reckoned(known, rows) > self._few:
            wanted = {}
            for kind, held in kinds.items():
                later = np.setdiff1d(rows[kind], live.withdrawn[kind])
                past.clear(kind, held.table, later)
                wanted[kind] = np.zeros(held.table.size, np.bool_)
                wanted[kind][later] = True
                rows[kind] = np.intersect1d(rows[kind], live.withdrawn[kind])
            sweep = Sweep(kinds, wanted, live.ranks, live.ties, at)
            for frame in self._runs(0, known.offset, at):
                sweep.take(frame)
            sweep.end()
        heads = {k: known.tables[k].take(HEAD, some) for k, some in rows.items()}
        self._refold(kinds, rows, heads, live, known.offset, at)
        return _snapshot(known, kinds, known.offset)

    def _refold(
        self,
        kinds: dict[str, KindState],
        rows: dict[str, NDArray[np.int64]],
        heads: dict[str, NDArray[np.int64]],
        live: _Live,
        cut: int,
        at: int = END,
    ) -> None:
        """Put what chains say in the place of some rows."""
        for kind, held in kinds.items():
            for start in range(0, rows[kind].size, PIECE):
                chosen = rows[kind][start : start + PIECE]
                picked = gather(heads[kind][start : start + PIECE].tolist(), self.read, cut, END)
                if not picked:
                    past.clear(kind, held.table, chosen)
                    continue
                fresh = past.refold(kind, select(picked), chosen, live.ranks, at)
                past.patch(kind, held.table, chosen, fresh.table)

    def _runs(self, start: int, cut: int, at: int = END) -> Iterator[Frame]:
        """Yield the frames of some offsets, joined into runs; retractions left out.

        Some that hold only facts after `at` are left out too.
        """
        run: list[Frame] = []
        waiting = 0
        for frame in self._shard.journal.scan(start, at):
            require_known(frame)
            if frame.first >= cut:
                break
            if not frame.size:
                continue
            if run and frame.first != run[-1].first + run[-1].size:
                yield concat(run)
                run, waiting = [], 0
            names = frame.columns.keys() - {"does", "target", "redrives"}
            run.append(frame._replace(columns={n: frame.columns[n] for n in names}))
            waiting += frame.size
            if waiting >= RUN:
                yield concat(run)
                run, waiting = [], 0
        if run:
            yield concat(run)


def unknown(kind: str, id: str) -> UnknownKey:
    return UnknownKey(f"no {kind} was called {id} then; search for it, or check the id")


def _hold(state: State) -> _Live:
    ties = Ties(*state.seen.places())  # what is below its size never changes
    return _Live(state.ranks(), ties, state.withdrawn.rows())


def _reckoned(held: Snapshot, rows: dict[str, NDArray[np.int64]]) -> float:
    """Return about how many events the chains of some rows have: as many as others'."""
    twins = sum(table.size for table in held.tables.values())
    return held.offset / max(1, twins) * sum(some.size for some in rows.values())


def _snapshot(known: Snapshot, kinds: dict[str, KindState], offset: int) -> Snapshot:
    """Return what was folded as a snapshot; nothing is written into it any more."""
    tables = {}
    for kind, held in kinds.items():
        every = np.arange(held.table.size)
        nobody = np.flatnonzero(held.table.take(TENANT, every) < 0)
        held.table.put(TENANT, nobody, np.full(nobody.size, NOBODY, np.int32))
        tables[kind] = held.table.live()
    return known._replace(offset=offset, tables=tables)


@cache
def _as_of(kind: str) -> dict[str, int]:
    return {f"{group.name}.as_of": ABSENT for group in KINDS[kind].groups}
