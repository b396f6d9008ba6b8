"""Telling: what entered, changed and left, as messages that end where commits end.

The changes of one commit are in one message, or in consecutive ones of which only the last says no
`more`: what a subscriber holds then is a state that the shard was in, and the offset is behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving import encode
from serving.wire import twin_pb2 as pb
from twin.changes import bits_of
from twin.membership import Batch, Verdict
from twin.query import View
from twin.texts import Texts

ENTERED, CHANGED, LEFT = "entered", "changed", "left"
TOGETHER = 500  # changes of a message, unless one commit has more
LARGEST = 1 << 20  # bytes of a message; a commit that has more comes in parts
OVERHEAD = 200  # bytes of an entry, besides its message


class Entry(NamedTuple):
    """One message. `ends`: for each of its changes, the offset behind the commit it is of."""

    begin: int  # what is before this offset was told in earlier messages
    end: int  # the offset behind the newest commit that it is of
    reply: pb.SubscribeReply  # its offset is `end`, or `begin` where more of that commit follows
    ends: tuple[int, ...]
    bytes: int

    def behind(self, offset: int) -> pb.SubscribeReply:
        """Return the message without what is before an offset."""
        if offset <= self.begin:
            return self.reply
        rest = pb.SubscribeReply()
        rest.CopyFrom(self.reply)
        del rest.changes[:]
        pairs = zip(self.reply.changes, self.ends, strict=True)
        rest.changes.extend(change for change, end in pairs if end > offset)
        rest.offset = max(rest.offset, offset)
        return rest


class Teller(NamedTuple):
    """How changes are told: by which shard and writer, with which fields."""

    shard: str
    epoch: int
    fields: tuple[str, ...]

    def entries(
        self, batch: Batch, view: View, verdict: Verdict, begin: int, names: Texts
    ) -> list[Entry]:
        """Return what a batch comes to, in order; `begin`: what is before it was told.

        `names`: of all rows of the kind.
        """
        positions = np.concatenate(verdict)
        if not positions.size:
            return []
        sizes = [part.size for part in verdict]
        word = np.repeat(np.arange(3), sizes)
        order = np.argsort(batch.offset[positions], kind="stable")
        positions, word = positions[order], word[order]
        ids = [name.partition("/")[2] for name in names.take(batch.rows[positions]).list()]
        changes = self._changes(batch, view, positions, word, ids)
        return self._cut(changes, batch.end[positions].tolist(), begin, view.now_us)

    def _changes(
        self,
        batch: Batch,
        view: View,
        positions: NDArray[np.int64],
        word: NDArray[np.int64],
        ids: Sequence[str],
    ) -> list[pb.Change]:
        offset, end = batch.offset[positions].tolist(), batch.end[positions].tolist()
        names = (ENTERED, CHANGED, LEFT)
        changes = [
            pb.Change(change=names[w], offset=o) for w, o in zip(word.tolist(), offset, strict=True)
        ]
        twins = [change.twin for change in changes]
        for twin, id, at in zip(twins, ids, end, strict=True):
            twin.key = f"{view.tenant}/{view.kind}/{view.region}/{id}"
            twin.id, twin.region = id, view.region
            twin.shard, twin.offset, twin.epoch = self.shard, at, self.epoch
        told = np.where(word == 1, batch.told[positions], np.uint32(0xFFFFFFFF))
        told[word == 2] = 0
        for name in self.fields:
            some = np.flatnonzero(told & np.uint32(bits_of(view.kind, name))).tolist()
            if some:
                encode.add([twins[i] for i in some], view, positions[some], name)
                for i in some:
                    if word[i] == 1 and name not in twins[i].values:
                        changes[i].absent.append(name)
        return changes

    def _cut(
        self, changes: Sequence[pb.Change], ends: Sequence[int], begin: int, now_us: int
    ) -> list[Entry]:
        """Put changes into messages: several commits into one, or one commit into several."""
        entries: list[Entry] = []
        start, size, whole = 0, 0, 0  # of the message: its first change, bytes, whole commits
        for i, change in enumerate(changes):
            if i and ends[i] != ends[i - 1]:
                whole = i
            size += change.ByteSize()
            if i > start and (size > LARGEST or i - start >= TOGETHER):
                if whole > start:
                    cut = whole
                elif size > LARGEST:
                    cut = i
                else:
                    continue
                entries.append(self._entry(changes, ends, start, cut, begin, now_us))
                begin = entries[-1].reply.offset
                start, size = cut, sum(one.ByteSize() for one in changes[cut : i + 1])
        entries.append(self._entry(changes, ends, start, len(changes), begin, now_us))
        return entries

    def _entry(
        self,
        changes: Sequence[pb.Change],
        ends: Sequence[int],
        start: int,
        cut: int,
        begin: int,
        now_us: int,
    ) -> Entry:
        end = ends[cut - 1]
        part = cut < len(ends) and ends[cut] == end
        reply = pb.SubscribeReply(
            changes=changes[start:cut],
            now=now_us,
            shard=self.shard,
            offset=begin if part else end,
            epoch=self.epoch,
            more=part,
        )
        size = OVERHEAD + reply.ByteSize()
        return Entry(begin, end, reply, tuple(ends[start:cut]), size)

    def page(self, view: View, rows: NDArray[np.int64]) -> pb.SubscribeReply:
        """Return a part of the first answer."""
        found = encode.twins(view, rows, self.fields, shard=self.shard, epoch=self.epoch)
        table = view.snapshot.tables[view.kind]
        newest = table.take("head", rows).tolist()
        return pb.SubscribeReply(
            changes=[
                pb.Change(change=ENTERED, twin=twin, offset=at)
                for twin, at in zip(found, newest, strict=True)
            ],
            snapshot=True,
            now=view.now_us,
            shard=self.shard,
            epoch=self.epoch,
        )
