"""Regions on nodes of their own: they stay there, stay away with them, and come back with another.

One run of tests.system.two_nodes, about 75 s on two cores, tells all of it.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.system.running import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TOGETHER = 20  # events of each region in a round


@pytest.fixture(scope="module")
def seen():
    """What happened to two nodes."""
    home = Path(tempfile.mkdtemp(prefix="twn-"))  # short: sockets lie in it
    (home / "ray").mkdir()
    token = home / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TWIN_"))}
    environ |= {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(home),
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "tests.system.two_nodes", str(home / ".twin")]
    try:
        ran = subprocess.run(
            argv, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
        )
        assert ran.returncode == 0, ran.stderr[-4000:]
        yield json.loads(ran.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_every_shard_is_on_a_node_of_its_region(seen):
    there = {"shipment/east/0": "east", "shipment/west/0": "west"}

    assert seen["placed"] == there
    assert seen["placed_after"] == there, "a shard moved to another region"


@pytest.mark.parametrize("round_", ["first", "second"])
def test_a_region_without_a_node_says_so_by_the_deadline_and_others_go_on(seen, round_):
    told = seen[round_]

    assert [code for code, _ in told["answers"]] == ["REGION_UNAVAILABLE"] * 2
    assert all(took < 3.1 for _, took in told["answers"])
    assert told["east"].startswith("east-")


@pytest.mark.parametrize("round_", ["first", "second"])
def test_on_another_node_of_its_region_it_is_whole_again(seen, round_):
    told = seen[round_]

    assert set(told["acknowledged"]["west"]) == {"APPLIED"}
    assert told["again"] == ["DUPLICATE"] * TOGETHER, "acknowledged, and lost with the node"
    assert told["offsets"][0] == told["offsets"][1]
    assert told["epochs"][1] > told["epochs"][0]
    assert told["digests"][0] == told["digests"][1] != ""


def test_with_the_journal_on_a_shared_disk_nothing_is_fetched(seen):
    assert seen["first"]["restored"] == ""


def test_without_its_disk_it_comes_home_from_the_archive(seen):
    assert seen["second"]["restored"].startswith("brought home from file://")


def test_no_byte_of_a_region_is_archived_in_the_storage_of_another(seen):
    assert seen["stores"] == {"east": ["east"], "west": ["west"]}
