"""Columns: offered events as the columns of a frame, and a frame's events as facts about rows.

A payload column holds values only for the events whose contract has it; texts are codes of the
shard's lexicon, new ones only for words in use. What a parked event said is kept as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import Admitted
from twin.contracts import CONTRACTS, COUNTED, EVENT_TIME, MOVED
from twin.derived import IS_DERIVED
from twin.events import NOTHING, PAYLOAD, Offered
from twin.frames import Frame, column_texts, text_columns
from twin.kernels import spread
from twin.keys import qualified
from twin.kinds import BLANKS, KINDS, Dtype, Group, Kind, Merge
from twin.lexicon import Draft
from twin.outcomes import STANDS
from twin.promises import Carry, Source
from twin.texts import Texts, join
from twin.upcast import converted

Column = NDArray[Any]


# By contract number, with one place more for events of no known contract (-1): which contracts
# carry a payload field, are about a kind, or set a group of it.
_MAY = {
    name: np.array([name in {p.name for p in c.payload} for c in CONTRACTS] + [False])
    for name in PAYLOAD
}
_ABOUT = {kind: np.array([c.kind == kind for c in CONTRACTS] + [False]) for kind in KINDS}
_SETS = {
    (kind.name, group.name): np.array(
        [
            c.kind == kind.name
            and group.name in c.sets
            and (group.merge is Merge.LATEST or not derived)  # what counts: twin.revisions
            for c, derived in zip(CONTRACTS, IS_DERIVED, strict=False)
        ]
        + [False]
    )
    for kind in KINDS.values()
    for group in kind.groups
}


class Message(NamedTuple):
    """Events of one writer, decoded."""

    offered: Offered
    tenant: str
    writer: str  # the named identity that offered them
    redrives: NDArray[np.int64] | None = None  # of events that were parked: where (twin.redrive)
    own: bool = False  # said by the twin itself, which may say what is reserved


class Part(NamedTuple):
    """The kept events of one message, ready for a frame."""

    columns: dict[str, Column]
    id: Texts
    name: Texts  # tenant/subject
    payload: dict[str, Column]  # whole columns; blank where absent
    raw: list[bytes]  # of parked events


def kept_columns(message: Message, one: Admitted, at: Column, draft: Draft) -> Part:
    offered = message.offered
    n = at.size
    reason = one.reason.take(at)
    stands = reason == STANDS
    sure = offered.confidence.take(at)
    sure[~stands] = np.nan
    columns: dict[str, Column] = {
        "hash": one.hash.take(at, axis=0),
        "content": one.content.take(at),
        "contract": one.contract.take(at),
        "time": offered.time.take(at),
        "source": _coded(offered.source.codes.take(at), offered.source.words, draft),
        "writer": np.full(n, draft.code(message.writer) if n else -1, np.int32),
        "tenant": np.full(n, draft.code(message.tenant) if n else -1, np.int32),
        "confidence": sure.astype(np.float32),
        "reason": reason,
        "does": offered.does.take(at),
        "target": one.target.take(at, axis=0),
        "redrives": np.full(n, -1) if message.redrives is None else message.redrives[at],
    }
    payload: dict[str, Column] = {}
    for name, column in offered.numbers.items():
        payload[name] = column.values.take(at)
    for name, words in sorted(offered.words.items()):  # so that codes follow no set's order
        codes = np.where(stands, words.codes.take(at), -1)
        payload[name] = _coded(codes, words.words, draft)
    raw = offered.raws(at[~stands])
    subject = qualified(message.tenant, offered.subject, at)
    return Part(columns, one.id.take(at), subject, payload, raw)


def _coded(codes: Column, words: Sequence[str], draft: Draft) -> NDArray[np.int32]:
    """Return codes of the lexicon for codes of a batch, new ones only for words in use."""
    used = np.bincount(codes + 1, minlength=1)[1:].nonzero()[0]
    table = np.full(len(words) + 1, -1, np.int32)
    for code in used.tolist():
        table[code] = draft.code(words[code])
    return table.take(codes, mode="wrap")  # -1 is the last one


def gather(parts: Sequence[Part]) -> dict[str, Column]:
    """Return the columns of all parts, payloads only for the events whose contract has them."""
    columns: dict[str, Column] = {
        name: _one([part.columns[name] for part in parts]) for name in parts[0].columns
    }
    if not (columns["does"] != NOTHING).any():
        del columns["does"], columns["target"]
    if (columns["redrives"] < 0).all():
        del columns["redrives"]
    columns |= text_columns("id", join([part.id for part in parts]))
    raw = [piece for part in parts for piece in part.raw]
    if raw:
        lengths = np.cumsum([0, *map(len, raw)], dtype=np.int64)
        columns |= {"raw.offsets": lengths, "raw.content": np.frombuffer(b"".join(raw), np.uint8)}
    for name in dict.fromkeys(name for part in parts for name in part.payload):
        whole = [
            part.payload[name] if name in part.payload else _blank(name, part.id.size)
            for part in parts
        ]
        mine = carries(columns["contract"], columns["reason"], name).nonzero()[0]
        if mine.size:
            columns[f"data.{name}"] = _one(whole).take(mine)
    return columns


def _one(parts: Sequence[Column]) -> Column:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def carries(contract: Column, reason: Column, name: str) -> NDArray[np.bool_]:
    """Say of each event whether a payload column holds a value for it: it stands, and may."""
    carries: NDArray[np.bool_] = _MAY[name].take(contract, mode="wrap")  # -1 is the last one
    carries &= reason == STANDS
    return carries


def _blank(name: str, n: int) -> Column:
    return np.full(n, BLANKS[PAYLOAD[name]])


def payload_column(frame: Frame, name: str) -> Column:
    """Return a payload column of a frame (count,), blank where an event does not carry it."""
    held = frame.columns.get(f"data.{name}")
    if held is None:
        return _blank(name, frame.size)
    blank = BLANKS[PAYLOAD[name]]
    whole = np.empty(frame.size, blank.dtype)
    spread(_MAY[name], frame.columns["contract"], frame.columns["reason"], held, blank, whole)
    return whole


def concat(run: Sequence[Frame]) -> Frame:
    """Return consecutive frames as one: what it does to a state is what they do, one by one."""
    if len(run) == 1:
        return run[0]
    if any("does" in frame.columns for frame in run):
        raise ValueError("frames with corrections or retractions are taken one by one")
    named: dict[str, list[Texts]] = {}
    for frame in run:
        for kind, more in frame.names.items():
            named.setdefault(kind, []).append(more)
    names = {kind: join(parts) for kind, parts in named.items()}
    columns: dict[str, Column] = {}
    for name in dict.fromkeys(name for frame in run for name in frame.columns):
        if name.endswith((".offsets", ".content")):
            continue
        parts = [_held(frame, name) for frame in run]
        columns[name] = np.concatenate(parts)
    columns |= text_columns("id", join([event_ids(frame) for frame in run]))
    words = [word for frame in run for word in frame.words]
    first, last = run[0], run[-1]
    size = sum(frame.size for frame in run)
    return first._replace(
        size=size, words=words, names=names, columns=columns, ingest_time=last.ingest_time
    )


def _held(frame: Frame, name: str) -> Column:
    held = frame.columns.get(name)
    if held is not None:
        return held
    if name == "redrives":
        return np.full(frame.size, -1)
    carried = carries(frame.columns["contract"], frame.columns["reason"], name[5:])
    return _blank(name[5:], int(carried.sum()))


def event_ids(frame: Frame) -> Texts:
    return column_texts(frame.columns, "id")


def of_kind(frame: Frame, kind: Kind) -> NDArray[np.bool_]:
    return _ABOUT[kind.name][frame.columns["contract"]]


def touched(kind: Kind, contract: Column) -> tuple[Group, ...]:
    """Return the groups of a kind that events of these contracts say anything about."""
    return _touched(kind.name, tuple(np.bincount(contract).nonzero()[0].tolist()))


@lru_cache(1024)
def _touched(kind: str, there: tuple[int, ...]) -> tuple[Group, ...]:
    groups = KINDS[kind].groups
    return tuple(group for group in groups if _SETS[kind, group.name][list(there)].any())


def speakers(kind: Kind, group: Group, contract: Column) -> Column:
    """Return the positions of the events, by their contracts, that say anything about a group."""
    return _SETS[kind.name, group.name][contract].nonzero()[0]


class Told:
    """What the events of a frame say, field by field: each payload column is spread out once."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._whole: dict[str, Column] = {}

    def values(self, group: Group, at: Column) -> dict[str, Column]:
        """Return field -> what the events at `at`, all of them about `group`, say."""
        if group.merge is Merge.LEVEL:
            blanks = dict.fromkeys((COUNTED, MOVED), BLANKS[Dtype.INTEGER])
        else:
            blanks = {field.name: field.blank for field in group.fields if not field.is_as_of}
        setters = self.frame.columns["contract"].take(at)
        numbers = np.bincount(setters).nonzero()[0].tolist()
        values = {name: np.full(at.size, blank) for name, blank in blanks.items()}
        for number in numbers:
            here = slice(None) if len(numbers) == 1 else (setters == number).nonzero()[0]
            self._fill(values, CONTRACTS[number].sets[group.name], at[here], here)
        return values

    def _fill(
        self,
        values: dict[str, Column],
        sets: Mapping[str, Source],
        at: Column,
        here: Column | slice,
    ) -> None:
        """Put what the events at `at`, all of one contract, say about a group into place `here`."""
        for field, source in sets.items():
            if field not in values:
                continue  # it is the as_of of its group
            if source == EVENT_TIME:
                values[field][here] = self.frame.columns["time"].take(at)
            elif isinstance(source, str):
                values[field][here] = self._payload(source).take(at)
            elif isinstance(source, Carry):  # of an older version: lifted here, and nowhere else
                values[field][here] = converted(self._payload(source.field)[at], source)
            else:
                values[field][here] = int(source)

    def _payload(self, name: str) -> Column:
        whole = self._whole.get(name)
        if whole is None:
            whole = self._whole[name] = payload_column(self.frame, name)
        return whole
