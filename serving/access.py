"""Access: who may ask for what. Only a token, a JWT of one fixed algorithm, opens a door.

The data directory's `key` (mode 0600) signs and verifies. A token names its bearer,
tenant, region and scopes, and lives 15 minutes by default and an hour at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from twin.errors import BadRequest, Denied

ISSUER = "supply-twin"
ALGORITHM = "EdDSA"
KEY_ID = "1"
SCOPES = ("read", "write", "admin")
LONGEST_S, LEEWAY_S = 3600, 30
LARGEST = 4096  # characters of a token
CACHED = 256  # verified tokens remembered; one costs 84 us to verify
CODE_S = 600  # seconds in which a one-use link must be opened
ANY = "*"
NOTED, TENANT = "config.json", "demo"  # what a host noted as it began; the usual tenant


class Identity(NamedTuple):
    """Who asks: proven by a token."""

    name: str
    tenant: str
    region: str
    scopes: frozenset[str]
    expires: int  # seconds since 1970

    def require(self, scope: str) -> None:
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Denied(
                f"the token allows {', '.join(sorted(self.scopes))}, this needs {scope}; "
                f"make one with `twin token --scope {scope}`",
                "SCOPE_MISSING",
            )


def ensure_key(path: Path) -> None:
    """Make the signing key of a data directory, unless it is there."""
    if path.exists():
        return
    key = Ed25519PrivateKey.generate()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    draft.rename(path)


def own_tenant(folder: Path) -> str:
    """Return whose twins those of a data directory are, as `tenant` of its configuration says.

    Raises BadRequest where that cannot be read.
    """
    try:
        return str(json.loads((folder / NOTED).read_bytes())["tenant"])
    except FileNotFoundError:  # no host has begun here
        return TENANT
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BadRequest(
            f"{folder / NOTED} does not say whose twins these are; run `twin up`", "NOT_RUNNING"
        ) from e


def mint(
    key: Path,
    *,
    name: str,
    scopes: Sequence[str],
    region: str = ANY,
    tenant: str | None = None,
    ttl_s: int = 900,
) -> str:
    """Return a token signed with `key`, for the data directory's own tenant if no other is said.

    Raises BadRequest for an unknown scope or ttl, or where the tenant is not known.
    """
    if unknown := set(scopes) - set(SCOPES):
        raise BadRequest(
            f"no scope is called {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}"
        )
    if not 0 < ttl_s <= LONGEST_S:
        raise BadRequest(f"a token lives 1 to {LONGEST_S} seconds, not {ttl_s}; ask for less")
    if not key.exists():
        raise BadRequest(f"there is no key at {key}; run `twin up` first", "NOT_RUNNING")
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": region,
        "sub": name,
        "tenant": own_tenant(key.parent) if tenant is None else tenant,
        "scopes": sorted(scopes),
        "iat": now,
        "exp": now + ttl_s,
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, key.read_bytes(), ALGORITHM, headers={"kid": KEY_ID})


class Verifier:
    """Checks tokens for one region. Verified ones are remembered until they expire."""

    def __init__(self, key: Path, region: str) -> None:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        if not isinstance(private, Ed25519PrivateKey):
            raise BadRequest(f"{key} holds no Ed25519 key; delete it and run `twin up`")
        self._public: Ed25519PublicKey = private.public_key()
        self._region = region
        self._known: dict[str, Identity] = {}

    def verify(self, token: str) -> Identity:
        """Return who bears `token`. Raises Denied with a TOKEN_ code."""
        known = self._known.get(token)
        if known is not None and known.expires + LEEWAY_S > time.time():
            return known
        identity = self._check(token)
        if len(self._known) >= CACHED:
            self._known.pop(next(iter(self._known)))
        self._known[token] = identity
        return identity

    def _check(self, token: str) -> Identity:
        if not token:
            raise Denied("the call carries no token; send `authorization: Bearer`", "TOKEN_MISSING")
        if len(token) > LARGEST:
            raise Denied(f"the token is longer than {LARGEST} characters", "TOKEN_TOO_LARGE")
        try:
            if jwt.get_unverified_header(token).get("kid") != KEY_ID:
                raise Denied("the token names no key of ours; make a new one", "TOKEN_INVALID")
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                audience=[self._region, ANY],
                issuer=ISSUER,
                leeway=LEEWAY_S,
                options={"require": ["exp", "aud", "iss", "iat", "sub"]},
            )
        except jwt.ExpiredSignatureError as e:
            raise Denied("the token has expired; make a new one", "TOKEN_EXPIRED") from e
        except jwt.ImmatureSignatureError as e:
            raise Denied(
                "the token is not valid yet; check the clocks", "TOKEN_NOT_YET_VALID"
            ) from e
        except jwt.InvalidAudienceError as e:
            raise Denied("the token is for another region", "TOKEN_AUDIENCE") from e
        except (jwt.InvalidTokenError, ValueError) as e:
            raise Denied("the token is not one of ours; make a new one", "TOKEN_INVALID") from e
        return _identity(claims)


class Doors(Verifier):
    """What the dashboard needs on top: one-use codes for links, and renewal of its cookie."""

    def __init__(self, folder: Path, region: str) -> None:
        super().__init__(folder / "key", region)
        self._folder = folder
        self._here = region

    def redeem(self, code: str) -> str:
        """Return a read token for a code that `issue_code` made; each works once."""
        spent = self._folder / "codes" / _digest(code)
        try:
            issued = float(spent.read_text())
            spent.unlink()
        except (OSError, ValueError) as e:
            raise Denied(
                "the link was used already or never made; run `twin status --link`", "CODE_INVALID"
            ) from e
        if time.time() - issued > CODE_S:
            raise Denied("the link is too old; run `twin status --link`", "CODE_INVALID")
        return mint(self._folder / "key", name="dashboard", scopes=["read"], region=self._here)

    def renew(self, identity: Identity) -> str:
        """Return a fresh token for the same bearer, tenant and scopes."""
        return mint(
            self._folder / "key",
            name=identity.name,
            scopes=sorted(identity.scopes),
            region=self._here,
            tenant=identity.tenant,
        )


def issue_code(folder: Path) -> str:
    """Make a one-use code for a dashboard link."""
    code = secrets.token_urlsafe(18)
    codes = folder / "codes"
    codes.mkdir(mode=0o700, exist_ok=True)
    (codes / _digest(code)).write_text(str(time.time()))
    return code


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _identity(claims: dict[str, object]) -> Identity:
    scopes, expires, issued = claims.get("scopes"), claims["exp"], claims["iat"]
    whole = isinstance(expires, int) and isinstance(issued, int)
    if not whole or not isinstance(scopes, list):
        raise Denied("the token is not one of ours; make a new one", "TOKEN_INVALID")
    assert isinstance(expires, int)
    if expires > time.time() + LONGEST_S + LEEWAY_S:
        raise Denied(f"the token lives longer than {LONGEST_S} s", "TOKEN_INVALID")
    return Identity(
        str(claims["sub"]),
        str(claims.get("tenant", "")),
        str(claims["aud"]),
        frozenset(map(str, scopes)),
        expires,
    )
