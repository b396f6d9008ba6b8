"""Faults: how an error of twin.errors travels over gRPC, and comes back as the same class.

google.rpc.Status in the trailer, with ErrorInfo (reason = the code word) and RetryInfo; the text
of an unexpected exception never leaves the process, only its code and a trace id.
"""

from __future__ import annotations

import secrets
from typing import Any

import grpc

from twin import errors
from twin.outcomes import Reason

REASONS = tuple("" if reason is Reason.NONE else reason.name for reason in Reason)
# What gRPC says of a connection that broke under a call, as when its server is killed.
BROKEN = ("Internal error from Core", "Received RST_STREAM")
CODE_KEY, RETRY_KEY, CURSOR_KEY = "twin-code", "twin-retry-after", "twin-cursor"
_REFUSED = {
    cls.code: cls
    for cls in (
        errors.Malformed,
        errors.ArrowInvalid,
        errors.TooLarge,
        errors.TooMany,
        errors.UnknownKey,
        errors.AmbiguousKey,
        errors.UnknownField,
        errors.AsOfFuture,
        errors.AsOfTooEarly,
        errors.EpochStale,
        errors.JournalFailed,
        errors.JournalCorrupt,
        errors.JournalNewer,
    )
}
_RETRYABLE = {
    cls.code: cls
    for cls in (
        errors.Overloaded,
        errors.Recovering,
        errors.Unavailable,
        errors.Fenced,
        errors.NotOwner,
        errors.Stale,
        errors.Behind,
        errors.SlowConsumer,
        errors.DiskFull,
        errors.RegionAway,
        errors.SqlAway,
        errors.StorageAway,
        errors.Compacted,
    )
}
_STATUS = {
    "MESSAGE_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "ENTITY_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "ENTITY_AMBIGUOUS": grpc.StatusCode.FAILED_PRECONDITION,
    "SCOPE_MISSING": grpc.StatusCode.PERMISSION_DENIED,
    "TENANT_MISMATCH": grpc.StatusCode.PERMISSION_DENIED,
    "SQL_FORBIDDEN": grpc.StatusCode.PERMISSION_DENIED,
    "SQL_TIMEOUT": grpc.StatusCode.DEADLINE_EXCEEDED,
    "SQL_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "OVERLOADED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SOURCE_LIMIT": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "AS_OF_FUTURE": grpc.StatusCode.OUT_OF_RANGE,
    "AS_OF_TOO_EARLY": grpc.StatusCode.OUT_OF_RANGE,
    "SLOW_CONSUMER": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "FUTURE_OFFSET": grpc.StatusCode.OUT_OF_RANGE,
    "COMPACTED": grpc.StatusCode.OUT_OF_RANGE,
    "EPOCH_STALE": grpc.StatusCode.ABORTED,
    "ALERT_STATE": grpc.StatusCode.FAILED_PRECONDITION,
    "DISK_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "FENCED": grpc.StatusCode.ABORTED,
    "NOT_OWNER": grpc.StatusCode.ABORTED,
    "TOO_OLD": grpc.StatusCode.FAILED_PRECONDITION,
    "TOO_UNSURE": grpc.StatusCode.FAILED_PRECONDITION,
    "JOURNAL_FAILED": grpc.StatusCode.DATA_LOSS,
    "JOURNAL_CORRUPT": grpc.StatusCode.DATA_LOSS,
    "JOURNAL_NEWER": grpc.StatusCode.FAILED_PRECONDITION,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}


def status(e: errors.TwinError) -> grpc.StatusCode:
    """Return the gRPC status that goes with an error."""
    if e.code.startswith("TOKEN_"):
        return grpc.StatusCode.UNAUTHENTICATED
    if e.code in _STATUS:
        return _STATUS[e.code]
    if isinstance(e, errors.Retryable):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(e, errors.Fatal):
        return grpc.StatusCode.INTERNAL
    return grpc.StatusCode.INVALID_ARGUMENT


def trailer(e: errors.TwinError) -> tuple[tuple[str, str | bytes], ...]:
    """Return the trailing metadata that carries `e`."""
    from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415 - clients lack this package

    retry_after = e.retry_after if isinstance(e, errors.Retryable) else 0.0
    rich = status_pb2.Status(code=status(e).value[0], message=str(e))
    info = error_details_pb2.ErrorInfo(
        reason=e.code,
        domain="supplytwin",
        metadata={"docs": f"twin error {e.code}", "trace_id": secrets.token_hex(8)},
    )
    rich.details.add().Pack(info)
    if retry_after:
        wait = error_details_pb2.RetryInfo()
        wait.retry_delay.FromNanoseconds(int(retry_after * 1e9))
        rich.details.add().Pack(wait)
    told: tuple[tuple[str, str | bytes], ...] = (
        (CODE_KEY, e.code),
        (RETRY_KEY, f"{retry_after:g}"),
        ("grpc-status-details-bin", rich.SerializeToString()),
    )
    cursor = getattr(e, "cursor", "")
    return (*told, (CURSOR_KEY, cursor)) if cursor else told


def internal() -> tuple[str, str]:
    """Return a trace id and the text shown for an exception nobody expected."""
    trace = secrets.token_hex(8)
    return trace, f"something failed inside; look for {trace} in the log"


def error(code: str, message: str, retry_after: float) -> errors.TwinError:
    """Return the error that `code` names."""
    if code in _REFUSED:
        return _REFUSED[code](message)
    if code in _RETRYABLE or retry_after:
        return _RETRYABLE.get(code, errors.Unavailable)(message, retry_after)
    if code.startswith(("TOKEN_", "SCOPE_", "TENANT_")):
        return errors.Denied(message, code)
    return errors.BadRequest(message, code)


def quarantined(name: str, note: str) -> errors.TwinError:
    """Return why nobody writes a shard: `note` is what the supervisor said, "CODE: text"."""
    code, found, text = note.partition(": ")
    known = _REFUSED.get(code)
    if not found or known is None or not issubclass(known, errors.Fatal):
        known, text = errors.JournalCorrupt, note
    return known(f"{name} is quarantined: {text}")


def moves(e: errors.TwinError) -> bool:
    """Say whether a shard's writer may just be changing, so that its successor can be asked."""
    away = (errors.Unavailable, errors.Recovering, errors.Fenced, errors.NotOwner)
    return isinstance(e, away)


def from_grpc(e: Any) -> errors.TwinError:
    """Return the error behind a failed call."""
    trailing = dict(e.trailing_metadata() or ())
    if CODE_KEY in trailing:
        told = error(trailing[CODE_KEY], e.details() or "", float(trailing.get(RETRY_KEY, "0")))
        if isinstance(told, errors.SlowConsumer):
            told.cursor = trailing.get(CURSOR_KEY, "")
        return told
    code, text = e.code(), e.details() or ""
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return errors.Unavailable(f"no answer ({text}); is the twin up?", 0.5)
    if code is grpc.StatusCode.INTERNAL and text.startswith(BROKEN):
        return errors.Unavailable(f"the connection broke ({text}); ask again", 0.5)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # said by gRPC itself: a size, or how many
        if "larger than max" in text or "metadata" in text:
            return errors.TooLarge(text)
        return errors.Overloaded(f"too many calls at once ({text}); ask again", 0.2)
    return errors.BadRequest(text, code.name)
