"""Ordering: rows of a view in a total order that all shards share, and places within it.

The order is by some terms, what is absent last, then by id, then by region. A place is the bytes
of all these: places of any shard compare as their rows do, so that rows of several shards are put
in order, and gone on with, without looking at a value.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest
from twin.fields import Column, Mask
from twin.filters import compile_term
from twin.kinds import Dtype
from twin.names import compare_names, words_at
from twin.query import View
from twin.terms import ID, Age, Constant, Term, named
from twin.words import met

MOST = 8  # terms of an order
LONGEST_ID = 128 + 8  # bytes of an id, in whole words
_LAST = np.uint64(2**64 - 1)
_SIGN = np.uint64(1 << 63)
_KNOWN, _ABSENT = b"\0", b"\1"
_END, _ZERO = b"\0\0", b"\0\xff"


class By(NamedTuple):
    term: Term
    down: bool


class _Ranked(NamedTuple):
    """A key of some rows as numbers that sort, absent ones last; of a text its words in order."""

    rank: NDArray[np.uint64]
    words: list[str] | None


@lru_cache(256)
def parse_order(kind: str, order: str) -> tuple[By, ...]:
    """Return what an order is by: FIELD or -FIELD, or FIELD DESC; several by comma.

    Raises UnknownField, BadRequest.
    """
    keys = [_key(kind, part.strip()) for part in split(order)]
    if len(keys) > MOST:
        raise BadRequest(f"order by {MOST} fields at most")
    for at, key in enumerate(keys):
        if key.term.sort == ID:  # what follows an id decides nothing
            return tuple(keys[: at + 1])
    return tuple(keys)


def split(text: str) -> list[str]:
    """Return the parts of a list by comma; commas in parentheses are none."""
    parts, deep = [""], 0
    for sign in text:
        deep += (sign == "(") - (sign == ")")
        if sign == "," and not deep:
            parts.append("")
        else:
            parts[-1] += sign
    return [part for part in parts if part.strip()]


def _key(kind: str, part: str) -> By:
    down = part.startswith("-")
    name = part.removeprefix("-").strip()
    words = name.rsplit(None, 1)
    if len(words) == 2 and words[1].lower() in {"asc", "desc"} and not down:
        name, down = words[0], words[1].lower() == "desc"
    term = compile_term(kind, name)
    if isinstance(term, Constant):
        raise BadRequest(f"{part!r} is no field to order by; name one")
    if isinstance(term, Age):  # what grows between two pages is no place to go on from
        return By(named(kind, f"as_of({term.group})"), not down)
    return By(term, down)


def ordered(
    view: View, rows: Column, by: Sequence[By], limit: int, place: bytes = b""
) -> tuple[NDArray[np.int64], list[bytes], int]:
    """Return the first `limit` of `rows` in order, their places, and how many `rows` there are.

    With a `place`: of those that follow it.

    Raises BadRequest CURSOR_INVALID for a place of another order.
    """
    ranked = [_ranked(view, rows, key) for key in by]
    if place:
        held = _after(view, rows, by, ranked, place)
        rows = rows[held]
        ranked = [_Ranked(key.rank[held], key.words) for key in ranked]
    columns = [key.rank for key in ranked]
    count = rows.size
    least = _least(view, rows, columns, limit, _id_down(by))
    rows, columns = rows[least], [column[least] for column in columns]
    ids = view.ids(rows)
    order = np.argsort(np.array([*ids, ""], object)[:-1], kind="stable")
    if _id_down(by):
        order = order[::-1]
    if columns:
        rank = np.empty(rows.size, np.int64)
        rank[order] = np.arange(rows.size)
        order = np.lexsort((rank, *reversed(columns)))
    at = order[:limit]
    kept = [_Ranked(key.rank[least], key.words) for key in ranked]
    return rows[at], _places(view, kept, by, at, ids), count


def _id_down(by: Sequence[By]) -> bool:
    return bool(by) and by[-1].term.sort == ID and by[-1].down


def _ranked(view: View, rows: Column, key: By) -> _Ranked:
    if key.term.sort == ID:
        return _Ranked(np.zeros(rows.size, np.uint64), None)
    column, known = key.term.read(view.within(rows))
    words: list[str] | None = None
    if key.term.label == "region":  # of the shard: its lexicon need not have the word
        column, words = np.ones(rows.size, np.int64), [view.region]
    elif key.term.sort == Dtype.TEXT:
        column, words = _spelling(view, column, known)
    number = _sortable(column)
    if key.down:
        number = ~number
    return _Ranked(np.where(known, number, _LAST), words)


def _spelling(view: View, column: Column, known: Mask) -> tuple[Column, list[str]]:
    """Return codes of texts as odd numbers in their order, and the words that are numbered."""
    lexicon = view.snapshot.lexicon
    codes = met(column[known], len(lexicon))
    order = np.argsort(np.array([*lexicon.words(codes), ""], object)[:-1])
    rank = np.zeros(codes.size + 1, np.int64)
    rank[order] = 2 * np.arange(codes.size) + 1  # words of other shards lie in between
    return rank[np.searchsorted(codes, column)], lexicon.words(codes[order])


def _sortable(column: Column) -> NDArray[np.uint64]:
    """Return unsigned numbers in the order of whole or floating ones."""
    if column.dtype.kind == "f":
        bits = (column.astype(np.float64) + 0.0).view(np.uint64)
        return np.where(bits & _SIGN, ~bits, bits ^ _SIGN)
    return np.ascontiguousarray(column, np.int64).view(np.uint64) ^ _SIGN


def _least(
    view: View, rows: Column, columns: Sequence[Column], limit: int, down: bool
) -> NDArray[np.int64]:
    """Return where the first `limit` rows are, in no order, and maybe some that equal the last."""
    at = np.arange(rows.size)
    sure = []
    for column in _columns(view, rows, columns, down):
        if at.size <= limit:
            break
        values = column(at)
        bound = np.partition(values, limit - 1)[limit - 1]
        less = at[values < bound]
        sure.append(less)
        limit -= less.size
        at = at[values == bound]
    return np.concatenate([*sure, at])


def _columns(
    view: View, rows: Column, columns: Sequence[Column], down: bool
) -> Iterator[Callable[[Column], Column]]:
    for column in columns:
        yield column.__getitem__
    for first in range(0, LONGEST_ID, 8):

        def words(at: Column, first: int = first) -> Column:
            found = words_at(view, rows[at], first)
            return ~found if down else found

        yield words


def _after(
    view: View, rows: Column, by: Sequence[By], ranked: Sequence[_Ranked], place: bytes
) -> Mask:
    """Say which rows follow a place."""
    found = np.zeros(rows.size, np.bool_)
    same = np.ones(rows.size, np.bool_)
    for key, (rank, words) in zip(by, ranked, strict=True):
        if key.term.sort == ID:
            continue
        bound, place = _read(key, words, place)
        found |= same & (rank > bound)
        same &= rank == bound
    down = _id_down(by)
    id, region = _heard(place, down)
    tied = np.flatnonzero(same)
    sign = compare_names(view.within(rows[tied]), id, prefix=False)
    later = view.region.encode() > region
    found[tied] = (sign < 0 if down else sign > 0) | ((sign == 0) & later)
    return found


def _read(key: By, words: list[str] | None, place: bytes) -> tuple[np.uint64, bytes]:
    """Return the rank of what a place says of one key, and the rest of the place."""
    flag, place = place[:1], place[1:]
    if flag == _ABSENT:
        return _LAST, place
    if flag != _KNOWN:
        raise _foreign()
    if key.term.sort != Dtype.TEXT:
        if len(place) < 8:
            raise _foreign()
        return np.uint64(int.from_bytes(place[:8], "big")), place[8:]
    raw, place = _heard(place, key.down)
    word = raw.decode("utf-8", "surrogateescape")
    held = words or []
    left = bisect.bisect_left(held, word)
    rank = 2 * left + (1 if left < len(held) and held[left] == word else 0)
    number = np.uint64(rank) ^ _SIGN
    return ~number if key.down else number, place


def _places(
    view: View, ranked: Sequence[_Ranked], by: Sequence[By], at: Column, ids: Sequence[str]
) -> list[bytes]:
    """Return the place of some rows."""
    told: list[list[bytes]] = []
    for key, (rank, words) in zip(by, ranked, strict=True):
        if key.term.sort == ID:
            continue
        number = rank[at]
        absent = number == _LAST
        if words is None:
            raw = number.astype(">u8").tobytes()
            parts = [_KNOWN + raw[i : i + 8] for i in range(0, len(raw), 8)]
        else:
            which = ((~number if key.down else number) ^ _SIGN) // np.uint64(2)
            spelt = [_KNOWN + _spelt(word, key.down) for word in words]
            parts = (
                [spelt[i] for i in np.where(absent, 0, which).tolist()]
                if spelt
                else [b""] * at.size
            )
        told.append(
            [_ABSENT if no else part for no, part in zip(absent.tolist(), parts, strict=True)]
        )
    down, region = _id_down(by), view.region.encode()
    told.append([_spelt(ids[i], down) + region for i in at.tolist()])
    return [b"".join(parts) for parts in zip(*told, strict=True)]


def _heard(place: bytes, down: bool) -> tuple[bytes, bytes]:
    """Return the text that a place begins with, and the rest of the place."""
    raw, at = bytearray(), 0
    flip = 0xFF if down else 0
    while True:
        pair = bytes(byte ^ flip for byte in place[at : at + 2])
        if pair == _END:
            return bytes(raw), place[at + 2 :]
        if len(pair) < 2:
            raise _foreign()
        raw.append(pair[0])
        at += 2 if pair == _ZERO else 1


def _spelt(word: str, down: bool) -> bytes:
    raw = word.encode().replace(b"\0", _ZERO) + _END
    return bytes(byte ^ 0xFF for byte in raw) if down else raw


def _foreign() -> BadRequest:
    return BadRequest(
        "the cursor belongs to another question; ask from the start", "CURSOR_INVALID"
    )
