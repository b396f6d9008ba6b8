"""Every error this project raises, grouped by what the caller must do about it.

TwinError
├── Refused               fix the request; sending it again cannot help
│   ├── Malformed           MALFORMED: the message is no batch of events
│   │   └── ArrowInvalid      ARROW_INVALID: bytes that are no Arrow stream, or a crafted one
│   ├── TooLarge            MESSAGE_TOO_LARGE: over the limit of its method
│   ├── TooMany             TOO_LARGE: more events or values than one message may hold
│   ├── UnknownKey          ENTITY_NOT_FOUND: no twin has this key
│   ├── AmbiguousKey        ENTITY_AMBIGUOUS: a bare id names twins of two regions
│   ├── UnknownField        FIELD_UNKNOWN: the kind has no such field
│   ├── AsOfFuture          AS_OF_FUTURE: a moment that has not come yet
│   ├── AsOfTooEarly        AS_OF_TOO_EARLY: nothing was known by then
│   ├── EpochStale          EPOCH_STALE: a newer supervisor took over; who asked starts nothing
│   ├── BadRequest          any other code word; the message says what and where
│   └── Denied              TOKEN_* and SCOPE_MISSING: who asks, or what for
├── Retryable             send the same request again, after `retry_after` seconds
│   ├── Overloaded          OVERLOADED: the queue is full
│   ├── Recovering          SHARD_RECOVERING: the shard is replaying its journal
│   ├── Unavailable         SHARD_UNAVAILABLE: nobody answers there now
│   │   └── RegionAway        REGION_UNAVAILABLE: no node of this region is there now
│   ├── Fenced              FENCED: a newer epoch has its marker; outcome unknown, ask again
│   ├── NotOwner            NOT_OWNER: another shard or region writes this key; locate it again
│   ├── Stale               TOO_OLD: no value is as fresh as the request demands
│   ├── Behind              BEHIND: not yet what the asker wrote, or read, before
│   ├── SlowConsumer        SLOW_CONSUMER: a subscriber did not keep up; go on with its cursor
│   ├── DiskFull            DISK_FULL: the journal cannot grow; reads go on
│   ├── SqlAway             SQL_UNAVAILABLE: the region's query process does not answer
│   ├── StorageAway         STORAGE_UNAVAILABLE: the archive does not answer
│   └── Compacted           COMPACTED: the disk no longer holds this offset, nor the archive
└── Fatal                 stop this process; a supervisor or a human decides
    ├── JournalFailed       JOURNAL_FAILED: a write or a sync failed; recovery re-reads the disk
    ├── JournalCorrupt      JOURNAL_CORRUPT: a checksum failed, or a file is too short
    └── JournalNewer        JOURNAL_NEWER: a newer program wrote it; this one cannot read it

`code` is the word that gRPC, HTTP and the command line show. One bad event is no error:
its receipt says why it was parked or rejected.
"""

from __future__ import annotations


class TwinError(Exception):
    """Base of every error raised on purpose."""

    code = "INTERNAL"


class Refused(TwinError):
    code = "INVALID_ARGUMENT"


class Malformed(Refused):
    code = "MALFORMED"


class ArrowInvalid(Malformed):
    code = "ARROW_INVALID"


class TooLarge(Refused):
    code = "MESSAGE_TOO_LARGE"


class TooMany(Refused):
    code = "TOO_LARGE"


class UnknownKey(Refused):
    code = "ENTITY_NOT_FOUND"


class AmbiguousKey(Refused):
    code = "ENTITY_AMBIGUOUS"


class UnknownField(Refused):
    code = "FIELD_UNKNOWN"


class AsOfFuture(Refused):
    code = "AS_OF_FUTURE"


class AsOfTooEarly(Refused):
    code = "AS_OF_TOO_EARLY"


class EpochStale(Refused):
    code = "EPOCH_STALE"


class BadRequest(Refused):
    """A refusal whose code word is given: fix what `message` names."""

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message, code)  # both in args, so it survives pickling
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class Denied(BadRequest):
    """The token, or what it allows, does not fit the request."""


class Retryable(TwinError):
    code = "UNAVAILABLE"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class Overloaded(Retryable):
    code = "OVERLOADED"


class Recovering(Retryable):
    code = "SHARD_RECOVERING"


class Unavailable(Retryable):
    code = "SHARD_UNAVAILABLE"


class Fenced(Retryable):
    code = "FENCED"


class NotOwner(Retryable):
    code = "NOT_OWNER"


class Stale(Retryable):
    code = "TOO_OLD"


class Behind(Retryable):
    code = "BEHIND"


class SlowConsumer(Retryable):
    """`cursor`: to go on with, where it is known; the last message that was read has it, too."""

    code = "SLOW_CONSUMER"
    cursor = ""


class DiskFull(Retryable):
    code = "DISK_FULL"


class RegionAway(Unavailable):
    code = "REGION_UNAVAILABLE"


class SqlAway(Retryable):
    code = "SQL_UNAVAILABLE"


class StorageAway(Retryable):
    code = "STORAGE_UNAVAILABLE"


class Compacted(Retryable):
    code = "COMPACTED"


class Fatal(TwinError): ...


class JournalFailed(Fatal):
    code = "JOURNAL_FAILED"


class JournalCorrupt(Fatal):
    code = "JOURNAL_CORRUPT"


class JournalNewer(Fatal):
    code = "JOURNAL_NEWER"
