"""Sets: texts that a filter names, as they travel: one a line, what is absent as an empty line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from serving.wire import twin_pb2 as pb

Sets = dict[str, list[str]]
_BREAK = re.compile(r"\\(.)")


def lines(words: Sequence[str]) -> bytes:
    """Return texts as lines; a line break within one is written as two characters."""
    raw = "".join(f"{word}\n" for word in words)
    if "\\" in raw or raw.count("\n") != len(words):
        raw = "".join(f"{_escaped(word)}\n" for word in words)
    return raw.encode()


def words(raw: bytes) -> list[str]:
    """Return the texts that were made lines."""
    found = raw.decode().split("\n")[:-1]
    return [_plain(word) for word in found] if b"\\" in raw else found


def opened(sets: Mapping[str, pb.Texts]) -> Sets:
    """Return the sets of a request by their names."""
    return {name: words(texts.lines) for name, texts in sets.items()}


def sealed(sets: Mapping[str, Sequence[str]], request: Any) -> None:
    """Put sets into a request, in place of those that it came with."""
    request.sets.clear()
    for name, found in sets.items():
        request.sets[name].lines = lines(found)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("\n", "\\n")


def _plain(word: str) -> str:
    return _BREAK.sub(lambda found: "\n" if found[1] == "n" else found[1], word)
