"""The archive: what is in it can be brought home, and nothing else counts."""

import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from actors import archive as archives
from actors import archiver as archivers
from actors import journal_file, marker, segments
from actors.disk import OsDisk
from actors.fetch import fetch
from tests.actors.archives import PLACE, archive_at, archived
from tests.actors.shards import HOME, claimed, firsts, named, offer, shard
from tests.ports.sim_disk import Crash, SimOs
from tests.twin.histories import NOW, event
from twin.errors import Fenced, JournalCorrupt, StorageAway


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


def objects(tmp_path, suffix=""):
    found = (tmp_path / "store" / PLACE).glob(f"*{suffix}")
    return {path.name: path.read_bytes() for path in found}


def test_a_shard_recovers_on_a_disk_that_never_had_it_with_equal_digests(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    one.checkpoint()
    beside.step()
    shutil.rmtree(home)

    fetched = fetch(archive, OsDisk(), home)
    again, _ = archived(home, archive, 2)

    assert fetched[:3] == (one.next, NOW, 0)
    assert again.digests() == one.digests()
    assert again.replayed == 0, "the checkpoint did not come home"
    live, rebuilt = again.verify()
    assert live == rebuilt


def test_what_was_not_archived_is_lost_with_the_disk_and_counted(archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    kept = one.digests()
    fill(one, "late")
    two, _ = archived(home, archive, 2)  # its claim says where epoch 1 ended
    shutil.rmtree(home)

    fetched = fetch(archive, OsDisk(), home)
    again, _ = archived(home, archive, 3)

    assert (fetched.next, fetched.missing) == (beside.status().offset, two.next - again.next)
    assert fetched.missing > 0
    assert again.digests() == kept


def test_archiving_again_makes_the_same_objects_and_no_others(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    before = objects(tmp_path)
    (missing,) = [name for name in sorted(before) if name.endswith(".twj")][:1]
    for suffix in (".twj", ".parquet"):
        (tmp_path / "store" / PLACE / missing).with_suffix(suffix).unlink()

    beside._checkpoints = None  # as a process that begins: it looks what is there
    beside.step()

    assert objects(tmp_path) == before
    assert len(before) >= 6


def test_rows_say_what_the_journal_holds_one_row_for_each_event(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    offer(one, event(id="strange", type="shipment.nothing"))
    offer(one, event(id="gone", type="shipment.position", retracts="a0-0", data={}))
    beside.step()

    tables = [pq.read_table(io.BytesIO(raw)) for raw in objects(tmp_path, ".parquet").values()]
    rows = sorted((row for t in tables for row in t.to_pylist()), key=lambda row: row["offset"])

    assert [row["offset"] for row in rows] == list(range(one.next))
    assert rows[0]["key"] == "demo/shipment/east/S-a0-0"
    assert rows[0]["type"] == "shipment.position.v1"
    assert (rows[0]["source"], rows[0]["id"], rows[0]["epoch"]) == ("erp", "a0-0", 1)
    assert rows[0]["lat"] is not None
    (parked,) = (row for row in rows if row["parked"])
    assert (parked["id"], parked["parked"], parked["key"]) == (
        "strange",
        "SCHEMA_UNSUPPORTED",
        None,
    )
    assert parked["as_it_came"]
    assert rows[-1]["does"] == "retracts"


def test_damaged_rows_or_frames_are_noticed(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    folder = tmp_path / "store" / PLACE
    part = sorted(folder.glob("part-*.twj"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])

    with pytest.raises(JournalCorrupt):
        fetch(archive_at(tmp_path / "store"), OsDisk(), tmp_path / "elsewhere")


def test_two_nodes_cannot_both_begin_an_epoch(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    fetch(archive, OsDisk(), tmp_path / "b")
    fetch(archive, OsDisk(), tmp_path / "c")

    claimed(tmp_path / "b", 2, archive=archive)

    with pytest.raises(Fenced):
        claimed(tmp_path / "c", 2, archive=archive)


def test_a_writer_on_another_disk_is_fenced_when_it_archives(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    other, _ = archived(tmp_path / "other", archive_at(tmp_path / "store"), 2)
    fill(one, "late", 2)  # its own disk shows no newer marker

    with pytest.raises(Fenced):
        beside.step()

    with pytest.raises(Fenced):
        offer(one, *named("after"))
    fill(other, "b")
    assert other.verify()[0] == other.verify()[1]


def test_a_disk_that_others_went_on_without_is_set_aside(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    fill(one, "late", 2)
    other, others = archived(tmp_path / "other", archive_at(tmp_path / "store"), 2)
    fill(other, "b")
    others.step()

    fetched = fetch(archive, OsDisk(), home)
    back, _ = archived(home, archive, 3)

    assert back.digests() == other.digests()
    assert firsts(claimed(tmp_path / "disk.aside-1-1", 2))[-1] >= fetched.next - other.next
    assert fetched.aside == str(tmp_path / "disk.aside-1-1")


def test_a_writer_that_died_between_its_markers_costs_no_event(archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    fill(one, "late")
    archive.announce(2, "died at once")

    assert fetch(archive, OsDisk(), home) is None
    again, _ = archived(home, archive, 3)

    assert again.digests() == one.digests()


def test_a_fetch_that_died_is_begun_again(tmp_path, archive, home):
    one, beside = archived(home, archive)
    fill(one, "a")
    beside.step()
    expected = one.digests()
    shutil.rmtree(home)
    fetch(archive, OsDisk(), home)
    (home / "epoch-1").unlink()
    (home / "e1" / segments.name_of(5)).write_bytes(b"left behind")

    again, _ = archived(home, archive, 2)

    assert again.digests() == expected


def test_a_storage_that_does_not_answer_fails_no_event_and_is_counted(archive, home):
    one, beside = archived(home, archive)
    fill(one, "a", 2)
    away = archives.Archive(Away(), PLACE)
    beside._archive = away

    assert not beside.attempt()
    fill(one, "b", 2)

    told = beside.status()
    assert (told.failures, told.offset) == (1, 0)
    assert "nobody is there" in told.error
    beside._archive = archive
    assert beside.attempt()
    assert beside.status()[1] == one.next
    assert beside.status().error == ""


class Away:
    """A store of which nobody answers."""

    url = "away://"

    def names(self, place):
        raise OSError("nobody is there")

    read = create = remove = names


def test_nothing_starts_while_its_archive_does_not_answer(home):
    with pytest.raises(StorageAway):
        archived(home, archives.Archive(Away(), PLACE))


def test_an_archive_begun_later_takes_every_epoch_there_was(archive, home):
    for epoch in (1, 2):
        one = shard(home, epoch)
        fill(one, f"e{epoch}-")
    one, beside = archived(home, archive, 3)
    beside.step()
    shutil.rmtree(home)

    again, _ = archived(home, archive, 4)

    assert again.digests() == one.digests()
    assert marker.newest(OsDisk(), home) == 4


def test_a_crash_in_any_call_of_archiving_leaves_nothing_half_and_is_made_good(rng):
    whole, cut = None, 0
    for left in [10_000, *range(80)]:
        system, store = SimOs(rng), SimOs(rng)
        one, beside = archived(HOME, archive_at("/store", OsDisk(store)), disk=OsDisk(system))
        fill(one, "a", 8)
        store.left = left
        try:
            beside.step()
        except Crash:
            cut += 1
        store.power_cut()
        found = stored(store)
        assert whole is None or found.items() <= whole.items(), "something half counts"

        again = archive_at("/store", OsDisk(store))
        beside._archive, beside._checkpoints = again, None  # as a process that begins
        beside.step()

        whole = whole or stored(store)
        assert stored(store) == whole
    assert cut > 50


def stored(system):
    """Return every object in a simulated storage, but what tells writers apart."""
    disk, place = OsDisk(system), Path("/store") / PLACE
    names = [name for name in disk.names(place) if name.startswith(("part-", "ckpt-"))]
    return {name: disk.read(place / name) for name in names}
