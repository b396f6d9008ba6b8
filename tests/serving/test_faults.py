"""How errors cross gRPC, and what a broken connection means to a caller."""

import grpc
import pytest

from serving import faults
from twin.errors import BadRequest, Unavailable


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
