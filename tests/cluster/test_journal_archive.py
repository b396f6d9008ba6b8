"""`twin journal` beside an archive: what only it holds is read there, and said to be there."""

import json

import msgspec
import pytest

from actors import archiver, journal_file
from actors.archive import Archive
from actors.disk import OsDisk
from actors.segments import raise_floor
from actors.store import FolderStore
from cluster.archives import archive_of
from cluster.cli import run
from cluster.config import Config, Storage
from cluster.host import CONFIG
from cluster.journal_reader import JournalReader
from tests.actors.archives import archived
from tests.actors.shards import NOW, named, offer

NAME = "shipment/east/0"


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)
    monkeypatch.setattr(archiver, "MOST", 6000)


@pytest.fixture
def folder(tmp_path):
    """A data directory whose journal begins in its archive."""
    folder, store = tmp_path / ".twin", tmp_path / "store"
    folder.mkdir()
    config = Config(storage=Storage(f"file://{store}"))
    (folder / CONFIG).write_bytes(msgspec.json.encode(config))
    archive = Archive(FolderStore(OsDisk(), store), "journal/east/shipment/0")
    now = [NOW]
    home = folder / "journal/east/shipment/0"
    one, beside = archived(home, archive, keep_us=1, clock=lambda: now[0])
    for number in range(24):
        offer(one, *named(f"e{number}", f"f{number}"))
        if number in {12, 16}:
            one.checkpoint()
    now[0] += 10
    beside.step()
    assert beside.status().floor > 0
    return folder


@pytest.fixture
def told(capsys, folder):
    def tell(*words):
        capsys.readouterr()
        status = run([*words, "--folder", str(folder)])
        return status, *capsys.readouterr()

    return tell


def test_verify_reads_on_from_the_archive_to_the_disk(told):
    status, out, err = told("journal", "verify", NAME)

    assert (status, err) == (0, "")
    assert "48 events: whole" in out


def test_the_first_events_are_shown_from_the_archive(told):
    status, out, _ = told("journal", "show", NAME, "--offset", "0", "--limit", "2", "--json")

    assert status == 0
    assert [row["id"] for row in json.loads(out)] == ["e0", "f0"]


def test_stats_say_what_is_archived_and_where_the_disk_begins(told, folder):
    status, out, _ = told("journal", "stats", "--json")

    (row,) = json.loads(out)
    floor = int((folder / "journal/east/shipment/0/floor").read_text().split()[0])
    assert status == 0
    assert (row["archived"], row["floor"], row["events"]) == (48, floor, 48)


def test_a_byte_that_is_wrong_in_the_archive_is_told(told, tmp_path):
    part = sorted((tmp_path / "store/journal/east/shipment/0").glob("*.twj"))[0]
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    part.write_bytes(content)

    status, _, err = told("journal", "verify", NAME)

    assert status == 1
    assert part.stem in err


def test_without_its_archive_a_journal_that_begins_there_is_not_whole(told, folder):
    (folder / CONFIG).write_bytes(msgspec.json.encode(Config()))

    status, _, err = told("journal", "verify", NAME)

    assert status == 1
    assert "in an archive alone" in err


def test_a_missing_segment_is_brought_back_by_restore(told, folder):
    home = folder / "journal/east/shipment/0"
    path = sorted((home / "e1").glob("*.twj"))[0]
    path.unlink()
    assert told("journal", "verify", NAME)[0] == 1

    status, out, _ = told("journal", "restore", NAME)

    assert status == 0
    assert path.name in out
    assert "1 segments repaired; start it again" in out
    assert told("journal", "verify", NAME)[0] == 0


def test_restore_without_an_archive_says_what_to_set(told, folder):
    (folder / CONFIG).write_bytes(msgspec.json.encode(Config()))

    status, _, err = told("journal", "restore", NAME)

    assert status == 1
    assert "storage.url" in err


def test_a_segment_that_is_moved_to_the_archive_while_it_is_read_is_read_there(folder):
    home = folder / "journal/east/shipment/0"
    reader = JournalReader(home, archive=archive_of(folder, NAME))
    batches = reader.batches()
    found = [next(batches)]
    raise_floor(OsDisk(), home, 48)
    sorted((home / "e1").glob("*.twj"))[0].unlink()

    found += list(batches)

    assert reader.damage == []
    assert [batch.first for batch in found if batch.size] == list(range(0, 48, 2))
