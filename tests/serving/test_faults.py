"""How errors cross gRPC, and what a broken connection means to a caller."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from serving import faults
from twin.errors import (
    BadRequest,
    JournalCorrupt,
    JournalNewer,
    Overloaded,
    TooLarge,
    Unavailable,
)


class Failed:
    """A failed call, as grpc hands it over."""

    def __init__(self, code, details, trailing=()):
        self._told = code, details, trailing

    def code(self):
        return self._told[0]

    def details(self):
        return self._told[1]

    def trailing_metadata(self):
        return self._told[2]


@pytest.mark.parametrize("text", ["Internal error from Core", "Received RST_STREAM with code 2"])
def test_a_connection_that_breaks_under_a_call_is_worth_another_try(text):
    error = faults.from_grpc(Failed(grpc.StatusCode.INTERNAL, text))

    assert isinstance(error, Unavailable)
    assert error.retry_after > 0


def test_a_failure_inside_a_server_is_not_worth_another_try():
    told = Failed(grpc.StatusCode.INTERNAL, "look for 12", ((faults.CODE_KEY, "INTERNAL"),))

    assert isinstance(faults.from_grpc(told), BadRequest)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Concurrent RPC limit exceeded!", Overloaded),
        ("Received message larger than max (17 vs. 16)", TooLarge),
        ("Decompressed message larger than max", TooLarge),
        ("received metadata size exceeds hard limit", TooLarge),
    ],
)
def test_what_grpc_itself_refuses_is_named_for_what_its_caller_does_next(text, error):
    assert type(faults.from_grpc(Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, text))) is error


@pytest.mark.parametrize(
    ("note", "error", "text"),
    [
        ("JOURNAL_NEWER: install more", JournalNewer, "s is quarantined: install more"),
        ("JOURNAL_CORRUPT: a bit", JournalCorrupt, "s is quarantined: a bit"),
        ("MALFORMED: not fatal", JournalCorrupt, "s is quarantined: MALFORMED: not fatal"),
        ("RuntimeError", JournalCorrupt, "s is quarantined: RuntimeError"),
    ],
)
def test_a_quarantined_shard_says_why_as_its_supervisor_did(note, error, text):
    told = faults.quarantined("s", note)

    assert (type(told), str(told)) == (error, text)


def test_an_error_carries_its_code_its_page_and_a_trace_in_grpcs_own_form():
    (_, _, (_, raw)) = faults.trailer(Overloaded("full", 0.5))
    rich = status_pb2.Status.FromString(raw)
    info, wait = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    rich.details[0].Unpack(info)
    rich.details[1].Unpack(wait)

    assert (rich.code, rich.message) == (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "full")
    assert (info.reason, info.domain) == ("OVERLOADED", "supplytwin")
    assert info.metadata["docs"] == "twin error OVERLOADED"
    assert len(info.metadata["trace_id"]) == 16
    assert wait.retry_delay.ToNanoseconds() == 500_000_000
