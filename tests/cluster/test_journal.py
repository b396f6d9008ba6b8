"""`twin journal`: what a user reads of journals, and what is said when one is damaged."""

import json
import shutil

import pytest

from actors import journal_file
from cluster.cli import run
from tests.actors.shards import shard
from tests.cluster.journals import flip, places, segments, written

NAME = "shipment/east/0"
OTHER = "shipment/east/1"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data directory with two journals; nothing runs there."""
    folder = tmp_path_factory.mktemp("made") / ".twin"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_file, "SMALLEST", 4096)
        patch.setattr(journal_file, "LARGEST", 8192)
        written(folder / "journal/east/shipment/0", 6, 2)
        home = written(folder / "journal/east/shipment/1", 1)
        one = shard(home, 2)
        one.checkpoint()
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / ".twin")


@pytest.fixture
def told(capsys):
    """Return a function that runs a command; it gives its status, output and errors."""

    def tell(*words, folder):
        capsys.readouterr()
        status = run([*words, "--folder", str(folder)])
        return status, *capsys.readouterr()

    return tell


def test_verify_prints_every_epoch_of_a_whole_journal(told, folder):
    status, out, err = told("journal", "verify", NAME, folder=folder)

    assert (status, err) == (0, "")
    assert f"{NAME}: whole" in out
    assert "0-19" in out
    assert "20-26" in out
    assert "1 journals, 27 events: whole" in out


def test_verify_all_reads_every_journal(told, folder):
    status, out, _ = told("journal", "verify", "--all", "--json", folder=folder)

    found = {one["shard"]: one for one in json.loads(out)}
    assert status == 0
    assert set(found) == {NAME, OTHER}
    assert [one["whole"] for one in found.values()] == [True, True]
    assert [epoch["state"] for epoch in found[NAME]["epochs"]] == ["sealed", "open"]
    assert (found[NAME]["next"], found[NAME]["parked"], found[NAME]["witness"]) == (27, 3, 27)


def test_verify_names_file_and_byte_of_a_flipped_byte_and_fails(told, folder):
    path = segments(folder / "journal/east/shipment/0")[0]
    start, end = places(path)[1]
    flip(path, (start + end) // 2)

    status, out, err = told("journal", "verify", "--all", folder=folder)

    assert status == 1
    assert f"JOURNAL_CORRUPT: {path} byte {start}: " in err
    assert "faults" in out
    assert f"{OTHER}: whole" in out


@pytest.mark.parametrize("spoil", ["truncate", "remove"])
def test_verify_fails_for_a_journal_that_lacks_a_part(told, folder, spoil):
    path = segments(folder / "journal/east/shipment/0")[0]
    if spoil == "remove":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(places(path)[1][0] + 100)

    status, _, err = told("journal", "verify", NAME, folder=folder)

    assert status == 1
    assert "JOURNAL_CORRUPT" in err
    assert str(path.parent) in err


def test_verify_wants_a_shard_or_all_and_knows_no_others(told, folder, tmp_path):
    assert told("journal", "verify", folder=folder)[0] == 2
    assert told("journal", "verify", NAME, "--all", folder=folder)[0] == 2
    status, _, err = told("journal", "verify", "shipment/east/7", folder=folder)
    assert status == 1
    assert OTHER in err
    assert told("journal", "verify", "--all", folder=tmp_path / "none")[0] == 1


def test_show_prints_events_from_an_offset_on(told, folder):
    status, out, _ = told(
        "journal", "show", NAME, "--offset", "3", "--limit", "3", "--json", folder=folder
    )

    rows = json.loads(out)
    assert status == 0
    assert [row["offset"] for row in rows] == [3, 4, 5]
    assert [row["reason"] for row in rows] == ["OUT_OF_RANGE", "", ""]
    assert [row["id"] for row in rows] == ["bad1-0", "e1-1-0", "e1-1-1"]
    assert [row["key"] for row in rows[1:]] == ["demo/shipment/east/S0", "demo/shipment/east/S1"]
    assert rows[0]["key"] == "demo/shipment/east/S-bad1-0"
    assert [row["prev_offset"] for row in rows] == [-1, 0, 1]
    assert {(row["type"], row["source"], row["epoch"]) for row in rows} == {
        ("shipment.position.v1", "erp", 1)
    }


def test_show_prints_the_newest_events_and_how_many_there_are(told, folder):
    status, out, _ = told("journal", "show", NAME, "--limit", "4", folder=folder)

    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["23", "24", "25", "26"]
    assert "shown 4 of 27, the newest" in out


def test_show_says_where_it_could_not_read(told, folder):
    path = segments(folder / "journal/east/shipment/0")[0]
    start, end = places(path)[1]
    flip(path, end - 9)

    status, out, err = told("journal", "show", NAME, "--limit", "2", folder=folder)

    assert status == 1
    assert f"{path} byte {start}" in err
    assert "shown 2 of" in out


def test_stats_prints_sizes_and_checkpoints_by_shard(told, folder):
    (checkpoint,) = (folder / "journal/east/shipment/1").glob("ckpt-*")

    status, out, _ = told("journal", "stats", "--json", folder=folder)

    rows = {row["shard"]: row for row in json.loads(out)}
    assert status == 0
    assert rows[OTHER]["checkpoints"] == {"4": checkpoint.stat().st_size}
    assert rows[NAME]["events"] == 27
    assert rows[NAME]["bytes"] / 27 == rows[NAME]["bytes_per_event"]
    files = segments(folder / "journal/east/shipment/0")
    assert rows[NAME]["allocated"] == sum(path.stat().st_size for path in files)
    assert "2 shards" in told("journal", "stats", folder=folder)[1]
