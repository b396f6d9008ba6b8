"""Subscribe, as a shard answers it: who matches now, then every change of them, commit by commit.

    entered   it matches and did not: all fields asked for
    changed   it matched and matches: those fields that events of the commit decided
    left      it matches no more

Of each twin, changes come in the order of their offsets; each commit's come together; none is
missing and none comes twice, from whichever writer they come and wherever one goes on. A filter
that depends on the clock is refused, as what matches it changes without any commit. What a
sub-query finds is looked up once, when the subscription begins.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial

from actors.shard import Shard
from serving.access import LEEWAY_S, Identity
from serving.catching_up import CatchingUp
from serving.encode import fields_of
from serving.seats import Hold, Seats
from serving.sets import opened
from serving.telling import Teller
from serving.topics import Begun, Judged, Question, Topic, Topics, slow
from serving.wire import twin_pb2 as pb
from twin.changes import needs_of
from twin.errors import BadRequest, Denied, SlowConsumer
from twin.fields import check_field, timed
from twin.filters import Filter, compile_filter
from twin.kinds import Kind

BOOKMARK_S = 1.0  # after which a subscriber is told how far all is, if there was nothing to tell
PAGE = 500  # twins in a message of the first answer
STUCK_S = 30.0  # for which a reader may take nothing, before all that is held for it goes


def check(kind: str, request: pb.SubscribeRequest) -> tuple[Filter, tuple[str, ...]]:
    """Return the filter and the fields of a request. Raises UnknownField or BadRequest."""
    found = compile_filter(kind, request.where)
    fields = tuple(fields_of(kind, request.fields))
    for name in fields:
        check_field(kind, name)
    if clocked := [name for name in fields if timed(name)]:
        raise _timed(f"{clocked[0]} changes")
    if found.timed:
        raise _timed("what the filter matches changes")
    return found, fields


class Subscriptions:
    """One shard's. `kind`: the kind that a request names, if the shard holds it."""

    def __init__(
        self,
        shard: Shard,
        clock: Callable[[], int],
        kind: Callable[[str], Kind],
        *,
        bookmark_s: float = BOOKMARK_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        self.stuck_s = stuck_s
        self._shard, self._clock, self._kind = shard, clock, kind
        self._bookmark_s = bookmark_s
        self.topics = Topics(shard, clock)
        self._missed = CatchingUp(shard, clock)
        self._seats = Seats(shard.name)
        self._dropped = self._resumed = 0

    def status(self) -> pb.SubscriptionsStatus:
        """Return who follows, what that takes of memory, and what became of subscriptions."""
        topics = self.topics
        return pb.SubscriptionsStatus(
            topics=len(topics),
            followers=topics.followers,
            bytes=topics.bytes,
            ring_bytes=topics.ring.bytes,
            dropped=self._dropped,
            resumed=self._resumed,
            stuck=self._seats.stuck,
        )

    async def subscribe(
        self, request: pb.SubscribeRequest, who: Identity
    ) -> AsyncGenerator[pb.SubscribeReply]:
        """Yield the first answer, unless it is not asked for, and what changes from then on.

        Raises SlowConsumer, Overloaded, Compacted, Fenced; BadRequest FUTURE_OFFSET,
        CURSOR_INVALID, FILTER_TIMED.
        """
        asked = self._asked(request, who)
        if request.cursor:
            raise BadRequest("a cursor is a gateway's; name this shard's offset in `from`")
        hold = Hold()
        hold.keep(self._drop)
        with self._seats.take(who.tenant, hold):
            offsets = getattr(request, "from")
            if self._shard.name in offsets:
                offset = offsets[self._shard.name]
                stream = self._onwards(asked, hold, offset, request.epochs[self._shard.name])
            else:
                stream = self._afresh(asked, hold, only_changes=request.only_changes)
            try:
                async with aclosing(watched(stream, who, hold, self.stuck_s)) as replies:
                    async for reply in replies:
                        yield reply
            except SlowConsumer:
                if not hold.given_up:
                    self._drop()
                raise

    def _drop(self) -> None:
        self._dropped += 1

    async def _afresh(
        self, asked: Judged, hold: Hold, *, only_changes: bool
    ) -> AsyncGenerator[pb.SubscribeReply]:
        held = [await self.topics.begun(asked)]  # let go of early: writes note what they overwrite
        hold.keep(held.clear)
        topic, offset = held[0].topic, held[0].view.snapshot.offset
        with _follows(topic, hold):
            if not only_changes:
                async with aclosing(self._pages(asked, held)) as pages:
                    async for reply in pages:
                        yield reply
            held.clear()
            yield self._bookmark(offset)
            async with aclosing(self._live(topic, offset)) as replies:
                async for reply in replies:
                    yield reply

    async def _onwards(
        self, asked: Judged, hold: Hold, since: int, epoch: int
    ) -> AsyncGenerator[pb.SubscribeReply]:
        """Yield what comes behind an offset: from the log of its topic, else from the journal."""
        self._shard.require_ready()
        self._shard.require_marker()  # first: a writer that was replaced knows of less
        if since > self._shard.next:
            raise _future(self._shard, since)
        await self.topics.read(partial(self._require_told, since, epoch))
        topic = self.topics.known(asked.question)
        if topic is None or since < topic.begin:
            topic = (await self.topics.begun(asked)).topic
        with _follows(topic, hold):
            until = since if since >= topic.begin else topic.at
            if until > since:
                self._resumed += 1
                missed = self._missed.missed(asked, since, until)
                hold.keep(missed.give_up)
                async with aclosing(missed.entries()) as entries:
                    async for entry in entries:
                        yield entry.reply
            yield self._bookmark(until)
            async with aclosing(self._live(topic, until)) as replies:
                async for reply in replies:
                    yield reply

    async def _pages(
        self, asked: Judged, held: Sequence[Begun]
    ) -> AsyncGenerator[pb.SubscribeReply]:
        for start in range(0, held[0].rows.size, PAGE):
            reply = await self.topics.read(partial(_page, asked.teller, held[0], start))
            self._shard.require_marker()
            yield reply

    async def _live(self, topic: Topic, offset: int) -> AsyncGenerator[pb.SubscribeReply]:
        number = topic.place(offset)
        told = time.monotonic()
        while True:
            entry = topic.entry(number)
            if entry is not None:
                number += 1
                if entry.end > offset:
                    reply = entry.behind(offset)
                    yield reply
                    offset, told = reply.offset, time.monotonic()
                continue
            left = told + self._bookmark_s - time.monotonic()
            if left > 0:
                await topic.wait(left)
                continue
            self._shard.require_marker()
            offset = max(offset, topic.at)
            yield self._bookmark(offset)
            told = time.monotonic()

    def _asked(self, request: pb.SubscribeRequest, who: Identity) -> Judged:
        kind = self._kind(request.kind).name
        found, fields = check(kind, request)
        sets = opened(request.sets)
        if strange := [need.key for need in found.needs if need.key not in sets]:
            raise BadRequest(f"a shard sees no other's twins, as {strange[0][:80]}; ask a gateway")
        told = hashlib.blake2b(digest_size=16)
        for key in sorted(sets):
            told.update(repr((key, sets[key])).encode())
        question = Question(kind, who.tenant, request.where, fields, told.digest())
        teller = Teller(self._shard.name, self._shard.epoch, fields)
        return Judged(question, found._replace(sets=sets), teller, needs_of(kind, found, fields))

    def _require_told(self, since: int, epoch: int) -> None:
        """Raise unless what is before an offset is what a writer of `epoch` told."""
        if not since or not epoch:
            return
        frame = self._shard.frame(since - 1)
        if frame is None or frame.epoch > epoch:
            raise _future(self._shard, since)
        if frame.first + frame.size != since:
            raise BadRequest(
                f"{self._shard.name} has no commit that ends at {since}; subscribe anew",
                "CURSOR_INVALID",
            )

    def _bookmark(self, offset: int) -> pb.SubscribeReply:
        shard = self._shard
        return pb.SubscribeReply(
            synced=True, now=self._clock(), shard=shard.name, offset=offset, epoch=shard.epoch
        )


def _page(teller: Teller, begun: Begun, start: int) -> pb.SubscribeReply:
    return teller.page(begun.view, begun.rows[start : start + PAGE])


@contextmanager
def _follows(topic: Topic, hold: Hold) -> Iterator[None]:
    follows = [topic]

    def leave() -> None:
        if follows:
            follows.pop()
            topic.followers -= 1
            topic.left_at = time.monotonic()

    topic.followers += 1
    hold.keep(leave)
    try:
        yield
    finally:
        leave()


async def watched(
    stream: AsyncGenerator[pb.SubscribeReply],
    who: Identity,
    hold: Hold,
    stuck_s: float,
) -> AsyncGenerator[pb.SubscribeReply]:
    """Yield a stream until the token has expired, or the reader takes nothing for `stuck_s`.

    A message that cannot be sent keeps the call open, as gRPC knows no way to end it: so all else
    is given up, the seat as well. Who reads on at last gets that message, then SLOW_CONSUMER and
    the cursor behind it.
    """
    loop = asyncio.get_running_loop()
    cursor = ""
    async with aclosing(stream):
        async for reply in stream:
            if time.time() > who.expires + LEEWAY_S:
                raise Denied("the token has expired; go on with a new one", "TOKEN_EXPIRED")
            stuck = loop.call_later(stuck_s, hold.give_up)
            try:
                yield reply
            finally:
                stuck.cancel()
            cursor = reply.cursor or cursor
            if hold.given_up:
                error = slow()
                error.cursor = cursor
                raise error


def _timed(what: str) -> BadRequest:
    return BadRequest(
        f"{what} as time passes, though nothing happens, and a subscription tells of commits; "
        "name fields alone, or let a rule raise an alert",
        "FILTER_TIMED",
    )


def _future(shard: Shard, since: int) -> BadRequest:
    return BadRequest(
        f"{shard.name} holds nothing that was told as far as {since}, its last offset is "
        f"{shard.next}; subscribe anew",
        "FUTURE_OFFSET",
    )
