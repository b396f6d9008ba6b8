"""Static files: the page's own, read once from the package; no path of a request touches a disk.

Small, whole and unbuilt: what is served is what is in the repository.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from importlib import resources
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from twin.errors import BadRequest

TYPES = {".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8"}


class Asset(NamedTuple):
    raw: bytes
    packed: bytes
    media_type: str
    etag: str


def load() -> dict[str, Asset]:
    """Return name -> file for all of serving/static."""
    folder = resources.files("serving").joinpath("static")
    files = [one for one in folder.iterdir() if one.is_file()]
    return {one.name: _asset(one.name, one.read_bytes()) for one in files}


def respond(assets: dict[str, Asset], name: str, request: Request, status: int = 200) -> Response:
    """Return one file, packed if the browser takes it, or 304. Raises BadRequest NOT_FOUND."""
    asset = assets.get(name)
    if asset is None:
        raise BadRequest("no file of the page has this name; start from /", "NOT_FOUND")
    headers = {"cache-control": "no-cache", "etag": asset.etag, "vary": "accept-encoding"}
    if status == 200 and request.headers.get("if-none-match") == asset.etag:
        return Response(None, 304, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(asset.packed, status, headers, media_type=asset.media_type)
    return Response(asset.raw, status, headers, media_type=asset.media_type)


def _asset(name: str, raw: bytes) -> Asset:
    suffix = name[name.rfind(".") :]
    media_type = TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
    etag = f'"{hashlib.sha256(raw).hexdigest()[:16]}"'
    return Asset(raw, gzip.compress(raw, mtime=0), media_type, etag)
