"""Replies: what a shard's commits become on the wire, in the order of their batches.

A stream may ask for fewer, larger replies: each message costs a Python server as much as deciding
several events does. Every batch is durable before the reply that names it, either way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from serving.answers import faulty
from serving.intake import Answer
from serving.wire import twin_pb2 as pb
from twin.errors import TwinError

if TYPE_CHECKING:
    from actors.shard import Shard


class Replies:
    """The replies of one stream."""

    def __init__(self, shard: Shard, clock: Callable[[], int]) -> None:
        self._names, self._epochs = [shard.name], [shard.epoch]
        self._clock = clock
        self._numbers: deque[int] = deque()
        self._together = False

    def expect(self, request: pb.IngestRequest) -> None:
        """Note that a batch came: its answer is given next, after those before it."""
        self._numbers.append(request.batch)
        self._together = self._together or request.together

    def of(self, answers: Sequence[Answer | TwinError]) -> list[pb.IngestReply]:
        """Return the replies that carry these answers: as many, or as few as can be."""
        now = self._clock()
        replies: list[pb.IngestReply] = []
        run: list[Answer] = []
        numbers = [self._numbers.popleft() for _ in answers]
        for at, answer in enumerate(answers):
            if isinstance(answer, TwinError):
                replies += self._told(run, numbers[at - len(run) : at], now)
                run = []
                replies.append(faulty(pb.IngestReply(batch=numbers[at]), answer))
            else:
                run.append(answer)
        return replies + self._told(run, numbers[len(numbers) - len(run) :], now)

    def _told(
        self, run: Sequence[Answer], numbers: Sequence[int], now: int
    ) -> list[pb.IngestReply]:
        if not run:
            return []
        if self._together and len(run) > 1:
            whole = Answer(*(b"".join(parts) for parts in zip(*run, strict=True)))
            reply = self._one(whole, numbers[-1], now)
            reply.batches.extend(numbers)
            reply.sizes.extend([len(answer.outcomes) for answer in run])
            return [reply]
        return [self._one(answer, n, now) for answer, n in zip(run, numbers, strict=True)]

    def _one(self, answer: Answer, number: int, now: int) -> pb.IngestReply:
        return pb.IngestReply(
            batch=number,
            outcomes=answer.outcomes,
            reasons=answer.reasons,
            offsets=answer.offsets,
            shards=answer.shards,
            shard_names=self._names,
            epochs=self._epochs,
            ingest_time=now,
        )
