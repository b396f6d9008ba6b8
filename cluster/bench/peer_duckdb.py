"""DuckDB as a peer: the rows of a shard as one table in memory, asked in SQL over the same gRPC.

    python -m cluster.bench.peer_duckdb FILE

FILE is an Arrow stream. A request is SQL, an answer the Arrow stream of its result; the server is
otherwise that of the twin: its options, its message, one process on a free port of loopback, which
it prints. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa

from cluster.bench.peer_servers import Missing, library
from serving.grpc_server import MOST_CALLS, OPTIONS
from serving.wire import twin_pb2 as pb

METHOD = "/supplytwin.v1.Twin/Search"
END_S = 10.0


async def serve(file: str) -> None:
    database = library("duckdb").connect()
    with pa.memory_map(file) as source, pa.ipc.open_stream(source) as reader:
        rows = reader.read_all()
    names = [f.name for f in rows.schema if pa.types.is_dictionary(f.type)]
    for name in names:  # what is one of few words is a number to DuckDB as well
        words = sorted(set(rows[name].unify_dictionaries().chunk(0).dictionary.to_pylist()))
        said = ", ".join(f"'{word}'" for word in words)
        database.execute(f"create type {name}_word as enum ({said})")
    columns = ", ".join(f"{n}::{n}_word as {n}" if n in names else n for n in rows.column_names)
    database.execute(f"create table state as select {columns} from rows")

    async def reply(request: bytes, context: Any) -> bytes:
        found = database.sql(request.decode()).to_arrow_table().combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, found.schema) as writer:
            writer.write_table(found)
        answer = pb.SearchReply(shown=found.num_rows, total=found.num_rows)
        answer.columns.add(arrow=sink.getvalue().to_pybytes())
        raw: bytes = answer.SerializeToString()
        return raw

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(reply) if details.method == METHOD else None

    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


@contextmanager
def running(table: pa.Table, folder: Path) -> Iterator[str]:
    """Serve a table as `state`; give the address. Raises Missing."""
    if importlib.util.find_spec("duckdb") is None:
        raise Missing("duckdb is not installed (pip install duckdb)")
    file = folder / "table"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    argv = [sys.executable, "-m", "cluster.bench.peer_duckdb", str(file)]
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
    asyncio.run(serve(sys.argv[1]))
