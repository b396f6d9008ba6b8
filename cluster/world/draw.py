"""Draws: numbers that look random and depend on nothing but what they are drawn for.

The same seed and words give the same number in any process, so a restart repeats every event.
"""

from __future__ import annotations

from hashlib import blake2b

SPAN = float(2**64)


def draw(seed: int, *words: object) -> float:
    """Return a number in [0, 1), uniform over its words."""
    text = "\x1f".join(map(str, (seed, *words))).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") / SPAN


def bell(seed: int, *words: object) -> float:
    """Return a number around 0 with deviation 1, never beyond 3.5 (sum of four uniforms)."""
    total = sum(draw(seed, *words, i) for i in range(4))
    return (total - 2.0) * 3.0**0.5
