"""Bad input: connections that are abused, on a shard in a process of its own.

Its memory is read from /proc, and somebody else's calls must not notice.
"""

import gzip
import socket
import ssl
import struct
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest

from serving import grpc_server
from tests.serving.asking import Asking
from tests.serving.lone import LoneHost, made, spec
from tests.twin.histories import event, packed

S = grpc.StatusCode
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY, HEADERS, RST = 4, 6, 7, 1, 3
ENHANCE_YOUR_CALM = 11


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    host = LoneHost()
    host.folder = made(tmp_path_factory.mktemp("network") / ".twin")
    host.address = host.begin(spec(host.folder), 60).address
    yield host
    host.kill()


@pytest.fixture
def asking(host):
    asking = Asking(host.address, host.folder / "key")
    asking.outcomes(event(data={"lat": 1.0, "lon": 2.0}))
    yield asking
    assert asking.lives()
    asking.channel.close()


def resident(pid):
    """Return the peak of a process's memory, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def dialled(host):
    address, _, port = host.address.rpartition(":")
    return socket.create_connection((address, int(port)), 10)


def test_row_16_a_message_that_unpacks_to_far_more_is_refused_and_takes_no_memory(host, asking):
    bomb = gzip.compress(bytes(60 << 20))
    assert len(bomb) < 1 << 20
    before = resident(host.pid)
    call = asking.channel.stream_stream(
        f"/{grpc_server.SERVICE}/Ingest", request_serializer=None, response_deserializer=None
    )
    metadata = [("authorization", f"Bearer {asking.token()}")]
    sent = iter([bytes(60 << 20)])

    status = asking.said(
        lambda: list(call(sent, metadata=metadata, timeout=30, compression=grpc.Compression.Gzip))
    )

    assert status[0] is S.RESOURCE_EXHAUSTED
    assert resident(host.pid) - before < 24 << 10  # its limit of 16 MiB, and a little


def ended(line, within_s=20):
    """Read until the other side closes; return what it said."""
    line.settimeout(within_s)
    said = b""
    with suppress(ConnectionError):
        while piece := line.recv(65536):
            said += piece
    return said


@pytest.mark.parametrize(
    "content",
    [b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" + bytes(512)],
    ids=["HTTP/1", "TLS"],
)
def test_row_47_another_protocol_is_shown_the_door(host, asking, content):
    with dialled(host) as line:
        line.sendall(content)
        ended(line)


def test_row_47_a_real_handshake_of_tls_fails(host, asking):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    with dialled(host) as line, pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        context.wrap_socket(line)


def test_row_47_a_thousand_half_open_connections_are_nobody_elses_trouble(host, asking):
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(dialled(host)).sendall(PREFACE[:9])
        took = []
        for number in range(50):
            start = time.monotonic()
            asking.outcomes(event(id=f"h{number}", data={"lat": 1.0, "lon": 2.0}))
            took.append(time.monotonic() - start)

    assert len(took) == 50


def frame(sort, flags, stream, content=b""):
    return (
        struct.pack(">I", len(content))[1:]
        + bytes([sort, flags])
        + struct.pack(">I", stream)
        + content
    )


def frames(said):
    """Yield (sort, content) of every HTTP/2 frame."""
    at = 0
    while at + 9 <= len(said):
        size = int.from_bytes(said[at : at + 3], "big")
        yield said[at + 3], said[at + 9 : at + 9 + size]
        at += 9 + size


def test_row_48_a_flood_of_pings_ends_with_a_word_of_calm(host, asking):
    with dialled(host) as line:
        line.sendall(PREFACE + frame(SETTINGS, 0, 0))
        with suppress(ConnectionError):
            for number in range(20):
                line.sendall(frame(PING, 0, 0, struct.pack(">Q", number)))
        said = ended(line)

    away = [content for sort, content in frames(said) if sort == GOAWAY]
    assert away
    assert struct.unpack(">I", away[0][4:8])[0] == ENHANCE_YOUR_CALM


def test_row_48_streams_that_are_reset_at_once_are_nobody_elses_trouble(host, asking):
    # :method POST, :scheme http, :path /, :authority x, content-type application/grpc
    block = b"\x83\x86\x84\x41\x01x\x0f\x10\x10application/grpc"
    with dialled(host) as line:
        line.sendall(PREFACE + frame(SETTINGS, 0, 0))
        with suppress(ConnectionError):
            for number in range(4000):
                stream = 2 * number + 1
                line.sendall(
                    frame(HEADERS, 4, stream, block) + frame(RST, 0, stream, struct.pack(">I", 8))
                )
        asking.outcomes(event(id="calm", data={"lat": 1.0, "lon": 2.0}))
        assert asking.ingest(msgpack=packed(event(id="calm2"))).batch == 0
