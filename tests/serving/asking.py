"""Asking: a twin of one shard and one gateway, and what no client of ours would send them."""

import json

import grpc
import pytest

from serving import faults
from serving.access import mint
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc
from tests.small_twin import NAME, small_twin
from tests.twin.histories import NOW, event, packed
from twin.outcomes import Outcome, Reason

S = grpc.StatusCode
HUGE = ("grpc.max_send_message_length", -1), ("grpc.max_metadata_size", 8 << 20)


class Asking:
    """One server, and how to send it what no client of ours would."""

    def __init__(self, address, key):
        self.key = key
        self.address = address
        self.channel = grpc.insecure_channel(address, options=HUGE)
        self.stub = rpc.TwinStub(self.channel)

    def token(self, *scopes, **says):
        return mint(self.key, name="test", scopes=scopes or ("read", "write"), **says)

    def get(self, token=None, **asks):
        """Return (status, code word, text) of a Get."""
        token = self.token() if token is None else token
        metadata = [("authorization", f"Bearer {token}")] if token else []
        request = pb.GetRequest(kind="shipment", id="S1", **asks)
        return self.said(lambda: self.stub.Get(request, metadata=metadata, timeout=20))

    def said(self, call):
        try:
            call()
        except grpc.RpcError as e:
            trailing = dict(e.trailing_metadata() or ())
            return e.code(), trailing.get(faults.CODE_KEY, ""), e.details()
        return S.OK, "", ""

    def ingest(self, token=None, **holds):
        """Send one batch; return its reply."""
        metadata = [("authorization", f"Bearer {token or self.token()}")]
        replies = self.stub.Ingest(iter([pb.IngestRequest(**holds)]), metadata=metadata, timeout=30)
        return next(iter(replies))

    def outcomes(self, *events):
        reply = self.ingest(msgpack=packed(*events))
        assert not reply.fault.code, reply
        return [
            f"{Outcome(o).name} {Reason(r).name}"
            for o, r in zip(reply.outcomes, reply.reasons, strict=True)
        ]

    def fault(self, **holds):
        return self.ingest(**holds).fault.code

    def lives(self):
        """Say whether the server still answers: every test of abuse ends with this."""
        metadata = [("authorization", f"Bearer {self.token()}")]
        return bool(self.stub.Status(pb.StatusRequest(), metadata=metadata, timeout=20).shards)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with small_twin(tmp_path_factory.mktemp("bad") / ".twin", NOW) as folder:
        yield folder


@pytest.fixture(scope="module", params=["gateway", "shard"])
def asking(request, folder):
    if request.param == "gateway":
        address = json.loads((folder / "gateways.json").read_text())["east"]
    else:
        address = json.loads((folder / "routes.json").read_text())["shards"][NAME]["address"]
    asking = Asking(address, folder / "key")
    asking.outcomes(event(id=f"first-{request.param}", data={"lat": 1.0, "lon": 2.0}))
    yield asking
    assert asking.lives()
    asking.channel.close()
