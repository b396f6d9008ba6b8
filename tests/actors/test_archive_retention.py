"""Retention and repair: what leaves a disk for its archive, and what comes back from it."""

import pytest

from actors import archiver as archivers
from actors import journal_file, segments
from actors.disk import OsDisk
from actors.fetch import restore
from tests.actors.archives import PLACE, archive_at, archived
from tests.actors.shards import claimed, firsts, named, offer, shard
from tests.twin.histories import NOW, event
from twin.errors import Compacted, JournalCorrupt


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)
    monkeypatch.setattr(archivers, "MOST", 6000)


@pytest.fixture
def archive(tmp_path):
    return archive_at(tmp_path / "store")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "disk"


def fill(one, prefix, count=12):
    for number in range(count):
        offer(one, *named(*(f"{prefix}{number}-{i}" for i in range(number % 3 + 1))))


def test_retention_removes_only_what_is_archived_old_and_behind_two_checkpoints(archive, home):
    now = [NOW]
    one, beside = archived(home, archive, keep_us=1_000_000, clock=lambda: now[0])
    fill(one, "a")
    beside.step()
    assert beside.status().floor == 0, "no checkpoint is there"
    one.checkpoint()
    fill(one, "b")
    one.checkpoint()
    beside.step()
    assert beside.status().floor == 0, "nothing is old enough"
    before = segments.names(OsDisk(), home, 1)

    now[0] += 2_000_000
    beside.step()

    floor = beside.status().floor
    after = segments.names(OsDisk(), home, 1)
    assert 0 < floor <= sorted(beside._kept.good())[0]
    assert segments.first_of(after[0]) == floor
    assert set(after) < set(before)


def compacted(archive, home):
    now = [NOW]
    one, beside = archived(home, archive, keep_us=1_000_000, clock=lambda: now[0])
    fill(one, "a")
    one.checkpoint()
    one.checkpoint()
    fill(one, "b")
    one.checkpoint()
    now[0] += 2_000_000
    beside.step()
    assert beside.status().floor > 4
    return one, beside


def test_offsets_that_left_the_disk_are_read_from_the_archive(archive, home):
    one, _ = compacted(archive, home)

    assert one.frame(0).first == 0
    live, rebuilt = one.verify()
    assert live == rebuilt
    again, _ = archived(home, archive, 2, keep_us=1)
    assert again.digests() == live
    assert firsts(again._journal)[0] == 0


def test_a_retraction_of_an_event_that_left_the_disk_is_right(archive, home, tmp_path):
    one, _ = compacted(archive, home)
    plain = shard(tmp_path / "plain")
    fill(plain, "a")
    fill(plain, "b")
    gone = event(id="gone", type="shipment.position", subject="S-a0-0", retracts="a0-0", data={})

    offer(one, gone)
    offer(plain, gone)

    assert one.digests().truth == plain.digests().truth


def test_without_the_archive_an_offset_that_left_the_disk_is_compacted(archive, home):
    compacted(archive, home)

    journal = claimed(home, 2)

    with pytest.raises(Compacted):
        journal.at(0)
    with pytest.raises(Compacted):
        firsts(journal)
    assert firsts(journal, journal.floor)[0] == journal.floor


def test_a_copy_that_differs_keeps_its_segment_on_the_disk(tmp_path, archive, home):
    now = [NOW]
    one, beside = archived(home, archive, keep_us=1_000_000, clock=lambda: now[0])
    fill(one, "a")
    one.checkpoint()
    one.checkpoint()
    fill(one, "b")
    one.checkpoint()
    beside.step()
    part = sorted((tmp_path / "store" / PLACE).glob("part-*.twj"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    before = segments.names(OsDisk(), home, 1)
    now[0] += 2_000_000

    assert not beside.attempt()

    assert segments.names(OsDisk(), home, 1) == before
    assert beside.status().failures == 1


def spoilt(archive, home):
    """Damage an archived frame in the middle of a rolled segment; return the digests before."""
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    fill(one, "late", 3)
    path = sorted((home / "e1").glob("*.twj"))[0]
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    return one.digests(), path


def test_a_damaged_segment_is_repaired_from_the_archive(archive, home):
    before, path = spoilt(archive, home)
    with pytest.raises(JournalCorrupt, match="journal restore"):
        archived(home, archive, 2)

    (repaired,) = restore(archive, OsDisk(), home)

    assert (repaired.name, repaired.archived > 0) == (path.name, True)
    again, _ = archived(home, archive, 3)
    assert again.digests() == before
    assert again.verify()[0] == again.verify()[1]
    assert (path.parent / f".{path.name}.damaged").exists()


def test_a_segment_that_is_missing_is_brought_back(archive, home):
    before, path = spoilt(archive, home)
    path.unlink()

    assert [one.name for one in restore(archive, OsDisk(), home)] == [path.name]

    assert archived(home, archive, 2)[0].digests() == before


def test_what_is_damaged_and_not_archived_is_refused_and_left_as_it_is(archive, home):
    spoilt(archive, home)
    last = sorted((home / "e1").glob("*.twj"))[-1]
    content = bytearray(last.read_bytes())
    end = segments.last(memoryview(bytes(content))).start
    content[end - 40] ^= 1  # in the frame before the last one, which is not archived
    last.write_bytes(content)

    with pytest.raises(JournalCorrupt, match="not archived"):
        restore(archive, OsDisk(), home)

    assert last.read_bytes() == bytes(content)


def test_a_journal_that_was_cut_short_is_brought_to_its_archived_end(archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    last = sorted((home / "e1").glob("*.twj"))[-1]
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(JournalCorrupt, match="acknowledged"):
        archived(home, archive, 2)

    restore(archive, OsDisk(), home)

    assert archived(home, archive, 3)[0].digests() == one.digests()


def test_a_whole_journal_is_not_touched_by_a_repair(archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    assert restore(archive, OsDisk(), home) == []

    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
