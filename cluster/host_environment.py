"""The environment of a host: complete before its process begins.

Ray and Serve read theirs when they are imported, and /proc shows only what a process began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster import environment
from cluster.config import Config
from cluster.haproxy_environment import environment as serve_environment

# They would make Ray join another cluster, or use another's token.
ELSEWHERE = ("RAY_ADDRESS", "RAY_AUTH_TOKEN")


def wanted(folder: Path, config: Config) -> dict[str, str]:
    """Return what the host of `folder` is to find set. Writes the wrapper of Serve's ingress."""
    found = environment.variables(folder)
    return found | serve_environment(folder, config.serve_port) if config.serve else found


def whole(environ: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the environment to begin a host with, out of the one that is here."""
    return {name: v for name, v in environ.items() if name not in ELSEWHERE} | dict(wanted)
