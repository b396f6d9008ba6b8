"""Words: predicates of texts and ids. Each distinct word is tried once, never once a row.

Words lie in the lexicon under codes; ids are bytes that are compared where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from twin.errors import BadRequest
from twin.fields import Column, Mask, Scope
from twin.names import compare_names, held_names
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
        lexicon = scope.snapshot.lexicon
        said = np.zeros(len(lexicon) + 1, np.bool_)  # the last is that of NO_CODE
        said[self._codes(scope, column)] = True
        said[-1] = False
        found: Mask = said[column]
        return found if self.yes else ~found & known

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
        if not self.yes and (None in words or "" in words):  # SQL: it may be the unknown one
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


class Ordered(Texts):
    """A comparison of a text with a written one, by code points."""

    def __init__(self, term: Term, sign: str, word: str) -> None:
        super().__init__(term, True)
        self._compare, self._word = OPERATORS[sign], word

    def test(self, word: str) -> bool:
        return bool(self._compare(word, self._word))


class Like(Texts):
    """LIKE and ILIKE: % is any text, _ any character."""

    def __init__(
        self, term: Term, pattern: str, yes: bool, *, escape: str = "", fold: bool = False
    ) -> None:
        super().__init__(term, yes)
        parts = _parts(pattern, escape)
        self.prefix = "" if fold else parts[0]
        self.is_prefix = not fold and parts[1:] == ["%"]
        text = "".join(_REGEX.get(p, p) if i % 2 else re.escape(p) for i, p in enumerate(parts))
        self._regex = re.compile(text, re.DOTALL | (re.IGNORECASE if fold else 0))

    def test(self, word: str) -> bool:
        if self.is_prefix:
            return word.startswith(self.prefix)
        return self._regex.fullmatch(word) is not None


_REGEX = {"%": ".*", "_": "."}


def _parts(pattern: str, escape: str) -> list[str]:
    """Return a pattern as text, wildcard, text, wildcard, ..., text; an empty last text is cut."""
    parts, at = [""], 0
    while at < len(pattern):
        sign = pattern[at]
        if escape and sign == escape:
            at += 1
            if at == len(pattern):
                raise BadRequest(f"the pattern {pattern[:40]!r} ends with its escape; complete it")
            parts[-1] += pattern[at]
        elif sign == "%" and len(parts) > 1 and not parts[-1] and parts[-2] == "%":
            pass  # as one: a regex of many takes for ever
        elif sign in _REGEX:
            parts += [sign, ""]
        else:
            parts[-1] += sign
        at += 1
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts


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
        if not self.yes and (None in words or "" in words):
            return np.zeros(scope.size, np.bool_)
        found = held_names(scope, [word for word in words if word])
        return found if self.yes else ~found


class IdLike(NamedTuple):
    """LIKE of ids: those that begin as the pattern does are few, or else each is tried."""

    like: Any  # Like, whose term is not read
    yes: bool
    cost: int = 9

    def mask(self, scope: Scope) -> Mask:
        found = np.ones(scope.size, np.bool_)
        if self.like.prefix:
            found = compare_names(scope, self.like.prefix.encode(), prefix=True) == 0
        if not self.like.is_prefix:
            at = np.flatnonzero(found)
            rows = at if scope.only is None else scope.only[at]
            names = scope.snapshot.names[scope.kind].take(rows).list()
            tried = [self.like.test(name.partition("/")[2]) for name in names]
            found[at] = np.array(tried, np.bool_)
        return found if self.yes else ~found
