"""Sessions: who asks over HTTP, by a bearer token or by the page's cookie.

The cookie is HttpOnly and SameSite=Strict, lives as long as its token and is renewed by use; a
request that changes something is taken from a cookie only if the page itself sent it.
"""

from __future__ import annotations

from http.cookies import SimpleCookie

from starlette.requests import Request

from serving.access import Identity
from serving.http_ports import TokenPort
from twin.errors import Denied

LIFE_S = 900  # of a token, and so of its cookie
SAFE = frozenset(("GET", "HEAD"))


def enter(tokens: TokenPort, request: Request, scope: str = "read") -> Identity:
    """Return who asks, if they may; leave a renewed cookie for the answer. Raises Denied."""
    given = request.headers.get("authorization", "")
    held = request.cookies.get(cookie_name(request), "")
    if given or not held:
        kind, _, token = given.partition(" ")
        if kind.lower() not in {"bearer", ""}:
            raise Denied("the request does not say `Authorization: Bearer`", "TOKEN_MISSING")
        identity = tokens.verify(token.strip())
        identity.require(scope)
        return identity
    if request.method not in SAFE and not _own(request):
        raise Denied("a page of another origin sent this; send a token instead", "CROSS_SITE")
    identity = tokens.verify(held)
    identity.require(scope)
    request.state.set_cookie = cookie(request, tokens.renew(identity))
    return identity


def cookie_name(request: Request) -> str:
    """Return the cookie's name, one per port: browsers share cookies between a host's ports."""
    return f"twin-{request.url.port or 0}"


def cookie(request: Request, token: str) -> str:
    """Return the Set-Cookie header that keeps `token`."""
    name = cookie_name(request)
    jar: SimpleCookie = SimpleCookie({name: token})
    kept = jar[name]
    kept["path"], kept["max-age"] = "/", str(LIFE_S)
    kept["httponly"], kept["samesite"] = True, "Strict"
    kept["secure"] = request.url.scheme == "https"
    return kept.OutputString()


def _own(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.url.netloc}"
