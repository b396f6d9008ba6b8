"""Judging: the loops of admission that run once per event, compiled with numba.

What all events of a message say lies in one sheet: a row for each payload field, with the bits of
every value and whether it is there. So one pass hashes the content of each event, and one holds it
against its contract. The plain forms are in tests/twin: plain.py, and oracle.py for contracts.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.arrow_columns import NO_NUMBER
from twin.contracts import CONTRACTS
from twin.events import NOTHING, PAYLOAD, RETRACTS, Numbers, Offered, Words
from twin.kernels import I32, I64, U64, jit, mixed
from twin.kinds import Dtype
from twin.outcomes import Outcome, Reason
from twin.promises import Promise
from twin.texts import hashes, texts

Column = NDArray[Any]
NAMES = list(PAYLOAD)
_NUMBER = {name: i for i, name in enumerate(NAMES)}
_WHOLE, _FRACTION, _TEXT = 0, 1, 2  # how a promise is held against its range
_FORM = {Dtype.NUMBER: _FRACTION, Dtype.TEXT: _TEXT, Dtype.FLAG: 3}
_APPLIED, _PARKED, _REJECTED = int(Outcome.APPLIED), int(Outcome.PARKED), int(Outcome.REJECTED)
_DUPLICATE = int(Outcome.DUPLICATE)
_NONE, _UNKNOWN, _MISSING = int(Reason.NONE), int(Reason.FIELD_UNKNOWN), int(Reason.FIELD_MISSING)
_OUTSIDE, _INFINITE = int(Reason.OUT_OF_RANGE), int(Reason.NOT_FINITE)
_MISTYPED, _CONFLICT = int(Reason.TYPE_MISMATCH), int(Reason.IDEMPOTENCY_CONFLICT)
_UNSUPPORTED, _UNTIMELY = int(Reason.SCHEMA_UNSUPPORTED), int(Reason.TIME_OUT_OF_RANGE)
_BEFORE = -2  # in slots of `repeat`: the id stands for what was known before


class Rules(NamedTuple):
    """All promises of all contracts, one behind the other, as a kernel reads them."""

    start: I32  # (contracts + 1,) into the rest
    name: I32  # position in NAMES
    required: NDArray[np.bool_]
    form: NDArray[np.int8]
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    belongs: NDArray[np.bool_]  # (contracts, names): the payload has the field


class Sheet(NamedTuple):
    """What n events say: a row for each field that any of them has, by name."""

    name: I32  # (rows,) position in NAMES, -1 of a field that no contract knows
    label: U64  # (rows,) hash of the name
    word: NDArray[np.bool_]  # (rows,) a text, else a number
    bits: U64  # (rows, n) of the value; of a text its hash
    present: NDArray[np.bool_]  # (rows, n)
    either: NDArray[np.bool_]  # (rows, n), where the field is there as text or as number
    sound: NDArray[np.bool_]  # (rows, n), of the type its field has


class Events(NamedTuple):
    """What n events are held against their contracts by, besides what they say."""

    contract: NDArray[np.int16]
    does: NDArray[np.int8]
    time: I64
    confidence: NDArray[np.float64]
    strange: NDArray[np.bool_]


def _rules() -> Rules:
    promises = [promise for contract in CONTRACTS for promise in contract.payload]
    start = np.cumsum([0, *(len(contract.payload) for contract in CONTRACTS)])
    belongs = np.zeros((len(CONTRACTS), len(NAMES)), np.bool_)
    for number, contract in enumerate(CONTRACTS):
        belongs[number, [_NUMBER[promise.name] for promise in contract.payload]] = True
    return Rules(
        start.astype(np.int32),
        np.array([_NUMBER[promise.name] for promise in promises], np.int32),
        np.array([promise.required for promise in promises]),
        np.array([_FORM.get(promise.dtype, _WHOLE) for promise in promises], np.int8),
        np.array([promise.least for promise in promises]),
        np.array([promise.most for promise in promises]),
        belongs,
    )


RULES = _rules()
_AMONG: list[list[tuple[int, Promise]]] = [
    [(int(RULES.start[c]) + i, p) for i, p in enumerate(contract.payload) if p.among]
    for c, contract in enumerate(CONTRACTS)
]


def sheet(offered: Offered) -> Sheet:
    """Lay out what events say, fields in order of their names; a text before a number."""
    held: list[tuple[str, Words | Numbers]] = []
    for name in sorted({*offered.numbers, *offered.words}):
        held += [(name, some[name]) for some in (offered.words, offered.numbers) if name in some]
    n, rows = offered.size, len(held)
    bits, present = np.empty((rows, n), np.uint64), np.empty((rows, n), np.bool_)
    sound = np.ones((rows, n), np.bool_)
    word = np.zeros(rows, np.bool_)
    for i, (_, column) in enumerate(held):
        if isinstance(column, Words):
            word[i], bits[i] = True, column.hashes()
            np.greater_equal(column.codes, 0, out=present[i])
        else:
            exact = column.values if column.values.dtype.itemsize == 8 else _wide(column.values)
            bits[i], present[i], sound[i] = exact.view(np.uint64), column.present, column.sound
    either = present
    names = [name for name, _ in held]
    if len(set(names)) < rows:
        either = present.copy()
        for i in range(1, rows):
            if names[i] == names[i - 1]:
                either[i - 1] = either[i] = present[i - 1] | present[i]
    number = np.array([_NUMBER.get(name, -1) for name in names], np.int32)
    label = np.array([_label(name) for name in names], np.uint64)
    return Sheet(number, label, word, bits, present, either, sound)


def contents(offered: Offered, said: Sheet) -> U64:
    """Return a hash (n, 2) of all that each event says; equal for equal content in any batch."""
    state = hashes(offered.subject)
    head = np.empty((5, offered.size), np.uint64)
    head[0], head[1] = offered.type.hashes(), offered.source.hashes()
    head[2], head[3] = offered.version.view(np.uint64), offered.time.view(np.uint64)
    head[4] = offered.confidence.view(np.uint64)
    amends = offered.does != NOTHING
    about = np.zeros(offered.size if amends.any() else 0, np.uint64)
    if about.size:
        about[:] = hashes(offered.target)[:, 0] ^ offered.does.astype(np.uint64)
    fold(state, head, offered.does, about, said.label, said.bits, said.either)
    return state


def judged(offered: Offered, contract: Column, said: Sheet, latest: int) -> NDArray[np.int8]:
    """Return the reason to park each event that breaks its contract.

    `contract`: position in CONTRACTS, -1 if unknown. `latest`: no event may be of a later time.
    """
    row_of = np.full((2, len(NAMES)), -1, np.int32)  # of a name: its row of numbers, and of texts
    known = said.name >= 0
    row_of[said.word[known].astype(np.int8), said.name[known]] = known.nonzero()[0]
    odd, strange_words = _strange_words(offered, contract)
    reason = np.empty(offered.size, np.int8)
    events = Events(contract, offered.does, offered.time, offered.confidence, offered.strange)
    numbers = said.bits.view(np.int64), said.bits.view(np.float64)
    hold(events, latest, said, row_of, numbers, odd, strange_words, RULES, reason)
    return reason


def _strange_words(offered: Offered, contract: Column) -> tuple[I32, NDArray[np.bool_]]:
    """Say where a text is none of the words its contract allows: a row for each such promise."""
    odd = np.full(RULES.name.size, -1, np.int32)
    rows: list[NDArray[np.bool_]] = []
    there = np.bincount(contract + 1, minlength=len(CONTRACTS) + 1)[1:]
    for number in there.nonzero()[0].tolist():
        for place, promise in _AMONG[number]:
            column = offered.words.get(promise.name)
            if column is not None:
                allowed = np.array([w in promise.among for w in column.words] + [True])
                odd[place] = len(rows)
                rows.append(~allowed[column.codes])
    return odd, np.array(rows, np.bool_).reshape(len(rows), offered.size)


def _wide(values: Column) -> Column:
    return values.astype(np.int64)


@functools.cache
def _label(name: str) -> int:  # there are as many as contracts have fields
    return int(hashes(texts([name]))[0, 0])


@jit
def fold(state: U64, head: U64, does: Any, about: U64, label: U64, bits: U64, present: Any) -> None:
    """Fold into `state` (n, 2) the words of `head` (h, n), then every field that is there."""
    for i in range(state.shape[0]):
        a, b = state[i, 0], state[i, 1]
        for h in range(head.shape[0]):
            a, b = mixed(a, b, head[h, i])
        if about.size > 0 and does[i] != 0:
            a, b = mixed(a, b, about[i])
        for k in range(label.size):
            if present[k, i]:
                a, b = mixed(a, b, bits[k, i] ^ label[k])
        state[i, 0], state[i, 1] = a, b


@jit
def hold(
    events: Events,
    latest: int,
    said: Sheet,
    row_of: Any,
    numbers: tuple[Any, Any],
    odd: I32,
    strange_words: Any,
    rules: Rules,
    reason: Any,
) -> None:
    """Hold each event against its contract: of several reasons the last one counts."""
    contract, does, time, confidence, strange = events
    whole, fraction = numbers
    name, present, either, sound = said.name, said.present, said.either, said.sound
    for i in range(contract.size):
        c = contract[i]
        if c < 0:
            reason[i] = _UNSUPPORTED
            continue
        why = _UNKNOWN if strange[i] else _NONE
        for k in range(name.size):
            if present[k, i] and (name[k] < 0 or not rules.belongs[c, name[k]]):
                why = _UNKNOWN
        for p in range(rules.start[c], rules.start[c + 1]):
            number, text = row_of[0, rules.name[p]], row_of[1, rules.name[p]]
            row = number if number >= 0 else text
            there = row >= 0 and either[row, i]
            if rules.required[p] and not there:
                why = _MISSING
            if odd[p] >= 0 and strange_words[odd[p], i]:
                why = _OUTSIDE
            if number < 0 or not there:
                continue
            if rules.form[p] == _FRACTION:
                value = fraction[number, i]
                if not (rules.least[p] <= value <= rules.most[p]):
                    why = _OUTSIDE
                if not np.isfinite(value):
                    why = _INFINITE
            elif rules.form[p] != _TEXT and not (
                rules.least[p] <= float(whole[number, i]) <= rules.most[p]
            ):
                why = _OUTSIDE
            if not sound[number, i]:
                why = _MISTYPED
            if rules.form[p] == _WHOLE and whole[number, i] == NO_NUMBER:
                why = _INFINITE
        if why == _MISSING and does[i] == RETRACTS:
            why = _NONE  # it says nothing of its own, so it lacks nothing
        if why == _NONE and not (0 <= time[i] <= latest):
            why = _UNTIMELY
        if why == _NONE and not (0 <= confidence[i] <= 1):
            why = _OUTSIDE
        reason[i] = why


@jit
def repeat(
    slots: I32,
    hash_: U64,
    content: U64,
    outcome: Any,
    reason: Any,
    entry: I32,
    known_content: U64,
    known_outcome: Any,
    known_reason: Any,
    twin: I64,
) -> None:
    """Mark what repeats an event known before, or an earlier one; new content replaces parked.

    `slots` are EMPTY, over 2n of them; `entry`, `known_*`: what was known of the id before.
    """
    mask = np.uint64(slots.size - 1)
    stands = np.full(slots.size, _BEFORE, np.int32)  # for which event, by slot
    for i in range(hash_.shape[0]):
        if outcome[i] == _REJECTED:
            continue
        at = hash_[i, 0] & mask
        while True:
            first = slots[at]
            if first < 0:
                slots[at] = i
                break
            if hash_[first, 0] == hash_[i, 0] and hash_[first, 1] == hash_[i, 1]:
                break
            at = (at + np.uint64(1)) & mask
        if slots[at] == i and entry[i] < 0:
            stands[at] = i
            continue
        original = stands[at]
        if original == _BEFORE:
            same, parked = content[i] == known_content[i], known_outcome[i] == _PARKED
            why = known_reason[i]
        else:
            same, parked = content[i] == content[original], outcome[original] == _PARKED
            why = reason[original]
        if same:
            outcome[i], reason[i] = _DUPLICATE, why
            twin[i] = -1 if original == _BEFORE else original
        elif parked:
            stands[at] = i
        else:
            outcome[i], reason[i] = _REJECTED, _CONFLICT
