"""Alert rules: what needs a person, as pure data. A rule that could not be judged is refused.

    [[rule]]
    name = "cold-chain"            small letters, digits and -
    kind = "shipment"              of the twins it is about
    when = "temp_c > 8"            a filter: raised when it begins to hold
    clear = "temp_c < 7"           cleared when this holds; if not given, when `when` does not
    for = "4h"                     ... and has held so long
    by = "facts"                   by the times of the facts, or by the "clock"
    total = true                   all the times it held count together
    severity = "critical"          info, warning, critical
    sla = "shift"                  hour, shift, day, week: by when somebody has dealt with it
    owner, next_step, message      texts; a message may name fields: "{temp_c} degC"
    value = "value_cents"          the field that says what is at risk, in USD 0.01
    every = "1m"                   how often it is looked at, if time alone can make it hold
    enabled = true

Several may be in a file. What is wrong with one is said with its name and place: RULE_INVALID.
"""

from __future__ import annotations

import difflib
import re
import string
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from twin.alert_contracts import SEVERITIES
from twin.alerts import ALERT
from twin.errors import BadRequest, Refused, UnknownField
from twin.fields import check_field
from twin.filters import Filter, compile_filter
from twin.kinds import KINDS, Dtype

SLA_US: Mapping[str, int] = {  # class -> how long after it was raised its deadline is
    "hour": 3_600_000_000,
    "shift": 8 * 3_600_000_000,
    "day": 24 * 3_600_000_000,
    "week": 7 * 24 * 3_600_000_000,
}
FACTS, CLOCK = "facts", "clock"
LONGEST_FILE = 262_144  # characters
MOST_RULES = 256  # in a file
LONGEST_TEXT = 500
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|m|h|d)")
_UNIT_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_KEYS = (
    *("name", "kind", "when", "clear", "for", "by", "total", "severity", "sla", "owner"),
    *("next_step", "message", "value", "every", "enabled"),
)
_NEEDED = ("name", "kind", "when", "severity")


class AlertRule(NamedTuple):
    """One rule. `when` and `clear` are as written; `clear` is empty if it is: not `when`."""

    name: str
    kind: str
    when: str
    clear: str
    held_us: int
    by: str
    total: bool
    severity: str
    sla: str
    owner: str
    next_step: str
    message: str
    value: str
    every_us: int
    enabled: bool
    place: str  # the file it is from

    @property
    def budget_us(self) -> int:
        return SLA_US[self.sla]


class Ready(NamedTuple):
    """A rule with its conditions compiled, and what they are of."""

    rule: AlertRule
    hot: Filter
    cool: Filter | None
    columns: tuple[str, ...]  # what both read, provenance included
    groups: tuple[str, ...]  # of the fields in them
    timed: bool  # time alone can make it hold

    @property
    def of_ids(self) -> bool:
        """Say whether a condition reads the ids of twins."""
        return "id" in self.hot.fields or (self.cool is not None and "id" in self.cool.fields)


def parse(text: str, place: str) -> list[AlertRule]:
    """Return the rules of a TOML text. Raises BadRequest RULE_INVALID: which, where and why."""
    if len(text) > LONGEST_FILE:
        _refuse(place, "", f"is longer than {LONGEST_FILE} characters; split it")
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        _refuse(place, "", f"is no TOML: {e}; correct it")
    if unknown := [key for key in tables if key != "rule"]:
        _refuse(place, "", f"says {unknown[0]}; a file of rules holds [[rule]] alone")
    rows = tables.get("rule", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        _refuse(place, "", "says rule in another way; write [[rule]] before each")
    if len(rows) > MOST_RULES:
        _refuse(place, "", f"has more than {MOST_RULES} rules; split it")
    rules = [_rule(row, place, number) for number, row in enumerate(rows, 1)]
    names = [rule.name for rule in rules]
    if twice := [name for name in names if names.count(name) > 1]:
        _refuse(place, twice[0], "is there twice; rename one")
    return rules


def ready(rule: AlertRule) -> Ready:
    """Return a rule with its conditions compiled. Raises RULE_INVALID where one does not parse."""
    hot = _compiled(rule, "when", rule.when)
    cool = _compiled(rule, "clear", rule.clear) if rule.clear else None
    both = [one for one in (hot, cool) if one is not None]
    kind = KINDS[rule.kind]
    fields = sorted({name for one in both for name in one.fields} - {"id", "region"})
    of_fields = {found[0].name for name in fields if (found := kind.field(name))}
    groups = sorted(of_fields | {name for one in both for name in one.groups})
    columns = [*fields, *(f"{group}.as_of" for group in groups)]
    read = sorted({name for one in both for name in one.groups})
    columns += [f"{group}.{part}" for group in read for part in ("source", "confidence")]
    timed = any(one.timed for one in both)
    return Ready(rule, hot, cool, tuple(columns), tuple(groups), timed)


def laid(files: Iterable[Iterable[AlertRule]]) -> list[AlertRule]:
    """Return the rules of several files: of one name, that of the last file counts."""
    found = {rule.name: rule for rules in files for rule in rules}
    return [found[name] for name in sorted(found)]


def duration_us(text: str) -> int | None:
    """Return 30s, 15m, 4h or 2d in microseconds, None if it is none of them."""
    match = _DURATION.fullmatch(text.strip())
    return round(float(match[1]) * _UNIT_US[match[2]]) if match else None


def fields_of(message: str) -> list[str]:
    """Return the fields that a message names. Raises ValueError for an open brace."""
    return [name for _, name, _, _ in string.Formatter().parse(message) if name is not None]


def _rule(row: Mapping[str, Any], place: str, number: int) -> AlertRule:
    named = row.get("name")
    name = named if isinstance(named, str) else f"number {number}"
    for key in row:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KEYS)}"
            _refuse(place, name, f"sets {key}, which is no key; {hint}")
    for key in _NEEDED:
        if key not in row:
            _refuse(place, name, f"lacks {key}; give it one")
    for key, value in row.items():
        wanted: type = bool if key in {"total", "enabled"} else str
        if not isinstance(value, wanted):
            what = "true or false" if wanted is bool else "a text in quotes"
            _refuse(place, name, f"sets {key} to {value!r}; it is {what}")
        if isinstance(value, str) and key not in {"when", "clear"} and len(value) > LONGEST_TEXT:
            _refuse(place, name, f"has a {key} of over {LONGEST_TEXT} characters; shorten it")
    if not _NAME.fullmatch(name):
        _refuse(place, name, "has a name that is not small letters, digits and -, 40 at most")
    rule = AlertRule(
        name=name,
        kind=_among(row, "kind", [kind for kind in KINDS if kind != ALERT], place, name),
        when=row["when"],
        clear=row.get("clear", ""),
        held_us=_span(row, "for", 0, place, name),
        by=_among(row, "by", (FACTS, CLOCK), place, name),
        total=row.get("total", False),
        severity=_among(row, "severity", tuple(SEVERITIES), place, name),
        sla=_among(row, "sla", tuple(SLA_US), place, name, "day"),
        owner=row.get("owner", ""),
        next_step=row.get("next_step", ""),
        message=row.get("message", ""),
        value=row.get("value", ""),
        every_us=_span(row, "every", 1_000_000, place, name),
        enabled=row.get("enabled", True),
        place=place,
    )
    _check_fields(rule)
    _check_clock(ready(rule))
    return rule


def _check_fields(rule: AlertRule) -> None:
    if not rule.when.strip():
        _refuse(rule.place, rule.name, "has an empty when, which always holds; say when")
    try:
        named = fields_of(rule.message)
    except ValueError as e:
        _refuse(rule.place, rule.name, f"has a message that cannot be read ({e}); close the brace")
    for key, names in (("message", named), ("value", [rule.value] if rule.value else [])):
        for name in names:
            try:
                check_field(rule.kind, name)
            except UnknownField as e:
                _refuse(rule.place, rule.name, f"in its {key}: {e}")
            if name != "id" and KINDS[rule.kind].field(name) is None:
                _refuse(rule.place, rule.name, f"in its {key}: {name} is computed; name a field")
    if rule.value:
        found = KINDS[rule.kind].field(rule.value)
        if found is None or found[1].dtype is not Dtype.INTEGER:
            _refuse(rule.place, rule.name, f"has the value {rule.value}, which is no amount")


def _check_clock(one: Ready) -> None:
    rule = one.rule
    if rule.total and (not rule.held_us or rule.by == CLOCK or one.timed):
        _refuse(
            rule.place,
            rule.name,
            "sets total; that counts times between facts: give it a for, and a when without age()",
        )


def _compiled(rule: AlertRule, key: str, where: str) -> Filter:
    try:
        found = compile_filter(rule.kind, where)
    except Refused as e:
        _refuse(rule.place, rule.name, f"in its {key}: {e}")
    if found.needs:
        _refuse(
            rule.place,
            rule.name,
            f"in its {key}: a rule sees its own twin alone; leave other twins and near() out",
        )
    return found


def _span(row: Mapping[str, Any], key: str, default: int, place: str, name: str) -> int:
    if key not in row:
        return default
    found = duration_us(row[key])
    if found is None or (key == "every" and not found):
        _refuse(place, name, f"sets {key} to {row[key]!r}, no duration; write 30s, 15m, 4h or 2d")
    return found


def _among(
    row: Mapping[str, Any],
    key: str,
    words: Iterable[str],
    place: str,
    name: str,
    default: str | None = None,
) -> str:
    known = list(words)
    value = str(row.get(key, known[0] if default is None else default))
    if value not in known:
        near = difflib.get_close_matches(value, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        _refuse(place, name, f"sets {key} to {value!r}; {hint}")
    return value


def _refuse(place: str, name: str, what: str) -> NoReturn:
    whose = f"{place}: rule {name}" if name else place
    raise BadRequest(f"{whose} {what}", "RULE_INVALID")
