"""The outbox: what follows from a shard's twins, and has not reached the twins it is about.

It holds no events: only, per row, which targets were told something and from which offset on
that has to be told anew. An event is made of the state at the moment it leaves, and its revision
says of which, so whatever is sent twice, late or in another order comes to the same.
A pure function of the journal: replay from the cursor rebuilds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

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
from twin.outcomes import Reason

Column = NDArray[Any]
CURSOR = "outbox.cursor"  # a column of an empty frame: all that decided before it has arrived
_ORDERED = ("site", "product_group", "supplier")  # what says where a shipment's facts belong
_ORDERS = np.array([c.kind == "shipment" and "order" in c.sets for c in CONTRACTS] + [False])
Revoked = tuple[int, int, int, int]  # effect, row, target: told before, and no longer true


class Outbox:
    """What has to leave a shard of shipments. One writer; taking and settling under its lock."""

    def __init__(self) -> None:
        self.cursor = 0  # the greatest one journaled
        self.waiting = 0  # facts that have to leave
        self.changed = False  # since the cursor was asked for
        self._told = np.zeros((0, len(EFFECTS), 2), np.int32)  # by row: target + 1; 0: nobody
        self._mark = np.zeros((0, len(EFFECTS)), np.int64)  # deciding offset + 1; 0: it arrived
        self._time = np.zeros(0, np.int64)  # of what was told last
        self._since = np.zeros(0, np.int64)  # ingest time since which something waits
        self._revoked: dict[Revoked, tuple[int, int, int]] = {}  # -> offset, time told, since
        self._flying: set[Revoked] = set()
        self._rows: deque[Column] = deque()  # where something waits; a row may come twice
        self._run = np.zeros((0, len(_ORDERED)), np.int32)  # by row: what its order says + 2
        self._in_run: list[Column] = []  # rows that a run of replay has orders of

    def note(self, frame: Frame, table: Table) -> None:
        """Take in what a frame, already committed to `table`, changed of what follows."""
        for rows in self._in_run:
            self._run[rows] = 0
        self._in_run.clear()
        columns = frame.columns
        decides = DECIDES[columns["contract"]] & (columns["reason"] == Reason.NONE)
        if "does" in columns:
            decides |= (columns["does"] != NOTHING) & (columns["reason"] == Reason.NONE)
        at = np.flatnonzero(decides)
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
        old = np.flatnonzero(rows < table.size)
        held = np.stack([table.take(name, rows[old]) for name in _ORDERED], 1)
        known = table.take("order.source", rows[old]) >= 0
        if (known & (held != said[old]).any(axis=1)).any():
            return True
        old = np.flatnonzero(rows < self._run.shape[0])
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
        rows = self._some(most)
        told = delivered(table, rows)
        row, effect = np.nonzero(self._mark[rows] > 0)
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
        target[gone] = self._told[rows[row], effect][gone] - 1
        time = np.where(gone, self._time[rows[row]], told.time[row])
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
        for i in np.flatnonzero(due.moved).tolist():
            key = _key(due, i)
            self._flying.discard(key)
            held = self._revoked.get(key)
            if held is not None and arrived[i] and held[0] < due.revision:
                del self._revoked[key]
                self.waiting -= 1
        at = np.flatnonzero(~due.moved)
        row, effect, done = due.row[at], due.effect[at], arrived[at]
        mark = self._mark[row, effect]
        done &= (mark > 0) & (mark <= due.revision)
        gone = done & due.revoked[at]
        self._mark[row[done], effect[done]] = 0
        self._told[row[gone], effect[gone]] = 0
        self.waiting -= int(done.sum())

    def again(self, rows: Column) -> None:
        """Let what waits of some rows be taken again."""
        if rows.size:
            self._rows.append(rows)

    def settled(self, end: int) -> int:
        """Return the offset before which all that decided anything has arrived."""
        self.changed = False
        marks = self._mark[self._mark > 0]
        offsets = [offset for offset, _, _ in self._revoked.values()]
        return min([end, *offsets, *([int(marks.min()) - 1] if marks.size else [])])

    def oldest(self) -> int:
        """Return the ingest time since which something waits, ABSENT if nothing does."""
        since = self._since[(self._mark > 0).any(axis=1)]
        times = [time for _, _, time in self._revoked.values()]
        return min([*times, *([int(since.min())] if since.size else [])], default=ABSENT)

    def heard(self, frame: Frame) -> None:
        """Take in a cursor frame."""
        if CURSOR in frame.columns:
            self.cursor = max(self.cursor, int(frame.columns[CURSOR][0]))

    def drop(self) -> None:
        """After replay: forget what had arrived before the journal's last cursor."""
        done = (self._mark > 0) & (self._mark <= self.cursor)
        self._mark[done] = 0
        self._revoked = {k: v for k, v in self._revoked.items() if v[0] >= self.cursor}
        self._recount()

    def dump(self) -> dict[str, Column]:
        """Return all of it as tables of numbers."""
        rows = np.flatnonzero((self._told != 0).any(axis=(1, 2)) | (self._mark != 0).any(axis=1))
        revoked = [(*key, *value) for key, value in self._revoked.items()]
        return {
            CURSOR: np.array([self.cursor]),
            "outbox.row": rows,
            "outbox.told": self._told[rows],
            "outbox.marks": self._mark[rows],
            "outbox.times": np.stack([self._time[rows], self._since[rows]], 1),
            "outbox.revoked": np.array(revoked, np.int64).reshape(-1, 7),
        }

    def load(self, columns: Mapping[str, Column], size: int) -> None:
        self._reserve(size)
        self.cursor = int(columns[CURSOR][0])
        rows = columns["outbox.row"]
        self._told[rows] = columns["outbox.told"]
        self._mark[rows] = columns["outbox.marks"]
        self._time[rows], self._since[rows] = columns["outbox.times"].T
        for effect, row, first, second, *held in columns["outbox.revoked"].tolist():
            self._revoked[effect, row, first, second] = (held[0], held[1], held[2])
        self._recount()

    def _mark_rows(self, table: Table, rows: Column, offset: Column, now: int) -> None:
        some = table.take("delivered_at", rows) != ABSENT
        old_rows = np.flatnonzero(rows < self._time.size)
        some[old_rows] |= (self._told[rows[old_rows]] != 0).any(axis=(1, 2))
        if not some.any():
            return
        self._reserve(table.size)
        rows, offset = rows[some], offset[some]
        told = delivered(table, rows)
        new, old, time = told.targets + 1, self._told[rows], told.time
        self.changed = True
        moved = (old[:, :, 0] > 0) & (new[:, :, 0] > 0) & (new != old).any(axis=2)
        for i, effect in zip(*(found.tolist() for found in np.nonzero(moved)), strict=True):
            row = int(rows[i])
            key = effect, row, int(old[i, effect, 0]) - 1, int(old[i, effect, 1]) - 1
            self.waiting += key not in self._revoked
            self._revoked[key] = int(offset[i]), int(self._time[row]), now
        is_told = (new[:, :, 0] > 0) | (old[:, :, 0] > 0)
        if self._revoked:
            self._return(rows, new)
        waits = self._mark[rows] > 0
        fresh = is_told & ~waits
        self.waiting += int(fresh.sum())
        self._since[rows] = np.where(waits.any(axis=1), self._since[rows], now)
        self._mark[rows] = np.where(is_told, offset[:, None] + 1, self._mark[rows])
        self._told[rows] = np.where((new[:, :, :1] > 0), new, old)
        self._time[rows] = np.where(time != ABSENT, time, self._time[rows])
        self.again(rows)

    def _return(self, rows: Column, new: Column) -> None:
        """Forget what was to be withdrawn from a target that is true again."""
        waiting = np.array([row for _, row, _, _ in self._revoked])
        for i in np.flatnonzero(np.isin(rows, waiting)).tolist():
            row = int(rows[i])
            for effect in range(len(EFFECTS)):
                key = effect, row, int(new[i, effect, 0]) - 1, int(new[i, effect, 1]) - 1
                if self._revoked.pop(key, None) is not None:
                    self.waiting -= 1

    def _some(self, most: int) -> Column:
        found: list[Column] = []
        size = 0
        while self._rows and size < most:
            rows = self._rows.popleft()
            if size + rows.size > most:
                self._rows.appendleft(rows[most - size :])
                rows = rows[: most - size]
            found.append(rows)
            size += rows.size
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def _recount(self) -> None:
        self.waiting = int((self._mark > 0).sum()) + len(self._revoked)
        self._flying.clear()
        self._rows.clear()
        self.again(np.flatnonzero((self._mark > 0).any(axis=1)))
        self.changed = True

    def _reserve(self, size: int) -> None:
        """Have room for some rows. Of zeroes, so that rows nothing follows from take no memory."""
        held = self._time.size
        if size > held:
            room = max(size, held + held // 4)
            for name in ("_told", "_mark", "_time", "_since"):
                column = getattr(self, name)
                grown = np.zeros((room, *column.shape[1:]), column.dtype)
                grown[:held] = column
                setattr(self, name, grown)


def _key(due: Due, i: int) -> Revoked:
    first, second = due.target[i].tolist()
    return int(due.effect[i]), int(due.row[i]), first, second


def _ordered(frame: Frame) -> tuple[Column, NDArray[np.int32]]:
    """Return row and (site, product, supplier) of every order of a frame that stands."""
    if "data.supplier" not in frame.columns:
        return np.zeros(0, np.int64), np.zeros((0, len(_ORDERED)), np.int32)
    at = np.flatnonzero(_ORDERS[frame.columns["contract"]] & (frame.columns["reason"] == 0))
    said = np.stack([payload_column(frame, name)[at] for name in _ORDERED], 1)
    return frame.columns["row"][at].astype(np.int64), said
