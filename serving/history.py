"""History: receipts and the quarantine, read back from a shard's journal. Proof, not memory."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.shard import Shard
from serving.access import Identity
from serving.wire import twin_pb2 as pb
from twin.columns import event_ids
from twin.dedup import UNSEEN
from twin.errors import BadRequest
from twin.frames import Frame, column_texts
from twin.outcomes import Outcome, Reason

MOST = 1000


def receipts(shard: Shard, request: pb.ReceiptsRequest, who: Identity) -> pb.ReceiptsReply:
    """Return a receipt for each id, or for one offset. Raises BadRequest."""
    if len(request.ids) > MOST:
        raise BadRequest(f"at most {MOST} receipts at a time; ask in parts")
    if request.offset:
        return pb.ReceiptsReply(receipts=[_at(shard, _offset(request.offset), who)])
    known = shard.find(request.source, who.tenant, request.ids)
    found = []
    for i, id in enumerate(request.ids):
        if known.entry[i] == UNSEEN:
            found.append(pb.Receipt(id=id, source=request.source, outcome="UNSEEN", offset=-1))
            continue
        receipt = _at(shard, int(known.offset[i]), who)
        receipt.outcome = Outcome(int(known.outcome[i])).name
        found.append(receipt)
    shard.require_marker()
    return pb.ReceiptsReply(receipts=found)


def quarantine(shard: Shard, request: pb.QuarantineRequest, who: Identity) -> pb.QuarantineReply:
    """Return the newest parked events."""
    offsets = shard.parked()
    shown = offsets[: request.limit or 20]
    parked = [_at(shard, offset, who) for offset in shown]
    return pb.QuarantineReply(parked=parked, shown=len(parked), total=len(offsets))


def _at(shard: Shard, offset: int, who: Identity) -> pb.Receipt:
    frame = shard.frame(offset)
    if frame is None:
        raise BadRequest(f"{shard.name} has no offset {offset}; the next one is {shard.next}")
    receipt = describe(shard, frame, offset - frame.first)
    if not receipt.key.startswith(f"{who.tenant}/"):
        raise BadRequest(f"{shard.name} has no offset {offset}; the next one is {shard.next}")
    return receipt


def describe(shard: Shard, frame: Frame, i: int) -> pb.Receipt:
    """Return what the journal says about event `i` of a frame."""
    columns = frame.columns
    reason = Reason(int(columns["reason"][i]))
    offset = frame.first + i
    receipt = pb.Receipt(
        id=event_ids(frame).get(i),
        source=shard.word(int(columns["source"][i])),
        outcome=(Outcome.PARKED if reason else Outcome.APPLIED).name,
        reason=reason.name if reason else "",
        shard=shard.name,
        offset=offset,
        epoch=frame.epoch,
        event_time=int(columns["time"][i]),
        ingest_time=frame.ingest_time,
        writer=shard.word(int(columns["writer"][i])),
        receipt=f"{shard.name}/{offset}",
    )
    contract = int(columns["contract"][i])
    name = frame.contracts[contract] if contract >= 0 else ""
    row = int(columns["row"][i])
    if row >= 0:
        kind = name.partition(".")[0]
        tenant, _, id = shard.name_of(kind, row).partition("/")
        receipt.key = f"{tenant}/{kind}/{shard.rule.region}/{id}"
    else:
        raw = _raw(frame, i)
        kind = str(raw[2]).partition(".")[0]
        tenant = shard.word(int(columns["tenant"][i]))
        receipt.key = f"{tenant}/{kind}/{shard.rule.region}/{raw[4]}"
        name = f"{raw[2]}.v{raw[3]}"
    receipt.type = name
    return receipt


def _raw(frame: Frame, i: int) -> list[Any]:
    """Return a parked event as it came."""
    parked = int((frame.columns["reason"][:i] != Reason.NONE).sum())
    held = column_texts(frame.columns, "raw")
    packed = held.content[held.offsets[parked] : held.offsets[parked + 1]].tobytes()
    row: list[Any] = msgspec.msgpack.decode(packed)
    return row


def _offset(name: str) -> int:
    try:
        return int(name.rpartition("/")[2])
    except ValueError as e:
        raise BadRequest(f"{name} is no receipt; one reads shipment/east/0/5733") from e
