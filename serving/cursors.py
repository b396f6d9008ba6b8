"""Cursors: where a list was left, as a text that only its own question takes back.

A cursor is bound to the question and the tenant by a keyed hash under the data directory's key.
It holds no state of a server: any gateway goes on with it, after any restart.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from twin.errors import BadRequest

TAG = 16  # bytes
LONGEST = 65_536  # characters: a place names texts that twins are in order by


def sealed(key: Path, question: Sequence[bytes | str], place: bytes) -> str:
    """Return a cursor of a place in what answers `question`; name the tenant in it."""
    raw = _tag(key, question, place) + place
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def opened(key: Path, question: Sequence[bytes | str], cursor: str) -> bytes:
    """Return the place in a cursor. Raises BadRequest CURSOR_INVALID for any but its own."""
    try:
        if len(cursor) > LONGEST:
            raise ValueError
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error) as e:
        raise _invalid() from e
    tag, place = raw[:TAG], raw[TAG:]
    again = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    if again != cursor or not hmac.compare_digest(tag, _tag(key, question, place)):
        raise _invalid()
    return place


def _tag(key: Path, question: Sequence[bytes | str], place: bytes) -> bytes:
    mac = hashlib.blake2b(key=_secret(key), digest_size=TAG, person=b"twin.cursor")
    for part in (*question, place):
        raw = part.encode() if isinstance(part, str) else part
        mac.update(len(raw).to_bytes(8, "big") + raw)
    return mac.digest()


@lru_cache(8)
def _secret(key: Path) -> bytes:
    """Return a key for cursors alone, made of the one that signs tokens."""
    return hashlib.blake2b(key.read_bytes(), digest_size=32, person=b"twin.cursor.key").digest()


def _invalid() -> BadRequest:
    return BadRequest(
        "the cursor was altered, or belongs to another question; ask from the start",
        "CURSOR_INVALID",
    )
