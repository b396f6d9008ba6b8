"""A gateway process: `python -m cluster.gateway --folder F --region R --grpc-port P --http-port Q`.

It gets its clock, its notes and its models here; whoever started it ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec

from actors import lean
from cluster.clock import Clock
from cluster.config import Config
from cluster.hooks import begin, notes_of
from serving.alerts import notes as flooded
from serving.client import Client, minter
from serving.gateway import run
from serving.http_ports import Predict
from serving.inference import Inference
from serving.inference_gateway import AWAY, ServeOrRule
from serving.inference_models import Shelf
from serving.rulebook import Rulebook
from serving.wire import twin_pb2 as pb


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cluster.gateway", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    given = parser.parse_args(argv)
    folder: Path = given.folder.resolve()
    lean.settled()
    clock = Clock(folder)

    rulebook = Rulebook(folder)
    config = msgspec.json.decode((folder / "config.json").read_bytes(), type=Config)

    def about() -> pb.StatusReply:
        said = notes(folder) | notes_of(folder, config) | faults(rulebook)
        said |= flooded(folder)
        waiting = config.serve and said.get("serve") != "ready"  # the lane table answers meanwhile
        return pb.StatusReply(
            mode=pb.DEGRADED if waiting else pb.NORMAL,
            clock=clock.mode,
            speed=clock.speed,
            notes=said,
            version=version("supply-twin"),
        )

    predict = predictions(folder, config, given.region, given.grpc_port, clock)
    ports = (given.grpc_port, given.http_port)
    hooks = begin(folder, config, given.region, given.grpc_port)
    try:
        asyncio.run(run(folder, given.region, *ports, clock.now_us, about, predict))
    finally:
        if hooks is not None:
            hooks.stop()
    return 0


def predictions(folder: Path, config: Config, region: str, grpc_port: int, clock: Clock) -> Predict:
    """Return what answers predictions: this region's replicas, or the rule while they are away."""
    twin = Client(f"127.0.0.1:{grpc_port}", minter(folder, "gateway", ["read"]), timeout_s=5.0)
    rule = Inference(region, twin, Shelf(folder / "models"), clock.now_us, by_rule=AWAY)
    url = f"http://127.0.0.1:{config.serve_port}/{region}" if config.serve else ""
    return ServeOrRule(url, minter(folder, "gateway", ["read"]), rule)


def faults(rulebook: Rulebook) -> dict[str, str]:
    """Return what is wrong with files of rules: what they said before goes on."""
    return {f"rules {name}": text for name, text in rulebook.book().faults.items()}


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
