"""Shard status: what a shard says of itself; counts since it began, or of what it holds."""

from __future__ import annotations

import os

from actors.bases import Bases
from actors.outbox import Courier
from actors.shard import Shard
from actors.watchman import Watchman
from serving.intake import Intake
from serving.load import Load, Memory
from serving.wire import twin_pb2 as pb
from twin.kinds import ABSENT


def of(
    shard: Shard,
    load: Load,
    memory: Memory,
    intake: Intake,
    *,
    address: str,
    recovery_s: float,
) -> pb.ShardStatus:
    """Return the status of a shard that serves at `address`."""
    return pb.ShardStatus(
        name=shard.name,
        region=shard.rule.region,
        kind=shard.name.partition("/")[0],
        epoch=shard.epoch,
        state="serving",
        pid=os.getpid(),
        address=address,
        offset=shard.next,
        durable_offset=shard.next,
        checkpoint_offset=shard.checkpoint_offset,
        twins=shard.sizes(),
        outcomes=shard.outcomes(),
        events_per_s=load.events_per_s,
        memory_bytes=memory.bytes(),
        queue=intake.batches,
        queue_bound=intake.bound,
        queues=intake.status(),
        headroom=load.headroom,
        newest_as_of=shard.newest_as_of,
        recovery_s=recovery_s,
        replayed=shard.replayed,
        journal_bytes=shard.journal_bytes,
        fsync_p99_ms=shard.fsync_p99_ms,
    )


def bases(kept: Bases) -> pb.BasesStatus:
    """Return what is kept of earlier offsets."""
    held = kept.held()
    return pb.BasesStatus(
        count=len(held),
        bytes=sum(base.bytes for base in held),
        oldest=held[0].ingest_time if held else 0,
        bytes_bound=kept.bytes_bound,
    )


def outbox(shard: Shard, courier: Courier, now_us: int) -> pb.OutboxStatus:
    """Return what follows from a shard's twins and has not arrived."""
    oldest = shard.outbox_oldest()
    return pb.OutboxStatus(
        waiting=shard.outbox_waiting,
        homeless=courier.homeless,
        oldest_s=0.0 if oldest == ABSENT else (now_us - oldest) / 1e6,
        refused=courier.refused,
    )


def alert_watch(watchman: Watchman) -> pb.AlertWatchStatus:
    """Return how far a shard's twins are judged by the rules."""
    return pb.AlertWatchStatus(
        judged=watchman.judged,
        looked_at=watchman.looked_at,
        waiting=watchman.waiting,
        overtaken=watchman.overtaken,
        refused=watchman.refused,
        full=watchman.full,
    )


def prove(shard: Shard, request: pb.StatusRequest, status: pb.ShardStatus) -> None:
    """Put the digests that a request asks for into `status`."""
    if request.verify:
        live, rebuilt = shard.verify()
        status.journal_truth_digest = rebuilt.truth
        status.journal_replay_digest = rebuilt.replay
    else:
        live = shard.digests()
    status.truth_digest, status.replay_digest = live.truth, live.replay
    status.offset = live.offset
