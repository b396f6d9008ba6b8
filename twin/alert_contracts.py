"""Alert contracts: what is journaled of an alert. Nobody but the twin itself may offer it.

Each event that moves an alert to another state names that state, so of all of them the newest
says how the alert stands, in whatever order they arrive.
"""

from __future__ import annotations

from twin.kinds import Dtype
from twin.promises import EVENT_TIME, Contract, Promise, Sets, same, text, time, word

PENDING, QUIET = "PENDING", "QUIET"
OPEN, ACKNOWLEDGED, SNOOZED, CLEARED = "OPEN", "ACKNOWLEDGED", "SNOOZED", "CLEARED"
STATES = {
    PENDING: "its condition holds, but not for as long as the rule asks",
    QUIET: "its condition held, but not for as long as the rule asks",
    OPEN: "it waits for a person",
    ACKNOWLEDGED: "a person has seen it",
    SNOOZED: "a person wants to hear of it later",
    CLEARED: "its condition holds no longer",
}
STANDING = (OPEN, ACKNOWLEDGED, SNOOZED)  # of an alert that was raised, and not cleared since
SEVERITIES = {
    "info": "worth knowing",
    "warning": "it will do harm unless somebody looks at it",
    "critical": "it does harm now",
}
_CLOCK = (
    time("out_since", required=False, meaning="since when the condition holds"),
    Promise("out_s", Dtype.INTEGER, "s", False, 0, meaning="for how long it held before"),
)
_ABOUT = (text("rule"), text("subject_kind"), text("subject_id"))
_NAMES = same("rule", "subject_kind", "subject_id")
_JUDGED = Promise("judged_offset", Dtype.INTEGER, "", True, 0, meaning="what was judged last")
_JUDGES: Sets = {"clock": same("out_since", "out_s"), "judgement": same("judged_offset")}


def _state(*states: str) -> Promise:
    return word("state", {state: STATES[state] for state in states})


ALERTS: tuple[Contract, ...] = (
    Contract(
        "alert.noticed",
        1,
        "alert",
        "twin",
        (_state(PENDING, QUIET), *_ABOUT, *_CLOCK, _JUDGED),
        {"standing": same("state"), "about": _NAMES, **_JUDGES},
        "The condition of a rule that asks for some duration began to hold, or held too shortly.",
    ),
    Contract(
        "alert.raised",
        1,
        "alert",
        "twin",
        (
            _state(OPEN),
            *_ABOUT,
            word("severity", SEVERITIES),
            text("message"),
            time("deadline", meaning="by when somebody should have dealt with it"),
            Promise("value_at_risk_cents", Dtype.INTEGER, "USD 0.01", False, 0),
            text("next_step", required=False, meaning="what to do first"),
            text("causes", required=False, meaning="receipts of the events behind it, by comma"),
            text("supplier", required=False, meaning="of the subject"),
            text("origin", required=False, meaning="of the subject"),
            text("site", required=False, meaning="of the subject"),
            text("lane", required=False, meaning="origin and site of the subject"),
            text("owner", required=False, meaning="whose it is, as the rule says"),
            *_CLOCK,
            _JUDGED,
        ),
        {
            "standing": same("state"),
            "about": _NAMES,
            "raising": {
                "raised_at": EVENT_TIME,
                **same(
                    "severity",
                    "message",
                    "deadline",
                    "value_at_risk_cents",
                    "next_step",
                    "causes",
                    "supplier",
                    "origin",
                    "site",
                    "lane",
                ),
            },
            "assignment": same("owner"),
            **_JUDGES,
        },
        "The condition of a rule holds of a twin, for as long as the rule asks.",
    ),
    Contract(
        "alert.cleared",
        1,
        "alert",
        "twin",
        (
            _state(CLEARED),
            text("clear_causes", required=False, meaning="receipts of the events behind it"),
            *_CLOCK,
            _JUDGED,
        ),
        {
            "standing": same("state"),
            "clearing": {"cleared_at": EVENT_TIME, "clear_causes": "clear_causes"},
            **_JUDGES,
        },
        "The condition of a rule holds no longer of a twin, or the rule is gone.",
    ),
    Contract(
        "alert.acknowledged",
        1,
        "alert",
        "control tower",
        (_state(ACKNOWLEDGED), text("acknowledged_by")),
        {
            "standing": same("state"),
            "acknowledgement": {
                "acknowledged_at": EVENT_TIME,
                "acknowledged_by": "acknowledged_by",
            },
        },
        "A person has seen the alert.",
    ),
    Contract(
        "alert.assigned",
        1,
        "alert",
        "control tower",
        (text("owner"),),
        {"assignment": same("owner")},
        "The alert is somebody's to deal with.",
    ),
    Contract(
        "alert.snoozed",
        1,
        "alert",
        "control tower",
        (_state(SNOOZED), time("snoozed_until"), text("snoozed_by")),
        {"standing": same("state"), "snooze": same("snoozed_until", "snoozed_by")},
        "A person wants to hear of the alert later.",
    ),
    Contract(
        "alert.woken",
        1,
        "alert",
        "control tower",
        (_state(OPEN),),
        {"standing": same("state")},
        "The alert waits for a person again: its time came, or somebody asked for it.",
    ),
    Contract(
        "alert.commented",
        1,
        "alert",
        "control tower",
        (text("note"), text("noted_by")),
        {"comment": same("note", "noted_by")},
        "Somebody wrote down what they know about the alert.",
    ),
)
HAPPENINGS = tuple(contract.type.partition(".")[2] for contract in ALERTS)
