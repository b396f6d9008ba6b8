"""Alert events: what a crossing, or a person's hand, makes of an alert, as an event of it.

The events of one alert are strictly newer each than the one before, so the last one that was
journaled is the one that counts; its id is made of what brought it about, so that a repeat of
the same is a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from twin.alert_contracts import (
    ACKNOWLEDGED,
    CLEARED,
    OPEN,
    PENDING,
    QUIET,
    SNOOZED,
    STANDING,
)
from twin.alerts import alert_id
from twin.crossings import SWEPT, Crossing, What
from twin.derived import MADE_UP
from twin.errors import BadRequest
from twin.events import Row
from twin.kinds import ABSENT, KINDS, Dtype, Milestone
from twin.promises import DAY_US
from twin.rules import fields_of
from twin.sources import OWN
from twin.texts import hashes, texts

Word = Callable[[int], str]
Cells = Mapping[str, Any]  # column -> value of one twin, of the groups that are known
LONGEST_NOTE = 2000  # characters
LONGEST_MESSAGE = 500
LONGEST_SNOOZE_US = 366 * DAY_US
ACTIONS = ("acknowledge", "assign", "snooze", "unsnooze", "comment")
_BEFORE = {  # the states from which each may happen
    What.NOTICED: (QUIET, CLEARED, ""),
    What.LAPSED: (PENDING,),
    What.RAISED: (PENDING, QUIET, CLEARED, ""),
    What.CLEARED: STANDING,
}


class Scene(NamedTuple):
    """Where an event of an alert comes from: the shard, and what it knows of both twins."""

    shard: str
    region: str
    subject: str  # id of the twin it is about
    cells: Cells  # of that twin
    alert: Cells  # of the alert; empty if it never was
    word: Word  # the text of a code


class Action(NamedTuple):
    """What a person does to an alert. `until_us`: of a snooze."""

    action: str
    by: str
    owner: str = ""
    until_us: int = 0
    note: str = ""


def crossed(one: Crossing, scene: Scene) -> Row | None:
    """Return a crossing as an event; None where the alert stands so already."""
    id = alert_id(one.kind, scene.subject, one.rule)
    state = state_of(scene)
    if state not in _BEFORE[one.what] or judged_of(scene) > one.judged:
        return None
    facts: dict[str, Any] = {"judged_offset": one.judged, "out_s": one.out_s}
    if one.since != ABSENT:
        facts["out_since"] = one.since
    causes = _causes(one, scene)
    about = {"rule": one.rule, "subject_kind": one.kind, "subject_id": scene.subject}
    if one.what is What.CLEARED:
        facts |= {"state": CLEARED, "clear_causes": causes}
        type_ = "alert.cleared"
    elif one.what is What.RAISED:
        facts |= {"state": OPEN, "causes": causes} | about | _raised(one, scene)
        type_ = "alert.raised"
    else:
        facts |= {"state": PENDING if one.what is What.NOTICED else QUIET} | about
        type_ = "alert.noticed"
    because = f"{one.offset}" if one.offset != SWEPT else f"{one.judged}@{one.now_us}"
    made_up, sure = _origin(one, scene)
    source = f"{MADE_UP if made_up else ''}{OWN}{scene.shard}"
    name = _hash(f"{scene.shard}/{id}/{one.what}/{because}")
    extra = {} if sure is None else {"confidence": sure}
    at = _next(one.now_us, scene)
    kept = {key: value for key, value in facts.items() if value not in ("", None)}
    return [name, source, type_, 1, id, scene.region, at, kept, extra]


def acted(id: str, what: Action, scene: Scene, now_us: int) -> Row:
    """Return what a person did as an event. Raises BadRequest ALERT_STATE, INVALID_ARGUMENT."""
    state = state_of(scene)
    if what.action not in ACTIONS:
        raise BadRequest(f"{what.action!r} is no action; there are {', '.join(ACTIONS)}")
    if state not in STANDING and what.action != "comment":
        said = state or "nothing"
        raise BadRequest(f"{id} is {said}, not open: nobody has to {what.action} it", "ALERT_STATE")
    type_, facts = _done(what, state, now_us)
    at = _next(now_us, scene)
    name = _hash(f"{scene.shard}/{id}/{what.action}/{at}/{what.by}")
    return [name, f"{OWN}{scene.shard}", type_, 1, id, scene.region, at, facts, {}]


def same(what: Action, scene: Scene) -> int | None:
    """Return the offset of the event by which a person did just that, None if none did last.

    So an action that is sent again, as its answer was lost, is done once.
    """
    said = {"acknowledge": ("acknowledgement", {"acknowledged_by": what.by})}
    said["assign"] = "assignment", {"owner": what.owner}
    said["comment"] = "comment", {"note": what.note, "noted_by": what.by}
    said["snooze"] = "snooze", {"snoozed_by": what.by}
    needs = {"acknowledge": ACKNOWLEDGED, "snooze": SNOOZED}.get(what.action)
    if what.action not in said or (needs and state_of(scene) != needs):
        return None
    group, texts_ = said[what.action]
    if any(scene.word(int(scene.alert.get(n, -1))) != text for n, text in texts_.items()):
        return None
    if what.action == "snooze" and scene.alert.get("snoozed_until") != what.until_us:
        return None
    offset = scene.alert.get(f"{group}.offset")
    return None if offset is None else int(offset)


def woken(id: str, scene: Scene, now_us: int) -> Row | None:
    """Return that a snoozed alert waits for a person again; None if it is not snoozed."""
    if state_of(scene) != SNOOZED:
        return None
    at = _next(now_us, scene)
    name = _hash(f"{scene.shard}/{id}/woken/{scene.alert['snoozed_until']}")
    facts = {"state": OPEN}
    return [name, f"{OWN}{scene.shard}", "alert.woken", 1, id, scene.region, at, facts, {}]


def state_of(scene: Scene) -> str:
    """Return the state of an alert, "" of one that never was."""
    return scene.word(int(scene.alert.get("state", -1)))


def judged_of(scene: Scene) -> int:
    return int(scene.alert.get("judged_offset", 0))


def plain(kind: str, name: str, value: Any, word: Word) -> str:
    """Return one value as a person reads it."""
    found = KINDS[kind].field(name)
    dtype = found[1].dtype if found else Dtype.INTEGER
    if dtype is Dtype.NUMBER:
        return "unknown" if value != value else f"{value:.6g}"  # noqa: PLR0124 - NaN
    if value == ABSENT or (dtype in {Dtype.TEXT, Dtype.FLAG, Dtype.MILESTONE} and value < 0):
        return "unknown"
    if dtype is Dtype.TEXT:
        return word(int(value))
    if dtype is Dtype.MILESTONE:
        return Milestone(int(value)).name
    if dtype is Dtype.FLAG:
        return "true" if value else "false"
    if dtype is Dtype.TIME:
        return datetime.fromtimestamp(value / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def _done(what: Action, state: str, now_us: int) -> tuple[str, dict[str, Any]]:
    """Return the type and the payload of what a person did."""
    if what.action == "acknowledge":
        return "alert.acknowledged", {"state": ACKNOWLEDGED, "acknowledged_by": what.by}
    if what.action == "assign":
        if not what.owner or len(what.owner) > LONGEST_MESSAGE:
            raise BadRequest(f"to assign takes an owner of 1 to {LONGEST_MESSAGE} characters")
        return "alert.assigned", {"owner": what.owner}
    if what.action == "snooze":
        if not now_us < what.until_us <= now_us + LONGEST_SNOOZE_US:
            raise BadRequest("to snooze takes a moment within the next year as `until`")
        facts = {"state": SNOOZED, "snoozed_until": what.until_us, "snoozed_by": what.by}
        return "alert.snoozed", facts
    if what.action == "unsnooze":
        if state != SNOOZED:
            raise BadRequest(f"it is {state}, not snoozed: there is nothing to end", "ALERT_STATE")
        return "alert.woken", {"state": OPEN}
    if not what.note or len(what.note) > LONGEST_NOTE:
        raise BadRequest(f"a comment has a note of 1 to {LONGEST_NOTE} characters")
    return "alert.commented", {"note": what.note, "noted_by": what.by}


def _raised(one: Crossing, scene: Scene) -> dict[str, Any]:
    assert one.ready is not None  # what is gone is cleared, not raised
    rule = one.ready.rule
    cells = {**scene.cells, **one.facts}
    site = scene.subject if one.kind == "site" else _text(scene, "site")
    supplier = scene.subject if one.kind == "supplier" else _text(scene, "supplier")
    origin = _text(scene, "origin")
    facts: dict[str, Any] = {
        "severity": rule.severity,
        "message": _message(one, scene.subject, cells, scene.word),
        "deadline": one.now_us + rule.budget_us,
        "next_step": rule.next_step,
        "owner": rule.owner,
        "supplier": supplier,
        "origin": origin,
        "site": site,
        "lane": f"{origin}-{site}" if origin and site else "",
    }
    value = cells.get(rule.value, ABSENT) if rule.value else ABSENT
    if value != ABSENT:
        facts["value_at_risk_cents"] = max(0, int(value))
    return facts


def _message(one: Crossing, subject: str, cells: Cells, word: Word) -> str:
    assert one.ready is not None
    text = one.ready.rule.message or f"{one.rule} of {one.kind} {{id}}"
    said = {
        name: plain(one.kind, name, cells[name], word) if name in cells else "unknown"
        for name in fields_of(text)
    }
    return text.format_map({**said, "id": subject})[:LONGEST_MESSAGE]


def _text(scene: Scene, name: str) -> str:
    code = scene.cells.get(name, -1)
    return scene.word(int(code)) if isinstance(code, int) else ""


def _causes(one: Crossing, scene: Scene) -> str:
    """Return the receipts of the event that brought it about, and of those it rests on."""
    offsets = {int(scene.cells.get(f"{group}.offset", -1)) for group in _groups(one)}
    if one.offset != SWEPT:
        offsets = {offset for offset in offsets if offset < one.offset} | {one.offset}
    return ",".join(f"{scene.shard}/{offset}" for offset in sorted(offsets) if offset >= 0)


def _origin(one: Crossing, scene: Scene) -> tuple[bool, float | None]:
    """Return whether anything it rests on is made up, and how sure the least sure of it is."""
    sources = [str(scene.cells.get(f"{group}.source", "")) for group in _groups(one)]
    sure = [float(scene.cells.get(f"{group}.confidence", 1.0)) for group in _groups(one)]
    known = [value for value in sure if 0.0 <= value <= 1.0]
    made_up = any(source.startswith(MADE_UP) for source in sources)
    return made_up, round(min(known), 6) if known else None


def _groups(one: Crossing) -> tuple[str, ...]:
    return one.ready.groups if one.ready is not None else ()


def _next(now_us: int, scene: Scene) -> int:
    """Return the time of the next event of an alert: now, and after all before it."""
    newest = (value for name, value in scene.alert.items() if name.endswith(".as_of"))
    return max(now_us, max(newest, default=0) + 1)


def _hash(text: str) -> str:
    high, low = hashes(texts([text]))[0].tolist()
    return f"{high:016x}{low:016x}"
