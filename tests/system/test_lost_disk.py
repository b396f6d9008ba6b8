"""A twin with an archive: a shard's disk is lost under load, a segment is damaged, both come back.

It is a twin of its own: the one of the other tests keeps its disks.
"""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.system.running import Running, free_base, until

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def archived():
    """A twin without demo and Serve that archives every second, and what its drill said."""
    home = Path(tempfile.mkdtemp(prefix="twin-archive-"))
    running = Running(home / ".twin", free_base())
    variables = {
        "TWIN_SERVE": "0",
        "TWIN_REGIONS": "east",
        "TWIN_SHARDS_SHIPMENT": "1",
        "TWIN_STORAGE_URL": f"file://{home}/store",
        "TWIN_STORAGE_EVERY_S": "1",
    }
    told = running.twin("up", **variables)
    try:
        assert told.status == 0, told
        drill = running.twin("drill", "disk", "--yes", "--seconds", "3", "--json")
        yield running, drill, variables
    finally:
        running.twin("down")
        assert running.traces() == []
        shutil.rmtree(home, ignore_errors=True)


def test_a_shard_whose_disk_is_lost_loses_what_was_not_archived_and_nothing_else(archived):
    _, drill, _ = archived

    assert drill.status == 0, drill
    told = drill.json
    assert told["failures"] == []
    assert told["acknowledged"] > 100
    assert told["missing"] == 0
    assert told["lost"] == max(0, told["acknowledged"] - told["archived"])
    assert told["after"] > 0
    assert told["epochs"][1] > told["epochs"][0]
    assert told["restored"].startswith("brought home from file://")
    assert (told["lost"] == 0) == (told["rpo_s"] == 0)


def test_status_and_the_measures_of_journals_show_the_archive(archived):
    running, _, _ = archived
    until(
        lambda: (s := running.shard("shipment/east/0")).archive.offset == s.offset,
        "the archive to have everything",
    )

    said = running.twin("status")
    rows = running.twin("journal", "stats", "--json").json
    plain = running.twin("status", "--json").json

    assert "archive file://" in said.out
    assert "brought home from" in said.out
    (shipments,) = (row for row in rows if row["shard"] == "shipment/east/0")
    assert shipments["archived"] == shipments["events"] > 0
    (shard,) = (one for one in plain["shards"] if one["name"] == "shipment/east/0")
    assert shard["archive"]["offset"] == shard["offset"]
    assert shard["archive"]["failures"] == 0


def test_a_shard_that_serves_is_not_repaired(archived):
    running, _, _ = archived

    told = running.twin("journal", "restore", "shipment/east/0")

    assert told.status != 0
    assert "twin down" in told.err


def test_a_damaged_segment_is_repaired_from_the_archive_by_a_command(archived):
    running, _, variables = archived
    digest = {s["name"]: s for s in running.twin("status", "--digests", "--json").json["shards"]}
    assert running.twin("down").status == 0
    home = running.folder / "journal" / "east" / "shipment" / "0"
    segment = max(home.glob("e*/seg-*.twj"), key=lambda path: len(path.read_bytes().rstrip(b"\0")))
    with segment.open("r+b") as file:
        file.seek(2000)
        byte = file.read(1)
        file.seek(2000)
        file.write(bytes([byte[0] ^ 1]))
    assert running.twin("journal", "verify", "shipment/east/0").status == 1

    repaired = running.twin("journal", "restore", "shipment/east/0", "--json")

    assert [one["name"] for one in json.loads(repaired.out)] == [segment.name]
    verified = running.twin("journal", "verify", "shipment/east/0")
    assert verified.status == 0, verified
    assert running.twin("up", **variables).status == 0
    after = {s["name"]: s for s in running.twin("status", "--digests", "--json").json["shards"]}
    name = "shipment/east/0"
    assert after[name]["truth_digest"] == digest[name]["truth_digest"] != ""
