"""The outbox: what follows from a shard's twins, and has not reached the twins it is about.

It holds no events: only, per row, what waits and from which offset on. What was told before is
what the state says, unless an order or a withdrawal changes that: then it is noted. An event is
made of the state at the moment it leaves, and its revision says of which, so whatever is sent
twice, late or in another order comes to the same. A pure function of the journal: replay from the
cursor rebuilds it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.chunks import Table
from twin.columns import payload_column
from twin.contracts import CONTRACTS
from twin.derived import DECIDES, EFFECTS, NOWHERE, delivered
from twin.events import NOTHING
from twin.frames import Frame
from twin.keys import Keys
from twin.kinds import ABSENT
from twin.letters import Due
from twin.merge import TENANT
from twin.outcomes import STANDS
from twin.waiting import BITS, Line, Marks

Column = NDArray[Any]
CURSOR = "outbox.cursor"  # a column of an empty frame: all that decided before it has arrived
_ORDERED = ("site", "product_group", "supplier")  # what says where a shipment's facts belong
_ORDERS = np.array([c.kind == "shipment" and "order" in c.sets for c in CONTRACTS] + [False])
_TICK_US = 1_000_000  # times since when something waits are known that closely
Revoked = tuple[int, int, int, int]  # effect, row, target: told before, and no longer true


class Before(NamedTuple):
    """What was true of delivered shipments that a frame may change the targets of."""

    rows: Column  # ascending
    targets: NDArray[np.int32]
    time: Column


class Outbox:
    """What has to leave a shard of shipments. One writer; taking and settling under its lock."""

    def __init__(self) -> None:
        self.cursor = 0  # the greatest one journaled
        self.waiting = 0  # facts that have to leave
        self.changed = False  # since the cursor was asked for
        self._marks = Marks()  # with the deciding offset + 1
        self._gone: dict[tuple[int, int], tuple[int, int, int]] = {}  # effect, row -> target, time:
        # told, and withdrawn with the delivery
        self._ticks: list[tuple[int, int]] = []  # (offset, its ingest time), while something waits
        self._before: Before | None = None
        self._revoked: dict[Revoked, tuple[int, int, int]] = {}  # -> offset, time told, since
        self._flying: set[Revoked] = set()
        self._line = Line()  # rows where something waits and may be taken
        self._run = np.zeros((0, len(_ORDERED)), np.int32)  # by row: what its order says + 2
        self._in_run: list[Column] = []  # rows that a run of replay has orders of

    def before(self, frame: Frame, table: Table) -> None:
        """Remember what a frame, about to be committed to `table`, may make untrue."""
        self._before = None
        columns = frame.columns
        if "does" not in columns and "data.supplier" not in columns:
            return
        may = _ORDERS[columns["contract"]]
        if "does" in columns:
            may = may | (columns["does"] != NOTHING)
        may &= (columns["reason"] == STANDS) & (columns["row"] < table.size)
        rows = np.unique(columns["row"][may]).astype(np.int64)
        rows = rows[table.take("delivered_at", rows) != ABSENT]
        if rows.size:
            told = delivered(table, rows)
            self._before = Before(rows, told.targets, told.time)

    def note(self, frame: Frame, table: Table) -> None:
        """Take in what a frame, already committed to `table`, changed of what follows."""
        for rows in self._in_run:
            self._run[rows] = 0
        self._in_run.clear()
        columns = frame.columns
        decides = DECIDES[columns["contract"]] & (columns["reason"] == STANDS)
        if "does" in columns:
            decides |= (columns["does"] != NOTHING) & (columns["reason"] == STANDS)
        at = decides.nonzero()[0]
        if at.size:
            rows, last = np.unique(columns["row"][at][::-1], return_index=True)
            offset = frame.first + at[::-1][last]
            self._mark_rows(table, rows.astype(np.int64), offset, frame.ingest_time)

    def begin(self, table: Table, now: int) -> None:
        """Take in a whole table of which nothing was ever told: an older program's checkpoint."""
        rows = np.arange(table.size)
        self._mark_rows(table, rows, np.zeros(rows.size, np.int64), now)

    def turns(self, frame: Frame, table: Table) -> bool:
        """Say whether a frame may move a shipment to another target within a run of replay.

        Then it must not be joined to what is before it: whoever was told before has to be told.
        """
        rows, said = _ordered(frame)
        if not rows.size:
            return False
        old = (rows < table.size).nonzero()[0]
        held = np.stack([table.take(name, rows[old]) for name in _ORDERED], 1)
        known = table.take("order.source", rows[old]) >= 0
        if (known & (held != said[old]).any(axis=1)).any():
            return True
        old = (rows < self._run.shape[0]).nonzero()[0]
        before = self._run[rows[old]]
        return bool(((before[:, 0] != 0) & (before != said[old] + 2).any(axis=1)).any())

    def joined(self, frame: Frame) -> None:
        """Remember the orders of a frame that was joined to the run."""
        rows, said = _ordered(frame)
        if not rows.size:
            return
        if (size := int(rows.max()) + 1) > self._run.shape[0]:
            grown = np.zeros((size + size // 4, len(_ORDERED)), np.int32)
            grown[: self._run.shape[0]] = self._run
            self._run = grown
        self._run[rows] = said + 2
        self._run[rows[(self._run[rows] != said + 2).any(axis=1)]] = -1  # it says two: none is it
        self._in_run.append(rows)

    def take(self, table: Table, keys: Keys, revision: int, most: int) -> Due | None:
        """Return at most some facts that wait (two for each of `most` rows), None if none does.

        They stay noted until they are settled.
        """
        rows = self._line.take(most)
        told = delivered(table, rows)
        row, effect = np.nonzero(self._marks.bits(rows)[:, None] & BITS)
        revoked = [one for one in self._revoked if one not in self._flying][:most]
        self._flying.update(revoked)
        if not row.size and not revoked:
            return None
        back = np.array(revoked, np.int64).reshape(-1, 4)
        said = np.array([self._revoked[one][1] for one in revoked], np.int64)
        from_rows = np.concatenate([rows[row], back[:, 1]])
        count, none = len(revoked), np.zeros(len(revoked), np.int64)
        target = told.targets[row, effect]
        gone = target[:, 0] == NOWHERE  # it was delivered, they were told, and now it was not
        time = told.time[row]
        for i in gone.nonzero()[0].tolist():
            *target[i], time[i] = self._gone[int(effect[i]), int(rows[row[i]])]
        return Due(
            revision,
            np.concatenate([effect, back[:, 0]]),
            from_rows,
            np.concatenate([target, back[:, 2:].astype(np.int32)]),
            np.concatenate([gone, np.ones(count, np.bool_)]),
            np.concatenate([np.zeros_like(gone), np.ones(count, np.bool_)]),
            np.concatenate([time, said]),
            np.concatenate([told.packs[row], none]),
            np.concatenate([told.late[row], none.astype(np.bool_)]),
            np.concatenate([told.confidence[row], none.astype(np.float32)]),
            np.concatenate([told.offset[row], none - 1]),
            np.concatenate([told.sources[row], np.full((count, 2), -1, np.int32)]),
            table.take(TENANT, from_rows),
            keys.names().take(from_rows),
        )

    def settle(self, due: Due, arrived: NDArray[np.bool_]) -> None:
        """Forget what arrived, unless it has changed since it was taken.

        The rest waits on, but is not taken until its rows are noted `again`.
        """
        self.changed = True
        for i in due.moved.nonzero()[0].tolist():
            key = _key(due, i)
            self._flying.discard(key)
            held = self._revoked.get(key)
            if held is not None and arrived[i] and held[0] < due.revision:
                del self._revoked[key]
                self.waiting -= 1
        at = (~due.moved).nonzero()[0]
        row, effect, done = due.row[at], due.effect[at], arrived[at]
        mark = np.where(self._marks.bits(row) & BITS[effect], self._marks.offsets(row), 0)
        done &= (mark > 0) & (mark <= due.revision)
        for i in (done & due.revoked[at]).nonzero()[0].tolist():
            self._gone.pop((int(effect[i]), int(row[i])), None)
        self._marks.clear(row[done], effect[done])
        self.waiting -= int(done.sum())
        self._empty()

    def again(self, rows: Column) -> None:
        """Let what waits of some rows be taken again."""
        self._line.add(rows)

    def settled(self, end: int) -> int:
        """Return the offset before which all that decided anything has arrived."""
        self.changed = False
        offsets = [offset for offset, _, _ in self._revoked.values()]
        return min([end, *offsets, *(tick[0] for tick in self._first())])

    def oldest(self) -> int:
        """Return the ingest time since which something waits, ABSENT if nothing does."""
        times = [time for _, _, time in self._revoked.values()]
        return min([*times, *(tick[1] for tick in self._first())], default=ABSENT)

    def _first(self) -> list[tuple[int, int]]:
        """Return the least offset that decided what waits, and its time, if anything does."""
        least = self._marks.least()
        if least is None:
            return []
        at = bisect_right(self._ticks, least - 1, key=lambda tick: tick[0])
        self._ticks = self._ticks[max(0, at - 1) :]
        return [(least - 1, self._ticks[0][1])]

    def bytes(self) -> int:
        """Return the memory that grows with what waits."""
        return self._marks.bytes() + self._line.bytes()

    def heard(self, frame: Frame) -> None:
        """Take in a cursor frame."""
        if CURSOR in frame.columns:
            self.cursor = max(self.cursor, int(frame.columns[CURSOR][0]))

    def drop(self) -> None:
        """After replay: forget what had arrived before the journal's last cursor."""
        rows = self._marks.rows()
        self._marks.drop(rows[self._marks.offsets(rows) <= self.cursor])
        waits = set(self._marks.rows().tolist()) if self._gone else set()
        self._gone = {key: value for key, value in self._gone.items() if key[1] in waits}
        self._revoked = {k: v for k, v in self._revoked.items() if v[0] >= self.cursor}
        self._recount()

    def dump(self) -> dict[str, Column]:
        """Return all of it as tables of numbers."""
        rows = self._marks.rows()
        revoked = [(*key, *value) for key, value in self._revoked.items()]
        gone = [(*key, *value) for key, value in self._gone.items()]
        return {
            CURSOR: np.array([self.cursor]),
            "outbox.waits": np.stack([rows, self._marks.offsets(rows), self._marks.bits(rows)], 1),
            "outbox.ticks": np.array(self._ticks, np.int64).reshape(-1, 2),
            "outbox.gone": np.array(gone, np.int64).reshape(-1, 5),
            "outbox.revoked": np.array(revoked, np.int64).reshape(-1, 7),
        }

    def load(self, columns: Mapping[str, Column], table: Table) -> None:
        """Take in a dump that was made with `table`. In an older one, all that was told is told."""
        self._marks.reserve(table.size)
        self.cursor = int(columns[CURSOR][0])
        if "outbox.told" in columns:
            self._load_told(columns, table)
        else:
            self._marks.put(*columns["outbox.waits"].T)
            self._ticks = [(offset, time) for offset, time in columns["outbox.ticks"].tolist()]
            for effect, row, first, second, time in columns["outbox.gone"].tolist():
                self._gone[effect, row] = (first, second, time)
        for effect, row, first, second, *held in columns["outbox.revoked"].tolist():
            self._revoked[effect, row, first, second] = (held[0], held[1], held[2])
        self._recount()

    def _load_told(self, columns: Mapping[str, Column], table: Table) -> None:
        rows, told, marks = (columns[f"outbox.{name}"] for name in ("row", "told", "marks"))
        time, since = columns["outbox.times"].T
        waits = marks > 0
        some = waits.any(axis=1)
        self._marks.put(rows[some], marks.max(axis=1)[some], (waits[some] * BITS).sum(axis=1))
        if some.any():
            self._ticks = [(0, int(since[some].min()))]
        gone = waits & (told[:, :, 0] > 0) & (delivered(table, rows).targets[:, :, 0] == NOWHERE)
        for i, effect in zip(*(found.tolist() for found in np.nonzero(gone)), strict=True):
            first, second = (told[i, effect] - 1).tolist()
            self._gone[effect, int(rows[i])] = (first, second, int(time[i]))

    def _mark_rows(self, table: Table, rows: Column, offset: Column, now: int) -> None:
        some = table.take("delivered_at", rows) != ABSENT
        if self._before is not None:
            some |= np.isin(rows, self._before.rows)
        if self._gone:
            some |= np.isin(rows, [row for _, row in self._gone])
        if not some.any():
            return
        self._marks.reserve(table.size)
        rows, offset = rows[some], offset[some]
        new = delivered(table, rows).targets + 1  # 0: nobody
        old, time = self._told(rows, new)
        self.changed = True
        moved = (old[:, :, 0] > 0) & (new[:, :, 0] > 0) & (new != old).any(axis=2)
        for i, effect in zip(*(found.tolist() for found in np.nonzero(moved)), strict=True):
            row = int(rows[i])
            key = effect, row, int(old[i, effect, 0]) - 1, int(old[i, effect, 1]) - 1
            self.waiting += key not in self._revoked
            self._revoked[key] = int(offset[i]), int(time[i, effect]), now
        is_told = (new[:, :, 0] > 0) | (old[:, :, 0] > 0)
        if self._revoked:
            self._return(rows, new)
        held, waits = self._marks.bits(rows), (is_told * BITS).sum(axis=1)
        self.waiting += int((is_told & ((held[:, None] & BITS) == 0)).sum())
        some = waits > 0
        rows, offset = rows[some], offset[some]
        if not rows.size:
            return
        self._marks.put(rows, offset + 1, (held | waits)[some])
        if not self._ticks or now >= self._ticks[-1][1] + _TICK_US:
            self._ticks.append((int(offset.min()), now))
        self.again(rows)

    def _told(self, rows: Column, new: Column) -> tuple[Column, Column]:
        """Return target + 1 of what was told of some rows, and its time; note what is gone.

        Where nothing is noted it was what is true now, or, of a new delivery, nothing.
        """
        old, time = new.copy(), np.full(new.shape[:2], ABSENT)
        if self._before is not None:
            at = np.searchsorted(self._before.rows, rows)
            at[at == self._before.rows.size] = 0
            known = (self._before.rows[at] == rows).nonzero()[0]
            old[known] = self._before.targets[at[known]] + 1
            time[known] = self._before.time[at[known], None]
        if self._gone:
            for i in np.isin(rows, [row for _, row in self._gone]).nonzero()[0].tolist():
                for effect in range(len(EFFECTS)):
                    if (held := self._gone.get((effect, int(rows[i])))) is not None:
                        old[i, effect], time[i, effect] = (held[0] + 1, held[1] + 1), held[2]
                        if new[i, effect, 0] > 0:
                            del self._gone[effect, int(rows[i])]
        lost = (old[:, :, 0] > 0) & (new[:, :, 0] <= 0)
        for i, effect in zip(*(found.tolist() for found in np.nonzero(lost)), strict=True):
            first, second = (old[i, effect] - 1).tolist()
            self._gone[effect, int(rows[i])] = (first, second, int(time[i, effect]))
        return old, time

    def _return(self, rows: Column, new: Column) -> None:
        """Forget what was to be withdrawn from a target that is true again."""
        waiting = np.array([row for _, row, _, _ in self._revoked])
        for i in np.isin(rows, waiting).nonzero()[0].tolist():
            row = int(rows[i])
            for effect in range(len(EFFECTS)):
                key = effect, row, int(new[i, effect, 0]) - 1, int(new[i, effect, 1]) - 1
                if self._revoked.pop(key, None) is not None:
                    self.waiting -= 1

    def _recount(self) -> None:
        rows = self._marks.rows()
        waits = self._marks.bits(rows)[:, None] & BITS
        self.waiting = int((waits > 0).sum()) + len(self._revoked)
        self._flying.clear()
        self._line.clear()
        self.again(rows)
        self.changed = True
        self._empty()

    def _empty(self) -> None:
        """Give back what is needed only while something waits."""
        if not self.waiting:
            self._marks.empty()
            self._ticks.clear()


def _key(due: Due, i: int) -> Revoked:
    first, second = due.target[i].tolist()
    return int(due.effect[i]), int(due.row[i]), first, second


def _ordered(frame: Frame) -> tuple[Column, NDArray[np.int32]]:
    """Return row and (site, product, supplier) of every order of a frame that stands."""
    if "data.supplier" not in frame.columns:
        return np.zeros(0, np.int64), np.zeros((0, len(_ORDERED)), np.int32)
    at = (_ORDERS[frame.columns["contract"]] & (frame.columns["reason"] == 0)).nonzero()[0]
    said = np.stack([payload_column(frame, name)[at] for name in _ORDERED], 1)
    return frame.columns["row"][at].astype(np.int64), said
