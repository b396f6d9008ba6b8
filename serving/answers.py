"""Answers: replies to Ingest as every side of a stream reads them: client, gateway and shard."""

from __future__ import annotations

from serving import faults
from serving.wire import twin_pb2 as pb
from twin.errors import Retryable, TwinError


def faulty(reply: pb.IngestReply, e: TwinError) -> pb.IngestReply:
    """Return the reply that says a whole batch was refused."""
    wait = e.retry_after if isinstance(e, Retryable) else 0.0
    reply.fault.CopyFrom(pb.Fault(code=e.code, message=str(e), retry_after_s=wait))
    return reply


def apart(reply: pb.IngestReply) -> list[pb.IngestReply]:
    """Return a reply to several batches as one for each."""
    if not reply.batches:
        return [reply]
    replies, start = [], 0
    for number, size in zip(reply.batches, reply.sizes, strict=True):
        end = start + size
        replies.append(
            pb.IngestReply(
                batch=number,
                outcomes=reply.outcomes[start:end],
                reasons=reply.reasons[start:end],
                offsets=reply.offsets[8 * start : 8 * end],
                shards=reply.shards[start:end],
                shard_names=reply.shard_names,
                epochs=reply.epochs,
                ingest_time=reply.ingest_time,
            )
        )
        start = end
    return replies


def require(reply: pb.IngestReply) -> pb.IngestReply:
    """Return a reply that is no refusal. Raises what the fault says otherwise."""
    if reply.HasField("fault"):
        fault = reply.fault
        raise faults.error(fault.code, fault.message, fault.retry_after_s)
    return reply
