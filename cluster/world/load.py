"""The demo's beginning: sites, suppliers and the real deliveries up to the day the replay starts.

Only real facts are loaded; what the world adds later is labelled `demo/...` in its source.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from cluster import load, mapping
from cluster.expressions import micros
from cluster.load import Result
from serving.client import connect

START_US = micros("2013-09-01") or 0  # hundreds of orders are open then: cluster/assets/SOURCE.md


def history() -> Result:
    """Return the packaged deliveries as events, in the order they became known."""
    return _asset("scms.csv.gz", "scms")


def sites() -> Result:
    """Return the packaged places as events."""
    return _asset("places.csv", "places")


def load_history(
    sink: load.Sink, until_us: int = START_US, progress: load.Progress | None = None
) -> load.Sent:
    """Offer all that was known at `until_us`. Raises a Retryable that outlasts its patience."""
    events = [*load.until(sites().events, until_us), *load.until(history().events, until_us)]
    return load.send(sink, events, progress)


def load_demo(folder: Path, progress: Callable[[str], None]) -> load.Sent:
    """Load the twin that runs in `folder`, up to the start of the replay. Again is harmless."""
    with connect(folder, name="world") as client:
        sent = load_history(client)
    progress(f"{sent.events:,} real events of the delivery history loaded")
    return sent


def _asset(name: str, mapping_name: str) -> Result:
    with as_file(files("cluster") / "assets" / name) as path:
        return load.read(path, mapping.find(mapping_name))
