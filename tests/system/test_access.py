"""Who may ask: every method of every server wants a token, and nothing listens to a network."""

import http.client
import json
import time

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.access import ALGORITHM, ISSUER, KEY_ID, mint
from serving.wire import twin_pb2 as pb
from tests.system.running import LOOPBACK

SERVICE = pb.DESCRIPTOR.services_by_name["Twin"]
METHODS = [method.name for method in SERVICE.methods]
WRITES = {"Ingest", "Redrive", "Act"}

pytestmark = pytest.mark.ray


def call(channel, name, token):
    """Call a method with an empty request; return (status, code word), (OK, "") if answered."""
    method = SERVICE.methods_by_name[name]
    shape = f"{'stream' if method.client_streaming else 'unary'}_"
    shape += "stream" if method.server_streaming else "unary"
    asked = getattr(pb, method.input_type.name)()
    invoke = getattr(channel, shape)(
        f"/{SERVICE.full_name}/{name}",
        request_serializer=type(asked).SerializeToString,
        response_deserializer=getattr(pb, method.output_type.name).FromString,
    )
    metadata = [("authorization", f"Bearer {token}")] if token else []
    request = iter([asked]) if method.client_streaming else asked
    try:
        wait = 3 if name == "Subscribe" else 20  # it goes on for ever
        reply = invoke(request, metadata=metadata, timeout=wait)
        if method.server_streaming:
            list(reply)
    except grpc.RpcError as e:
        return e.code(), dict(e.trailing_metadata() or ()).get("twin-code", "")
    return grpc.StatusCode.OK, ""


def signed(key, **claims):
    now = int(time.time())
    plain = {
        "iss": ISSUER,
        "aud": "*",
        "sub": "test",
        "tenant": "demo",
        "scopes": ["read", "write"],
        "iat": now,
        "exp": now + 600,
    }
    return jwt.encode(plain | claims, key, ALGORITHM, headers={"kid": KEY_ID})


@pytest.fixture(scope="module")
def tokens(running, beginning):
    """Tokens that must not open the east: name -> (token, status, code)."""
    key = running.folder / "key"
    now = int(time.time())
    stranger = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    good = mint(key, name="test", scopes=["read", "write"])
    unknown, denied = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
    west = mint(key, name="test", scopes=["read", "write"], region="west")
    head, body, _ = good.split(".")
    return {
        "none": ("", unknown, "TOKEN_MISSING"),
        "forged": (signed(stranger), unknown, "TOKEN_INVALID"),
        "unsigned": (f"{head}.{body}.", unknown, "TOKEN_INVALID"),
        "other region": (west, unknown, "TOKEN_AUDIENCE"),
        "expired": (
            signed(key.read_bytes(), iat=now - 7200, exp=now - 3600),
            unknown,
            "TOKEN_EXPIRED",
        ),
        "for ever": (signed(key.read_bytes(), exp=now + 10**8), unknown, "TOKEN_INVALID"),
        "to read": (mint(key, name="test", scopes=["read"]), denied, "SCOPE_MISSING"),
        "to write": (mint(key, name="test", scopes=["write"]), denied, "SCOPE_MISSING"),
    }


@pytest.fixture(params=["gateway", "shard"])
def channel(request, twin, client):
    """A channel to the east's gateway, or to one of its shards itself."""
    address = client.address
    if request.param == "shard":
        address = client.locate("shipment", "x", "east").address
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.mark.parametrize("name", METHODS)
def test_every_method_refuses_every_token_but_a_valid_one_of_its_scope(channel, tokens, name):
    fits = "to write" if name in WRITES else "to read"

    for kind, (token, status, code) in tokens.items():
        if kind != fits:
            assert call(channel, name, token) == (status, code), kind
    status, code = call(channel, name, tokens[fits][0])
    assert status not in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    assert not code.startswith(("TOKEN_", "SCOPE_"))


def test_a_token_of_one_region_opens_its_gateway_and_no_other(twin, client):
    told = twin.twin("token", "--region", "west", "--scope", "read", "--ttl", "90s")
    token = told.out.strip()

    with grpc.insecure_channel(f"127.0.0.1:{twin.config.grpc_port('west')}") as west:
        assert call(west, "Status", token) == (grpc.StatusCode.OK, "")
    with grpc.insecure_channel(client.address) as east:
        assert call(east, "Status", token)[1] == "TOKEN_AUDIENCE"


def test_a_tenant_sees_and_writes_its_own_twins_only(twin):
    token = mint(twin.folder / "key", name="test", scopes=["read"], tenant="other")

    with grpc.insecure_channel(f"127.0.0.1:{twin.config.grpc_port('east')}") as channel:
        search = channel.unary_unary(
            f"/{SERVICE.full_name}/Search",
            request_serializer=pb.SearchRequest.SerializeToString,
            response_deserializer=pb.SearchReply.FromString,
        )
        reply = search(
            pb.SearchRequest(kind="shipment"), metadata=[("authorization", f"Bearer {token}")]
        )

    assert (reply.total, len(reply.twins)) == (0, 0)


def test_every_socket_of_every_process_listens_on_loopback_only(served):
    sockets = served.sockets()

    gateways = {served.config.ports[s.port] for s in sockets if s.port in served.config.ports}
    assert {"gRPC of east", "gRPC of west", "predictions (Ray Serve)"} <= gateways
    assert len({s.pid for s in sockets}) >= 12  # shards, gateways, Ray's own, Serve's
    outside = [s for s in sockets if not s.address.startswith(LOOPBACK)]
    assert outside == []


def submitted(port, method):
    """Ask a port to run a job, as Ray's dashboard would; return the HTTP status, 0 if none."""
    job = json.dumps({"entrypoint": "id"})
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        line.request(method, "/api/jobs/", job, {"Host": "evil.example"})
        return line.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        line.close()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_row_54_no_port_of_any_process_takes_a_job_from_a_stranger(served, method):
    ports = {socket.port for socket in served.sockets()}

    answers = {port: submitted(port, method) for port in ports}

    assert len(ports) >= 12
    assert {port: status for port, status in answers.items() if 200 <= status < 400} == {}


def test_secrets_are_for_their_owner_alone(twin):
    for name in ("key", "ray_token"):
        assert (twin.folder / name).stat().st_mode & 0o077 == 0, name
