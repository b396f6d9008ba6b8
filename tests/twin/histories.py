"""Histories for tests: events as sources send them, and a shard's state with its journal in memory.

An event is a dict; what it does not say is good.
"""

import io

import msgspec
import pyarrow as pa
from hypothesis import strategies as st

from twin import digest, frames
from twin.admission import Rule
from twin.columns import Message, concat
from twin.events import decode_arrow, decode_rows
from twin.kinds import KINDS
from twin.merge import HEAD, TENANT
from twin.outcomes import Outcome, Reason
from twin.receipts import receipts
from twin.transition import State

T0 = 1_377_000_000_000_000  # 2013-08-20
NOW = T0 + 10**9
DAY = 86_400_000_000
SHIPMENTS = Rule("east", ("shipment",), 0, 1)
SITES = Rule("east", ("site", "stock"), 0, 1)
SUPPLIERS = Rule("east", ("supplier",), 0, 1)
GOOD = {
    "id": "e1",
    "source": "erp",
    "type": "shipment.position",
    "version": 1,
    "subject": "S1",
    "region": "east",
    "time": T0,
    "data": {"lat": 1.0, "lon": 2.0},
}
ENVELOPE = ("id", "source", "type", "version", "subject", "region", "time", "data")
ORDER = {
    "supplier": "SUP",
    "country": "NG",
    "product_group": "ARV",
    "product": "P1",
    "quantity": 5,
}


def event(**says):
    return {**GOOD, **says}


def position(**says):
    return event(data={"lat": 1.0, "lon": 2.0, **says})


def order(**says):
    return event(type="shipment.ordered", data={**ORDER, **says})


def row(one):
    more = {name: value for name, value in one.items() if name not in ENVELOPE}
    return [*(one[name] for name in ENVELOPE), more]


def packed(*events):
    return msgspec.msgpack.encode([row(one) for one in events])


def streamed(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def arrow(*events):
    lines = [
        {k: v for k, v in one.items() if k != "data"} | one["data"] for one in map(dict, events)
    ]
    names = dict.fromkeys(name for line in lines for name in line)
    return streamed(pa.table({name: [line.get(name) for line in lines] for name in names}))


def message(*events, tenant="demo"):
    return Message(decode_rows(packed(*events)), tenant, "tester")


def arrow_message(*events, tenant="demo"):
    return Message(decode_arrow(arrow(*events)), tenant, "tester")


class Ledger:
    """A state and the frames it journaled: a shard without a disk."""

    def __init__(self, rule=SHIPMENTS, state=None):
        self.rule = rule
        self.state = state or State(rule)
        self.raws = []  # encoded frames

    def offer(self, *messages, now=NOW):
        """Offer messages in one commit; return (outcome, reason, offset) of every event."""
        plan = self.state.plan(messages, 1, now)
        decided = []
        if plan.frame.size:
            self.raws.append(frames.encode(plan.frame))
            decided = self.state.commit(self.frames()[-1], self.read)
        return [told for answer in receipts(plan, decided) for told in tell(answer)]

    def frames(self):
        return [frames.read(memoryview(raw), 0).frame for raw in self.raws]

    def read(self, offset):
        return next(f for f in self.frames() if f.first <= offset < f.first + f.size)

    def digests(self):
        return digest.digests(self.state.snapshot(), self.state.seen)

    def replayed(self, run=1, state=None):
        """Return a ledger with what this journal says, frames taken `run` at a time."""
        again = Ledger(self.rule, state)
        again.raws = self.raws
        waiting = []
        for frame in [f for f in self.frames() if f.first >= again.state.next] + [None]:
            alone = frame is None or "does" in frame.columns
            if waiting and (alone or len(waiting) == run):
                again.state.commit(concat(waiting), self.read)
                waiting = []
            if frame is not None and alone:
                again.state.commit(frame, self.read)
            elif frame is not None:
                waiting.append(frame)
        return again


def tell(answer):
    return [
        (Outcome(o).name, Reason(r).name, at)
        for o, r, at in zip(
            answer.outcome.tolist(), answer.reason.tolist(), answer.offset.tolist(), strict=True
        )
    ]


def words(told):
    """Return outcomes and reasons as one text each: "PARKED OUT_OF_RANGE"."""
    return [outcome if reason == "NONE" else f"{outcome} {reason}" for outcome, reason, _ in told]


def arrived(*batches, rule=SHIPMENTS):
    """Return a ledger that was offered these batches, one after the other."""
    ledger = Ledger(rule)
    for events in batches:
        if events:
            ledger.offer(message(*events))
    return ledger


def decoded(state):
    """Return kind -> name -> {column: value} of what is known; texts decoded, chains left out."""
    shot = state.snapshot()
    told = {}
    for kind, table in shot.tables.items():
        names = shot.names[kind].list()
        texts = {f.name for f in KINDS[kind].fields if f.dtype == "text"}
        texts |= {f"{group.name}.source" for group in KINDS[kind].groups}
        twins = told.setdefault(kind, {name: {} for name in names})
        columns = {name: table.column(name) for name in [*table.blanks, *table.aliases]}
        blanks = {name: table.blanks[table.aliases.get(name, name)].item() for name in columns}
        for group in KINDS[kind].groups:
            tie = f"{group.name}.tie"
            if tie not in columns:  # dedup knows it by the offset of the event
                columns[tie], blanks[tie] = state.seen.ties(columns[f"{group.name}.offset"]), 0
        for column, values in columns.items():
            if column in {HEAD, TENANT} or column.endswith(".offset"):
                continue
            blank = blanks[column]
            for name, value in zip(names, values.tolist(), strict=True):
                if value not in (blank, None) and value == value:  # noqa: PLR0124
                    twins[name][column] = shot.lexicon.word(value) if column in texts else value
    return told


SOURCES = ("erp", "tms", "demo/telemetry", "rule/x", "model/eta@1")
few = st.integers(0, 2)


def _of(type_, data):
    return st.fixed_dictionaries({"type": st.just(type_), "data": data})


_position = st.builds(lambda a, b: {"lat": float(a), "lon": float(b)}, few, few)
_humid = st.builds(
    lambda a, b: {"temp_c": -float(a)} | ({"humidity_pct": b} if b else {}), few, few
)
_customs = st.sampled_from(["held", "cleared"])
_shipment = st.one_of(
    _of("shipment.position", _position),
    _of("shipment.condition", st.builds(lambda a: {"temp_c": -float(a)}, few)),
    _of("shipment.condition", _humid).map(lambda one: one | {"version": 2}),
    _of("shipment.arrived", few.map(lambda a: {"arrived_place": f"P{a}"} if a else {})),
    _of("shipment.customs", _customs.map(lambda a: {"customs_status": a})),
    _of(
        "shipment.exception",
        few.map(lambda a: {"exception_code": f"UD0{a + 1}0", "exception_state": "open"}),
    ),
    _of("shipment.cancelled", few.map(lambda a: {"cancelled_reason": "lost"} if a else {})),
    _of("shipment.departed", st.just({})),
    _of("shipment.delivered", few.map(lambda a: {"recorded_at": T0 + a} if a else {})),
    _of("shipment.promised", few.map(lambda a: {"promised_at": T0 + a})),
    _of("shipment.ordered", few.map(lambda a: {**ORDER, "quantity": a, "supplier": f"SUP{a}"})),
)
_item = {"site": "W1", "product": "P1"}
_stock = st.one_of(
    _of("stock.counted", st.integers(0, 9).map(lambda q: {**_item, "quantity": q})),
    _of("stock.moved", st.integers(-9, 9).map(lambda d: {**_item, "delta": d})),
    _of("stock.reserved", st.integers(-9, 9).map(lambda d: {**_item, "reserved": d})),
    _of("site.status", st.sampled_from(["open", "closed"]).map(lambda a: {"status": a})),
    _of("site.capacity", few.map(lambda a: {"capacity": a})),
)
_supplier = st.one_of(
    _of("supplier.registered", st.booleans().map(lambda a: {"name": "N", "aggregator": a})),
    _of("supplier.lead_time", few.map(lambda a: {"lead_time_days": a})),
    _of("supplier.capacity", few.map(lambda a: {"capacity": a})),
    _of("supplier.status", st.sampled_from(["active", "ended"]).map(lambda a: {"status": a})),
)
BROKEN = {
    "shipment.position": {"lat": 91.0, "lon": 0.0},
    "shipment.condition": {"temp_c": 900.0},
    "shipment.departed": {"lat": 1.0},
    "shipment.delivered": {"recorded_at": -5},
    "shipment.promised": {},
    "shipment.ordered": {},
    "stock.counted": {**_item, "quantity": -1},
    "stock.moved": _item,
    "stock.reserved": {**_item, "reserved": 2**31 + 1},
    "shipment.arrived": {"lat": 1.0},
    "shipment.customs": {"customs_status": "lost"},
    "shipment.exception": {"exception_code": "XX010", "exception_state": "open"},
    "shipment.cancelled": {"cancelled_reason": "a whim"},
    "site.status": {"status": "active"},
    "site.capacity": {"capacity": -1},
    "supplier.registered": {"name": "N"},
    "supplier.lead_time": {"lead_time_days": -1},
    "supplier.capacity": {},
    "supplier.status": {"status": "open"},
}


@st.composite
def histories(draw, says=_shipment):
    """Facts of few twins at few times, so that most of them tie; some broken first, some twice."""
    said = draw(st.lists(says, max_size=12))
    events = []
    for number, one in enumerate(said):
        fact = event(
            **one,
            id=f"e{number}",
            source=draw(st.sampled_from(SOURCES)),
            subject=draw(st.sampled_from(["S1", "S2"])),
            time=T0 + draw(st.integers(0, 2)),
            confidence=draw(st.sampled_from([0.25, 1.0])),
        )
        events.append(fact)
        if draw(st.booleans()) and draw(st.booleans()):
            events.append({**fact, "data": BROKEN[fact["type"]]})
        if draw(st.booleans()) and draw(st.booleans()):
            events.append(fact)
    return events


shipments, stocks, suppliers = histories(), histories(_stock), histories(_supplier)
# A rule, and a history of the twins it takes.
ruled = st.one_of(
    st.tuples(st.just(SHIPMENTS), shipments),
    st.tuples(st.just(SITES), stocks),
    st.tuples(st.just(SUPPLIERS), suppliers),
)


def cut(events, sizes):
    """Return the events in batches of these sizes, over and over."""
    batches, at, turn = [], 0, 0
    while at < len(events):
        size = sizes[turn % len(sizes)]
        batches.append(events[at : at + size])
        at, turn = at + size, turn + 1
    return batches
