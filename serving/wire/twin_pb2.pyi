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

class Fallback(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSE: _ClassVar[Fallback]
    WITHHOLD: _ClassVar[Fallback]
    LABEL: _ClassVar[Fallback]

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
REFUSE: Fallback
WITHHOLD: Fallback
LABEL: Fallback
APPLIED: Outcome
SUPERSEDED: Outcome
DUPLICATE: Outcome
PARKED: Outcome
REJECTED: Outcome

class When(_message.Message):
    __slots__ = ("at", "known_at")
    AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    at: int
    known_at: int
    def __init__(self, at: _Optional[int] = ..., known_at: _Optional[int] = ...) -> None: ...

class Texts(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: bytes
    def __init__(self, lines: _Optional[bytes] = ...) -> None: ...

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
    __slots__ = ("kind", "id", "region", "max_age_s", "min_confidence", "when", "fallback", "fields")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_S_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    max_age_s: float
    min_confidence: float
    when: When
    fallback: Fallback
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., max_age_s: _Optional[float] = ..., min_confidence: _Optional[float] = ..., when: _Optional[_Union[When, _Mapping]] = ..., fallback: _Optional[_Union[Fallback, str]] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("kind", "where", "fields", "order", "limit", "region", "format", "cursor", "when", "max_age_s", "min_confidence", "fallback", "after", "sets", "place")
    class AfterEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Texts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_S_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    where: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    order: str
    limit: int
    region: str
    format: Format
    cursor: str
    when: When
    max_age_s: float
    min_confidence: float
    fallback: Fallback
    after: _containers.ScalarMap[str, int]
    sets: _containers.MessageMap[str, Texts]
    place: bytes
    def __init__(self, kind: _Optional[str] = ..., where: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., order: _Optional[str] = ..., limit: _Optional[int] = ..., region: _Optional[str] = ..., format: _Optional[_Union[Format, str]] = ..., cursor: _Optional[str] = ..., when: _Optional[_Union[When, _Mapping]] = ..., max_age_s: _Optional[float] = ..., min_confidence: _Optional[float] = ..., fallback: _Optional[_Union[Fallback, str]] = ..., after: _Optional[_Mapping[str, int]] = ..., sets: _Optional[_Mapping[str, Texts]] = ..., place: _Optional[bytes] = ...) -> None: ...

class SearchReply(_message.Message):
    __slots__ = ("twins", "shown", "total", "mode", "now", "missing", "columns", "cursor", "withheld", "offsets", "places", "left")
    class OffsetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TWINS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    twins: _containers.RepeatedCompositeFieldContainer[TwinState]
    shown: int
    total: int
    mode: Mode
    now: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedCompositeFieldContainer[Columns]
    cursor: str
    withheld: _containers.RepeatedScalarFieldContainer[str]
    offsets: _containers.ScalarMap[str, int]
    places: _containers.RepeatedScalarFieldContainer[bytes]
    left: int
    def __init__(self, twins: _Optional[_Iterable[_Union[TwinState, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[_Union[Columns, _Mapping]]] = ..., cursor: _Optional[str] = ..., withheld: _Optional[_Iterable[str]] = ..., offsets: _Optional[_Mapping[str, int]] = ..., places: _Optional[_Iterable[bytes]] = ..., left: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("kind", "where", "by", "measures", "order", "limit", "region", "when", "after", "sets", "distinct")
    class AfterEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Texts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    where: str
    by: _containers.RepeatedScalarFieldContainer[str]
    measures: _containers.RepeatedScalarFieldContainer[str]
    order: str
    limit: int
    region: str
    when: When
    after: _containers.ScalarMap[str, int]
    sets: _containers.MessageMap[str, Texts]
    distinct: str
    def __init__(self, kind: _Optional[str] = ..., where: _Optional[str] = ..., by: _Optional[_Iterable[str]] = ..., measures: _Optional[_Iterable[str]] = ..., order: _Optional[str] = ..., limit: _Optional[int] = ..., region: _Optional[str] = ..., when: _Optional[_Union[When, _Mapping]] = ..., after: _Optional[_Mapping[str, int]] = ..., sets: _Optional[_Mapping[str, Texts]] = ..., distinct: _Optional[str] = ...) -> None: ...

class AggregateReply(_message.Message):
    __slots__ = ("groups", "shown", "total", "mode", "now", "oldest_as_of", "missing", "offsets", "values")
    class OffsetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    OLDEST_AS_OF_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    shown: int
    total: int
    mode: Mode
    now: int
    oldest_as_of: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    offsets: _containers.ScalarMap[str, int]
    values: Texts
    def __init__(self, groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., oldest_as_of: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., offsets: _Optional[_Mapping[str, int]] = ..., values: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("by", "measures", "distinct")
    BY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    by: _containers.RepeatedScalarFieldContainer[str]
    measures: _containers.RepeatedScalarFieldContainer[float]
    distinct: _containers.RepeatedCompositeFieldContainer[Texts]
    def __init__(self, by: _Optional[_Iterable[str]] = ..., measures: _Optional[_Iterable[float]] = ..., distinct: _Optional[_Iterable[_Union[Texts, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("mode", "now", "clock", "speed", "shards", "notes", "version", "subscriptions")
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
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    mode: Mode
    now: int
    clock: str
    speed: float
    shards: _containers.RepeatedCompositeFieldContainer[ShardStatus]
    notes: _containers.ScalarMap[str, str]
    version: str
    subscriptions: SubscriptionsStatus
    def __init__(self, mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., clock: _Optional[str] = ..., speed: _Optional[float] = ..., shards: _Optional[_Iterable[_Union[ShardStatus, _Mapping]]] = ..., notes: _Optional[_Mapping[str, str]] = ..., version: _Optional[str] = ..., subscriptions: _Optional[_Union[SubscriptionsStatus, _Mapping]] = ...) -> None: ...

class ShardStatus(_message.Message):
    __slots__ = ("name", "region", "kind", "epoch", "state", "pid", "address", "offset", "durable_offset", "checkpoint_offset", "twins", "outcomes", "events_per_s", "memory_bytes", "queue", "queue_bound", "headroom", "newest_as_of", "truth_digest", "replay_digest", "recovery_s", "replayed", "journal_bytes", "fsync_p99_ms", "journal_truth_digest", "journal_replay_digest", "queues", "outbox", "archive", "bases", "subscriptions", "alert_watch")
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
    BASES_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    ALERT_WATCH_FIELD_NUMBER: _ClassVar[int]
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
    bases: BasesStatus
    subscriptions: SubscriptionsStatus
    alert_watch: AlertWatchStatus
    def __init__(self, name: _Optional[str] = ..., region: _Optional[str] = ..., kind: _Optional[str] = ..., epoch: _Optional[int] = ..., state: _Optional[str] = ..., pid: _Optional[int] = ..., address: _Optional[str] = ..., offset: _Optional[int] = ..., durable_offset: _Optional[int] = ..., checkpoint_offset: _Optional[int] = ..., twins: _Optional[_Mapping[str, int]] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., events_per_s: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., queue: _Optional[int] = ..., queue_bound: _Optional[int] = ..., headroom: _Optional[float] = ..., newest_as_of: _Optional[int] = ..., truth_digest: _Optional[str] = ..., replay_digest: _Optional[str] = ..., recovery_s: _Optional[float] = ..., replayed: _Optional[int] = ..., journal_bytes: _Optional[int] = ..., fsync_p99_ms: _Optional[float] = ..., journal_truth_digest: _Optional[str] = ..., journal_replay_digest: _Optional[str] = ..., queues: _Optional[_Iterable[_Union[QueueStatus, _Mapping]]] = ..., outbox: _Optional[_Union[OutboxStatus, _Mapping]] = ..., archive: _Optional[_Union[ArchiveStatus, _Mapping]] = ..., bases: _Optional[_Union[BasesStatus, _Mapping]] = ..., subscriptions: _Optional[_Union[SubscriptionsStatus, _Mapping]] = ..., alert_watch: _Optional[_Union[AlertWatchStatus, _Mapping]] = ...) -> None: ...

class SubscriptionsStatus(_message.Message):
    __slots__ = ("topics", "followers", "bytes", "ring_bytes", "dropped", "resumed", "stuck")
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWERS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    RING_BYTES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    STUCK_FIELD_NUMBER: _ClassVar[int]
    topics: int
    followers: int
    bytes: int
    ring_bytes: int
    dropped: int
    resumed: int
    stuck: int
    def __init__(self, topics: _Optional[int] = ..., followers: _Optional[int] = ..., bytes: _Optional[int] = ..., ring_bytes: _Optional[int] = ..., dropped: _Optional[int] = ..., resumed: _Optional[int] = ..., stuck: _Optional[int] = ...) -> None: ...

class AlertWatchStatus(_message.Message):
    __slots__ = ("judged", "looked_at", "waiting", "overtaken", "refused", "full")
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    OVERTAKEN_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    judged: int
    looked_at: int
    waiting: int
    overtaken: int
    refused: int
    full: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, judged: _Optional[int] = ..., looked_at: _Optional[int] = ..., waiting: _Optional[int] = ..., overtaken: _Optional[int] = ..., refused: _Optional[int] = ..., full: _Optional[_Iterable[str]] = ...) -> None: ...

class BasesStatus(_message.Message):
    __slots__ = ("count", "bytes", "oldest", "bytes_bound")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    BYTES_BOUND_FIELD_NUMBER: _ClassVar[int]
    count: int
    bytes: int
    oldest: int
    bytes_bound: int
    def __init__(self, count: _Optional[int] = ..., bytes: _Optional[int] = ..., oldest: _Optional[int] = ..., bytes_bound: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("kind", "fields", "where", "region", "when", "sets", "tables", "have_epoch", "have_offset")
    class SetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Texts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    HAVE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    HAVE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    kind: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    where: str
    region: str
    when: When
    sets: _containers.MessageMap[str, Texts]
    tables: _containers.RepeatedCompositeFieldContainer[TableColumns]
    have_epoch: int
    have_offset: int
    def __init__(self, kind: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., where: _Optional[str] = ..., region: _Optional[str] = ..., when: _Optional[_Union[When, _Mapping]] = ..., sets: _Optional[_Mapping[str, Texts]] = ..., tables: _Optional[_Iterable[_Union[TableColumns, _Mapping]]] = ..., have_epoch: _Optional[int] = ..., have_offset: _Optional[int] = ...) -> None: ...

class TableColumns(_message.Message):
    __slots__ = ("kind", "columns", "have")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    HAVE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    have: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., have: _Optional[_Iterable[str]] = ...) -> None: ...

class ColumnsReply(_message.Message):
    __slots__ = ("shard", "offset", "epoch", "now", "arrow", "last", "kind", "unchanged")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    shard: str
    offset: int
    epoch: int
    now: int
    arrow: bytes
    last: bool
    kind: str
    unchanged: bool
    def __init__(self, shard: _Optional[str] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ..., now: _Optional[int] = ..., arrow: _Optional[bytes] = ..., last: bool = ..., kind: _Optional[str] = ..., unchanged: bool = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("region", "parked", "since", "until", "fields", "limit", "event_since", "event_until", "shard", "first", "before")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EVENT_SINCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    region: str
    parked: bool
    since: int
    until: int
    fields: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    event_since: int
    event_until: int
    shard: str
    first: int
    before: int
    def __init__(self, region: _Optional[str] = ..., parked: bool = ..., since: _Optional[int] = ..., until: _Optional[int] = ..., fields: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., event_since: _Optional[int] = ..., event_until: _Optional[int] = ..., shard: _Optional[str] = ..., first: _Optional[int] = ..., before: _Optional[int] = ...) -> None: ...

class SqlRequest(_message.Message):
    __slots__ = ("sql", "when", "region", "limit")
    SQL_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    sql: str
    when: When
    region: str
    limit: int
    def __init__(self, sql: _Optional[str] = ..., when: _Optional[_Union[When, _Mapping]] = ..., region: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class SqlReply(_message.Message):
    __slots__ = ("arrow", "last", "rows", "mode", "now", "offsets", "truncated", "missing")
    class OffsetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ARROW_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    arrow: bytes
    last: bool
    rows: int
    mode: Mode
    now: int
    offsets: _containers.ScalarMap[str, int]
    truncated: bool
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, arrow: _Optional[bytes] = ..., last: bool = ..., rows: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., offsets: _Optional[_Mapping[str, int]] = ..., truncated: bool = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("offset", "event_time", "ingest_time", "type", "source", "id", "confidence", "writer", "outcome", "receipt", "said", "became", "amends", "amended_by")
    class SaidEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    class BecameEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    BECAME_FIELD_NUMBER: _ClassVar[int]
    AMENDS_FIELD_NUMBER: _ClassVar[int]
    AMENDED_BY_FIELD_NUMBER: _ClassVar[int]
    offset: int
    event_time: int
    ingest_time: int
    type: str
    source: str
    id: str
    confidence: float
    writer: str
    outcome: str
    receipt: str
    said: _containers.MessageMap[str, Value]
    became: _containers.MessageMap[str, Value]
    amends: str
    amended_by: str
    def __init__(self, offset: _Optional[int] = ..., event_time: _Optional[int] = ..., ingest_time: _Optional[int] = ..., type: _Optional[str] = ..., source: _Optional[str] = ..., id: _Optional[str] = ..., confidence: _Optional[float] = ..., writer: _Optional[str] = ..., outcome: _Optional[str] = ..., receipt: _Optional[str] = ..., said: _Optional[_Mapping[str, Value]] = ..., became: _Optional[_Mapping[str, Value]] = ..., amends: _Optional[str] = ..., amended_by: _Optional[str] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("kind", "id", "region", "fields", "oldest_first", "limit", "cursor", "when", "since", "until", "by_event_time")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    BY_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    oldest_first: bool
    limit: int
    cursor: str
    when: When
    since: int
    until: int
    by_event_time: bool
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., oldest_first: bool = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., when: _Optional[_Union[When, _Mapping]] = ..., since: _Optional[int] = ..., until: _Optional[int] = ..., by_event_time: bool = ...) -> None: ...

class HistoryReply(_message.Message):
    __slots__ = ("key", "entries", "shown", "total", "cursor", "now", "shard", "epoch", "offset", "mode")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    key: str
    entries: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    shown: int
    total: int
    cursor: str
    now: int
    shard: str
    epoch: int
    offset: int
    mode: Mode
    def __init__(self, key: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., cursor: _Optional[str] = ..., now: _Optional[int] = ..., shard: _Optional[str] = ..., epoch: _Optional[int] = ..., offset: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("kind", "id", "where", "region", "before", "after", "fields", "limit", "sets", "sets_before")
    class SetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Texts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...
    class SetsBeforeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Texts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    SETS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    where: str
    region: str
    before: When
    after: When
    fields: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    sets: _containers.MessageMap[str, Texts]
    sets_before: _containers.MessageMap[str, Texts]
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., where: _Optional[str] = ..., region: _Optional[str] = ..., before: _Optional[_Union[When, _Mapping]] = ..., after: _Optional[_Union[When, _Mapping]] = ..., fields: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., sets: _Optional[_Mapping[str, Texts]] = ..., sets_before: _Optional[_Mapping[str, Texts]] = ...) -> None: ...

class DiffReply(_message.Message):
    __slots__ = ("differences", "shown", "total", "mode", "now", "missing")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    shown: int
    total: int
    mode: Mode
    now: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("key", "id", "region", "change", "before", "after")
    class BeforeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    class AfterEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    key: str
    id: str
    region: str
    change: str
    before: _containers.MessageMap[str, Value]
    after: _containers.MessageMap[str, Value]
    def __init__(self, key: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., change: _Optional[str] = ..., before: _Optional[_Mapping[str, Value]] = ..., after: _Optional[_Mapping[str, Value]] = ...) -> None: ...

class FirstTrueRequest(_message.Message):
    __slots__ = ("kind", "id", "region", "where", "last", "event_axis", "since", "until")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    EVENT_AXIS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    where: str
    last: bool
    event_axis: bool
    since: int
    until: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., where: _Optional[str] = ..., last: bool = ..., event_axis: bool = ..., since: _Optional[int] = ..., until: _Optional[int] = ...) -> None: ...

class FirstTrueReply(_message.Message):
    __slots__ = ("found", "at", "event", "twin", "now", "mode")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    found: bool
    at: int
    event: HistoryEntry
    twin: TwinState
    now: int
    mode: Mode
    def __init__(self, found: bool = ..., at: _Optional[int] = ..., event: _Optional[_Union[HistoryEntry, _Mapping]] = ..., twin: _Optional[_Union[TwinState, _Mapping]] = ..., now: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("kind", "id", "region", "field", "when", "limit")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    field: str
    when: When
    limit: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., field: _Optional[str] = ..., when: _Optional[_Union[When, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ExplainReply(_message.Message):
    __slots__ = ("key", "field", "value", "merge", "rule", "decided_by", "contract", "upcast", "losers", "losers_total", "inputs", "sla_s", "unit", "sensitivity", "shard", "epoch", "offset", "now", "mode")
    KEY_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    UPCAST_FIELD_NUMBER: _ClassVar[int]
    LOSERS_FIELD_NUMBER: _ClassVar[int]
    LOSERS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SLA_S_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SENSITIVITY_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    key: str
    field: str
    value: Value
    merge: str
    rule: str
    decided_by: HistoryEntry
    contract: str
    upcast: str
    losers: _containers.RepeatedCompositeFieldContainer[Loser]
    losers_total: int
    inputs: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    sla_s: float
    unit: str
    sensitivity: str
    shard: str
    epoch: int
    offset: int
    now: int
    mode: Mode
    def __init__(self, key: _Optional[str] = ..., field: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., merge: _Optional[str] = ..., rule: _Optional[str] = ..., decided_by: _Optional[_Union[HistoryEntry, _Mapping]] = ..., contract: _Optional[str] = ..., upcast: _Optional[str] = ..., losers: _Optional[_Iterable[_Union[Loser, _Mapping]]] = ..., losers_total: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., sla_s: _Optional[float] = ..., unit: _Optional[str] = ..., sensitivity: _Optional[str] = ..., shard: _Optional[str] = ..., epoch: _Optional[int] = ..., offset: _Optional[int] = ..., now: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class Loser(_message.Message):
    __slots__ = ("event", "value", "rule")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    event: HistoryEntry
    value: str
    rule: str
    def __init__(self, event: _Optional[_Union[HistoryEntry, _Mapping]] = ..., value: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class PreviewRequest(_message.Message):
    __slots__ = ("source", "id", "receipt", "restated")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RESTATED_FIELD_NUMBER: _ClassVar[int]
    source: str
    id: str
    receipt: str
    restated: _containers.RepeatedCompositeFieldContainer[Restated]
    def __init__(self, source: _Optional[str] = ..., id: _Optional[str] = ..., receipt: _Optional[str] = ..., restated: _Optional[_Iterable[_Union[Restated, _Mapping]]] = ...) -> None: ...

class Restated(_message.Message):
    __slots__ = ("kind", "id", "cause", "withdrawn", "time", "first", "second")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    cause: int
    withdrawn: bool
    time: int
    first: int
    second: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., cause: _Optional[int] = ..., withdrawn: bool = ..., time: _Optional[int] = ..., first: _Optional[int] = ..., second: _Optional[int] = ...) -> None: ...

class PreviewReply(_message.Message):
    __slots__ = ("key", "event", "differences", "predictions", "alerts", "now", "restated", "missing", "mode")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    RESTATED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    key: str
    event: HistoryEntry
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    predictions: _containers.RepeatedScalarFieldContainer[str]
    alerts: _containers.RepeatedScalarFieldContainer[str]
    now: int
    restated: _containers.RepeatedCompositeFieldContainer[Restated]
    missing: _containers.RepeatedScalarFieldContainer[str]
    mode: Mode
    def __init__(self, key: _Optional[str] = ..., event: _Optional[_Union[HistoryEntry, _Mapping]] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., predictions: _Optional[_Iterable[str]] = ..., alerts: _Optional[_Iterable[str]] = ..., now: _Optional[int] = ..., restated: _Optional[_Iterable[_Union[Restated, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class ImpactRequest(_message.Message):
    __slots__ = ("kind", "id", "region", "depth", "limit", "when")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    region: str
    depth: int
    limit: int
    when: When
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., region: _Optional[str] = ..., depth: _Optional[int] = ..., limit: _Optional[int] = ..., when: _Optional[_Union[When, _Mapping]] = ...) -> None: ...

class ImpactReply(_message.Message):
    __slots__ = ("groups", "quantity", "value", "mode", "now", "missing", "truncated")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[ImpactGroup]
    quantity: int
    value: float
    mode: Mode
    now: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    truncated: bool
    def __init__(self, groups: _Optional[_Iterable[_Union[ImpactGroup, _Mapping]]] = ..., quantity: _Optional[int] = ..., value: _Optional[float] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., truncated: bool = ...) -> None: ...

class ImpactGroup(_message.Message):
    __slots__ = ("kind", "depth", "relation", "count", "quantity", "value", "earliest", "twins")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_FIELD_NUMBER: _ClassVar[int]
    TWINS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    depth: int
    relation: str
    count: int
    quantity: int
    value: float
    earliest: int
    twins: _containers.RepeatedCompositeFieldContainer[TwinState]
    def __init__(self, kind: _Optional[str] = ..., depth: _Optional[int] = ..., relation: _Optional[str] = ..., count: _Optional[int] = ..., quantity: _Optional[int] = ..., value: _Optional[float] = ..., earliest: _Optional[int] = ..., twins: _Optional[_Iterable[_Union[TwinState, _Mapping]]] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("kind", "where", "fields", "region", "cursor", "only_changes", "sets", "epochs")
    class FromEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Texts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...
    class EpochsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ONLY_CHANGES_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    where: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    region: str
    cursor: str
    only_changes: bool
    sets: _containers.MessageMap[str, Texts]
    epochs: _containers.ScalarMap[str, int]
    def __init__(self, kind: _Optional[str] = ..., where: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., region: _Optional[str] = ..., cursor: _Optional[str] = ..., only_changes: bool = ..., sets: _Optional[_Mapping[str, Texts]] = ..., epochs: _Optional[_Mapping[str, int]] = ..., **kwargs) -> None: ...

class SubscribeReply(_message.Message):
    __slots__ = ("changes", "cursor", "snapshot", "synced", "mode", "now", "shard", "offset", "epoch", "more")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    cursor: str
    snapshot: bool
    synced: bool
    mode: Mode
    now: int
    shard: str
    offset: int
    epoch: int
    more: bool
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., cursor: _Optional[str] = ..., snapshot: bool = ..., synced: bool = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., shard: _Optional[str] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ..., more: bool = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("change", "twin", "offset", "absent")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    change: str
    twin: TwinState
    offset: int
    absent: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, change: _Optional[str] = ..., twin: _Optional[_Union[TwinState, _Mapping]] = ..., offset: _Optional[int] = ..., absent: _Optional[_Iterable[str]] = ...) -> None: ...

class AlertsRequest(_message.Message):
    __slots__ = ("where", "region", "limit", "incidents", "order", "events")
    class FromEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    WHERE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    where: str
    region: str
    limit: int
    incidents: bool
    order: str
    events: bool
    def __init__(self, where: _Optional[str] = ..., region: _Optional[str] = ..., limit: _Optional[int] = ..., incidents: bool = ..., order: _Optional[str] = ..., events: bool = ..., **kwargs) -> None: ...

class AlertsReply(_message.Message):
    __slots__ = ("alerts", "incidents", "shown", "total", "mode", "now", "missing", "events", "next")
    class NextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[TwinState]
    incidents: _containers.RepeatedCompositeFieldContainer[Incident]
    shown: int
    total: int
    mode: Mode
    now: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedCompositeFieldContainer[AlertEvent]
    next: _containers.ScalarMap[str, int]
    def __init__(self, alerts: _Optional[_Iterable[_Union[TwinState, _Mapping]]] = ..., incidents: _Optional[_Iterable[_Union[Incident, _Mapping]]] = ..., shown: _Optional[int] = ..., total: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., now: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[_Union[AlertEvent, _Mapping]]] = ..., next: _Optional[_Mapping[str, int]] = ...) -> None: ...

class AlertEvent(_message.Message):
    __slots__ = ("id", "type", "source", "alert", "region", "event_time", "ingest_time", "writer", "receipt", "twin")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    source: str
    alert: str
    region: str
    event_time: int
    ingest_time: int
    writer: str
    receipt: str
    twin: TwinState
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., source: _Optional[str] = ..., alert: _Optional[str] = ..., region: _Optional[str] = ..., event_time: _Optional[int] = ..., ingest_time: _Optional[int] = ..., writer: _Optional[str] = ..., receipt: _Optional[str] = ..., twin: _Optional[_Union[TwinState, _Mapping]] = ...) -> None: ...

class Incident(_message.Message):
    __slots__ = ("id", "cause", "severity", "count", "value", "deadline", "alerts", "next_step")
    ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_STEP_FIELD_NUMBER: _ClassVar[int]
    id: str
    cause: str
    severity: str
    count: int
    value: float
    deadline: int
    alerts: _containers.RepeatedScalarFieldContainer[str]
    next_step: str
    def __init__(self, id: _Optional[str] = ..., cause: _Optional[str] = ..., severity: _Optional[str] = ..., count: _Optional[int] = ..., value: _Optional[float] = ..., deadline: _Optional[int] = ..., alerts: _Optional[_Iterable[str]] = ..., next_step: _Optional[str] = ...) -> None: ...

class ActRequest(_message.Message):
    __slots__ = ("alert", "region", "action", "owner", "until", "note")
    ALERT_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    alert: str
    region: str
    action: str
    owner: str
    until: int
    note: str
    def __init__(self, alert: _Optional[str] = ..., region: _Optional[str] = ..., action: _Optional[str] = ..., owner: _Optional[str] = ..., until: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class ActReply(_message.Message):
    __slots__ = ("alert", "receipt")
    ALERT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    alert: TwinState
    receipt: str
    def __init__(self, alert: _Optional[_Union[TwinState, _Mapping]] = ..., receipt: _Optional[str] = ...) -> None: ...

class RehearseRequest(_message.Message):
    __slots__ = ("rules", "since", "until", "region")
    RULES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    rules: str
    since: int
    until: int
    region: str
    def __init__(self, rules: _Optional[str] = ..., since: _Optional[int] = ..., until: _Optional[int] = ..., region: _Optional[str] = ...) -> None: ...

class RehearseReply(_message.Message):
    __slots__ = ("rules", "events", "now", "missing")
    RULES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[Rehearsal]
    events: int
    now: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rules: _Optional[_Iterable[_Union[Rehearsal, _Mapping]]] = ..., events: _Optional[int] = ..., now: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class Rehearsal(_message.Message):
    __slots__ = ("rule", "raised", "cleared", "open", "examples")
    RULE_FIELD_NUMBER: _ClassVar[int]
    RAISED_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    rule: str
    raised: int
    cleared: int
    open: int
    examples: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rule: _Optional[str] = ..., raised: _Optional[int] = ..., cleared: _Optional[int] = ..., open: _Optional[int] = ..., examples: _Optional[_Iterable[str]] = ...) -> None: ...
