"""Admission: which outcome each offered event gets before anything is written.

All that can refuse or park an event runs here; whatever is journaled to be applied can be
applied. Nothing here changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import CONTRACTS, DAY_US, Contract
from twin.dedup import UNSEEN, Known, Seen
from twin.events import NO_NUMBER, NOTHING, RETRACTS, Offered
from twin.kernels import first_same, mix, room, well_formed
from twin.kinds import Dtype
from twin.outcomes import Outcome, Reason
from twin.texts import Texts, hashes, join, texts

Column = NDArray[Any]
LONGEST_ID = 128
GOOD_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_INNER = np.zeros(256, np.bool_)
_INNER[[ord(c) for c in "0123456789._:-"]] = True
_INNER[ord("A") : ord("Z") + 1] = _INNER[ord("a") : ord("z") + 1] = True
_FIRST = _INNER.copy()
_FIRST[[ord(c) for c in "._:-"]] = False
BY_NAME = {(c.type, c.version): number for number, c in enumerate(CONTRACTS)}


class Admitted(NamedTuple):
    """A value for each event, in the order offered."""

    outcome: NDArray[np.int8]  # APPLIED of whatever stands: what it changes is decided later
    reason: NDArray[np.int8]
    contract: NDArray[np.int16]  # position in CONTRACTS, -1 if unknown
    hash: NDArray[np.uint64]  # (n, 2), of (tenant, source, id)
    content: NDArray[np.uint64]  # of all that was offered
    id: Texts  # a content hash where it was missing
    target: NDArray[np.uint64]  # (n, 2), the hash of the event it corrects or retracts
    known: Known  # of the id before this batch
    twin: NDArray[np.int64]  # of a repeat: what it repeats, counted over all messages; -1


class Rule(NamedTuple):
    """What this shard takes."""

    region: str
    kinds: Collection[str]
    number: int
    shards: int  # how many share the keys of this kind in this region


def admit(offered: Offered, tenant: str, seen: Seen, rule: Rule, now_us: int) -> Admitted:
    """Return the outcome of each event so far. `now_us`: the clock, for times in the future."""
    n = offered.size
    contract = _contracts(offered)
    content = _content(offered)
    named = np.diff(offered.id.offsets) > 0
    id_ = offered.id if named.all() else _named(offered.id, named, content)
    salt = salts(offered.source.hashes(), tenant)
    hash_ = hashes(id_, salt)
    reason = _identity(offered, id_, contract, rule, tenant)
    rejected = reason != Reason.NONE
    reason = np.where(rejected, reason, _promises(offered, contract, now_us)).astype(np.int8)
    outcome = np.where(reason == Reason.NONE, Outcome.APPLIED, Outcome.PARKED).astype(np.int8)
    outcome[rejected] = Outcome.REJECTED
    known = seen.find(hash_)
    amends = (offered.does != NOTHING).any()
    target = hashes(offered.target, salt) if amends else np.zeros((n, 2), np.uint64)
    admitted = Admitted(
        outcome,
        reason,
        contract,
        hash_,
        content[:, 0],
        id_,
        target,
        known,
        np.full(n, -1, np.int64),
    )
    return admitted


def salts(source: NDArray[np.uint64], tenant: str) -> NDArray[np.uint64]:
    """Return what keeps equal ids of different sources and tenants apart."""
    own: np.uint64 = hashes(texts([tenant]))[0, 1]  # a tenant may have the name of a source
    return np.bitwise_xor(source, own)


def repeats(messages: Sequence[Admitted]) -> None:
    """Mark what repeats an event known before, or an earlier one of these messages."""
    if len(messages) == 1:
        _repeats(messages[0])
        return
    whole = Admitted(
        np.concatenate([message.outcome for message in messages]),
        np.concatenate([message.reason for message in messages]),
        np.concatenate([message.contract for message in messages]),
        np.concatenate([message.hash for message in messages]),
        np.concatenate([message.content for message in messages]),
        join([message.id for message in messages]),
        np.concatenate([message.target for message in messages]),
        Known(*map(np.concatenate, zip(*(m.known for m in messages), strict=True))),
        np.concatenate([message.twin for message in messages]),
    )
    _repeats(whole)
    start = 0
    for message in messages:
        end = start + message.outcome.size
        message.outcome[:] = whole.outcome[start:end]
        message.reason[:] = whole.reason[start:end]
        message.twin[:] = whole.twin[start:end]
        start = end


def place(tenant: str, ids: Texts, shards: int) -> NDArray[np.int64]:
    """Return which of `shards` writes each twin: the hash of (tenant, id) modulo their number."""
    salt = np.broadcast_to(hashes(texts([tenant]))[:, 0], ids.size).copy()
    return (hashes(ids, salt)[:, 0] % np.uint64(shards)).astype(np.int64)


def good_ids(ids: Texts) -> NDArray[np.bool_]:
    """Say of each id whether it is 1 to 128 of A-Z a-z 0-9 . _ : -, the first a letter or digit."""
    good = np.empty(ids.size, np.bool_)
    well_formed(ids.offsets, ids.content, _FIRST, _INNER, LONGEST_ID, good)
    return good


def _contracts(offered: Offered) -> NDArray[np.int16]:
    contract = np.full(offered.size, -1, np.int16)
    for code, name in enumerate(offered.type.words):
        mine = offered.type.codes == code
        for version in np.unique(offered.version[mine]).tolist():
            found = BY_NAME.get((name, version), -1)
            contract[mine & (offered.version == version)] = found
    return contract


def _identity(
    offered: Offered, id_: Texts, contract: Column, rule: Rule, tenant: str
) -> NDArray[np.int8]:
    """Return the reason to reject each event that names no twin of this shard."""
    reason = np.full(offered.size, Reason.NONE, np.int8)
    if rule.shards > 1:
        reason[place(tenant, offered.subject, rule.shards) != rule.number] = Reason.NOT_OWNER
    for number in np.unique(contract[contract >= 0]).tolist():
        if CONTRACTS[number].kind not in rule.kinds:
            reason[contract == number] = Reason.NOT_OWNER
    here = [word == rule.region for word in offered.region.words]
    reason[~np.array([*here, False], np.bool_)[offered.region.codes]] = Reason.WRONG_REGION
    reason[offered.region.codes < 0] = Reason.REGION_MISSING
    sound = [GOOD_SOURCE.fullmatch(word) is not None for word in offered.source.words]
    good = np.array([*sound, False], np.bool_)[offered.source.codes]
    good &= good_ids(id_) & good_ids(offered.subject)
    if (offered.does != NOTHING).any():
        good &= (offered.does == NOTHING) | good_ids(offered.target)
    reason[~good] = Reason.BAD_ID
    return reason


def _promises(offered: Offered, contract: Column, now_us: int) -> NDArray[np.int8]:
    """Return the reason to park each event that breaks its contract."""
    reason = np.full(offered.size, Reason.NONE, np.int8)
    for number in np.unique(contract).tolist():
        mine = contract == number
        if number < 0:
            reason[mine] = Reason.SCHEMA_UNSUPPORTED
            continue
        broken = _broken(offered, CONTRACTS[number])
        bare = offered.does == RETRACTS  # says nothing of its own, so it lacks nothing
        broken[bare & (broken == Reason.FIELD_MISSING)] = Reason.NONE
        reason[mine] = broken[mine]
    late = (offered.time < 0) | (offered.time > now_us + DAY_US)
    reason[late & (reason == Reason.NONE)] = Reason.TIME_OUT_OF_RANGE
    unsure = ~((offered.confidence >= 0) & (offered.confidence <= 1))
    reason[unsure & (reason == Reason.NONE)] = Reason.OUT_OF_RANGE
    return reason


def _broken(offered: Offered, contract: Contract) -> NDArray[np.int8]:
    n = offered.size
    reason = np.full(n, Reason.NONE, np.int8)
    reason[offered.strange] = Reason.FIELD_UNKNOWN
    mine = {promise.name for promise in contract.payload}
    for name in {*offered.numbers, *offered.words} - mine:
        reason[_present(offered, name)] = Reason.FIELD_UNKNOWN
    for promise in contract.payload:
        present = _present(offered, promise.name)
        if promise.required:
            reason[~present] = Reason.FIELD_MISSING
        if promise.among and promise.name in offered.words:
            column_words = offered.words[promise.name]
            known = np.array([w in promise.among for w in column_words.words] + [True])
            reason[~known[column_words.codes]] = Reason.OUT_OF_RANGE
        column = offered.numbers.get(promise.name)
        if column is None:
            continue
        values = column.values
        if promise.dtype is not Dtype.TEXT:
            outside = present & ~((values >= promise.least) & (values <= promise.most))
            reason[outside] = Reason.OUT_OF_RANGE
        if promise.dtype is Dtype.NUMBER:
            reason[present & ~np.isfinite(values)] = Reason.NOT_FINITE
        reason[present & ~column.sound] = Reason.TYPE_MISMATCH
        if promise.dtype in {Dtype.INTEGER, Dtype.TIME}:
            reason[present & (values == NO_NUMBER)] = Reason.NOT_FINITE
    return reason


def _present(offered: Offered, name: str) -> NDArray[np.bool_]:
    present = np.zeros(offered.size, np.bool_)
    if name in offered.words:
        present |= offered.words[name].codes >= 0
    if name in offered.numbers:
        present |= offered.numbers[name].present
    return present


def _content(offered: Offered) -> NDArray[np.uint64]:
    """Return a hash of all that each event says; equal for equal content, whatever the batch."""
    state = hashes(offered.subject)
    for words in (offered.type, offered.source):
        mix(state, words.hashes())
    mix(state, offered.version.view(np.uint64))
    mix(state, offered.time.view(np.uint64))
    mix(state, offered.confidence.view(np.uint64))
    at = np.flatnonzero(offered.does != NOTHING)
    if at.size:  # only these: content must not depend on what else is in the batch
        part = state[at]
        mix(part, hashes(offered.target.take(at))[:, 0] ^ offered.does[at].astype(np.uint64))
        state[at] = part
    for name in sorted({*offered.numbers, *offered.words}):
        label = hashes(texts([name]))[0, 0]
        at = np.flatnonzero(_present(offered, name))
        part = state[at]
        if name in offered.words:
            mix(part, offered.words[name].take(at).hashes() ^ label)
        if name in offered.numbers:
            mix(part, _bits(offered.numbers[name].values[at]) ^ label)
        state[at] = part
    unsound = offered.strange.copy()
    for column in offered.numbers.values():
        unsound |= ~column.sound
    for i in np.flatnonzero(unsound).tolist():
        state[i] = hashes(texts([offered.raw(i).hex()]))[0]
    return state


def _bits(values: Column) -> NDArray[np.uint64]:
    exact = values if values.dtype.kind == "f" else values.astype(np.int64)
    return exact.view(np.uint64)


def _named(ids: Texts, named: Column, content: Column) -> Texts:
    """Give events without an id the hash of their content."""
    pairs = zip(ids.list(), named.tolist(), content.tolist(), strict=True)
    return texts([i if has else f"{c[0]:016x}{c[1]:016x}" for i, has, c in pairs])


def _repeats(events: Admitted) -> None:
    left = np.flatnonzero(events.outcome != Outcome.REJECTED)
    pair = events.hash[left]
    same = np.empty(left.size, np.int32)
    first_same(room(left.size), np.ascontiguousarray(pair), same)
    again = np.flatnonzero(same != np.arange(left.size))
    often = np.zeros(left.size, np.bool_)
    often[again] = often[same[again]] = True
    once = left[~often]
    known = events.known
    was = known.entry[once] != UNSEEN
    replaced = known.outcome[once] == Outcome.PARKED
    equal = known.content[once] == events.content[once]
    _settle(events, once[was & equal], once[was & ~equal & ~replaced])
    standing: dict[tuple[int, int], int] = {}  # what an id stands for so far; -1: as known before
    for i in left[often].tolist():
        name = (int(events.hash[i, 0]), int(events.hash[i, 1]))
        if name not in standing and known.entry[i] == UNSEEN:
            standing[name] = i
            continue
        original = standing.setdefault(name, -1)
        first, at = (known, i) if original < 0 else (events, original)
        if events.content[i] == first.content[at]:
            events.outcome[i], events.twin[i] = Outcome.DUPLICATE, original
            events.reason[i] = first.reason[at]
        elif first.outcome[at] == Outcome.PARKED:
            standing[name] = i  # new content replaces what is parked
        else:
            events.outcome[i] = Outcome.REJECTED
            events.reason[i] = Reason.IDEMPOTENCY_CONFLICT


def _settle(events: Admitted, same: Column, clash: Column) -> None:
    events.outcome[same] = Outcome.DUPLICATE
    events.reason[same] = events.known.reason[same]
    events.outcome[clash] = Outcome.REJECTED
    events.reason[clash] = Reason.IDEMPOTENCY_CONFLICT
