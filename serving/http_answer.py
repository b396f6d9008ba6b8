"""An answer over HTTP: JSON of a message, with the mode in a header as well as in the body.

Nothing that a twin says may be kept by a cache: it is true as of now.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

MODE = "twin-mode"


def respond(shown: Any, mode: str = "", status: int = 200) -> Response:
    """Return plain data as JSON. `mode`: normal or degraded, where the answer has one."""
    headers = {"cache-control": "no-store"} | ({MODE: mode} if mode else {})
    return Response(msgspec.json.encode(shown), status, headers, media_type="application/json")
