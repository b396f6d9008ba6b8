"""Subscriptions as tests read them: messages as they came, and errors by their words."""

import grpc
import pytest

from serving import faults
from serving.wire import twin_pb2 as pb

EAST, WEST = "shipment/east/0", "shipment/west/0"
WAIT_S = 60


def opened(client, **asks):
    """Return the stream of a subscription; cancel it."""
    from_ = asks.pop("from_", {})
    request = pb.SubscribeRequest(**{"kind": "shipment", "from": from_} | asks)
    return client._stub.Subscribe(request, metadata=client._metadata(), timeout=WAIT_S)


def until_synced(stream):
    """Return the messages up to the first that says it is synced."""
    found = []
    for reply in stream:
        found.append(reply)
        if reply.synced:
            return found
    raise AssertionError("the stream ended")


def first(client, **asks):
    stream = opened(client, **asks)
    try:
        return until_synced(stream)
    finally:
        stream.cancel()


def refused(client, **asks):
    stream = opened(client, **asks)
    with pytest.raises(grpc.RpcError) as e:
        for _ in stream:
            pass
    return faults.from_grpc(e.value)


def next_changes(stream, most=1):
    """Return the next changes, `most` or more, and the last message that had one."""
    found = []
    for reply in stream:
        found += reply.changes
        if len(found) >= most:
            return found, reply
    raise AssertionError("the stream ended")


def ids(replies):
    return sorted(change.twin.id for reply in replies for change in reply.changes)
