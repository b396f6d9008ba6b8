"""Subscribe, as a gateway answers it: the streams of all shards as one, with one cursor.

A cursor is how far each shard was told, and by which writer, sealed for its question and tenant:
any gateway goes on with it. There is none until every shard's first answer is complete, so one that
breaks off before is asked anew. A shard that moves is waited for, at its successor, from where
it was left; meanwhile the others' changes come, and the mode is degraded.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import grpc
import msgspec

from serving import cursors, faults
from serving.access import Identity
from serving.relations import resolve
from serving.relay import reachable
from serving.seats import AGAIN_S, Hold, Seats
from serving.sets import Sets, sealed
from serving.shards import Shards
from serving.subscribe import BOOKMARK_S, STUCK_S, check, watched
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Fenced, SlowConsumer, TwinError, Unavailable

WAITING = 64  # messages of all shards that wait for the subscriber
PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5  # between two attempts to reach a shard
AWAY_S = 0.3  # after which a shard that does not answer is said to be away
CLOSE_S = 0.5  # for subscribers to be told that this gateway stops


class Told(NamedTuple):
    """How far a shard was told: everything before `offset`, by the writer of `epoch`."""

    offset: int
    epoch: int


class _Place(msgspec.Struct, array_like=True):
    sets: bytes
    told: dict[str, tuple[int, int]]


class News(NamedTuple):
    """What one shard's stream brought: messages, that it is away or back, or why it ended."""

    shard: str
    parts: Sequence[pb.SubscribeReply] = ()  # of one commit: nothing comes in between
    away: bool = False
    error: Exception | None = None


class GatewaySubscriptions:
    """One gateway's. `key`: the data directory's; `kind`: the kind that a request names."""

    def __init__(
        self,
        shards: Shards,
        key: Path,
        clock: Callable[[], int],
        kind: Callable[[str], str],
        *,
        bookmark_s: float = BOOKMARK_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        self.stuck_s = stuck_s
        self._shards, self._key, self._clock, self._kind = shards, key, clock, kind
        self._bookmark_s = bookmark_s
        self._seats = Seats("a gateway")
        self._dropped = 0
        self._merges: set[_Merge] = set()
        self._stopping = False

    def status(self) -> pb.SubscriptionsStatus:
        """Return who follows, and what became of subscriptions."""
        return pb.SubscriptionsStatus(
            followers=self._seats.taken, dropped=self._dropped, stuck=self._seats.stuck
        )

    async def close(self) -> None:
        """End every subscription: its subscriber goes on with another gateway, or with the next."""
        self._stopping = True  # whoever comes back at once is to find another, or the next
        for merge in list(self._merges):
            merge.end(_stopping())
        until = time.monotonic() + CLOSE_S
        while self._merges and time.monotonic() < until:
            await asyncio.sleep(PAUSE_S / 10)

    async def subscribe(
        self, request: pb.SubscribeRequest, who: Identity
    ) -> AsyncGenerator[pb.SubscribeReply]:
        """Yield the messages of all shards, each with the cursor behind it.

        Raises SlowConsumer with a cursor, Overloaded, Compacted; BadRequest CURSOR_INVALID,
        FUTURE_OFFSET, FILTER_TIMED.
        """
        if self._stopping:
            raise _stopping()
        request.kind = self._kind(request.kind)
        check(request.kind, request)
        if getattr(request, "from") or request.epochs or request.sets:
            raise BadRequest("`from`, `epochs` and `sets` are a gateway's to say; send a cursor")
        asks = question(request, who.tenant)
        place = cursors.opened(self._key, asks, request.cursor) if request.cursor else b""
        hold = Hold()
        hold.keep(self._drop)
        with self._seats.take(who.tenant, hold):
            where, sets = await resolve(self._shards, request.kind, request.where, who)
            found = digest(sets)
            told = _read(place, found) if place else {}
            asked = pb.SubscribeRequest(
                kind=request.kind,
                where=where,
                fields=request.fields,
                only_changes=request.only_changes,
            )
            sealed(sets, asked)
            known = [route.name for route in self._shards.known(request.kind, request.region)]
            names = sorted({*known, *told})

            def cursor(told: dict[str, Told]) -> str:
                return cursors.sealed(self._key, asks, placed(found, told))

            merge = _Merge(self._shards, asked, who, names, told, cursor)
            self._merges.add(merge)
            try:
                stream = merge.replies(self._clock, self._bookmark_s)
                hold.keep(merge.release)
                async with aclosing(watched(stream, who, hold, self.stuck_s)) as replies:
                    async for reply in replies:
                        yield reply
            except SlowConsumer:
                if not hold.given_up:
                    self._drop()
                raise
            finally:
                self._merges.discard(merge)

    def _drop(self) -> None:
        self._dropped += 1


class _Merge:
    """The streams of all shards of one subscription."""

    def __init__(
        self,
        shards: Shards,
        asked: pb.SubscribeRequest,
        who: Identity,
        names: Sequence[str],
        told: dict[str, Told],
        cursor: Callable[[dict[str, Told]], str],
    ) -> None:
        self._shards, self._asked, self._who = shards, asked, who
        self._told = dict(told)  # as far as the subscriber was told
        self._seal = cursor
        self._names = names
        self._unsynced = set(names)
        self._away: set[str] = set()
        self._news: asyncio.Queue[News] = asyncio.Queue(WAITING)
        self._over: Exception | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def release(self) -> None:
        """Follow no shard any more, and hold nothing of what they told."""
        for task in self._tasks:
            task.cancel()
        while not self._news.empty():
            self._news.get_nowait()

    def end(self, error: Exception) -> None:
        """Have the stream end with an error, whatever waits."""
        self._over = error
        if not self._news.full():
            self._news.put_nowait(News("", error=error))

    async def replies(
        self, clock: Callable[[], int], bookmark_s: float
    ) -> AsyncGenerator[pb.SubscribeReply]:
        self._tasks = [asyncio.create_task(self._follow(name)) for name in self._names]
        due = time.monotonic() + bookmark_s
        try:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        news = await self._news.get()
                except TimeoutError:
                    due = time.monotonic() + bookmark_s
                    yield self._bookmark(clock())  # so that it is never silent, nor taken for dead
                    continue
                for reply in self._take(news, clock):
                    due = time.monotonic() + bookmark_s
                    yield reply
        finally:
            self.release()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, news: News, clock: Callable[[], int]) -> Iterator[pb.SubscribeReply]:
        """Yield what the subscriber is told of some news, if anything now."""
        if (error := self._over or news.error) is not None:
            if isinstance(error, SlowConsumer):
                error.cursor = self._cursor()
            raise error
        if not news.parts:
            changed = (news.shard in self._away) != news.away
            (self._away.add if news.away else self._away.discard)(news.shard)
            if changed:
                yield self._bookmark(clock())
        for reply in news.parts:
            if not reply.snapshot and not reply.more:
                self._told[news.shard] = Told(reply.offset, reply.epoch)
            if not reply.synced:
                reply.mode, reply.cursor = self._mode, self._cursor()
                yield reply
            elif news.shard in self._unsynced:
                self._unsynced.discard(news.shard)
                if not self._unsynced:  # else a bookmark of one shard: told with the next of all
                    yield self._bookmark(clock())

    def _cursor(self) -> str:
        """Return where the subscriber is; nothing while a first answer is not complete."""
        return self._seal(self._told) if self._told.keys() >= set(self._names) else ""

    @property
    def _mode(self) -> pb.Mode:
        return pb.DEGRADED if self._away else pb.NORMAL

    def _bookmark(self, now: int) -> pb.SubscribeReply:
        return pb.SubscribeReply(
            cursor=self._cursor(), synced=not self._unsynced, mode=self._mode, now=now
        )

    async def _follow(self, name: str) -> None:
        """Bring what one shard tells, from whoever writes it, for as long as that lasts."""
        told = self._told.get(name)
        shown = away = False  # whether a part of its first answer was told; whether it is away
        pause, lost = PAUSE_S, time.monotonic()
        while True:
            error: Exception
            try:
                async with aclosing(self._stream(name, told)) as replies:
                    async for parts in replies:
                        if away:
                            away = False
                            await self._news.put(News(name))
                        await self._news.put(News(name, parts))
                        last = parts[-1]
                        shown = shown or last.snapshot
                        if not last.snapshot:
                            told, shown = Told(last.offset, last.epoch), False
                        pause, lost = PAUSE_S, time.monotonic()
                error = Unavailable(f"{name} closed the stream", AGAIN_S)
            except grpc.aio.AioRpcError as e:
                error = faults.from_grpc(e)
            except Exception as e:  # noqa: BLE001 - told to the subscriber as any call is
                error = e
            if not _passes(error):
                await self._news.put(News(name, error=error))
                return
            if shown:  # what was told of a first answer cannot be taken up by a successor
                gone = Unavailable(f"{name} moved before its first answer was whole", AGAIN_S)
                await self._news.put(News(name, error=gone))
                return
            if not away and time.monotonic() > lost + AWAY_S:
                away = True
                await self._news.put(News(name, away=True))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _stream(
        self, name: str, told: Told | None
    ) -> AsyncGenerator[list[pb.SubscribeReply]]:
        """Yield the messages of a shard's present writer, those of one commit together."""
        route = reachable(self._shards.routes.named(name))
        asked = pb.SubscribeRequest()
        asked.CopyFrom(self._asked)
        if told is not None:
            getattr(asked, "from")[name] = told.offset
            asked.epochs[name] = told.epoch
        call = self._shards.stub(route).Subscribe(asked, metadata=self._shards.speak(self._who))
        held: list[pb.SubscribeReply] = []
        try:
            async for reply in call:
                if told is not None and reply.epoch < told.epoch:
                    raise Fenced(f"{name}: epoch {reply.epoch} is over; ask again", PAUSE_S)
                held.append(reply)
                if not reply.more:
                    yield held
                    held = []
        finally:
            call.cancel()


def _stopping() -> Unavailable:
    return Unavailable("this gateway is stopping; go on with the cursor", LONGEST_PAUSE_S)


def _passes(error: Exception) -> bool:
    """Say whether a shard, or its successor, can be asked again to go on."""
    if isinstance(error, TwinError):
        broken = error.code in {"TOKEN_EXPIRED", "CANCELLED", "UNKNOWN"}
        return faults.moves(error) or broken
    return False


def question(request: pb.SubscribeRequest, tenant: str) -> Sequence[str]:
    """Return what a cursor is bound to."""
    fields = "\n".join(request.fields)
    return ("subscribe", tenant, request.kind, request.where, fields, request.region)


def digest(sets: Sets) -> bytes:
    """Return a hash of what sub-queries found."""
    told = hashlib.blake2b(digest_size=8)
    for key in sorted(sets):
        told.update(repr((key, sets[key])).encode())
    return told.digest()


def placed(found: bytes, told: Mapping[str, tuple[int, int]]) -> bytes:
    """Return the place in a cursor. `found`: the digest; `told`: shard -> offset and epoch."""
    return msgspec.msgpack.encode(_Place(found, dict(told)))


def _read(place: bytes, found: bytes) -> dict[str, Told]:
    held = msgspec.msgpack.decode(place, type=_Place)
    if held.sets != found:
        raise BadRequest(
            "a sub-query of the filter finds others than when the cursor was made; subscribe "
            "without it",
            "CURSOR_INVALID",
        )
    return {name: Told(*told) for name, told in held.told.items()}
