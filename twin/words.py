"""Words: predicates of texts and ids. Each distinct word is tried once, never once a row.

Words lie in the lexicon under codes; ids are bytes that are compared where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest
from twin.fields import Column, Mask, Scope
from twin.names import compare_names, held_names, like_names
from twin.predicates import FEW, OPERATORS, found_of
from twin.spans import NONE, Span
from twin.terms import Name, Term


class Texts:
    """A test of words: of a term that is a text, or of ids. Each distinct word is tried once."""

    cost = 3

    def __init__(self, term: Term, yes: bool) -> None:
        self.term, self.yes = term, yes

    def mask(self, scope: Scope) -> Mask:
        if self.term.label == "region":  # of the shard: its lexicon need not have the word
            return np.full(scope.size, self._holds(scope, scope.region) is self.yes)
        column, known = self.term.read(scope)
        found = self._passing(scope, column)
        return found if self.yes else ~found & known

    def _passing(self, scope: Scope, column: Column) -> Mask:
        said = np.zeros(len(scope.snapshot.lexicon) + 1, np.bool_)  # the last is that of NO_CODE
        said[self._codes(scope, column)] = True
        said[-1] = False
        found: Mask = said[column]
        return found

    def _codes(self, scope: Scope, column: Column) -> Column:
        """Return the codes of the words that pass, of those in the column at least."""
        codes = met(column[column >= 0], len(scope.snapshot.lexicon))
        passes = [self.test(word) for word in scope.snapshot.lexicon.words(codes)]
        return codes[np.array(passes, np.bool_)]

    def _holds(self, scope: Scope, word: str) -> bool:
        return self.test(word)

    def test(self, word: str) -> bool:
        raise NotImplementedError


def met(codes: Column, size: int) -> Column:
    """Return the distinct codes among some, each 0 or more and below `size`, in their order."""
    if codes.size * FEW < size:
        return np.unique(codes)
    return np.flatnonzero(np.bincount(codes, minlength=1))


def unknown_among(words: Sequence[str | None], key: str) -> bool:
    """Say whether one of some words is unknown: SQL says of none that it is not IN them.

    What a sub-query found (it has a key) is "" where it is absent; a written '' is a text.
    """
    return None in words or (bool(key) and "" in words)


class Same(Texts):
    """Whether a text is one of some words: those written, or those that a sub-query found."""

    def __init__(self, term: Term, words: Sequence[str | None], yes: bool, key: str = "") -> None:
        super().__init__(term, yes)
        self._words, self.key = words, key

    @property
    def in_place(self) -> bool:
        """Say whether the column is judged where it lies."""
        plain = isinstance(self.term, Name) and self.term.plain
        return self.yes and not self.key and len(self._words) == 1 and plain

    def lies(self, scope: Scope) -> tuple[str, Span]:
        """Return the column that is judged, and what it is to be within."""
        code = scope.snapshot.lexicon.code(self._words[0] or "")
        return str(getattr(self.term, "label", "")), (code, code) if code >= 0 else NONE

    def words(self, scope: Scope) -> Sequence[str | None]:
        return found_of(scope, self.key) if self.key else self._words

    def mask(self, scope: Scope) -> Mask:
        words = self.words(scope)
        if not self.yes and unknown_among(words, self.key):
            return np.zeros(scope.size, np.bool_)
        if not self.key and len(words) == 1 and self.term.label != "region":
            return self._one(scope, words[0] or "")
        return super().mask(scope)

    def _one(self, scope: Scope, word: str) -> Mask:
        if self.in_place:
            return scope.meet([self.lies(scope)])
        code = scope.snapshot.lexicon.code(word)
        column, known = self.term.read(scope)
        found: Mask = (column == code) & known
        if not self.yes:
            found = (column != code) & known
        return found

    def _holds(self, scope: Scope, word: str) -> bool:
        return word in self.words(scope)

    def _codes(self, scope: Scope, column: Column) -> Column:
        code = scope.snapshot.lexicon.code
        return np.array([code(word) for word in self.words(scope) if word] or [-1], np.int64)


class Tested(Texts):
    """A test that is made of each word. Who asks again and again keeps what it said."""

    def _passing(self, scope: Scope, column: Column) -> Mask:
        if scope.tried is None:
            return super()._passing(scope, column)
        lexicon = scope.snapshot.lexicon
        told = scope.tried.get(self)
        if told is None or told.size <= len(lexicon):
            grown = np.zeros(2 * len(lexicon) + 2, np.int8)
            if told is not None:
                grown[: told.size - 1] = told[:-1]
            told = scope.tried[self] = grown
            told[-1] = _FAILS  # that of NO_CODE
        said = told[column]
        if (fresh := column[said == 0]).size:
            codes = np.unique(fresh)
            told[codes] = [_PASSES if self.test(w) else _FAILS for w in lexicon.words(codes)]
            said = told[column]
        found: Mask = said == _PASSES
        return found


_PASSES, _FAILS = 1, 2  # see twin.fields.Tried


class Ordered(Tested):
    """A comparison of a text with a written one, by code points."""

    def __init__(self, term: Term, sign: str, word: str) -> None:
        super().__init__(term, True)
        self._compare, self._word = OPERATORS[sign], word

    def test(self, word: str) -> bool:
        return bool(self._compare(word, self._word))


class Like(Tested):
    """LIKE and ILIKE: % is any text, _ any character."""

    def __init__(
        self, term: Term, pattern: str, yes: bool, *, escape: str = "", fold: bool = False
    ) -> None:
        super().__init__(term, yes)
        self.pattern = Pattern(pattern, escape, fold=fold)

    def test(self, word: str) -> bool:
        return self.pattern.matches(word)


class Pattern:
    """A pattern of LIKE. What lies between two % is searched from left to right, once.

    A regular expression of it all would try every way to share a text out among its %.
    """

    def __init__(self, pattern: str, escape: str, *, fold: bool) -> None:
        self.fold = fold
        self.signs = _signs(pattern, escape)
        pieces: list[list[str]] = [[]]
        for sign, kind in self.signs:
            if kind == _ANY:
                pieces.append([])
            else:
                pieces[-1].append("." if kind == _ONE else re.escape(sign))
        flags = re.DOTALL | (re.IGNORECASE if fold else 0)
        self._pieces = [(re.compile("".join(piece), flags), len(piece)) for piece in pieces]

    def matches(self, word: str) -> bool:
        (first, at), *rest = self._pieces
        if not rest:
            return first.fullmatch(word) is not None
        if first.match(word) is None:
            return False
        for piece, _ in rest[:-1]:
            found = piece.search(word, at)
            if found is None:
                return False
            at = found.end()
        last, length = rest[-1]
        return len(word) - length >= at and last.fullmatch(word, len(word) - length) is not None

    def bytes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the bytes of the pattern, and the kind of each, for texts in ASCII."""
        raw = [(byte, kind) for sign, kind in self.signs for byte in sign.encode()]
        told = np.array(raw, np.uint8).reshape(-1, 2)
        return told[:, 0].copy(), told[:, 1].copy()


_TEXT, _ONE, _ANY = 0, 1, 2
_KINDS = {"%": _ANY, "_": _ONE}


def _signs(pattern: str, escape: str) -> list[tuple[str, int]]:
    """Return each character of a pattern with its kind."""
    signs: list[tuple[str, int]] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        kind = _KINDS.get(sign, _TEXT)
        if escape and sign == escape:
            at += 1
            if at == len(pattern):
                raise BadRequest(f"the pattern {pattern[:40]!r} ends with its escape; complete it")
            sign, kind = pattern[at], _TEXT
        if not (kind == _ANY and signs and signs[-1][1] == _ANY):
            signs.append((sign, kind))
        at += 1
    return signs


class IdThan(NamedTuple):
    """A comparison of ids with a written text, by code points."""

    operator: str
    text: str
    cost: int = 5

    def mask(self, scope: Scope) -> Mask:
        sign = compare_names(scope, self.text.encode(), prefix=False)
        found: Mask = OPERATORS[self.operator](sign, 0)
        return found


class IdAmong(NamedTuple):
    """Whether an id is one of some, or none of them."""

    words: tuple[str | None, ...]
    yes: bool
    key: str = ""
    cost: int = 6

    def mask(self, scope: Scope) -> Mask:
        words = found_of(scope, self.key) if self.key else self.words
        if not self.yes and unknown_among(words, self.key):
            return np.zeros(scope.size, np.bool_)
        found = held_names(scope, [word for word in words if word])
        return found if self.yes else ~found


class IdLike(NamedTuple):
    """LIKE of ids, which are ASCII."""

    pattern: Any  # Pattern
    yes: bool
    cost: int = 7

    def mask(self, scope: Scope) -> Mask:
        found = like_names(scope, *self.pattern.bytes(), fold=self.pattern.fold)
        return found if self.yes else ~found
