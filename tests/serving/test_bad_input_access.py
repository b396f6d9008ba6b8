"""Bad input: tokens and who may ask, at the gateway and at the shard, with the exact answers.

The numbers of rows are those of the project's table of bad inputs. Where the answer is made below
our code, by gRPC itself, only its status is asserted.
"""

import math
import time

import jwt
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.access import ALGORITHM, ISSUER, KEY_ID
from serving.wire import twin_pb2 as pb
from tests.serving.asking import S, asking, folder
from tests.twin.histories import event, packed, streamed
from tests.twin.test_bad_input_messages import table

__all__ = ("asking", "folder")


def signed(asking, key=None, algorithm=ALGORITHM, headers=None, **claims):
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
    says = {name: value for name, value in (plain | claims).items() if value is not None}
    key = asking.key.read_bytes() if key is None else key
    return jwt.encode(says, key, algorithm, headers={"kid": KEY_ID} if headers is None else headers)


def stranger():
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def flipped(token):
    head, body, signature = token.split(".")
    letter = "A" if signature[5] != "A" else "B"
    return ".".join([head, body, signature[:5] + letter + signature[6:]])


def later(seconds):
    return int(time.time()) + seconds


TOKENS = {
    "row 2: more than 4 KiB": (lambda a: "x" * 5000, "TOKEN_TOO_LARGE"),
    "row 3: one letter of the signature": (lambda a: flipped(signed(a)), "TOKEN_INVALID"),
    "row 3: another's key": (lambda a: signed(a, stranger()), "TOKEN_INVALID"),
    "row 4: no algorithm": (lambda a: signed(a, "", "none"), "TOKEN_INVALID"),
    "row 4: our public key as a shared secret": (
        lambda a: signed(a, b"s" * 64, "HS256"),
        "TOKEN_INVALID",
    ),
    "row 5: a path for a key": (
        lambda a: signed(a, headers={"kid": "../../etc/passwd"}),
        "TOKEN_INVALID",
    ),
    "row 5: SQL for a key": (lambda a: signed(a, headers={"kid": "' OR 1=1"}), "TOKEN_INVALID"),
    "row 5: no key": (lambda a: signed(a, headers={}), "TOKEN_INVALID"),
    "row 6: expired 31 s ago": (
        lambda a: signed(a, exp=later(-31), iat=later(-900)),
        "TOKEN_EXPIRED",
    ),
    "row 6: issued 40 s ahead": (lambda a: signed(a, iat=later(40)), "TOKEN_NOT_YET_VALID"),
    "row 7: no expiry": (lambda a: signed(a, exp=None), "TOKEN_INVALID"),
    "row 7: an expiry in words": (lambda a: signed(a, exp=str(later(600))), "TOKEN_INVALID"),
    "row 7: an expiry that is no number": (lambda a: signed(a, exp=math.nan), "TOKEN_INVALID"),
    "row 7: more than an hour ahead": (lambda a: signed(a, exp=later(3700)), "TOKEN_INVALID"),
    "row 8: another region": (lambda a: signed(a, aud="west"), "TOKEN_AUDIENCE"),
}


def test_row_1_a_call_without_a_token_is_refused(asking):
    assert asking.get("")[:2] == (S.UNAUTHENTICATED, "TOKEN_MISSING")


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_that_does_not_prove_who_asks_is_refused(asking, name):
    make, code = TOKENS[name]

    assert asking.get(make(asking))[:2] == (S.UNAUTHENTICATED, code)


def test_row_2_a_token_of_megabytes_is_refused_before_it_is_read(asking):
    status = asking.get("x" * (5 << 20))[0]

    assert status in {S.RESOURCE_EXHAUSTED, S.UNAUTHENTICATED, S.INTERNAL, S.UNAVAILABLE}
    assert asking.lives()


def test_a_token_within_the_leeway_of_half_a_minute_opens(asking):
    expired = signed(asking, exp=later(-20), iat=later(-600))

    assert asking.get(expired)[0] is S.OK


def test_row_9_another_tenants_twin_reads_as_one_that_never_was(asking):
    other = asking.token(tenant="other")
    hidden = asking.get(other)
    request = pb.GetRequest(kind="shipment", id="S0")
    metadata = [("authorization", f"Bearer {other}")]
    unknown = asking.said(lambda: asking.stub.Get(request, metadata=metadata, timeout=20))

    assert hidden[:2] == (S.NOT_FOUND, "ENTITY_NOT_FOUND")
    assert (*hidden[:2], hidden[2].replace("S1", "S0")) == unknown


def test_row_10_an_event_of_another_tenant_is_refused(asking):
    said = asking.fault(msgpack=packed(event(id="t", tenant="other"), event(id="u")))

    assert said == "TENANT_MISMATCH"
    assert asking.fault(arrow=streamed(table(tenant=pa.array(["other"] * 3)))) == "TENANT_MISMATCH"


def test_row_11_who_may_read_may_not_write_nor_the_other_way_round(asking):
    writing = asking.said(lambda: asking.ingest(asking.token("read"), msgpack=packed(event())))

    assert writing[:2] == (S.PERMISSION_DENIED, "SCOPE_MISSING")
    assert asking.get(asking.token("write"))[:2] == (S.PERMISSION_DENIED, "SCOPE_MISSING")
