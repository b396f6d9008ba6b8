"""Placing: which shard writes a key, told by a client that has no more than Python.

The same function as the shards' own: SipHash-2-4-128 of the id, salted with that of the tenant.
"""

from __future__ import annotations

from functools import lru_cache

_ALL = 0xFFFF_FFFF_FFFF_FFFF
_K0, _K1 = 0x0706050403020100, 0x0F0E0D0C0B0A0908  # of the SipHash paper's test vectors
REMEMBERED = 65_536  # keys: a hash costs 8 us, and the same twins come again and again


@lru_cache(REMEMBERED)
def place(tenant: str, id: str, shards: int) -> int:
    """Return which of `shards` writes a twin."""
    return siphash(id.encode(), _salt(tenant)) % shards if shards > 1 else 0


@lru_cache(16)
def _salt(tenant: str) -> int:
    return siphash(tenant.encode(), 0)


def siphash(raw: bytes, salt: int) -> int:
    """Return the first 64 bits of SipHash-2-4-128 under the key (K0 ^ salt, K1)."""
    k0, k1 = _K0 ^ salt, _K1
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    padded = raw + bytes(7 - len(raw) % 8) + bytes([len(raw) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3 ^ word, 2)
        v0 ^= word
    v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xEE, v3, 4)
    return v0 ^ v1 ^ v2 ^ v3


def _rounds(v0: int, v1: int, v2: int, v3: int, times: int) -> tuple[int, int, int, int]:
    for _ in range(times):
        v0, v2 = (v0 + v1) & _ALL, (v2 + v3) & _ALL
        v1, v3 = ((v1 << 13) & _ALL | v1 >> 51) ^ v0, ((v3 << 16) & _ALL | v3 >> 48) ^ v2
        v0, v2 = (((v0 << 32) & _ALL | v0 >> 32) + v3) & _ALL, (v2 + v1) & _ALL
        v3, v1 = ((v3 << 21) & _ALL | v3 >> 43) ^ v0, ((v1 << 17) & _ALL | v1 >> 47) ^ v2
        v2 = (v2 << 32) & _ALL | v2 >> 32
    return v0, v1, v2, v3
