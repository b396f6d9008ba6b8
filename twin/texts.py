"""Texts: many strings as two arrays, the way Arrow holds them, so that kernels can read them.

`offsets` (n + 1, int64) and `content` (uint8, UTF-8): text i is content[offsets[i]:offsets[i+1]].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.kernels import siphash, take_texts


class Texts(NamedTuple):
    offsets: NDArray[np.int64]
    content: NDArray[np.uint8]

    @property
    def size(self) -> int:
        return self.offsets.size - 1

    def take(self, at: NDArray[np.int64], skip: int = 0) -> Texts:
        """Return the texts at these positions, without their first bytes: each has so many."""
        return Texts(*take_texts(self.offsets, self.content, at, skip))

    def list(self) -> list[str]:
        raw, ends = self.content.tobytes(), self.offsets.tolist()
        return [raw[a:b].decode() for a, b in zip(ends, ends[1:], strict=False)]

    def get(self, i: int) -> str:
        return self.content[self.offsets[i] : self.offsets[i + 1]].tobytes().decode()


def texts(values: Sequence[str]) -> Texts:
    raw = [value.encode() for value in values]
    offsets = np.fromiter(accumulate(map(len, raw), initial=0), np.int64, len(raw) + 1)
    return Texts(offsets, np.frombuffer(b"".join(raw), np.uint8))


def join(parts: Sequence[Texts]) -> Texts:
    """Return the texts of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    offsets, total = [np.zeros(1, np.int64)], 0
    for part in parts:
        offsets.append(part.offsets[1:] - part.offsets[0] + total)
        total += int(part.offsets[-1] - part.offsets[0])
    content = [part.content[part.offsets[0] : part.offsets[-1]] for part in parts]
    return Texts(np.concatenate(offsets), np.concatenate([*content, np.empty(0, np.uint8)]))


def hashes(values: Texts, salt: NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
    """Return SipHash-2-4-128 of each text as (n, 2) uint64; `salt` keeps equal texts apart."""
    out = np.empty((values.size, 2), np.uint64)
    if salt is None:
        salt = np.zeros(values.size, np.uint64)
    siphash(values.offsets, values.content, salt, out)
    return out
