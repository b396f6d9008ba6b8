"""A recorder of subscriptions, and an oracle that folds a journal frame by frame to judge them.

The oracle knows nothing of rings, bits or topics: after each frame it looks at every twin anew.
What a subscriber must be told is etcd's list: ordered, unique, reliable, atomic, resumable and
bookmarked.
"""

import threading
from typing import NamedTuple

from serving.client import Event
from tests.serving.several import NOW
from twin.events import NOTHING
from twin.kinds import KINDS
from twin.outcomes import Outcome
from twin.transition import State

WHERE, FIELDS, HOT = "temp_c > 8", ("temp_c",), 8
GROUP = next(g.name for g in KINDS["shipment"].groups if any(f.name == "temp_c" for f in g.fields))
WAIT_S = 40


def reading(subject, temp_c, number, *, time=NOW - 10_000, region="east", **more):
    facts = {"temp_c": float(temp_c)}
    id = f"{subject}:{number}"
    return Event("shipment.condition", "sensor", subject, time, facts, id, region, **more)


class Said(NamedTuple):
    shard: str
    change: str
    id: str


class Commit(NamedTuple):
    """What one frame changes, by the oracle."""

    first: int
    end: int
    said: frozenset


def commits(shard, since=0):
    """Return what each frame of a shard's journal changes, those that change nothing left out."""
    state, hot, found = State(shard.rule), set(), []
    for frame in shard.frames(0):
        if not frame.size:
            continue
        outcome = state.commit(frame, shard.frame)
        held, now, told = state.kinds["shipment"], set(), set()
        amended = set()
        if "does" in frame.columns:  # what stood before stands again
            each = (frame.columns["row"], frame.columns["does"] != NOTHING, outcome)
            amended = {int(r) for r, d, o in zip(*each, strict=True) if d and o == Outcome.APPLIED}
        for row in range(held.keys.size):
            cell, decided = (held.table.cell(n, row) for n in ("temp_c", f"{GROUP}.offset"))
            if cell > HOT:  # NaN is not
                now.add(row)
            if decided >= frame.first or row in amended:
                told.add(row)
        names = {row: held.keys.name(row).partition("/")[2] for row in now | hot}
        said = {Said(shard.name, "entered", names[row]) for row in now - hot}
        said |= {Said(shard.name, "left", names[row]) for row in hot - now}
        said |= {Said(shard.name, "changed", names[row]) for row in now & hot & told}
        hot = now
        if said and frame.first >= since:
            found.append(Commit(frame.first, frame.first + frame.size, frozenset(said)))
    return found


class Recorder:
    """Follows a subscription in a thread, until `enough`."""

    def __init__(self, client, **asks):
        self.replies = []
        self.count = 0  # of changes
        self.error = None
        self._expected = None
        self._client, self._asks = client, asks
        self.begun = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        assert self.begun.wait(WAIT_S), self.error

    def enough(self, expected):
        """Wait until so many changes came, and a bookmark after them; return all messages."""
        self._expected = expected
        self._thread.join(WAIT_S)
        if self.error is not None:
            raise self.error
        assert not self._thread.is_alive(), f"{self.count} of {expected} changes came"
        return self.replies

    def _follow(self):
        try:
            replies = self._client.subscribe("shipment", WHERE, FIELDS, **self._asks)
            for reply in replies:
                self.replies.append(reply)
                self.count += len(reply.changes)
                if reply.synced:
                    self.begun.set()
                over = self._expected is not None and self.count >= self._expected
                if over and not reply.changes:
                    replies.close()
                    return
        except Exception as e:  # noqa: BLE001 - raised where it is waited for
            self.error = e
            self.begun.set()


def judge(replies, expected):
    """Hold messages of a subscription against what the oracle says: shard -> its commits."""
    told = {name: [] for name in expected}
    newest, part = dict.fromkeys(expected, -1), []
    for reply in replies:
        if not reply.changes:
            assert not part, "a bookmark between the parts of a commit"
            continue
        shards = {change.twin.shard for change in reply.changes}
        assert len(shards) == 1
        shard = shards.pop()
        part.extend(reply.changes)
        if reply.more:
            continue
        for change in part:
            assert change.offset > newest[shard], "ordered, and each once"
            newest[shard] = change.offset
        told[shard].extend(part)
        part = []
    assert not part, "atomic"
    for shard, wanted in expected.items():
        at = 0
        for commit in wanted:  # reliable: the same changes of the same commits, and no other
            size = len(commit.said)
            some = told[shard][at : at + size]
            assert {Said(shard, c.change, c.twin.id) for c in some} == commit.said, (shard, commit)
            assert all(commit.first <= c.offset < commit.end for c in some)
            at += size
        assert at == len(told[shard]), "unique"


def size_of(expected):
    return sum(len(commit.said) for wanted in expected.values() for commit in wanted)
