"""Query processes: one a region, which answers SQL there; a host starts, watches and ends them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cluster.child import Child
from cluster.config import Config
from serving import sql_address


def start(config: Config, folder: Path) -> list[Child]:
    """Start each region's, and tell the gateways where they answer."""
    children, addresses = [], {}
    for region in config.regions:
        port = config.sql_port(region)
        argv = [sys.executable, "-m", "cluster.sql_process", "--folder", str(folder)]
        argv += ["--region", region, "--port", str(port)]
        child = Child(f"sql {region}", argv, folder / "logs" / f"sql-{region}.log")
        child.start(time.monotonic())
        children.append(child)
        addresses[region] = f"127.0.0.1:{port}"
    sql_address.write(folder, addresses)
    return children
