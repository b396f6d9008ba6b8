"""Joining: messages that wait together as one, so that what a step costs it costs once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.events import PAYLOAD, Numbers, Offered, Words
from twin.kinds import BLANKS
from twin.texts import join

Column = NDArray[Any]


class Joined(NamedTuple):
    """The rows of several messages, each still as it came."""

    parts: Sequence[Offered]
    starts: NDArray[np.int64]

    def raws(self, at: Column) -> list[bytes]:
        """Return the events at these positions, each as one msgpack row."""
        part = np.searchsorted(self.starts, at, side="right") - 1
        raws: list[bytes] = [b""] * at.size
        for number in np.unique(part).tolist():
            here = np.flatnonzero(part == number)
            some = self.parts[number].raws(at[here] - self.starts[number])
            for place, raw in zip(here.tolist(), some, strict=True):
                raws[place] = raw
        return raws


def joined(parts: Sequence[Offered]) -> Offered:
    """Return the events of some messages, in order, as one message says them."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(part.size for part in parts)])[:-1]

    def all_of(get: Callable[[Offered], Column]) -> Column:
        return np.concatenate([get(part) for part in parts])

    return Offered(
        id=join([part.id for part in parts]),
        subject=join([part.subject for part in parts]),
        source=_words([part.source for part in parts]),
        type=_words([part.type for part in parts]),
        region=_words([part.region for part in parts]),
        tenant=_words([part.tenant for part in parts]),
        version=all_of(lambda part: part.version),
        time=all_of(lambda part: part.time),
        confidence=all_of(lambda part: part.confidence),
        does=all_of(lambda part: part.does),
        target=join([part.target for part in parts]),
        numbers={
            name: _numbers(name, parts)
            for name in dict.fromkeys(name for part in parts for name in part.numbers)
        },
        words={
            name: _words([part.words.get(name) or _nothing(part.size) for part in parts])
            for name in dict.fromkeys(name for part in parts for name in part.words)
        },
        strange=all_of(lambda part: part.strange),
        rows=Joined(parts, starts),
    )


def _nothing(n: int) -> Words:
    return Words(np.full(n, -1, np.int32), [])


def _words(parts: Sequence[Words]) -> Words:
    """Return codes of all parts into one dictionary."""
    if all(part.words == parts[0].words for part in parts):
        return Words(np.concatenate([part.codes for part in parts]), parts[0].words)
    known: dict[str, int] = {}
    codes = []
    for part in parts:
        table = [known.setdefault(word, len(known)) for word in part.words]
        codes.append(np.array([*table, -1], np.int32)[part.codes])
    return Words(np.concatenate(codes), list(known))


def _numbers(name: str, parts: Sequence[Offered]) -> Numbers:
    held = [part.numbers.get(name) for part in parts]
    kinds = {column.values.dtype for column in held if column is not None}
    if len(kinds) > 1:  # one of them has no value of the field's type at all, and says so
        kinds = {BLANKS[PAYLOAD[name]].dtype}
    blank = BLANKS[PAYLOAD[name]]
    kind = kinds.pop()
    values, present, sound = [], [], []
    for part, column in zip(parts, held, strict=True):
        if column is None:
            values.append(np.full(part.size, blank if blank.dtype == kind else 0, kind))
            present.append(np.zeros(part.size, np.bool_))
            sound.append(np.ones(part.size, np.bool_))
        else:
            values.append(column.values.astype(kind, copy=False))
            present.append(column.present)
            sound.append(column.sound)
    return Numbers(np.concatenate(values), np.concatenate(present), np.concatenate(sound))
