"""Admission: which outcome each offered event gets before anything is written.

All that can refuse or park an event runs here; whatever is journaled to be applied can be
applied. Nothing here changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.alerts import ALERT, subjects
from twin.contracts import CONTRACTS, DAY_US
from twin.dedup import Known, Seen
from twin.events import NOTHING, Offered
from twin.judge import Sheet, contents, judged, repeat, sheet
from twin.kernels import well_formed
from twin.outcomes import APPLIED, PARKED, REJECTED, STANDS, Reason
from twin.slots import room
from twin.texts import Texts, hashes, join, texts

Column = NDArray[Any]
LONGEST_ID = 128
GOOD_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_INNER = np.zeros(256, np.bool_)
_INNER[[ord(c) for c in "0123456789._:-"]] = True
_INNER[ord("A") : ord("Z") + 1] = _INNER[ord("a") : ord("z") + 1] = True
_FIRST = _INNER.copy()
_FIRST[[ord(c) for c in "._:-"]] = False
NEWEST = max(contract.version for contract in CONTRACTS)
BY_NAME = {(c.type, c.version): number for number, c in enumerate(CONTRACTS)}
_IS_ALERT = np.array([contract.kind == ALERT for contract in CONTRACTS] + [False])


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
    said = sheet(offered)
    content = _content(offered, said)
    named = np.diff(offered.id.offsets) > 0
    id_ = offered.id if named.all() else _named(offered.id, named, content)
    salt = salts(offered.source.hashes(), tenant)
    hash_ = hashes(id_, salt)
    reason = _identity(offered, id_, contract, rule, tenant)
    rejected = reason != STANDS
    reason = np.where(rejected, reason, judged(offered, contract, said, now_us + DAY_US))
    outcome = np.where(reason == STANDS, APPLIED, PARKED).astype(np.int8)
    outcome[rejected] = REJECTED
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
    return np.bitwise_xor(source, _hash(tenant)[1])  # a tenant may have the name of a source


@lru_cache(1024)
def _hash(tenant: str) -> tuple[np.uint64, np.uint64]:
    first, second = hashes(texts([tenant]))[0]
    return first, second


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
    salt = np.full(ids.size, _hash(tenant)[0])
    return (hashes(ids, salt)[:, 0] % np.uint64(shards)).astype(np.int64)


def good_ids(ids: Texts) -> NDArray[np.bool_]:
    """Say of each id whether it is 1 to 128 of A-Z a-z 0-9 . _ : -, the first a letter or digit."""
    good = np.empty(ids.size, np.bool_)
    well_formed(ids.offsets, ids.content, _FIRST, _INNER, LONGEST_ID, good)
    return good


def _contracts(offered: Offered) -> NDArray[np.int16]:
    contract = np.full(offered.size, -1, np.int16)
    for version in np.bincount(_small(offered.version)).nonzero()[0].tolist():
        numbers = [BY_NAME.get((name, version), -1) for name in offered.type.words]
        found = np.array([*numbers, -1], np.int16)[offered.type.codes]
        contract = np.where(offered.version == version, found, contract)
    return contract


def _small(version: Column) -> Column:
    """Return versions, 0 for all that no contract has."""
    return np.where((version > 0) & (version <= NEWEST), version, 0)


def _identity(
    offered: Offered, id_: Texts, contract: Column, rule: Rule, tenant: str
) -> NDArray[np.int8]:
    """Return the reason to reject each event that names no twin of this shard."""
    reason = np.full(offered.size, STANDS, np.int8)
    subject, alerts = offered.subject, _IS_ALERT[contract]
    if alerts.any():  # an alert is written where its subject is
        subject, about = subjects(subject, alerts)
        reason[alerts & [kind not in rule.kinds for kind in about]] = Reason.NOT_OWNER
    if rule.shards > 1:
        reason[place(tenant, subject, rule.shards) != rule.number] = Reason.NOT_OWNER
    reason[_foreign(tuple(rule.kinds))[contract]] = Reason.NOT_OWNER
    here = [word == rule.region for word in offered.region.words]
    reason[~np.array([*here, False], np.bool_)[offered.region.codes]] = Reason.WRONG_REGION
    reason[offered.region.codes < 0] = Reason.REGION_MISSING
    sound = [GOOD_SOURCE.fullmatch(word) is not None for word in offered.source.words]
    good = np.array([*sound, False], np.bool_)[offered.source.codes]
    good &= good_ids(id_) & good_ids(subject)
    if (offered.does != NOTHING).any():
        good &= (offered.does == NOTHING) | good_ids(offered.target)
    reason[~good] = Reason.BAD_ID
    return reason


@cache
def _foreign(kinds: tuple[str, ...]) -> NDArray[np.bool_]:
    """Say of each contract, and of an unknown one at the end, whether it is of another kind."""
    return np.array([c.kind not in kinds for c in CONTRACTS] + [False])


def _content(offered: Offered, said: Sheet) -> NDArray[np.uint64]:
    content = contents(offered, said)
    unsound = offered.strange
    if not said.sound.all():
        unsound = unsound | ~said.sound.all(axis=0)
    at = unsound.nonzero()[0]
    for i, raw in zip(at.tolist(), offered.raws(at), strict=True):
        content[i] = hashes(texts([raw.hex()]))[0]
    return content


def _named(ids: Texts, named: Column, content: Column) -> Texts:
    """Give events without an id the hash of their content."""
    pairs = zip(ids.list(), named.tolist(), content.tolist(), strict=True)
    return texts([i if has else f"{c[0]:016x}{c[1]:016x}" for i, has, c in pairs])


def _repeats(events: Admitted) -> None:
    known = events.known
    repeat(
        room(events.hash.shape[0]),
        events.hash,
        events.content,
        events.outcome,
        events.reason,
        known.entry,
        known.content,
        known.outcome,
        known.reason,
        events.twin,
    )
