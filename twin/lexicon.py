"""Lexicon: every text value a shard has met, as a small integer code.

Append only: a code, once given, means the same text for ever. New texts travel in the journal
frame that first uses them, so replay gives the same codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from twin.kinds import NO_CODE
from twin.texts import hashes, texts


class Lexicon:
    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._words: list[str] = []
        self._hashes = np.zeros(16, np.uint64)

    def __len__(self) -> int:
        return len(self._words)

    def code(self, word: str) -> int:
        """Return the code of `word`, or NO_CODE if it was never met."""
        return self._codes.get(word, NO_CODE)

    def word(self, code: int) -> str:
        return self._words[code] if code >= 0 else ""

    def words(self, codes: NDArray[np.int32]) -> list[str]:
        known = self._words
        return [known[code] if code >= 0 else "" for code in codes.tolist()]

    def extend(self, words: Iterable[str]) -> None:
        """Give the next codes to `words`, none of which is known."""
        fresh = list(words)
        if not fresh:
            return
        first = len(self._words)
        self._words += fresh
        self._codes.update(zip(fresh, range(first, first + len(fresh)), strict=True))
        if len(self._words) > self._hashes.size:
            grown = np.zeros(2 * len(self._words), np.uint64)
            grown[:first] = self._hashes[:first]
            self._hashes = grown
        self._hashes[first : len(self._words)] = hashes(texts(fresh))[:, 0]

    def hashes(self, codes: NDArray[np.int32]) -> NDArray[np.uint64]:
        """Return a 64-bit hash of each text: equal in every shard, as codes are not."""
        found = self._hashes[np.maximum(codes, 0)]
        return np.where(codes >= 0, found, np.uint64(0))

    def since(self, size: int) -> Sequence[str]:
        return self._words[size:]


class Draft:
    """Codes for a batch that is not journaled yet: those of a lexicon, and new ones on top."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._new: dict[str, int] = {}

    @property
    def new(self) -> list[str]:
        return list(self._new)

    def code(self, word: str) -> int:
        code = self._lexicon.code(word)
        if code == NO_CODE:
            code = self._new.setdefault(word, len(self._lexicon) + len(self._new))
        return code

    def codes(self, words: Sequence[str | None]) -> NDArray[np.int32]:
        """Return a code for each word; None and "" are NO_CODE."""
        known = {word: self.code(word) if word else NO_CODE for word in dict.fromkeys(words)}
        return np.fromiter((known[word] for word in words), np.int32, len(words))
