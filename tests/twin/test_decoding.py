"""What of a message is refused whole, and that both wire forms say the same."""

import subprocess
import sys

import msgspec
import pyarrow as pa
import pytest

from tests.twin.histories import (
    T0,
    Ledger,
    arrow,
    arrow_message,
    event,
    message,
    order,
    packed,
    position,
    row,
    streamed,
    words,
)
from twin.errors import BadRequest, Malformed, TooMany, TwinError
from twin.events import decode_arrow, decode_rows

NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "word"),
    [
        (pa.array([5, None], pa.uint64()), "APPLIED"),
        (pa.array([2**64 - 1, None], pa.uint64()), "PARKED TYPE_MISMATCH"),
        (pa.array([5.0, None]), "APPLIED"),
        (pa.array([5.5, None]), "PARKED TYPE_MISMATCH"),
        (pa.array([NAN, None]), "PARKED NOT_FINITE"),
        (pa.array(["5", None]), "PARKED TYPE_MISMATCH"),
        (pa.array([True, None]), "PARKED TYPE_MISMATCH"),
        (pa.array([{"a": 1}, None]), "PARKED TYPE_MISMATCH"),
        (pa.array([None, None], pa.null()), "PARKED FIELD_MISSING"),
        (pa.array([5, None], pa.int8()), "APPLIED"),
    ],
)
def test_a_column_of_another_type_parks_what_it_says_and_no_more(column, word):
    table = pa.ipc.open_stream(
        arrow({**order(quantity=5), "id": "a"}, {**position(), "id": "b", "subject": "S2"})
    ).read_all()
    at = table.schema.get_field_index("quantity")
    told = Ledger().offer(_as_message(streamed(table.set_column(at, "quantity", column))))

    assert words(told) == [word, "APPLIED"]


def _as_message(raw):
    return message()._replace(offered=decode_arrow(raw))


@pytest.mark.parametrize(
    "time",
    [
        pa.array([T0], pa.timestamp("us", "UTC")),
        pa.array([T0 * 1000], pa.timestamp("ns")),
        pa.array([T0 // 1000], pa.timestamp("ms", "UTC")),
        pa.array([float(T0)]),
    ],
)
def test_a_time_is_microseconds_whatever_unit_its_column_has(time):
    table = pa.ipc.open_stream(arrow(event())).read_all()
    at = table.schema.get_field_index("time")
    raw = streamed(table.set_column(at, "time", time))

    assert decode_arrow(raw).time.tolist() == [T0]


def test_an_unknown_column_parks_only_the_events_that_fill_it():
    told = Ledger().offer(
        arrow_message(event(id="a"), event(id="b", data={"lat": 1.0, "lon": 2.0, "x": 1}))
    )

    assert words(told) == ["APPLIED", "PARKED FIELD_UNKNOWN"]


def nested(levels):
    return packed(event(data={}))[:-2] + b"\x81\xa1x" + b"\x91" * levels + b"\x90\x80"


REFUSED = [
    (b"", "MALFORMED"),
    (b"\xc1", "MALFORMED"),
    (b"\x80", "MALFORMED"),
    (b"\x2a", "MALFORMED"),
    (b"\xdd\xff\xff\xff\xff", "MALFORMED"),
    (b"\xdf\xff\xff\xff\xff", "MALFORMED"),
    (b"\xc6\xff\xff\xff\xff", "MALFORMED"),
    (b"\x91\xdd\xff\xff\xff\xff", "MALFORMED"),
    (b"\x91\xdb\xff\xff\xff\xff", "MALFORMED"),
    (b"\xdd" + (1_000_001).to_bytes(4, "big") + b"\xc0" * 1_000_001, "TOO_LARGE"),
    (packed(event()) + b"\x00", "MALFORMED"),
    (packed(event())[:-3], "MALFORMED"),
    (msgspec.msgpack.encode([[1, 2, 3]]), "MALFORMED"),
    (msgspec.msgpack.encode([row(event()), None]), "MALFORMED"),
    (msgspec.msgpack.encode([[*row(event())[:7], []]]), "MALFORMED"),
    (msgspec.msgpack.encode([[*row(event())[:7], {5: 1}]]), "MALFORMED"),
    (
        msgspec.msgpack.encode([[*row(event())[:7], {"x": msgspec.msgpack.Ext(5, b"x")}]]),
        "MALFORMED",
    ),
    (packed(event()).replace(b"\xa2e1", b"\xa2\xff\xfe"), "MALFORMED"),  # no UTF-8
    (packed(event()).replace(b"\xa2e1", b"\xc7\x0c\xff" + b"\x7f" * 12), "MALFORMED"),  # a far time
    (nested(17), "TOO_DEEP"),
    (nested(500), "TOO_DEEP"),
    (nested(992), "TOO_DEEP"),
    (nested(100_000), "TOO_DEEP"),
]


@pytest.mark.parametrize(
    ("raw", "code"), REFUSED, ids=[f"{i}-{c}" for i, (_, c) in enumerate(REFUSED)]
)
def test_a_message_that_is_no_batch_is_refused_whole(raw, code):
    with pytest.raises(TwinError) as refused:
        decode_rows(raw)

    assert refused.value.code == code
    assert isinstance(refused.value, Malformed | TooMany | BadRequest)


def test_a_message_of_no_events_is_a_message():
    assert decode_rows(b"\x90").size == 0
    assert decode_arrow(streamed(_table(0))).size == 0


def _table(n, **more):
    says = {
        "id": "e",
        "source": "erp",
        "type": "shipment.position",
        "subject": "S",
        "region": "east",
    }
    columns = {name: pa.array([word] * n, pa.string()) for name, word in says.items()}
    return pa.table({**columns, "time": pa.array([T0] * n, pa.int64()), **more})


def test_no_cut_of_an_arrow_stream_is_taken_for_a_shorter_one():
    raw = arrow(event(id="a"), event(id="b"))

    for length in range(len(raw)):
        with pytest.raises(Malformed):
            decode_arrow(raw[:length])


FUZZ = """
import random, sys
from tests.twin.histories import Ledger, arrow, event, message
from twin.errors import Refused
from twin.events import decode_arrow
rng = random.Random(int(sys.argv[1]))
raw = arrow(*(event(id=f"e{i}") for i in range(5)))
refused = 0
for _ in range(3000):
    bad = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        bad[rng.randrange(len(bad))] = rng.randrange(256)
    try:
        Ledger().offer(message()._replace(offered=decode_arrow(bytes(bad))))
    except Refused:
        refused += 1
print(refused)
"""


def test_no_byte_of_an_arrow_stream_can_end_the_process(seed):
    done = alone(FUZZ, str(seed))

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300


@pytest.mark.parametrize("size", [0, 1, 8, 64, 4096])
def test_random_bytes_are_no_arrow_stream(rng, size):
    with pytest.raises(Malformed):
        decode_arrow(rng.randbytes(size))


def alone(script, *arguments):
    """Run a script in a process of its own: what it tries might end this one."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1700, check=False)


CRAFTED = """
import io, sys, numpy as np, pyarrow as pa
from twin.events import decode_arrow
from twin.errors import Malformed
offsets = np.array([0, 2**30, 5], np.int32)
bad = pa.StringArray.from_buffers(2, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"hello"))
good = pa.array(["s", "s"])
names = ["id", "source", "type", "subject", "region", "time", "supplier"]
def stream(column, times):
    sink = io.BytesIO()
    columns = {name: good for name in names} | {"time": pa.array([1, 2]), column: bad}
    batch = pa.RecordBatch.from_arrays([columns[n] for n in names], names)
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        for _ in range(times):
            writer.write_batch(batch)
    return sink.getvalue()
for column in ("id", "source", "type", "subject", "region", "supplier"):
    for times in (1, 3):
        try:
            decode_arrow(stream(column, times))
        except Malformed:
            print("refused")
"""


def test_offsets_beyond_their_buffer_are_refused_and_do_not_end_the_process():
    done = alone(CRAFTED)

    assert (done.returncode, done.stdout.split()) == (0, ["refused"] * 12), done.stderr


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time"])
def test_an_arrow_batch_without_a_name_or_a_time_is_refused(name):
    with pytest.raises(Malformed, match=name):
        decode_arrow(streamed(_table(2).drop_columns([name])))


def test_an_arrow_batch_with_a_column_twice_is_refused():
    twice = pa.Table.from_arrays(
        [*_table(1).columns, pa.array(["x"])], [*_table(1).column_names, "id"]
    )

    with pytest.raises(BadRequest, match="twice") as refused:
        decode_arrow(streamed(twice))
    assert refused.value.code == "DUPLICATE_FIELD"


def test_dictionaries_and_several_batches_say_the_same_as_plain_columns():
    events = [event(id=f"e{i}", subject=f"S{i % 2}", time=T0 + i) for i in range(5)]
    table = pa.ipc.open_stream(arrow(*events)).read_all()
    coded = table.set_column(1, "source", table["source"].dictionary_encode())
    coded = pa.concat_tables([coded.slice(0, 2), coded.slice(2)])
    plain, other = Ledger(), Ledger()

    assert plain.offer(message(*events)) == other.offer(_as_message(streamed(coded)))
    assert plain.digests() == other.digests()


def test_extensions_that_are_null_are_as_if_they_were_not_there():
    bare, nulls = Ledger(), Ledger()
    absent = {"confidence": None, "corrects": None, "retracts": None, "tenant": None}

    assert bare.offer(message(event())) == nulls.offer(message(event(**absent)))
    assert nulls.offer(arrow_message(event(**absent)))[0][0] == "DUPLICATE"
    assert bare.digests() == nulls.digests()
