"""Bad input: calls that no client of ours makes, and servers in trouble, with the exact answers.

The numbers of rows are those of the project's table of bad inputs. Where the answer is made below
our code, by gRPC itself, only its status is asserted.
tests/serving/test_disk_faults.py has the disk, tests/serving/test_zombies.py replaced writers.
"""

import asyncio
import json

import grpc
import pytest

from serving import faults, grpc_server
from serving.access import Verifier, ensure_key, mint
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from tests.serving.asking import Asking, S, asking, folder
from tests.small_twin import NAME, small_twin
from tests.twin.histories import NOW, event
from twin.errors import Overloaded, Retryable

__all__ = ("asking", "folder")
SERVICE = f"/{grpc_server.SERVICE}/"


def test_row_15_a_message_over_its_limit_is_refused(asking):
    big = asking.said(lambda: asking.ingest(msgpack=bytes(17 << 20)))
    ids = ["x" * 1000] * 2100
    metadata = [("authorization", f"Bearer {asking.token()}")]
    request = pb.BatchGetRequest(kind="shipment", ids=ids)
    wide = asking.said(lambda: asking.stub.BatchGet(request, metadata=metadata, timeout=20))

    assert big[0] is S.RESOURCE_EXHAUSTED
    assert wide[:2] == (S.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")


def bare(asking, method, content, stream=False, compression=None):
    """Send bytes as they are; return the status."""
    shape = asking.channel.stream_stream if stream else asking.channel.unary_unary
    call = shape(SERVICE + method, request_serializer=None, response_deserializer=None)
    metadata = [("authorization", f"Bearer {asking.token()}")]
    sent = iter([content]) if stream else content

    def act():
        answer = call(sent, metadata=metadata, timeout=20, compression=compression)
        return list(answer) if stream else answer

    return asking.said(act)


NO_MESSAGE = [b"\xff" * 40, b"\x0a\xff", b"\x0a\x04\xff\xfe\xfd\xfc", b"\x0b" * 200]


@pytest.mark.parametrize("content", NO_MESSAGE)
def test_row_17_bytes_that_are_no_message_are_refused_and_end_nothing(asking, content):
    for method, stream in (("Get", False), ("Ingest", True)):
        status = bare(asking, method, content, stream)[0]
        assert status in {S.INTERNAL, S.INVALID_ARGUMENT, S.OK, S.UNKNOWN}
    assert bare(asking, "Get", content)[0] is not S.OK
    assert asking.lives()


def test_row_18_an_unknown_method_is_not_there(asking):
    assert bare(asking, "Obey", b"")[0] is S.UNIMPLEMENTED


def test_row_19_control_characters_in_metadata_do_not_leave_the_client(asking):
    request = pb.GetRequest(kind="shipment", id="S1")

    with pytest.raises((ValueError, grpc.RpcError)):
        asking.stub.Get(request, metadata=[("authorization", "Bearer a\x00b\n")], timeout=20)


# Servers of their own


class Careless:
    """A surface that fails as no surface should, and one that never answers."""

    async def get(self, request, who):
        raise RuntimeError("secret path /etc/twin/key.pem")

    async def search(self, request, who):
        await asyncio.Event().wait()


async def careless(folder, act):
    ensure_key(folder / "key")
    server, port = await grpc_server.start(
        Careless(), Verifier(folder / "key", "east"), "127.0.0.1:0"
    )
    metadata = [("authorization", f"Bearer {mint(folder / 'key', name='t', scopes=['read'])}")]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return await act(rpc.TwinStub(channel), metadata)
        finally:
            await server.stop(0)


def test_row_51_what_nobody_foresaw_leaves_a_trace_id_and_no_text(tmp_path, caplog):
    async def act(stub, metadata):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.Get(pb.GetRequest(), metadata=metadata)
        return error.value

    error = asyncio.run(careless(tmp_path, act))

    assert error.code() is S.INTERNAL
    assert "secret" not in str(error.details()) + str(error.trailing_metadata())
    trace = error.details().split()[-4]
    assert trace in caplog.text
    assert "secret path" in caplog.text  # in the log, with the trace, and nowhere else


def test_row_20_a_call_past_its_deadline_ends_with_that(tmp_path):
    async def act(stub, metadata):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.Search(pb.SearchRequest(), metadata=metadata, timeout=0.2)
        return error.value

    error = asyncio.run(careless(tmp_path, act))

    assert error.code() is S.DEADLINE_EXCEEDED
    assert isinstance(faults.from_grpc(error), Retryable)


def test_row_21_over_so_many_calls_at_once_a_caller_is_told_to_come_back(tmp_path):
    async def act(stub, metadata):
        calls = [
            stub.Search(pb.SearchRequest(), metadata=metadata, timeout=60)
            for _ in range(grpc_server.MOST_CALLS + 8)
        ]
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(call.code()) for call in calls],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=60,
        )
        refused = [call for call in calls if call.done()]
        errors = []
        for call in refused:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            errors.append(error.value)
        for call in calls:
            call.cancel()
        assert done
        return errors

    errors = asyncio.run(careless(tmp_path, act))

    assert 1 <= len(errors) <= 8
    for error in errors:
        assert error.code() in {S.RESOURCE_EXHAUSTED, S.UNAVAILABLE}
        assert isinstance(faults.from_grpc(error), Retryable)
    assert any(isinstance(faults.from_grpc(error), Overloaded) for error in errors)


def routed(folder, **others):
    """Return a gateway's stub and metadata, while its table has more shards, by name."""
    table = json.loads((folder / "routes.json").read_text())
    for name, (state, note) in others.items():
        table["shards"][name.replace("_", "/")] = {
            "epoch": 1,
            "address": "",
            "pid": 0,
            "state": state,
            "note": note,
        }
    draft = folder / "routes.draft"
    draft.write_text(json.dumps(table))
    return draft


@pytest.mark.parametrize(
    ("state", "note", "status", "code"),
    [
        ("recovering", "", S.UNAVAILABLE, "SHARD_RECOVERING"),
        ("quarantined", "JOURNAL_CORRUPT: a bad frame", S.DATA_LOSS, "JOURNAL_CORRUPT"),
        ("quarantined", "JOURNAL_NEWER: a frame", S.FAILED_PRECONDITION, "JOURNAL_NEWER"),
        ("quarantined", "RuntimeError", S.DATA_LOSS, "JOURNAL_CORRUPT"),
    ],
)
def test_rows_52_and_53_a_shard_that_is_away_is_named_and_the_others_answer(
    tmp_path, state, note, status, code
):
    with small_twin(tmp_path / ".twin", NOW) as folder:
        address = json.loads((folder / "gateways.json").read_text())["east"]
        asking = Asking(address, folder / "key")
        metadata = [("authorization", f"Bearer {asking.token()}")]
        asking.outcomes(event(data={"lat": 1.0, "lon": 2.0}))
        routed(folder, shipment_west_0=(state, note)).replace(folder / "routes.json")

        found = asking.stub.Search(pb.SearchRequest(kind="shipment"), metadata=metadata, timeout=4)
        told = asking.stub.Status(pb.StatusRequest(), metadata=metadata, timeout=5)
        one = pb.GetRequest(kind="shipment", id="S1", region="west")
        refused = asking.said(lambda: asking.stub.Get(one, metadata=metadata, timeout=4))
        any_ = asking.stub.Get(
            pb.GetRequest(kind="shipment", id="S1"), metadata=metadata, timeout=4
        )

        assert (found.mode, list(found.missing)) == (pb.DEGRADED, ["shipment/west/0"])
        assert [twin.id for twin in found.twins] == ["S1"]
        assert {shard.name: shard.state for shard in told.shards} == {
            NAME: "serving",
            "shipment/west/0": state,
        }
        assert told.mode == any_.mode == pb.DEGRADED
        assert dict(told.notes) == ({"shipment/west/0": note} if note else {})
        assert refused[:2] == (status, code)
        asking.channel.close()
