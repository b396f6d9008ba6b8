"""Listeners: many subscribers in a process of their own, each of another question.

    python -m cluster.bench.listeners ADDRESS COUNT

The token comes over standard input, and so does its end, which ends the run. It prints `begun` once
each has its first answer, and at the end how many changes they were told.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from serving.client import OPTIONS
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc

END_S = 60.0
HOT = 60.0  # degC: a seventh of the readings are above


def question(number: int) -> pb.SubscribeRequest:
    """Return what one of them asks: the shipments of a supplier that are too warm."""
    where = f"supplier = 'supplier-{number}' AND temp_c > {HOT:g}"
    return pb.SubscribeRequest(kind="shipment", where=where, fields=["temp_c", "site"])


class Listeners:
    """Subscribers that run. `told`: how many changes they were told, once they ended."""

    def __init__(self) -> None:
        self.told = 0


@contextmanager
def listening(address: str, token: str, count: int) -> Iterator[Listeners]:
    """Have so many subscribers meanwhile. Raises RuntimeError where one of them failed."""
    argv = [sys.executable, "-m", "cluster.bench.listeners", address, str(count)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    held = Listeners()
    try:
        process.stdin.write(f"{token}\n")
        process.stdin.flush()
        if process.stdout.readline() != "begun\n":
            raise RuntimeError("the subscribers did not begin")
        yield held
        process.stdin.close()
        said = process.stdout.read()
        if process.wait(END_S) or not said:
            raise RuntimeError("a subscriber failed")
        held.told = int(said)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


async def _listen(address: str, token: str, count: int, over: threading.Event) -> int:
    told, synced = 0, 0
    ready = asyncio.Event()
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = rpc.TwinStub(channel)

        async def one(number: int) -> None:
            nonlocal told, synced
            begun = False
            async for reply in stub.Subscribe(
                question(number), metadata=(("authorization", f"Bearer {token}"),)
            ):
                told += len(reply.changes)
                if reply.synced and not begun:
                    begun, synced = True, synced + 1
                    if synced == count:
                        ready.set()

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        starting = asyncio.create_task(ready.wait())
        await asyncio.wait({starting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        _require_alive(tasks)
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, over.wait)
        _require_alive(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return told


def _require_alive(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
            raise RuntimeError("a subscription ended")


def main(address: str, count: int) -> None:
    token = sys.stdin.readline().strip()
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    told = asyncio.run(_listen(address, token, count, over))
    sys.stdout.write(f"{told}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
