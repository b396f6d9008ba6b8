"""A bare gRPC server in its own process: the limit of any answer over grpcio.

    python -m cluster.bench.bare_grpc METHOD FILE

It answers METHOD with the bytes of FILE, whatever is asked, with the options of the twin's own
server, on a free port of loopback that it prints; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from serving.grpc_server import MOST_CALLS, OPTIONS

END_S = 10.0


async def serve(method: str, answer: bytes) -> None:
    async def reply(request: bytes, context: Any) -> bytes:
        return answer

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(reply) if details.method == method else None

    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


@contextmanager
def running(method: str, answer: bytes, folder: Path) -> Iterator[str]:
    """Run such a server; give its address."""
    file = folder / "answer"
    file.write_bytes(answer)
    argv = [sys.executable, "-m", "cluster.bench.bare_grpc", method, str(file)]
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
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]).read_bytes()))
