"""One twin for all tests here, started by `twin up --demo`: Ray, shards, gateways, world, Serve.

Its clock nearly stands still at first, so that what it holds can be compared with the rows; a
test that needs a living world asks for `living`. The last file kills its host and starts it again.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from serving.wire import twin_pb2_grpc as rpc
from tests.system.running import LIVING, STILL, Running, free_base, until

LAST = "test_restart.py"  # it ends the twin of all others


class Beginning(NamedTuple):
    """What the twin said before anything else happened to it."""

    now: int
    open: Any  # Found: orders known, not delivered
    columns: dict[str, dict[str, Any]]  # kind -> plain columns


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    at = [i for i, item in enumerate(items) if item.path.parent == here]
    chosen = sorted((items[i] for i in at), key=lambda item: item.path.name == LAST)
    for i, item in zip(at, chosen, strict=True):
        items[i] = item


@pytest.fixture(scope="session")
def running():
    """A twin that was started, and is ended whatever happens."""
    home = Path(tempfile.mkdtemp(prefix="twin-system-"))
    running = Running(home / ".twin", free_base())
    told = running.twin("up", "--demo", "--speed", str(STILL))
    running.said = told.out
    try:
        assert told.status == 0, told
        yield running
    finally:
        running.twin("down")
        assert running.traces() == []
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def beginning(running):
    with running.client() as client:
        until(lambda: running.world().get("sent"), "the world's first telemetry", 60)
        rows = client.search(
            "shipment",
            "supplier IS KNOWN AND delivered_at IS ABSENT",
            ["promised_at"],
            "promised_at",
            1000,
        )
        until(
            lambda: not any(shard.outbox.waiting for shard in client.status().shards),
            "what follows from the deliveries to arrive",
            60,
        )
        kinds = ("shipment", "site", "supplier", "stock")
        columns = {kind: client.columns(kind).columns for kind in kinds}
        return Beginning(rows.now, rows, columns)


@pytest.fixture
def twin(running, beginning):
    """The twin, whatever its clock does."""
    return running


@pytest.fixture
def client(twin):
    with twin.client() as client:
        yield client


@pytest.fixture
def living(twin):
    """The twin while its world lives: a day in 4 s."""
    twin.pace(LIVING)
    yield twin
    twin.pace(STILL)


@pytest.fixture(scope="session")
def served(running, beginning):
    """The twin once Ray Serve has joined it."""
    until(lambda: running.notes().get("serve") == "ready", "Serve to join", 150)
    return running


@pytest.fixture
def stub(twin):
    """The bare stub of the west's gateway, and metadata that opens it."""
    with twin.client("west") as client:
        yield rpc.TwinStub(client._channel), client._metadata()
