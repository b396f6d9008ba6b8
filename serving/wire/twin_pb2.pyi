from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NORMAL: _ClassVar[Mode]
    DEGRADED: _ClassVar[Mode]

class Urgency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REST: _ClassVar[Urgency]
    REALTIME: _ClassVar[Urgency]

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGES: _ClassVar[Format]
    ARROW: _ClassVar[Format]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPLIED: _ClassVar[Outcome]
    SUPERSEDED: _ClassVar[Outcome]
    DUPLICATE: _ClassVar[Outcome]
    PARKED: _ClassVar[Outcome]
    REJECTED: _ClassVar[Outcome]
NORMAL: Mode
DEGRADED: Mode
REST: Urgency
REALTIME: Urgency
MESSAGES: Format
ARROW: Format
APPLIED: Outcome
SUPERSEDED: Outcome
DUPLICATE: Outcome
PARKED: Outcome
REJECTED: Outcome

class IngestRequest(_message.Message):
    __slots__ = ("batch", "msgpack", "arrow", "urgency", "together")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    MSGPACK_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    URGENCY_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    batch: int
    msgpack: bytes
    arrow: bytes
    urgency: Urgency
    together: bool
    def __init__(self, batch: _Optional[int] = ..., msgpack: _Optional[bytes] = ..., arrow: _Optional[bytes] = ..., urgency: _Optional[_Union[Urgency, str]] = ..., together: bool = ...) -> None: ...

class IngestReply(_message.Message):
    __slots__ = ("batch", "outcomes", "reasons", "offsets", "shards", "shard_names", "epochs", "ingest_time", "fault", "batches", "sizes")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SHARD_NAMES_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    batch: int
    outcomes: bytes
    reasons: bytes
    offsets: bytes
    shards: bytes
    shard_names: _containers.RepeatedScalarFieldContainer[str]
    epochs: _containers.RepeatedScalarFieldContainer[int]
    ingest_time: int
    fault: Fault
    batches: _containers.RepeatedScalarFieldContainer[int]
    sizes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, batch: _Optional[int] = ..., outcomes: _Optional[bytes] = ..., reasons: _Optional[bytes] = ..., offsets: _Optional[bytes] = ..., shards: _Optional[bytes] = ..., shard_names: _Optional[_Iterable[str]] = ..., epochs: _Optional[_Iterable[int]] = ..., ingest_time: _Optional[int] = ..., fault: _Optional[_Union[Fault, _Mapping]] = ..., batches: _Optional[_Iterable[int]] = ..., sizes: _Optional[_Iterable[int]] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("code", "message", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retry_after_s: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("text", "number", "integer", "time", "flag", "as_of", "age_ms", "confidence", "source", "offset", "state", "unit")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    text: str
    number: float
    integer: int
    time: int
    flag: bool
    as_of: int
    age_ms: int
    confidence: float
    source: str
    offset: int
    state: str
    unit: str
    def __init__(self, text: _Optional[str] = ..., number: _Optional[float] = ..., integer: _Optional[int] = ..., time: _Optional[int] = ..., flag: bool = ..., as_of: _Optional[int] = ..., age_ms: _Optional[int] = ..., confidence: _Optional[float] = ..., source: _Optional[str] = ..., offset: _Optional[int] = ..., state: _Optional[str] = ..., unit: _Optional[str] = ...) -> None: ...

class TwinState(_message.Message):
    __slots__ = ("key", "id", "region", "values", "shard", "offset", "epoch")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    key: str
    id: str
    region: str
    values: _containers.MessageMap[str, Value]
    shard: str
    offset: int
    epoch: int
    def __init__(self, key: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., values: _Optional[_Mapping[str, Value]] = ..., shard: _Optional[str] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("kind", "id", "region", "max_age_s", "min_confidence")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_S_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    max_age_s: float
    min_confidence: float
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., max_age_s: _Optional[float] = ..., min_confidence: _Optional[float] = ...) -> None: ...

class GetReply(_message.Message):
    __slots__ = ("twin", "mode", "now", "withheld")
    TWIN_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    twin: TwinState
    mode: Mode
    now: int
    withheld: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, twin: _Optional[_Union[TwinState, _Mapping]] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., withheld: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetRequest(_message.Message):
    __slots__ = ("kind", "ids", "fields", "format", "lines")
    KIND_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    fields: _containers.RepeatedScalarFieldContainer[str]
    format: Format
    lines: bytes
    def __init__(self, kind: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., fields: _Optional[_Iterable[str]] = ..., format: _Optional[_Union[Format, str]] = ..., lines: _Optional[bytes] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("kind", "where", "fields", "order", "limit", "region", "format")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    where: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    order: str
    limit: int
    region: str
    format: Format
    def __init__(self, kind: _Optional[str] = ..., where: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., order: _Optional[str] = ..., limit: _Optional[int] = ..., region: _Optional[str] = ..., format: _Optional[_Union[Format, str]] = ...) -> None: ...

class SearchReply(_message.Message):
    __slots__ = ("twins", "shown", "total", "mode", "now", "missing", "columns")
    TWINS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    twins: _containers.RepeatedCompositeFieldContainer[TwinState]
    shown: int
    total: int
    mode: Mode
    now: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedCompositeFieldContainer[Columns]
    def __init__(self, twins: _Optional[_Iterable[_Union[TwinState, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[_Union[Columns, _Mapping]]] = ...) -> None: ...

class Columns(_message.Message):
    __slots__ = ("shard", "region", "offset", "epoch", "now", "arrow")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    shard: str
    region: str
    offset: int
    epoch: int
    now: int
    arrow: bytes
    def __init__(self, shard: _Optional[str] = ..., region: _Optional[str] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ..., now: _Optional[int] = ..., arrow: _Optional[bytes] = ...) -> None: ...

class AggregateRequest(_message.Message):
    __slots__ = ("kind", "where", "by", "measures", "order", "limit", "region")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    where: str
    by: _containers.RepeatedScalarFieldContainer[str]
    measures: _containers.RepeatedScalarFieldContainer[str]
    order: str
    limit: int
    region: str
    def __init__(self, kind: _Optional[str] = ..., where: _Optional[str] = ..., by: _Optional[_Iterable[str]] = ..., measures: _Optional[_Iterable[str]] = ..., order: _Optional[str] = ..., limit: _Optional[int] = ..., region: _Optional[str] = ...) -> None: ...

class AggregateReply(_message.Message):
    __slots__ = ("groups", "shown", "total", "mode", "now", "oldest_as_of", "missing")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    OLDEST_AS_OF_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    shown: int
    total: int
    mode: Mode
    now: int
    oldest_as_of: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., oldest_as_of: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("by", "measures")
    BY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    by: _containers.RepeatedScalarFieldContainer[str]
    measures: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, by: _Optional[_Iterable[str]] = ..., measures: _Optional[_Iterable[float]] = ...) -> None: ...

class ReceiptsRequest(_message.Message):
    __slots__ = ("source", "ids", "offset")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    source: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    offset: str
    def __init__(self, source: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., offset: _Optional[str] = ...) -> None: ...

class ReceiptsReply(_message.Message):
    __slots__ = ("receipts",)
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("id", "source", "outcome", "reason", "shard", "offset", "epoch", "event_time", "ingest_time", "key", "type", "writer", "receipt", "redrives", "settled_by", "field", "expected", "got")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    REDRIVES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_BY_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    GOT_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    outcome: str
    reason: str
    shard: str
    offset: int
    epoch: int
    event_time: int
    ingest_time: int
    key: str
    type: str
    writer: str
    receipt: str
    redrives: str
    settled_by: str
    field: str
    expected: str
    got: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., shard: _Optional[str] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ..., event_time: _Optional[int] = ..., ingest_time: _Optional[int] = ..., key: _Optional[str] = ..., type: _Optional[str] = ..., writer: _Optional[str] = ..., receipt: _Optional[str] = ..., redrives: _Optional[str] = ..., settled_by: _Optional[str] = ..., field: _Optional[str] = ..., expected: _Optional[str] = ..., got: _Optional[str] = ...) -> None: ...

class QuarantineRequest(_message.Message):
    __slots__ = ("limit", "type", "reason", "source")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    type: str
    reason: str
    source: str
    def __init__(self, limit: _Optional[int] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class RedriveRequest(_message.Message):
    __slots__ = ("type", "reason", "source", "ids", "limit", "dry_run", "since")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    type: str
    reason: str
    source: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    dry_run: bool
    since: int
    def __init__(self, type: _Optional[str] = ..., reason: _Optional[str] = ..., source: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., dry_run: bool = ..., since: _Optional[int] = ...) -> None: ...

class RedriveReply(_message.Message):
    __slots__ = ("judged", "outcomes", "reasons", "events", "left", "missing", "next", "settled")
    class OutcomesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ReasonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    judged: int
    outcomes: _containers.ScalarMap[str, int]
    reasons: _containers.ScalarMap[str, int]
    events: _containers.RepeatedCompositeFieldContainer[Receipt]
    left: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    next: int
    settled: int
    def __init__(self, judged: _Optional[int] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., reasons: _Optional[_Mapping[str, int]] = ..., events: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., left: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., next: _Optional[int] = ..., settled: _Optional[int] = ...) -> None: ...

class QuarantineReply(_message.Message):
    __slots__ = ("parked", "shown", "total", "now")
    PARKED_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    parked: _containers.RepeatedCompositeFieldContainer[Receipt]
    shown: int
    total: int
    now: int
    def __init__(self, parked: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., now: _Optional[int] = ...) -> None: ...

class LocateRequest(_message.Message):
    __slots__ = ("kind", "id", "region")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class LocateReply(_message.Message):
    __slots__ = ("shard", "epoch", "address")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    shard: str
    epoch: int
    address: str
    def __init__(self, shard: _Optional[str] = ..., epoch: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class RoutesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RoutesReply(_message.Message):
    __slots__ = ("routes", "tenant", "region", "holders")
    class HoldersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    tenant: str
    region: str
    holders: _containers.ScalarMap[str, str]
    def __init__(self, routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., tenant: _Optional[str] = ..., region: _Optional[str] = ..., holders: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("shard", "epoch", "address")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    shard: str
    epoch: int
    address: str
    def __init__(self, shard: _Optional[str] = ..., epoch: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("digests", "verify")
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    digests: bool
    verify: bool
    def __init__(self, digests: bool = ..., verify: bool = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("mode", "now", "clock", "speed", "shards", "notes", "version")
    class NotesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    mode: Mode
    now: int
    clock: str
    speed: float
    shards: _containers.RepeatedCompositeFieldContainer[ShardStatus]
    notes: _containers.ScalarMap[str, str]
    version: str
    def __init__(self, mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., clock: _Optional[str] = ..., speed: _Optional[float] = ..., shards: _Optional[_Iterable[_Union[ShardStatus, _Mapping]]] = ..., notes: _Optional[_Mapping[str, str]] = ..., version: _Optional[str] = ...) -> None: ...

class ShardStatus(_message.Message):
    __slots__ = ("name", "region", "kind", "epoch", "state", "pid", "address", "offset", "durable_offset", "checkpoint_offset", "twins", "outcomes", "events_per_s", "memory_bytes", "queue", "queue_bound", "headroom", "newest_as_of", "truth_digest", "replay_digest", "recovery_s", "replayed", "journal_bytes", "fsync_p99_ms", "journal_truth_digest", "journal_replay_digest", "queues", "outbox", "archive")
    class TwinsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class OutcomesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DURABLE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TWINS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_PER_S_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_BOUND_FIELD_NUMBER: _ClassVar[int]
    HEADROOM_FIELD_NUMBER: _ClassVar[int]
    NEWEST_AS_OF_FIELD_NUMBER: _ClassVar[int]
    TRUTH_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REPLAY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_S_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    FSYNC_P99_MS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_TRUTH_DIGEST_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_REPLAY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    region: str
    kind: str
    epoch: int
    state: str
    pid: int
    address: str
    offset: int
    durable_offset: int
    checkpoint_offset: int
    twins: _containers.ScalarMap[str, int]
    outcomes: _containers.ScalarMap[str, int]
    events_per_s: float
    memory_bytes: int
    queue: int
    queue_bound: int
    headroom: float
    newest_as_of: int
    truth_digest: str
    replay_digest: str
    recovery_s: float
    replayed: int
    journal_bytes: int
    fsync_p99_ms: float
    journal_truth_digest: str
    journal_replay_digest: str
    queues: _containers.RepeatedCompositeFieldContainer[QueueStatus]
    outbox: OutboxStatus
    archive: ArchiveStatus
    def __init__(self, name: _Optional[str] = ..., region: _Optional[str] = ..., kind: _Optional[str] = ..., epoch: _Optional[int] = ..., state: _Optional[str] = ..., pid: _Optional[int] = ..., address: _Optional[str] = ..., offset: _Optional[int] = ..., durable_offset: _Optional[int] = ..., checkpoint_offset: _Optional[int] = ..., twins: _Optional[_Mapping[str, int]] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., events_per_s: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., queue: _Optional[int] = ..., queue_bound: _Optional[int] = ..., headroom: _Optional[float] = ..., newest_as_of: _Optional[int] = ..., truth_digest: _Optional[str] = ..., replay_digest: _Optional[str] = ..., recovery_s: _Optional[float] = ..., replayed: _Optional[int] = ..., journal_bytes: _Optional[int] = ..., fsync_p99_ms: _Optional[float] = ..., journal_truth_digest: _Optional[str] = ..., journal_replay_digest: _Optional[str] = ..., queues: _Optional[_Iterable[_Union[QueueStatus, _Mapping]]] = ..., outbox: _Optional[_Union[OutboxStatus, _Mapping]] = ..., archive: _Optional[_Union[ArchiveStatus, _Mapping]] = ...) -> None: ...

class ArchiveStatus(_message.Message):
    __slots__ = ("url", "offset", "recorded", "failures", "error", "floor", "restored", "keep_s")
    URL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    KEEP_S_FIELD_NUMBER: _ClassVar[int]
    url: str
    offset: int
    recorded: int
    failures: int
    error: str
    floor: int
    restored: str
    keep_s: float
    def __init__(self, url: _Optional[str] = ..., offset: _Optional[int] = ..., recorded: _Optional[int] = ..., failures: _Optional[int] = ..., error: _Optional[str] = ..., floor: _Optional[int] = ..., restored: _Optional[str] = ..., keep_s: _Optional[float] = ...) -> None: ...

class OutboxStatus(_message.Message):
    __slots__ = ("waiting", "homeless", "oldest_s", "refused")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    HOMELESS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_S_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    waiting: int
    homeless: int
    oldest_s: float
    refused: int
    def __init__(self, waiting: _Optional[int] = ..., homeless: _Optional[int] = ..., oldest_s: _Optional[float] = ..., refused: _Optional[int] = ...) -> None: ...

class QueueStatus(_message.Message):
    __slots__ = ("urgency", "batches", "events", "bytes", "batches_bound", "events_bound", "bytes_bound", "shed", "expired")
    URGENCY_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    BATCHES_BOUND_FIELD_NUMBER: _ClassVar[int]
    EVENTS_BOUND_FIELD_NUMBER: _ClassVar[int]
    BYTES_BOUND_FIELD_NUMBER: _ClassVar[int]
    SHED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    urgency: Urgency
    batches: int
    events: int
    bytes: int
    batches_bound: int
    events_bound: int
    bytes_bound: int
    shed: int
    expired: int
    def __init__(self, urgency: _Optional[_Union[Urgency, str]] = ..., batches: _Optional[int] = ..., events: _Optional[int] = ..., bytes: _Optional[int] = ..., batches_bound: _Optional[int] = ..., events_bound: _Optional[int] = ..., bytes_bound: _Optional[int] = ..., shed: _Optional[int] = ..., expired: _Optional[int] = ...) -> None: ...

class ColumnsRequest(_message.Message):
    __slots__ = ("kind", "fields", "where", "region")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    where: str
    region: str
    def __init__(self, kind: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., where: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class ColumnsReply(_message.Message):
    __slots__ = ("shard", "offset", "epoch", "now", "arrow", "last")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    shard: str
    offset: int
    epoch: int
    now: int
    arrow: bytes
    last: bool
    def __init__(self, shard: _Optional[str] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ..., now: _Optional[int] = ..., arrow: _Optional[bytes] = ..., last: bool = ...) -> None: ...
