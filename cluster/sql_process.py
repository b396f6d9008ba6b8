"""A query process: `python -m cluster.sql_process --folder F --region R --port P`.

It holds no state and speaks to shards as a gateway does; whoever started it ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import sys
from importlib.metadata import version
from pathlib import Path

from actors import lean
from cluster.clock import Clock
from serving import sql_server
from serving.access import Verifier
from serving.sql_surface import SqlSurface

LARGEST = 6 << 30  # bytes of this process: a statement that needs more harms nobody but it


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cluster.sql_process", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(argv)
    bound = min(LARGEST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    lean.settled()
    asyncio.run(run(given.folder.resolve(), given.region, given.port))
    return 0


async def run(folder: Path, region: str, port: int) -> None:
    """Answer SQL until told to stop."""
    surface = SqlSurface(folder, Clock(folder).now_us)
    verifier = Verifier(folder / "key", region)
    server, _ = await sql_server.start(
        surface, verifier, f"127.0.0.1:{port}", version("supply-twin")
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
    await server.stop(1.0)
    await surface.close()


if __name__ == "__main__":
    sys.exit(main())
