"""Bad input: batches of events, at the gateway and at the shard, with the exact answers.

The numbers of rows are those of the project's table of bad inputs. Where the answer is made below
our code, by gRPC itself, only its status is asserted.
tests/twin/test_bad_input_messages.py has what the messages themselves can hold.
"""

import math

import msgspec
import pyarrow as pa
import pytest

from serving.wire import twin_pb2 as pb
from tests.serving.asking import S, asking, folder
from tests.twin.histories import DAY, NOW, event, packed, row, streamed
from tests.twin.test_bad_input_messages import ROWS, squeezed, table
from twin.outcomes import Outcome

__all__ = ("asking", "folder")
pack = msgspec.msgpack.encode


@pytest.mark.parametrize("name", ROWS)
def test_a_message_that_cannot_be_told_apart_is_refused_over_the_wire(asking, name):
    raw, code = ROWS[name]

    assert asking.fault(msgpack=raw) == code


def test_a_batch_that_is_refused_ends_neither_its_stream_nor_its_neighbours(asking):
    metadata = [("authorization", f"Bearer {asking.token()}")]
    good = event(id="neighbour", data={"lat": 1.0, "lon": 2.0})
    batches = [
        pb.IngestRequest(batch=1, msgpack=b"\xc1"),
        pb.IngestRequest(batch=2, msgpack=packed(good)),
        pb.IngestRequest(batch=3, arrow=b"no stream"),
        pb.IngestRequest(batch=4, msgpack=packed(good)),
    ]
    replies = list(asking.stub.Ingest(iter(batches), metadata=metadata, timeout=20))

    assert [reply.fault.code for reply in replies] == ["MALFORMED", "", "ARROW_INVALID", ""]
    assert [Outcome(reply.outcomes[0]).name for reply in replies[3::2]] == ["DUPLICATE"]


def says(**data):
    return event(id=f"e{says.count()}", data={"lat": 1.0, "lon": 2.0} | data)


says.count = iter(range(10**6)).__next__


PARKED = {
    "row 27: NaN": (lambda: says(lat=math.nan), "NOT_FINITE"),
    "row 27: infinity": (lambda: says(lon=-math.inf), "NOT_FINITE"),
    "row 28: beyond its range": (lambda: says(lat=91.0), "OUT_OF_RANGE"),
    "row 28: a day and more ahead": (
        lambda: says() | {"time": NOW + DAY + 1_000_000},
        "TIME_OUT_OF_RANGE",
    ),
    "row 28: a negative time": (lambda: says() | {"time": -1}, "TIME_OUT_OF_RANGE"),
    "row 28: the year 9999": (
        lambda: says() | {"time": 253_402_300_799_000_000},
        "TIME_OUT_OF_RANGE",
    ),
    "row 30: an unknown version": (lambda: says() | {"version": 99}, "SCHEMA_UNSUPPORTED"),
    "row 30: an unknown type": (lambda: says() | {"type": "shipment.sung"}, "SCHEMA_UNSUPPORTED"),
    "row 30: a field missing": (
        lambda: event(id=f"m{says.count()}", data={"lat": 1.0}),
        "FIELD_MISSING",
    ),
}


@pytest.mark.parametrize("name", PARKED)
def test_an_event_that_breaks_its_contract_is_parked_and_its_neighbours_are_not(asking, name):
    make, reason = PARKED[name]

    bad, good = asking.outcomes(make(), says())

    assert bad == f"PARKED {reason}"
    assert good.split()[0] in {"APPLIED", "SUPERSEDED"}


def test_row_28_an_old_event_is_late_and_nothing_else(asking):
    (said,) = asking.outcomes(says() | {"time": NOW - 5 * 365 * DAY})

    assert said.split()[0] in {"APPLIED", "SUPERSEDED"}


def test_row_30_an_event_of_no_region_is_rejected(asking):
    assert asking.outcomes(says() | {"region": ""}) == ["REJECTED REGION_MISSING"]


BAD_IDS = ["../x", "a\x00b", "a\nb", "\u202eabc", "x" * 10_000, "-a", "\N{SHIP}", "a b", "a/b"]


@pytest.mark.parametrize("id_", BAD_IDS, ids=ascii)
def test_row_35_an_id_that_is_none_is_rejected(asking, id_):
    assert asking.outcomes(says() | {"id": id_}) == ["REJECTED BAD_ID"]
    assert asking.outcomes(says() | {"subject": id_})[0].startswith("REJECTED BAD_ID")
    assert asking.outcomes(says() | {"subject": ""}) == ["REJECTED BAD_ID"]


@pytest.mark.parametrize("id_", ["../x", "a b", "x" * 10_000, "-a", ""], ids=ascii)
def test_row_35_an_id_that_is_none_is_refused_in_a_request(asking, id_):
    request = pb.GetRequest(kind="shipment", id=id_)
    metadata = [("authorization", f"Bearer {asking.token()}")]
    said = asking.said(lambda: asking.stub.Get(request, metadata=metadata, timeout=20))

    assert said[:2] == (S.INVALID_ARGUMENT, "BAD_ID")
    assert len(said[2]) < 200


def test_rows_31_and_32_what_comes_again_is_a_duplicate_and_other_content_a_conflict(asking):
    one, broken = says(), says(lat=91.0)
    asking.outcomes(one, broken)

    assert asking.outcomes(one)[0].split()[0] == "DUPLICATE"
    changed = one | {"data": {"lat": 5.0, "lon": 5.0}}
    assert asking.outcomes(changed) == ["REJECTED IDEMPOTENCY_CONFLICT"]
    repaired = broken | {"data": {"lat": 5.0, "lon": 5.0}}
    assert asking.outcomes(repaired)[0].split()[0] in {"APPLIED", "SUPERSEDED"}


def test_row_36_sources_without_end_are_refused_and_known_ones_go_on(asking):
    many = [event(id="x", source=f"s{i}") for i in range(10_001)]

    assert asking.fault(msgpack=packed(*many)) == "SOURCE_LIMIT"
    assert asking.outcomes(says())[0].split()[0] in {"APPLIED", "SUPERSEDED"}


def test_rows_37_to_39_arrow_that_is_crafted_cut_or_no_arrow_is_refused(asking):
    whole = streamed(table())
    huge = pa.array(["x" * (40 << 20)] * 3, pa.large_string())

    assert asking.fault(arrow=whole[: len(whole) // 2]) == "ARROW_INVALID"
    assert asking.fault(arrow=b"PAR1" * 100) == "ARROW_INVALID"
    assert asking.fault(arrow=squeezed(table(supplier=huge))) == "DECOMPRESSED_TOO_LARGE"
    assert asking.lives()


def test_a_row_says_no_more_in_its_error_than_what_to_mend(asking):
    secret = "S3cret-payload"
    reply = asking.ingest(msgpack=pack([row(event(data={secret: 1}))[:3]]))

    assert reply.fault.code == "MALFORMED"
    assert secret not in reply.fault.message
