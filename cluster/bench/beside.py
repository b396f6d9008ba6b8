"""Ingest beside something else: a stream offered by a process of its own, at a rate or at its most.

    python -m cluster.bench.beside FILE ADDRESS RATE

The token comes over standard input, and so does its end, which ends the run; FILE holds the
messages. It prints the events a second that it offered, receipts read.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import msgspec

from cluster.bench.offer import WINDOW, Refusal
from cluster.bench.rig import fresh
from serving.client import OPTIONS
from serving.wire import twin_pb2 as pb
from serving.wire import twin_pb2_grpc as rpc

BATCH = 1000  # events of each message
END_S = 60.0


class Beside:
    """Ingest that goes on. `rate`: what it came to, once it ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.rate = 0.0

    def wait(self, most_s: float) -> bool:
        """Wait until everything was offered; say whether it was."""
        try:
            self._process.wait(most_s)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def ingesting(
    folder: Path, address: str, token: str, messages: Sequence[bytes], rate: float
) -> Iterator[Beside]:
    """Have messages offered meanwhile, `rate` events a second, or as fast as it goes if 0.

    What was not offered by the end is left out. Raises RuntimeError where it failed.
    """
    with fresh(folder, "beside") as own:
        file = own / "messages"
        file.write_bytes(msgspec.msgpack.encode(list(messages)))
        argv = [sys.executable, "-m", "cluster.bench.beside", str(file), address, str(rate)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        held = Beside(process)
        try:
            process.stdin.write(f"{token}\n")
            process.stdin.flush()
            if process.stdout.readline() != "begun\n":
                raise RuntimeError("the ingest beside did not begin")
            yield held
            process.stdin.close()
            said = process.stdout.read()
            if process.wait(END_S) or not said:
                raise RuntimeError("the ingest beside failed")
            held.rate = float(said)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()


async def _offer(
    address: str, token: str, messages: Sequence[bytes], rate: float, over: threading.Event
) -> float:
    """Return the events a second that were answered, from the first answer on."""
    gate, sent = asyncio.Semaphore(WINDOW), [0]
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        call = rpc.TwinStub(channel).Ingest(metadata=(("authorization", f"Bearer {token}"),))

        async def write() -> None:
            start = time.perf_counter()
            for number, message in enumerate(messages):
                await gate.acquire()
                if over.is_set():
                    break
                if rate:
                    await asyncio.sleep(start + number * BATCH / rate - time.perf_counter())
                request = pb.IngestRequest(batch=number, arrow=message, together=number == 0)
                await call.write(request)
                sent[0] += 1
            await call.done_writing()

        writer = asyncio.ensure_future(write())
        begun, events = 0.0, 0
        try:
            while (reply := await call.read()) is not grpc.aio.EOF:
                if reply.HasField("fault"):
                    raise Refusal(reply.fault.message)
                for _ in list(reply.batches) or [reply.batch]:
                    gate.release()
                if begun:
                    events += len(reply.outcomes)
                else:
                    begun = time.perf_counter()
                    sys.stdout.write("begun\n")
                    sys.stdout.flush()
            await writer
        finally:
            writer.cancel()
        return events / (time.perf_counter() - begun)


def main(file: str, address: str, rate: float) -> None:
    token = sys.stdin.readline().strip()
    messages = msgspec.msgpack.decode(Path(file).read_bytes(), type=list[bytes])
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    came = asyncio.run(_offer(address, token, messages, rate, over))
    sys.stdout.write(f"{came}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
