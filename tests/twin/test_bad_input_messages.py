"""Bad input, in messages of events: what is refused whole, by its code, and at what cost.

Each test is named for the abuse it is about; tests/serving/test_bad_input_grpc.py sends the same
over the wire.
"""

import resource
import struct

import msgpack
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import arrow, event, packed, row, streamed
from tests.twin.test_decoding import alone
from twin.arrow_stream import LARGEST, parts
from twin.errors import BadRequest, Malformed, Refused, TwinError
from twin.events import decode_arrow, decode_rows
from twin.skim import skim

pack = msgspec.msgpack.encode
NILS = b"\xdd" + struct.pack(">I", 15_000_000) + b"\xc0" * 15_000_000
HEAD = pack(row(event())[:7])[1:]


def named_twice(payload=b"\x82\xa3lat\x01\xa3lat\x02", extensions=b"\x80"):
    return b"\x91\x99" + HEAD + payload + extensions


def refused(decode, raw):
    with pytest.raises(TwinError) as error:
        decode(raw)
    assert isinstance(error.value, Refused)
    return error.value.code


ROWS = {
    "row 22: nested a hundred thousand deep": (b"\x91" * 100_000, "TOO_DEEP"),
    "row 22: nested a few levels too deep": (
        b"\x91\x98" + HEAD + b"\x81\xa1x" + b"\x91" * 20 + b"\x90",
        "TOO_DEEP",
    ),
    "row 23: millions of nils for rows": (NILS, "TOO_LARGE"),
    "row 23: millions of nils in a field": (b"\x91\x98" + HEAD + b"\x81\xa1x" + NILS, "TOO_LARGE"),
    "row 23: millions of empty lists": (
        b"\xdc\x0f\xa0" + (b"\xdc\x03\xe8" + b"\x90" * 1000) * 4000,
        "TOO_LARGE",
    ),
    "row 24: a list that claims four billion": (b"\xdd\xff\xff\xff\xff", "MALFORMED"),
    "row 24: a map that claims four billion": (b"\x91\xdf\xff\xff\xff\xff", "MALFORMED"),
    "row 24: bytes that claim four billion": (b"\x91\xc6\xff\xff\xff\xff", "MALFORMED"),
    "row 24: a text that claims four billion": (b"\x91\xdb\xff\xff\xff\xff", "MALFORMED"),
    "row 25: bytes behind the end": (packed(event()) + b"\xc0", "MALFORMED"),
    "row 25: a field named by a number": (
        b"\x91\x98" + HEAD + b"\x81\x05\x01",
        "MALFORMED",
    ),
    "row 25: an extension type": (b"\x91\x98" + HEAD + b"\x81\xa1x\xd4\x05x", "MALFORMED"),
    "row 25: a timestamp too far for any clock": (
        b"\x91\x98" + HEAD + b"\x81\xa1x\xc7\x0c\xff" + b"\x7f" * 12,
        "MALFORMED",
    ),
    "row 25: texts that are no UTF-8": (
        b"\x91\x98" + HEAD + b"\x81\xa1x\xa2\xff\xfe",
        "MALFORMED",
    ),
    "row 26: a payload field twice": (named_twice(), "DUPLICATE_FIELD"),
    "row 26: an extension twice": (
        named_twice(b"\x80", b"\x82\xa6tenant\xa1a\xa6tenant\xa1b"),
        "DUPLICATE_FIELD",
    ),
    "row 26: twice in a map within a field": (
        named_twice(b"\x81\xa1x\x82\xa1a\x01\xa1a\x02"),
        "DUPLICATE_FIELD",
    ),
    "row 26: twice in a map where none belongs": (
        b"\x91\x98\x82\xa1a\x01\xa1a\x02" + HEAD[3:] + b"\x80",
        "DUPLICATE_FIELD",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_message_that_cannot_be_told_apart_is_refused_whole(name):
    raw, code = ROWS[name]

    assert refused(decode_rows, raw) == code


def test_what_is_refused_for_its_size_takes_no_memory():
    decode_rows(packed(event()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for raw in (NILS, b"\x91\x98" + HEAD + b"\x81\xa1x" + NILS):
        refused(decode_rows, raw)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16 << 10  # KiB


def test_maps_inside_a_field_are_counted_and_not_taken_for_repeats():
    one = event(data={"lat": 1.0, "lon": 2.0, "deep": [{"a": {"b": 1, "c": 2}}, [{"d": 3}]]})

    assert decode_rows(packed(one, event())).size == 2


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=40,
)


def pairs(value):
    if isinstance(value, dict):
        return len(value) + sum(map(pairs, value.values()))
    return sum(map(pairs, value)) if isinstance(value, list) else 0


@given(PLAIN)
def test_skimming_counts_the_pairs_that_decoding_finds(value):
    assert skim(pack(value)) == pairs(value)


TOKENS = st.lists(st.sampled_from([b"\x81", b"\x82", b"\x92", b"\xa1a", b"\xc0", b"\xcd\0\1"]))


@given(st.binary(max_size=60) | TOKENS.map(b"".join) | TOKENS.map(lambda t: b"\x91" + b"".join(t)))
def test_what_skimming_lets_through_another_reader_takes_apart_into_as_many_pairs(raw):
    found = 0

    def count(pairs):
        nonlocal found
        found += len(pairs)

    try:
        claimed = skim(raw)
    except Refused:
        return
    msgpack.unpackb(raw, raw=True, object_pairs_hook=count)  # texts may be no UTF-8
    assert found == claimed


@given(PLAIN, st.data())
def test_no_cut_of_a_message_is_taken_for_a_whole_one(value, data):
    raw = pack(value)

    with pytest.raises(Malformed):
        skim(raw[: data.draw(st.integers(0, len(raw) - 1))])


# Arrow


def table(n=3, **more):
    says = {"source": "erp", "type": "shipment.position", "subject": "S", "region": "east"}
    columns = {name: pa.array([word] * n) for name, word in says.items()}
    ids = pa.array([f"e{i}" for i in range(n)], pa.string())
    return pa.table({"id": ids, **columns, "time": pa.array([1] * n, pa.int64()), **more})


def squeezed(table, codec="zstd"):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_row_38_a_stream_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(codec):
    long = pa.array(["x" * (LARGEST // 2)] * 3, pa.large_string())
    raw = squeezed(table(supplier=long), codec)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert len(raw) < 1 << 20
    assert refused(decode_arrow, raw) == "DECOMPRESSED_TOO_LARGE"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB


def test_row_38_a_long_text_that_many_rows_share_is_refused_before_it_is_written_out():
    shared = pa.DictionaryArray.from_arrays(
        pa.array([0] * 1000, pa.int32()), pa.array(["x" * (LARGEST // 100)])
    )
    raw = streamed(table(1000, supplier=shared))

    assert refused(decode_arrow, raw) == "DECOMPRESSED_TOO_LARGE"


def test_row_38_rows_that_have_no_bytes_are_counted_before_they_are_read():
    names = ["id", "source", "type", "subject", "region", "time"]
    batch = pa.RecordBatch.from_arrays([pa.nulls(2**31 - 1)] * 6, names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)

    assert refused(decode_arrow, sink.getvalue().to_pybytes()) == "TOO_LARGE"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1]] * 3),
        pa.array([[None] * 5] * 3),
        pa.array([{"a": [1]}] * 3),
        pa.array(["a"] * 3, pa.string_view()),
        pa.array([b"a"] * 3, pa.binary_view()),
        pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int8())),
        pa.array([[1, 2]] * 3, pa.list_(pa.int8(), 2)),
        pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), pa.array(["x"])),
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.int8(), [2]), pa.array([[1, 2]] * 3, pa.list_(pa.int8(), 2))
        ),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1"] * 3)),
    ],
    ids=lambda column: str(column.type)[:20],
)
def test_row_38_a_column_whose_rows_may_share_their_bytes_is_refused(column):
    assert refused(decode_arrow, streamed(table(supplier=column))) == "MALFORMED"


def test_row_23_more_columns_or_batches_than_any_contract_has_are_refused():
    wide = pa.table({f"c{i}": pa.array([1]) for i in range(1100)})
    one = table(1).to_batches()[0]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, one.schema) as writer:
        for _ in range(4200):
            writer.write_batch(one)

    assert refused(decode_arrow, streamed(wide)) == "TOO_LARGE"
    assert refused(decode_arrow, sink.getvalue().to_pybytes()) == "TOO_LARGE"


@pytest.mark.parametrize("raw", [b"", b"PAR1" + bytes(40) + b"PAR1", b"ARROW1\0\0" + bytes(64)])
def test_row_39_what_is_no_stream_is_refused_as_that(raw):
    assert refused(decode_arrow, raw) == "ARROW_INVALID"


def test_row_39_every_cut_of_a_compressed_stream_is_refused():
    raw = squeezed(table())

    for length in range(len(raw)):
        assert refused(decode_arrow, raw[:length]) == "ARROW_INVALID"


@pytest.mark.parametrize("codec", [None, "zstd", "lz4"])
def test_a_compressed_stream_says_the_same_as_a_plain_one(codec):
    plain, other = decode_arrow(streamed(table())), decode_arrow(squeezed(table(), codec))

    assert plain.rows == other.rows
    assert plain.time.tolist() == other.time.tolist()


def test_what_a_stream_claims_is_what_it_unpacks_to():
    plain = sum(len(b or b"") for c in table(500).to_batches()[0].columns for b in c.buffers())
    claimed = list(parts(squeezed(table(500))))

    assert [part.rows for part in claimed] == [500]
    assert 0.9 * plain <= claimed[0].size <= plain + 64 * 20


MUTATED = """
import random, sys
import pyarrow as pa
from tests.twin.histories import Ledger, message
from tests.twin.test_bad_input_messages import squeezed, streamed, table
from twin.errors import Refused
from twin.events import decode_arrow
rng = random.Random(int(sys.argv[1]))
coded = table(8, supplier=pa.array(["a", "b"] * 4).dictionary_encode(),
              quantity=pa.array([1, None] * 4), eta=pa.array([1, 2] * 4, pa.timestamp("ms")))
raws = [streamed(coded), squeezed(coded), squeezed(coded, "lz4"), streamed(table(3))]
refused = 0
for _ in range(int(sys.argv[2])):
    bad = bytearray(rng.choice(raws))
    for _ in range(rng.randint(1, 5)):
        act, at = rng.random(), rng.randrange(len(bad))
        if act < 0.7:
            bad[at] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif act < 0.85:
            bad[at:at + 8] = rng.choice([-1, 2**31, 2**62, 0, 7]).to_bytes(8, "little", signed=True)
        else:
            end = rng.randrange(at, min(len(bad), at + 64))
            bad[at:end] = bad[end:end + end - at]
    if rng.random() < 0.9:
        bad[-8:] = b"\\xff\\xff\\xff\\xff\\0\\0\\0\\0"
    try:
        Ledger().offer(message()._replace(offered=decode_arrow(bytes(bad))))
    except Refused:
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("times", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_row_37_no_change_of_a_stream_ends_the_process_or_is_an_error_of_ours(seed, times):
    done = alone(MUTATED, str(seed), str(times))

    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > times / 10


def test_row_37_an_offset_beyond_its_buffer_is_refused_with_its_own_code():
    raw = arrow(event(id="abcdefgh"), event(id="ijklmnop"))
    good = struct.pack("<3i", 0, 8, 16)
    assert raw.count(good) >= 1
    bad = raw.replace(good, struct.pack("<3i", 0, 2**30, 16))

    assert refused(decode_arrow, bad) == "ARROW_INVALID"


def test_row_26_a_column_twice_is_a_field_named_twice():
    twice = pa.Table.from_arrays(
        [*table().columns, pa.array(["x"] * 3)], [*table().column_names, "id"]
    )

    with pytest.raises(BadRequest) as error:
        decode_arrow(streamed(twice))
    assert error.value.code == "DUPLICATE_FIELD"
