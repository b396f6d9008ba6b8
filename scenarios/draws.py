"""Draws: random numbers with an address instead of a state.

The number at (seed, future, entity, step) is a pure function of those four: it is the same in
every arm of a study, in every order, in every batch and on every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

EVENT = 0  # the entity of a number that all shipments of one future share
SEEDS = 2**63  # seeds are below this
# Constants and rounds of Philox4x32-10: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw,
# "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_BUMPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def entities(names: Iterable[str]) -> Words:
    """Return a number per name: it depends on the name alone, never on its place among others."""
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def uniforms(seed: int, futures: npt.NDArray[np.int64], who: Words, step: int) -> Floats:
    """Return numbers in [0, 1), shape (futures, entities), multiples of 2**-53.

    `futures`: (f,) below 2**32; `who`: (e,) from `entities`, or EVENT; `step` below 2**32.
    """
    counter = (
        np.broadcast_to((who & _LOW)[None, :], (futures.size, who.size)),
        np.broadcast_to((who >> _HALF)[None, :], (futures.size, who.size)),
        np.broadcast_to(futures.astype(np.uint64)[:, None], (futures.size, who.size)),
        np.uint64(step),
    )
    first, second, _, _ = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
    whole = ((first << _HALF) | second) >> np.uint64(11)
    return whole.astype(np.float64) * 2.0**-53


def philox(
    counter: tuple[Words | np.uint64, ...], key: tuple[int, int]
) -> tuple[Words, Words, Words, Words]:
    """Return the four 32-bit words of Philox4x32-10 at `counter`, each held in 64 bits."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(_ROUNDS):
        left, right = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (right >> _HALF) ^ c1 ^ np.uint64(k0),
            right & _LOW,
            (left >> _HALF) ^ c3 ^ np.uint64(k1),
            left & _LOW,
        )
        k0, k1 = (k0 + _BUMPS[0]) & 0xFFFFFFFF, (k1 + _BUMPS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3
