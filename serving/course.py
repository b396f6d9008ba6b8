"""The course of one twin, as its shard tells it: history, first and last moments, differences.

Everything is read off its chain. A cursor of History names the cut that the first page was of, so
pages are of one history whatever comes meanwhile, and whoever writes the shard by then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from actors.past import Found
from serving import encode
from serving.entries import Entries
from serving.past import Then
from serving.wire import twin_pb2 as pb
from twin.chain import END
from twin.contracts import CONTRACTS
from twin.course import Turns
from twin.errors import BadRequest, UnknownKey
from twin.fields import VIRTUAL, check_field
from twin.filters import compile_filter
from twin.kinds import KINDS, Kind
from twin.past import Moment
from twin.query import View
from twin.texts import texts
from twin.transition import Snapshot

LIMIT, MOST = 100, 10_000  # entries in an answer
ABSENT = "absent"  # state of a value that is not known any more


def history(then: Then, kind: Kind, request: pb.HistoryRequest, tenant: str) -> pb.HistoryReply:
    """Return a page of what happened to a twin. Raises UnknownKey, UnknownField, BadRequest."""
    moment = then.moment(request.when)
    cut, last = _place(request.cursor)
    found = then.past.find(kind.name, tenant, request.id, moment.known_at, cut)
    groups = _groups(kind, request.fields)
    told = Entries(then.shard, found, tenant, request.id, then.now(request.when))
    course = told.course
    turns = course.by_time() if request.by_event_time else course.by_arrival()
    changed = course.changed(turns)
    shown = _concerned(told, turns, changed, groups, request, moment.at)
    if not request.oldest_first:
        shown = shown[::-1]
    total = shown.size
    offsets = found.chain.offset[turns.event[shown]]
    if last >= 0:
        at = np.flatnonzero(offsets == last)
        if not at.size:
            raise _no_cursor()
        shown, offsets = shown[at[0] + 1 :], offsets[at[0] + 1 :]
    limit = min(request.limit or LIMIT, MOST)
    page = shown[:limit]
    entries = _entries(told, turns, changed, page, groups)
    then.shard.require_marker()
    more = shown.size > limit
    return pb.HistoryReply(
        key=told.key,
        entries=entries,
        shown=page.size,
        total=total,
        cursor=f"{found.cut}.{int(offsets[page.size - 1])}" if more and page.size else "",
        now=told.now_us,
        shard=then.shard.name,
        epoch=then.shard.epoch,
        offset=found.cut,
    )


def first_true(
    then: Then, kind: Kind, request: pb.FirstTrueRequest, tenant: str
) -> pb.FirstTrueReply:
    """Return when a condition first held of a twin, or, with `last`, when it last ceased to.

    A twin changes when an event becomes known, or (event axis) at the time of one: the condition
    is looked at after each such moment, every one of them, since it may come and go. What depends
    on age is judged as of that moment, not between two. Held already at `since`, it is found
    there, with the event that had made it so; with `last`, still holding at the end, it is found at
    `until` (or now), without event.
    Raises UnknownKey, UnknownField, BadRequest.
    """
    now = then.now(pb.When())
    since, until = request.since or -END, min(request.until or now, now)
    found = then.past.find(kind.name, tenant, request.id)
    told = Entries(then.shard, found, tenant, request.id, now)
    turns = told.course.by_time() if request.event_axis else told.course.by_arrival()
    chain = found.chain
    times = chain.column("time")[turns.event] if request.event_axis else chain.ingest_time
    ends = np.flatnonzero(np.append(times[1:] != times[:-1], True))
    ends = ends[times[ends] <= until]
    view = told.view(turns)
    holds = _holds(view, ends, times[ends], request.where)
    reply = pb.FirstTrueReply(now=now)
    turn = crossing(holds, times[ends], since, last=request.last)
    if turn is None:
        then.shard.require_marker()
        return reply
    reply.found = True
    if turn == ends.size:  # it holds to this day
        reply.at, row = until, int(ends[-1])
    else:
        row = int(ends[turn])
        reply.at = max(since, int(times[row]))
        while turn and holds[turn] and holds[turn - 1]:  # it held already at `since`
            turn -= 1
        begin = int(ends[turn - 1]) + 1 if turn else 0
        by = _made_by(view, np.arange(begin, ends[turn] + 1), times, request)
        groups = [group.name for group in kind.groups]
        changed = told.course.changed(turns)
        reply.event.CopyFrom(_entries(told, turns, changed, np.array([by]), groups)[0])
    fields = encode.fields_of(kind.name, ())
    at = view._replace(now_us=reply.at)
    reply.twin.CopyFrom(told.twins(at, np.array([row]), fields)[0])
    then.shard.require_marker()
    return reply


def state(
    then: Then, kind: Kind, id: str, tenant: str, when: pb.When, fields: Sequence[str]
) -> pb.TwinState | None:
    """Return a twin as of a moment, or None where it was not there yet.

    `fields`: all, and what is computed of them, if none are named. Raises AsOfFuture, UnknownField.
    """
    moment = then.moment(when)
    try:
        found = then.past.find(kind.name, tenant, id, moment.known_at)
        view = one_row(then, found, tenant, id, moment, then.now(when))
    except UnknownKey:
        return None
    named = encode.fields_of(kind.name, fields)
    if not fields:
        named += VIRTUAL.get(kind.name, {})
    shard = then.shard
    return encode.twins(view, np.zeros(1, np.int64), named, shard=shard.name, epoch=shard.epoch)[0]


def one_row(then: Then, found: Found, tenant: str, id: str, moment: Moment, now_us: int) -> View:
    """Return a twin as of a moment as the one row of a view. Raises UnknownKey."""
    held = then.past.state(found, moment.at)
    lexicon = then.shard.study(lambda state: state.lexicon)
    names = {found.kind: texts([f"{tenant}/{id}"])}
    at = Snapshot(found.cut, 0, {found.kind: held.table.live()}, names, lexicon)
    return View(at, found.kind, tenant, then.shard.rule.region, now_us)


def _concerned(
    told: Entries,
    turns: Turns,
    changed: dict[str, NDArray[np.bool_]],
    groups: list[str],
    request: pb.HistoryRequest,
    at: int,
) -> NDArray[np.int64]:
    """Return the turns whose events are asked for."""
    chain = told.found.chain
    time = chain.column("time")[turns.event]
    wanted = (time >= (request.since or -END)) & (time < (request.until or END)) & (time <= at)
    if request.fields:
        contract = chain.column("contract")[turns.event]
        sets = np.array([bool(set(groups) & set(c.sets)) for c in CONTRACTS])
        wanted &= sets[contract] | np.logical_or.reduce([changed[group] for group in groups])
    return np.flatnonzero(wanted)


def _entries(
    told: Entries,
    turns: Turns,
    changed: dict[str, NDArray[np.bool_]],
    page: NDArray[np.int64],
    groups: list[str],
) -> list[pb.HistoryEntry]:
    kind = KINDS[told.found.kind]
    fields = [f.name for g in kind.groups if g.name in groups for f in g.fields]
    became = told.twins(told.view(turns), page, fields)
    entries = []
    for turn, twin in zip(page.tolist(), became, strict=True):
        entry = told.entry(int(turns.event[turn]))
        for group in kind.groups:
            if group.name not in groups or not changed[group.name][turn]:
                continue
            for field in group.fields:
                if field.name in twin.values:
                    entry.became[field.name].CopyFrom(twin.values[field.name])
                elif turn and _was(turns, group.name, turn):
                    entry.became[field.name].state = ABSENT
        entries.append(entry)
    return entries


def _was(turns: Turns, group: str, turn: int) -> bool:
    """Say whether anything was known of a group before a turn."""
    return bool(turns.tracks[group].winner[turn - 1] >= 0)


def _holds(
    view: View, rows: NDArray[np.int64], times: NDArray[np.int64], where: str
) -> NDArray[np.bool_]:
    """Say of some rows whether `where` holds, each as of its time."""
    if not where.strip():
        raise BadRequest("say in `where` what is to be true, as in status = 'DELIVERED'")
    condition = compile_filter(view.kind, where)
    if condition.needs:
        raise BadRequest("a sub-query is not asked of the past of one twin; compare its own fields")
    if not condition.timed:
        return np.isin(rows, view._replace(only=rows).rows(where))
    holds = [
        view._replace(now_us=time, only=np.array([row])).rows(where).size > 0
        for row, time in zip(rows.tolist(), times.tolist(), strict=True)
    ]
    return np.array(holds, np.bool_)


def _made_by(
    view: View, rows: NDArray[np.int64], times: NDArray[np.int64], request: pb.FirstTrueRequest
) -> int:
    """Return which of the turns of one moment it was from which on it is as it is at their end."""
    if rows.size > 1:
        holds = _holds(view, rows, times[rows], request.where)
        rows = rows[int(np.append(-1, np.flatnonzero(holds == request.last))[-1]) + 1 :]
    return int(rows[0])


def crossing(
    holds: NDArray[np.bool_], times: NDArray[np.int64], since: int, *, last: bool
) -> int | None:
    """Return at which of some moments it began to hold, or ceased to: their number is the end."""
    inside = times >= since
    start = int(np.argmax(inside)) if inside.any() else holds.size
    opens = start - 1  # what stands when the window opens
    if start < holds.size and times[start] == since:
        opens = start
    if not last:
        if opens >= 0 and holds[opens]:
            return opens
        at = np.flatnonzero(holds[start:])
        return int(start + at[0]) if at.size else None
    opens = max(opens, 0)
    window = holds[opens:]
    if not window.any():
        return None
    if window[-1]:
        return int(holds.size)
    return opens + int(np.flatnonzero(window)[-1]) + 1


def _groups(kind: Kind, fields: Sequence[str]) -> list[str]:
    """Return the groups that some fields belong to; all if none are named. Raises UnknownField."""
    if not fields:
        return [group.name for group in kind.groups]
    for name in fields:
        check_field(kind.name, name)
        if kind.field(name) is None:
            raise BadRequest(f"{name} is computed; ask for the history of what it is computed from")
    wanted = set(fields)
    return [g.name for g in kind.groups if wanted & {field.name for field in g.fields}]


def _place(cursor: str) -> tuple[int, int]:
    """Return the cut and the last offset of a page. Raises BadRequest CURSOR_INVALID."""
    if not cursor:
        return END, -1
    cut, _, last = cursor.partition(".")
    if not (cut.isdecimal() and last.isdecimal()) or len(cursor) > 40:
        raise _no_cursor()
    return int(cut), int(last)


def _no_cursor() -> BadRequest:
    return BadRequest("the cursor is of another history; ask from the start", "CURSOR_INVALID")
