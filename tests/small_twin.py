"""A twin of one shard and one gateway in this process: real files, real gRPC, no Ray.

For what only needs something to ask; its clock stands still.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.shard import Shard
from serving import grpc_server
from serving.access import Verifier, ensure_key
from serving.gateway_surface import GatewaySurface
from serving.shard_server import serve
from serving.wire import twin_pb2 as pb
from twin.admission import Rule

NAME, REGION = "shipment/east/0", "east"
START_S = 30


@contextmanager
def small_twin(
    folder: Path, now_us: int, *, journal: Path | None = None, epoch: int = 1
) -> Iterator[Path]:
    """Serve a shard of shipments below `folder`; yield the data directory.

    It is empty, or goes on with a `journal` that was begun elsewhere, as its `epoch`.
    """
    folder.mkdir(parents=True)
    ensure_key(folder / "key")

    def clock() -> int:
        return now_us

    home = journal or folder / "journal"
    claimed = FileJournal(OsDisk(), home, epoch, "test")
    rule = Rule(REGION, ("shipment",), 0, 1)
    checkpoints = Checkpoints(OsDisk(), home)
    shard = Shard(name=NAME, rule=rule, journal=claimed, checkpoints=checkpoints, clock=clock)
    shard.recover()
    served = serve(shard, folder / "key", clock)
    route = {"epoch": epoch, "address": served.address, "pid": 0, "state": "serving", "note": ""}
    (folder / "routes.json").write_text(json.dumps({"shards": {NAME: route}}))
    stop = _gateway(folder, clock)
    try:
        yield folder
    finally:
        stop()
        served.stop()
        claimed.close()


def _gateway(
    folder: Path, clock: Callable[[], int], told: Callable[[GatewaySurface], object] = id
) -> Callable[[], None]:
    """Serve the region's gateway in a thread; return what ends it. Its surface is `told`."""
    loop, ready, held = asyncio.new_event_loop(), threading.Event(), {}

    async def run() -> None:
        surface = GatewaySurface(folder, REGION, clock, pb.StatusReply)
        verifier = Verifier(folder / "key", REGION)
        server, port = await grpc_server.start(surface, verifier, "127.0.0.1:0")
        (folder / "gateways.json").write_text(json.dumps({REGION: f"127.0.0.1:{port}"}))
        told(surface)
        held["end"] = end = asyncio.Event()
        ready.set()
        await end.wait()
        await surface.changes.close()
        await server.stop(0.5)
        await surface.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(START_S)

    def stop() -> None:
        loop.call_soon_threadsafe(held["end"].set)
        thread.join(START_S)
        loop.close()

    return stop
