"""The Ray of one twin: its own, and on loopback only."""

from __future__ import annotations

import logging
import threading
from importlib import import_module
from pathlib import Path

import ray

from cluster.environment import NAMESPACE, temp_dir
from twin.errors import BadRequest

STORE_BYTES = 256 << 20  # Ray's object store: no state lives there
WORKERS = 10  # logical: that many processes Ray starts at once, a shard or a spare each


def start(folder: Path, beside: str) -> None:
    """Start Ray for the twin in `folder`, and import the module `beside` meanwhile.

    Ray mostly waits for processes of its own. Raises BadRequest START_FAILED.
    """
    loading = threading.Thread(target=import_module, args=(beside,), name="loading", daemon=True)
    loading.start()
    ray.init(
        address="local",  # never somebody else's cluster
        namespace=NAMESPACE,
        num_cpus=WORKERS,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(temp_dir(folder)),
    )
    node = ray.util.get_node_ip_address()
    if node != "127.0.0.1":
        raise BadRequest(f"Ray listens on {node}, not on loopback; end it", "START_FAILED")
    loading.join()
