"""A gateway process: `python -m cluster.gateway --folder F --region R --grpc-port P --http-port Q`.

It gets its clock, its notes and its models here, and ends by itself when its host is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path

from cluster.clock import Clock
from serving.gateway import run
from serving.wire import twin_pb2 as pb


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cluster.gateway", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    given = parser.parse_args(argv)
    folder: Path = given.folder.resolve()
    clock = Clock(folder)

    def about() -> pb.StatusReply:
        return pb.StatusReply(
            clock=clock.mode, speed=clock.speed, notes=notes(folder), version=version("supply-twin")
        )

    asyncio.run(run(folder, given.region, given.grpc_port, given.http_port, clock.now_us, about))
    return 0


def notes(folder: Path) -> dict[str, str]:
    """Return what the host and the world say about themselves."""
    found: dict[str, str] = {}
    for name in ("notes.json", "world.json"):
        try:
            said = json.loads((folder / name).read_text())
        except (OSError, ValueError):
            continue
        if name == "world.json":
            said = {"world": str(said.get("state", ""))}
        found |= {key: str(value) for key, value in said.items()}
    return found


if __name__ == "__main__":
    sys.exit(main())
