"""The tick: what the page shows of this second, as one bounded piece of JSON.

A part that could not be had is null and `why` says so; it is never shown as nothing to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from serving import http_json
from serving.wire import twin_pb2 as pb

MOST_C = 30.0  # no medicine or test kit of these is allowed more, whatever else its label says
OPEN = "delivered_at IS ABSENT AND status != 'CANCELLED'"
PROVENANCE = ("as_of", "age_ms", "source", "confidence", "state")


class Part(NamedTuple):
    """One table of the tick. `lead`: the field whose provenance stands for the row's."""

    where: str
    fields: tuple[str, ...]
    lead: str
    order: str
    limit: int

    def request(self, today: str) -> pb.SearchRequest:
        return pb.SearchRequest(
            kind="shipment",
            where=self.where.format(today=today),
            fields=self.fields,
            order=self.order,
            limit=self.limit,
        )


PARTS: dict[str, Part] = {
    "moving": Part(
        f"lat IS KNOWN AND {OPEN}",
        (
            "status",
            "lat",
            "lon",
            "origin",
            "site",
            "country",
            "mode",
            "product_group",
            "promised_at",
            "eta_p50",
            "temp_c",
        ),
        "lat",
        "",
        1000,
    ),
    "late": Part(
        OPEN + " AND promised_at < '{today}'",
        ("status", "site", "country", "supplier", "product_group", "promised_at", "eta_p50"),
        "promised_at",
        "promised_at",
        100,
    ),
    "warm": Part(
        f"{OPEN} AND temp_c > {MOST_C}",
        ("status", "site", "country", "supplier", "product_group", "promised_at", "temp_c"),
        "temp_c",
        "-temp_c",
        50,
    ),
    "predicted": Part(
        f"{OPEN} AND eta_p50 IS KNOWN",
        (
            "status",
            "site",
            "country",
            "promised_at",
            "eta_p10",
            "eta_p50",
            "eta_p90",
            "eta_baseline",
            "late_p",
        ),
        "eta_p50",
        "-late_p",
        50,
    ),
}
COUNTS = pb.AggregateRequest(kind="shipment", by=("status",), measures=("count",), limit=50)


def today(now: int) -> str:
    """Return the day of `now` (us): a promise is kept until its day is over."""
    return (http_json.EPOCH + timedelta(microseconds=now)).date().isoformat()


def table(part: Part, reply: pb.SearchReply) -> dict[str, Any]:
    """Return a search's answer as columns and rows, each row with its provenance."""
    rows = []
    for twin in reply.twins:
        values = twin.values
        row: list[Any] = [twin.id, twin.region]
        row += [http_json.bare(values[f]) if f in values else None for f in part.fields]
        if part.lead in values:
            lead = values[part.lead]
            as_of = http_json.rfc3339(lead.as_of)
            row += [as_of, lead.age_ms, lead.source, lead.confidence, lead.state]
        else:
            row += [None] * len(PROVENANCE)
        rows.append(row)
    columns = ["id", "region", *part.fields, *PROVENANCE]
    return {"columns": columns, "rows": rows, "shown": reply.shown, "total": reply.total}


def counts(reply: pb.AggregateReply) -> dict[str, Any]:
    by = {group.by[0] or "UNKNOWN": int(group.measures[0]) for group in reply.groups}
    return {"by": by, "oldest_as_of": http_json.rfc3339(reply.oldest_as_of)}


def assemble(
    number: int,
    status: pb.StatusReply | None,
    replies: Mapping[str, Any],
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """Return the tick: status, counts by status, and a table per part; null where `failed`."""
    tick: dict[str, Any] = {"tick": number, "counts": None} | dict.fromkeys(PARTS)
    tick |= {"shards": None} if status is None else http_json.plain(status)
    if "counts" in replies:
        tick["counts"] = counts(replies["counts"])
    for name, part in PARTS.items():
        if name in replies:
            tick[name] = table(part, replies[name])
    why = reasons(status, replies, failed)
    tick["mode"], tick["why"] = "degraded" if why else "normal", why
    return tick


def reasons(
    status: pb.StatusReply | None, replies: Mapping[str, Any], failed: Mapping[str, str]
) -> list[str]:
    """Return why the answer is less than it should be; empty in normal mode."""
    why = [f"{name}: {text}" for name, text in failed.items()]
    shards = [] if status is None else [s for s in status.shards if s.state != "serving"]
    why += [f"{shard.name} is {shard.state}" for shard in shards]
    missing = {shard for reply in replies.values() for shard in reply.missing}
    missing -= {shard.name for shard in shards}
    why += [f"{shard} did not answer" for shard in sorted(missing)]
    degraded = any(
        m is not None and m.mode == pb.Mode.DEGRADED for m in (status, *replies.values())
    )
    if degraded and not why:
        notes = dict(status.notes) if status is not None else {}
        why = [f"{name}: {text}" for name, text in sorted(notes.items())] or ["no reason was given"]
    return why
