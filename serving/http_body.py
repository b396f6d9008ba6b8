"""Bodies: a JSON object from a request, within limits and without surprises.

What two readers could understand differently (a name twice, NaN, 5,000 digits) is refused.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from starlette.requests import Request

from twin.errors import BadRequest, Malformed, TooLarge

DEEPEST = 16


async def read_object(request: Request, limit: int, *, empty: bool = False) -> dict[str, Any]:
    """Return a JSON object of at most `limit` bytes. Raises TooLarge, Malformed, BadRequest.

    `empty`: no body at all will do for an object with nothing in it.
    """
    raw = await read(request, limit)
    found = {} if empty and not raw else parse(raw)
    if not isinstance(found, dict):
        raise Malformed('the body is no JSON object; send one like {"id": "86606"}')
    return found


async def read(request: Request, limit: int) -> bytes:
    """Return the body. Raises TooLarge as soon as it is longer than `limit` bytes."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes; send less at once")
    return bytes(raw)


def parse(raw: bytes, *, finite: bool = True) -> Any:
    """Return what JSON says. Raises Malformed, BadRequest; NOT_FINITE only if `finite`."""
    found = _parse(raw, finite)
    if _deeper(found, DEEPEST):
        raise BadRequest(f"the body nests deeper than {DEEPEST} levels; flatten it", "TOO_DEEP")
    return found


def _parse(raw: bytes, finite: bool) -> Any:
    numbers: dict[str, Any] = {"parse_constant": _finite, "parse_float": _float} if finite else {}
    try:
        return json.loads(raw, object_pairs_hook=_once, **numbers)
    except RecursionError as e:
        raise BadRequest(f"the body nests deeper than {DEEPEST} levels", "TOO_DEEP") from e
    except UnicodeDecodeError as e:
        raise Malformed("the body is not UTF-8; encode it so") from e
    except json.JSONDecodeError as e:
        raise Malformed(f"the body is no JSON at line {e.lineno}, column {e.colno}; fix it") from e
    except ValueError as e:  # what int() says of more digits than it takes
        raise BadRequest("a number has too many digits; send fewer", "NUMBER_TOO_LONG") from e


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRequest("an object names a field twice; send it once", "DUPLICATE_FIELD")
    return found


def _finite(name: str) -> NoReturn:
    raise BadRequest(f"{name[:20]} is no number here; leave the field out", "NOT_FINITE")


def _float(text: str) -> float:
    return found if math.isfinite(found := float(text)) else _finite(text)


def _deeper(found: Any, levels: int) -> bool:
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list):
        return False
    return levels == 0 or any(_deeper(one, levels - 1) for one in found)
