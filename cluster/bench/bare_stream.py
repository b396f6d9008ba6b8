"""A bare gRPC relay in its own process: the limit of publish -> stream over grpcio.

    python -m cluster.bench.bare_stream

What comes over one stream goes out on every other, unread and unkept, with the options of the
twin's own server, on a free port of loopback that it prints; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from serving.grpc_server import OPTIONS

PUBLISH, LISTEN = "/bare/Publish", "/bare/Listen"
END_S = 10.0


class Relay(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    def service(self, details: Any) -> Any:
        if details.method == PUBLISH:
            return grpc.stream_unary_rpc_method_handler(self._publish)
        if details.method == LISTEN:
            return grpc.unary_stream_rpc_method_handler(self._listen)
        return None

    async def _publish(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        async for message in messages:
            for queue in self._queues:
                queue.put_nowait(message)
        return b""

    async def _listen(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield b""  # it listens from now on
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)


async def serve() -> None:
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((Relay(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


@contextmanager
def running() -> Iterator[str]:
    """Run such a relay; give its address."""
    argv = [sys.executable, "-m", "cluster.bench.bare_stream"]
    pipe = subprocess.PIPE
    server = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield f"127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        try:
            server.wait(END_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve())
