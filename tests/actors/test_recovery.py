"""Recovery with storage: a journal comes home, damage is repaired, and nothing starts blindly."""

import shutil
import threading

import pytest

from actors import journal_file
from actors.disk import OsDisk
from actors.recovery import Storage, archived_epoch, recover
from tests.actors.shards import NOW, SHIPMENTS, named, offer
from twin.errors import Fenced, JournalCorrupt, Recovering, StorageAway

NAME = "shipment/east/0"
SOON_S = 20.0


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)


@pytest.fixture
def begin(tmp_path):
    """Return a function that recovers the shard, archiving when told to."""
    begun = []

    def start(epoch, *, every_s=1e6, url=f"file://{tmp_path}/store/{{region}}", keep_s=0.0):
        found = recover(
            NAME,
            SHIPMENTS,
            OsDisk(),
            tmp_path / "disk",
            epoch=epoch,
            owner=f"test-{epoch}",
            clock=lambda: NOW + (epoch - 1) * 3_000_000,
            storage=Storage(url, every_s, keep_s),
        )
        begun.append(found)
        return found

    yield start
    for one in begun:
        if one.archiver is not None:
            one.archiver.finish()


def grown(found, prefix, count=12):
    for number in range(count):
        offer(found.shard, *named(f"{prefix}{number}"))
    return found.shard.digests()


def until(holds):
    pause = threading.Event()
    for _ in range(int(SOON_S / 0.02)):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("it never happened")


def test_a_shard_archives_by_itself_and_comes_home(begin, tmp_path):
    one = begin(1, every_s=0.01)
    digests = grown(one, "a")
    until(lambda: one.archiver.status().offset == one.shard.next)
    shutil.rmtree(tmp_path / "disk")

    again = begin(2)

    assert again.shard.digests() == digests
    assert again.note.startswith(f"brought home from file://{tmp_path}/store/east: the events")
    assert "3.0 s before" in again.note


def test_its_last_events_are_archived_when_a_shard_ends(begin, tmp_path):
    one = begin(1)
    digests = grown(one, "a")

    one.archiver.finish()

    assert one.shard.archived().offset == one.shard.next
    shutil.rmtree(tmp_path / "disk")
    assert begin(2).shard.digests() == digests


def test_a_new_shard_and_one_whose_disk_is_there_say_nothing(begin):
    assert begin(1).note == ""
    assert begin(2).note == ""


def test_a_damaged_journal_is_repaired_and_started_again(begin, tmp_path):
    one = begin(1)
    digests = grown(one, "a")
    one.archiver.finish()
    path = sorted((tmp_path / "disk" / "e1").glob("*.twj"))[0]
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)

    with pytest.raises(Recovering):
        begin(2)

    assert begin(3).shard.digests() == digests


def test_damage_that_is_not_archived_is_refused(begin, tmp_path):
    one = begin(1)
    grown(one, "a")
    path = sorted((tmp_path / "disk" / "e1").glob("*.twj"))[0]
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)

    with pytest.raises(JournalCorrupt, match="not archived"):
        begin(2)


def test_an_epoch_that_is_over_in_the_archive_is_fenced(begin, tmp_path):
    one = begin(1)
    grown(one, "a")
    one.archiver.finish()
    shutil.rmtree(tmp_path / "disk")

    with pytest.raises(Fenced):
        begin(1)

    storage = Storage(f"file://{tmp_path}/store/{{region}}")
    assert archived_epoch(NAME, storage) == 1
    assert archived_epoch(NAME, Storage()) == 0


def test_without_an_answer_of_its_storage_no_shard_starts(begin, tmp_path):
    (tmp_path / "blocked").write_text("a file where a folder should be")

    with pytest.raises(StorageAway):
        begin(1, url=f"file://{tmp_path}/blocked")


def test_what_the_disk_need_not_keep_stays_in_the_archive(begin, tmp_path):
    one = begin(1)
    for name in "abcd":
        digests = grown(one, name)
        one.shard.checkpoint()
        one.archiver.finish()
        one.archiver._steps = 0  # as if its turn for a checkpoint had come
    shutil.rmtree(tmp_path / "disk")

    again = begin(2, keep_s=3600.0)

    assert again.shard.digests() == digests
    assert 0 < again.journal.floor < again.shard.next
    assert again.shard.frame(0).first == 0
    live, rebuilt = again.shard.verify()
    assert live == rebuilt
