"""History: receipts, read back from a shard's journal. Proof, not memory."""

from __future__ import annotations

from actors.shard import Shard
from serving.access import Identity
from serving.wire import twin_pb2 as pb
from twin import redrive
from twin.columns import event_ids
from twin.dedup import UNSEEN
from twin.errors import BadRequest
from twin.frames import Frame
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
        _parked(receipt, shard, frame, i, reason)
        name = receipt.type
    if "redrives" in columns and (before := int(columns["redrives"][i])) >= 0:
        receipt.redrives = f"{shard.name}/{before}"
    receipt.type = name
    return receipt


def _parked(receipt: pb.Receipt, shard: Shard, frame: Frame, i: int, reason: Reason) -> None:
    """Say of a parked event what it is about, what breaks its contract, and what it led to."""
    row = redrive.parked(frame, i, dict(redrive.parked_in(frame))[i]).row
    kind = str(row[2]).partition(".")[0]
    tenant = shard.word(int(frame.columns["tenant"][i]))
    receipt.key = f"{tenant}/{kind}/{shard.rule.region}/{row[4]}"
    receipt.type = f"{row[2]}.v{row[3]}"
    receipt.field, receipt.expected, receipt.got = redrive.flaw(row, reason)
    known = shard.find(receipt.source, tenant, [receipt.id])
    if known.entry[0] != UNSEEN and known.offset[0] != receipt.offset:
        receipt.settled_by = f"{shard.name}/{int(known.offset[0])}"


def _offset(name: str) -> int:
    try:
        return int(name.rpartition("/")[2])
    except ValueError as e:
        raise BadRequest(f"{name} is no receipt; one reads shipment/east/0/5733") from e
