"""Webhooks on the wire: what is posted, how it is signed, and one attempt to post it.

CloudEvents in structured JSON, signed as Standard Webhooks say: `webhook-id` repeats with the
event, `webhook-signature` is of id, time and body. An attempt ends in its time, whatever the
other side does or does not.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from serving import records
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest
from twin.kinds import ABSENT

CONTENT = "application/cloudevents+json; charset=utf-8"
PREFIX = "whsec_"  # of a secret as text: what follows is base64
SECRET_BYTES = 32


class Post(NamedTuple):
    """One message to an endpoint. `id`: the same at every attempt."""

    id: str
    body: bytes


class Told(NamedTuple):
    """What became of an attempt: `status` 0 if there was no answer; `why` in words."""

    status: int
    why: str

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


def post_of(event: pb.AlertEvent, tenant: str) -> Post:
    """Return an event of an alert as the message of it."""
    values = records.state(event.twin).values
    alert = {name: _plain(value.unit, value.value) for name, value in sorted(values.items())}
    body = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/{event.source}",
        "type": f"supplytwin.{event.type}",
        "subject": event.alert,
        "time": _instant(event.event_time),
        "datacontenttype": "application/json",
        "tenant": tenant,
        "region": event.region,
        "recordedtime": _instant(event.ingest_time),
        "data": {
            "event": event.type,
            "by": event.writer,
            "receipt": event.receipt,
            "alert": {"id": event.alert, "region": event.region, **alert},
        },
    }
    return Post(event.id, msgspec.json.encode(body))


def signed(post: Post, secret: bytes, at_s: int) -> dict[str, str]:
    """Return the headers of a message that is sent at `at_s`, seconds since 1970."""
    mac = hmac.new(secret, f"{post.id}.{at_s}.".encode() + post.body, hashlib.sha256)
    return {
        "content-type": CONTENT,
        "user-agent": "supply-twin",
        "webhook-id": post.id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}",
    }


def secret_of(path: Path) -> bytes:
    """Return the secret in a file, made (0600) if it is not there. Raises CONFIG_INVALID."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
    except (OSError, UnicodeDecodeError) as e:
        raise BadRequest(f"the secret {path.name} cannot be read: {e}", "CONFIG_INVALID") from e
    try:
        found = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        found = b""
    if not text.startswith(PREFIX) or not 24 <= len(found) <= 64:
        said = f"the secret {path.name} is no {PREFIX} and 24 to 64 bytes as base64; make it anew"
        raise BadRequest(said, "CONFIG_INVALID")
    return found


def fault_of(url: str) -> str:
    """Return what is wrong with an endpoint's address, "" if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        return str(e)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "it is no http:// or https:// address"
    if parts.username or parts.password:
        return "it holds a password; messages are signed instead"
    return "it has a fragment" if parts.fragment or port == 0 else ""


def attempt(url: str, post: Post, headers: Mapping[str, str], timeout_s: float) -> Told:
    """Post once, follow no redirect; return what the other side said, within `timeout_s`."""
    parts = urlsplit(url)
    line: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        line = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=context
        )
    else:
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    over = threading.Event()
    cut = threading.Timer(timeout_s, _cut, [line, over])  # a socket's own limit is of each read
    cut.daemon = True
    cut.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request("POST", path, post.body, dict(headers))
        with line.getresponse() as answer:
            status = answer.status
        if over.is_set():  # what came of its heads is not all of them
            raise TimeoutError
        return Told(status, "" if 200 <= status < 300 else f"it answered {status}")
    except (OSError, http.client.HTTPException) as e:
        late = over.is_set() or isinstance(e, TimeoutError)
        why = f"no answer within {timeout_s:g} s" if late else f"{type(e).__name__}: {e}"
        return Told(0, why[:200])
    finally:
        cut.cancel()
        line.close()


def _cut(line: http.client.HTTPConnection, over: threading.Event) -> None:
    over.set()
    held = line.sock
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)


def _plain(unit: str, value: Any) -> Any:
    return _instant(value) if unit == "us" and isinstance(value, int) else value


def _instant(us: int) -> str | None:
    if us == ABSENT:
        return None
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat().replace("+00:00", "Z")
