"""Preview: what would change if an event were retracted. Nothing is written, and nothing changes.

The event's twin is folded once more with the retraction taken for known; what then follows for
others is asked of the shards that hold them, as the causes that would be restated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from actors.past import Found
from actors.watchman import held_of
from serving import encode
from serving.difference import between
from serving.entries import Entries
from serving.past import Then
from serving.wire import twin_pb2 as pb
from twin import past
from twin.alerts import ALERT, alert_id
from twin.contracts import CONTRACTS
from twin.crossings import What, step
from twin.dedup import UNSEEN
from twin.derived import EFFECTS, NOWHERE, STOCK, causes, delivered, subjects
from twin.errors import BadRequest, UnknownKey
from twin.features import INPUTS
from twin.fields import VIRTUAL
from twin.fold import KindState
from twin.kinds import ABSENT
from twin.lexicon import Lexicon
from twin.past import Restated
from twin.query import View
from twin.remembered import Held
from twin.retraction import Withdrawal, event_of
from twin.rules import Ready
from twin.texts import texts
from twin.transition import Snapshot

Rules = Callable[[], Sequence[Ready]]
ZERO = np.zeros(1, np.int64)


class Fact(NamedTuple):
    """What a shipment as it stands makes true of another twin."""

    cause: int
    said: tuple[int, int, int]  # its time, and its amounts


def answer(then: Then, request: pb.PreviewRequest, tenant: str, rules: Rules) -> pb.PreviewReply:
    """Return what would change of the event's own twin, and what would be restated for others.

    Raises UnknownKey for an event that nobody of this tenant offered, BadRequest for a parked one.
    """
    if request.restated:
        return _restated(then, request.restated, tenant, rules)
    offset = _offset(then, request, tenant)
    kind, row = _about(then, offset, tenant)
    id = then.shard.name_of(kind, row).partition("/")[2]
    found = then.past.find(kind, tenant, id)
    now = then.now(pb.When())
    told = Entries(then.shard, found, tenant, id, now)
    i = int(np.searchsorted(found.chain.offset, offset))
    before, after = _fold(found), _fold(found, extra=[_retraction(found, i, now)])
    reply = pb.PreviewReply(key=told.key, event=told.entry(i), now=now)
    views = [_view(then, found, tenant, id, held, now) for held in (before, after)]
    _compare(reply, then, views, rules)
    if kind == "shipment":
        lexicon = views[0].snapshot.lexicon
        old, new = (_facts(held, lexicon, told.key) for held in (before, after))
        _follow(reply, old, new)
    then.shard.require_marker()
    return reply


def _restated(
    then: Then, restated: Sequence[pb.Restated], tenant: str, rules: Rules
) -> pb.PreviewReply:
    """Return what would change of twins here if causes were restated, those that are known."""
    now = then.now(pb.When())
    reply = pb.PreviewReply(now=now)
    for kind, id in dict.fromkeys((one.kind, one.id) for one in restated):
        try:
            found = then.past.find(kind, tenant, id)
        except UnknownKey:
            continue
        causes_ = [
            Restated(one.cause, None if one.withdrawn else (one.time, one.first, one.second))
            for one in restated
            if (one.kind, one.id) == (kind, id)
        ]
        both = _fold(found), _fold(found, restated=causes_)
        views = [_view(then, found, tenant, id, held, now) for held in both]
        _compare(reply, then, views, rules)
    then.shard.require_marker()
    return reply


def _fold(found: Found, **more: Any) -> KindState:
    rows = np.array([found.row])
    return past.refold(found.kind, found.chain, rows, found.ranks, **more)


def _retraction(found: Found, i: int, now_us: int) -> Withdrawal:
    """Return a retraction of event `i` that would stand: later than whatever it withdraws."""
    chain = found.chain
    target = event_of(chain.frame, "hash", i)
    time = max(now_us, int(chain.column("time")[i]) + 1)
    rank = int(found.ranks[chain.column("source")[i]])
    return Withdrawal(target, (0, 0, *target[2:]), (time, rank, 0))


def _view(then: Then, found: Found, tenant: str, id: str, held: KindState, now: int) -> View:
    lexicon = then.shard.study(lambda state: state.lexicon)
    names = {found.kind: texts([f"{tenant}/{id}"])}
    at = Snapshot(found.cut, 0, {found.kind: held.table.live()}, names, lexicon)
    return View(at, found.kind, tenant, then.shard.rule.region, now)


def _compare(reply: pb.PreviewReply, then: Then, views: Sequence[View], rules: Rules) -> None:
    """Add what differs between two states of one twin, and what hangs on that."""
    kind = views[0].kind
    fields = [*encode.fields_of(kind, ()), *VIRTUAL.get(kind, {})]
    shard = then.shard
    old, new = (
        encode.twins(view, ZERO, fields, shard=shard.name, epoch=shard.epoch)[0] for view in views
    )
    found = between(old, new)
    differing = {*found.before, *found.after}
    if differing:
        reply.differences.append(found)
    if differing & set(INPUTS):
        reply.predictions.extend(
            f"{name} ({value.source})"
            for name, value in sorted(old.values.items())
            if value.source.startswith("model/")
        )
    if ALERT in shard.rule.kinds:
        mine = (ready for ready in rules() if ready.rule.kind == kind)
        told = (_crossing(ready, then, old.id, views) for ready in mine)
        reply.alerts.extend(one for one in told if one)


def _crossing(ready: Ready, then: Then, id: str, views: Sequence[View]) -> str:
    """Say what would happen to the alert of one rule that does not happen anyway, "" if nothing.

    It is judged as the watchman judges a change, by what the alert itself says of its clock.
    """
    alert, shard, now = alert_id(ready.rule.kind, id, ready.rule.name), then.shard, views[0].now_us
    try:
        held = held_of(shard.row(ALERT, views[0].tenant, alert).cells, shard.word, now)
    except UnknownKey:
        held = None
    was, is_ = (_judged(ready, held, view) for view in views)
    return f"{alert} {is_}" if is_ and is_ != was else ""


def _judged(ready: Ready, held: Held | None, view: View) -> str:
    """Return what would happen to an alert if its twin stood as it does here; "" for nothing."""
    hot = bool(ready.hot.mask(view)[0])
    cool = not hot if ready.cool is None else bool(ready.cool.mask(view)[0])
    table = view.snapshot.tables[view.kind]
    times = (int(table.take(f"{group}.as_of", ZERO)[0]) for group in ready.groups)
    newest = max(times, default=ABSENT)
    begun = newest if newest != ABSENT else view.now_us
    what, after = step(ready, held, hot, cool, begun, view.now_us)
    begins = after.since != ABSENT and (held is None or held.since == ABSENT)
    return what or (What.NOTICED if begins and not after.raised else "")


def _facts(held: KindState, lexicon: Lexicon, key: str) -> dict[tuple[int, str], Fact]:
    """Return (effect, id of another twin) -> what a shipment makes true of it."""
    told = delivered(held.table, ZERO)
    found = {}
    for effect in range(len(EFFECTS)):
        first, second = told.targets[0, effect].tolist()
        if first == NOWHERE:
            continue
        words = lexicon.word(first), lexicon.word(second) if effect == STOCK else ""
        target = f"stock/{words[0]}/{words[1]}" if effect == STOCK else f"supplier/{words[0]}"
        amounts = (int(told.packs[0]),) * 2 if effect == STOCK else (1, int(told.late[0]))
        id = subjects(effect, [words])[0]
        cause = causes([f"{key}/{target}"])[1][0]
        found[effect, id] = Fact(cause, (int(told.time[0]), *amounts))
    return found


def _follow(
    reply: pb.PreviewReply, old: dict[tuple[int, str], Fact], new: dict[tuple[int, str], Fact]
) -> None:
    """Add what would be derived anew for other twins."""
    for effect, id in dict.fromkeys([*old, *new]):
        was, is_ = old.get((effect, id)), new.get((effect, id))
        if was == is_ or not id:
            continue
        fact = is_ or was
        assert fact is not None
        time, first, second = fact.said
        reply.restated.add(
            kind=EFFECTS[effect].kind,
            id=id,
            cause=fact.cause,
            withdrawn=is_ is None,
            time=time,
            first=first,
            second=second,
        )


def _offset(then: Then, request: pb.PreviewRequest, tenant: str) -> int:
    """Return where the event of a request is. Raises UnknownKey, BadRequest."""
    if bool(request.receipt) == bool(request.id):
        raise BadRequest("name an event by its receipt, or by source and id")
    if request.receipt:
        name, _, offset = request.receipt.rpartition("/")
        if name == then.shard.name and offset.isdecimal() and int(offset) < then.shard.next:
            return int(offset)
        raise UnknownKey(f"no event has the receipt {request.receipt}")
    known = then.shard.find(request.source, tenant, [request.id])
    if known.entry[0] == UNSEEN:
        raise UnknownKey(f"{request.source or 'this source'} offered no event called {request.id}")
    return int(known.offset[0])


def _about(then: Then, offset: int, tenant: str) -> tuple[str, int]:
    """Return kind and row of the twin that an event is about. Raises UnknownKey, BadRequest."""
    frame = then.past.read(offset)
    i, columns = offset - frame.first, frame.columns
    if then.shard.word(int(columns["tenant"][i])) != tenant:
        raise UnknownKey(f"no event has the receipt {then.shard.name}/{offset}")
    row = int(columns["row"][i])
    if row < 0:
        raise BadRequest("this event is parked: it states nothing that a retraction would change")
    return CONTRACTS[int(columns["contract"][i])].kind, row
